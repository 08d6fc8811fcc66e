// Instantiations of gemm.h: gemm_<op(A)><op(B)>_<dtype>_<tile>; simd: by simdgroup matrices.
#include "gemm.h"
#include "instantiate.h"

#define instantiate_gemm_tiles(name, ...)                                                             \
  instantiate_kernel("gemm_" name "_bm64_bn64", gemm, __VA_ARGS__, 64, 64, 4, 4)   \
  instantiate_kernel("gemm_" name "_bm128_bn128", gemm, __VA_ARGS__, 128, 128, 8, 8) \
  instantiate_kernel("gemm_" name "_simd_bm64_bn64", gemm_simd, __VA_ARGS__)

#define instantiate_gemm(name, type)                          \
  instantiate_gemm_tiles("nn_" #name, type, false, false) \
  instantiate_gemm_tiles("nt_" #name, type, false, true)  \
  instantiate_gemm_tiles("tn_" #name, type, true, false)

instantiate_gemm(f32, float)
instantiate_gemm(f16, half)
instantiate_gemm(bf16, bfloat)
