// Instantiations of head_linear.h: head_linear_<dtype>_tm16_tn16.
#include "head_linear.h"
#include "instantiate.h"

instantiate_kernel("head_linear_f32_tm16_tn16", head_linear, float)
instantiate_kernel("head_linear_f16_tm16_tn16", head_linear, half)
instantiate_kernel("head_linear_bf16_tm16_tn16", head_linear, bfloat)
