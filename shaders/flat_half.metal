// Instantiations of flat.h, flat_terms.h and flat_select.h for rows of halves and bfloats.
#include "flat_instances.h"

instantiate_flat_plain(l2, L2, f16, half)
instantiate_flat_plain(ip, INNER_PRODUCT, f16, half)
instantiate_flat_plain(cosine, COSINE, f16, half)
instantiate_flat_plain(l2, L2, bf16, bfloat)
instantiate_flat_plain(ip, INNER_PRODUCT, bf16, bfloat)
instantiate_flat_plain(cosine, COSINE, bf16, bfloat)
