// Instantiations of qr.h; qr_panel.h and householder.h have none.
#include "householder.h"
#include "instantiate.h"
#include "qr_panel.h"

#define instantiate_qr(name, type)                              \
  instantiate_kernel("qr_inspect_" #name, qr_inspect, type)       \
  instantiate_kernel("qr_load_" #name, qr_load, type)             \
  instantiate_kernel("qr_scale_" #name, qr_scale, type)           \
  instantiate_kernel("qr_dot_simple_" #name, qr_dot_simple, type) \
  instantiate_kernel("qr_dot_simd_" #name, qr_dot_simd, type)     \
  instantiate_kernel("qr_update_" #name, qr_update, type)

instantiate_qr(f32, float)
instantiate_qr(f16, half)
instantiate_qr(bf16, bfloat)
