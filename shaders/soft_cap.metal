// Instantiations of soft_cap.h: soft_cap_<dtype>.
#include "instantiate.h"
#include "soft_cap.h"

instantiate_kernel("soft_cap_f32", soft_cap, float)
instantiate_kernel("soft_cap_f16", soft_cap, half)
instantiate_kernel("soft_cap_bf16", soft_cap, bfloat)
