// The tiles of gemm.h with both operands transposed.
#include "gemm.h"
#include "instantiate.h"

instantiate_kernel("gemm_tt_f32_bm64_bn64", gemm, float, true, true, 64, 64, 4, 4)
instantiate_kernel("gemm_tt_f16_bm64_bn64", gemm, half, true, true, 64, 64, 4, 4)
instantiate_kernel("gemm_tt_bf16_bm64_bn64", gemm, bfloat, true, true, 64, 64, 4, 4)
