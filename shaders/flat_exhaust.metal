// Instantiations of flat_exhaust.h: <exhaust, within>[_parts]_<metric>.
#include "flat_exhaust.h"
#include "instantiate.h"

#define instantiate_exhaust(name, metric)                           \
  instantiate_kernel("exhaust_" #name, exhaust, metric)             \
  instantiate_kernel("exhaust_parts_" #name, exhaust_parts, metric) \
  instantiate_kernel("within_" #name, within, metric)               \
  instantiate_kernel("within_parts_" #name, within_parts, metric)

instantiate_exhaust(l2, SquaredL2)
instantiate_exhaust(ip, InnerProduct)
instantiate_exhaust(l1, L1)
instantiate_exhaust(linf, Linf)
instantiate_exhaust(lp, Lp)
instantiate_exhaust(canberra, Canberra)
instantiate_exhaust(bray_curtis, BrayCurtis)
instantiate_exhaust(jensen_shannon, JensenShannon)
instantiate_exhaust(jaccard, Jaccard)
instantiate_exhaust(nan_euclidean, NaNEuclidean)
instantiate_exhaust(cosine, Cosine)
