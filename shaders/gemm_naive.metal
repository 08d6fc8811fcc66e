// Instantiations of gemm_naive.h.
#include "gemm_naive.h"
#include "instantiate.h"

#define instantiate_naive(name, type)                                \
  instantiate_kernel("gemm_naive_nn_" #name, gemm_naive, type, false) \
  instantiate_kernel("gemm_naive_tn_" #name, gemm_naive, type, true)

instantiate_naive(f32, float)
instantiate_naive(f16, half)
instantiate_naive(bf16, bfloat)
instantiate_kernel("z_naive_f32", z_naive, float)
