// Instantiations of layer_norm.h: layer_norm_<dtype>_v<values a lane>, or _long.
#include "instantiate.h"
#include "layer_norm.h"

#define instantiate_layer_norm(name, type)                            \
  instantiate_kernel("layer_norm_" #name "_v2", layer_norm, type, 2) \
  instantiate_kernel("layer_norm_" #name "_v4", layer_norm, type, 4) \
  instantiate_kernel("layer_norm_" #name "_v8", layer_norm, type, 8) \
  instantiate_kernel("layer_norm_" #name "_long", layer_norm_long, type)

instantiate_layer_norm(f32, float)
instantiate_layer_norm(f16, half)
instantiate_layer_norm(bf16, bfloat)
