// Instantiations of gemm_tall.h: a tile's rows and columns of the result. Then sums a thread, depth and number of slabs
// under way, threads: of what was measured on an H200, the best for some shape.
#include "gemm_tall.h"
#include "instantiate.h"

#define instantiate_tall(name, type)                                                         \
  instantiate_kernel("gemm_av_" #name "_bm8_bn16", gemm_av, type, 8, 16, 1, 128, 1, 256)     \
  instantiate_kernel("gemm_av_" #name "_bm16_bn16", gemm_av, type, 16, 16, 2, 128, 1, 256)   \
  instantiate_kernel("gemm_av_" #name "_bm16_bn32", gemm_av, type, 16, 32, 4, 128, 1, 256)   \
  instantiate_kernel("gemm_av_" #name "_bm32_bn64", gemm_av, type, 32, 64, 8, 64, 1, 512)    \
  instantiate_kernel("gemm_at_b_" #name "_bn8_bk16", gemm_at_b, type, 8, 16, 1, 256, 1, 256) \
  instantiate_kernel("gemm_at_b_" #name "_bn16_bk32", gemm_at_b, type, 16, 32, 4, 128, 1, 256) \
  instantiate_kernel("gemm_at_b_" #name "_bn64_bk16", gemm_at_b, type, 64, 16, 8, 64, 1, 256) \
  instantiate_kernel("gemm_at_b_" #name "_bn64_bk64", gemm_at_b, type, 64, 64, 8, 32, 1, 256)

instantiate_tall(f32, float)
instantiate_tall(f16, half)
instantiate_tall(bf16, bfloat)
instantiate_kernel("z_fused_f32_bm16_bn16", z_fused, float, 16, 16, 2, 64, 1, 256)
instantiate_kernel("z_fused_f32_bm16_bn32", z_fused, float, 16, 32, 2, 64, 1, 256)
instantiate_kernel("z_fused_f32_bm32_bn64", z_fused, float, 32, 64, 4, 64, 1, 256)
