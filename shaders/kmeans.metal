// Instantiations of kmeans_assign.h and kmeans.h: kmeans_<step>_<dtype>; kmeans_count, kmeans_offsets,
// kmeans_order and kmeans_mean are of no dtype.
#include "instantiate.h"
#include "kmeans.h"
#include "kmeans_assign.h"

#define instantiate_kmeans(name, type)                            \
  instantiate_kernel("kmeans_assign_" #name, kmeans_assign, type) \
  instantiate_kernel("kmeans_sum_" #name, kmeans_sum, type)       \
  instantiate_kernel("kmeans_least_" #name, kmeans_least, type)

instantiate_kmeans(f32, float)
instantiate_kmeans(f16, half)
instantiate_kmeans(bf16, bfloat)
