// Instantiations of flat.h, flat_terms.h and flat_select.h for rows of halves and bfloats.
#include "flat_instances.h"

instantiate_flat(l2, L2, f16, half)
instantiate_flat(ip, INNER_PRODUCT, f16, half)
instantiate_flat(cosine, COSINE, f16, half)
instantiate_flat(l2, L2, bf16, bfloat)
instantiate_flat(ip, INNER_PRODUCT, bf16, bfloat)
instantiate_flat(cosine, COSINE, bf16, bfloat)
