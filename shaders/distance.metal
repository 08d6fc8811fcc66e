// Instantiations of distance.h: pairwise_<metric>_<dtype>.
#include "distance.h"
#include "instantiate.h"

#define instantiate_pairwise(name, metric)                              \
  instantiate_kernel("pairwise_" #name "_f32", pairwise, float, metric) \
  instantiate_kernel("pairwise_" #name "_f16", pairwise, half, metric)  \
  instantiate_kernel("pairwise_" #name "_bf16", pairwise, bfloat, metric)

instantiate_pairwise(l2, SquaredL2)
instantiate_pairwise(ip, InnerProduct)
instantiate_pairwise(l1, L1)
instantiate_pairwise(linf, Linf)
instantiate_pairwise(lp, Lp)
instantiate_pairwise(canberra, Canberra)
instantiate_pairwise(bray_curtis, BrayCurtis)
instantiate_pairwise(jensen_shannon, JensenShannon)
instantiate_pairwise(jaccard, Jaccard)
instantiate_pairwise(nan_euclidean, NaNEuclidean)
instantiate_pairwise(cosine, Cosine)
