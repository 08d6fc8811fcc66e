// Instantiations of ivf.h: ivf_scan_grouped_<metric>_<dtype>_<queries>x<rows of a tile>.
#include "ivf.h"
#include "instantiate.h"

#define instantiate_ivf_plain(metric_name, metric, type_name, type)                                                      \
  instantiate_kernel("ivf_bound_" #metric_name "_" #type_name, ivf_bound, type, metric)                               \
  instantiate_kernel("ivf_scan_" #metric_name "_" #type_name, ivf_scan, type, metric)                                 \
  instantiate_kernel("ivf_scan_grouped_" #metric_name "_" #type_name "_16x256", ivf_scan_grouped, type, metric, 16, 256, 4, 4)

// What the scan of few queries' lists is compared with.
#define instantiate_ivf_others(metric_name, metric)                                              \
  instantiate_kernel("ivf_scan_sized_" #metric_name "_f32", ivf_scan_sized, float, metric)       \
  instantiate_kernel("ivf_keys_" #metric_name "_f32", ivf_keys, float, metric)

#define instantiate_ivf(metric_name, metric, type_name, type)                                                            \
  instantiate_ivf_plain(metric_name, metric, type_name, type)                                                         \
  instantiate_kernel("ivf_scan_grouped_" #metric_name "_" #type_name "_64x128", ivf_scan_grouped, type, metric, 64, 128, 4, 8)  \
  instantiate_kernel("ivf_scan_grouped_" #metric_name "_" #type_name "_128x128", ivf_scan_grouped, type, metric, 128, 128, 8, 8)

#define instantiate_ivf_halves(metric_name, metric)            \
  instantiate_ivf_plain(metric_name, metric, f16, half)      \
  instantiate_ivf_plain(metric_name, metric, bf16, bfloat)

instantiate_ivf(l2, L2, f32, float)
instantiate_ivf(ip, INNER_PRODUCT, f32, float)
instantiate_ivf(cosine, COSINE, f32, float)
instantiate_ivf_others(l2, L2)
instantiate_ivf_others(ip, INNER_PRODUCT)
instantiate_ivf_others(cosine, COSINE)
// Rows that no backend keeps yet.
instantiate_ivf_halves(l2, L2)
instantiate_ivf_halves(ip, INNER_PRODUCT)
instantiate_ivf_halves(cosine, COSINE)
