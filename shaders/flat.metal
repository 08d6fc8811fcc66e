// Instantiations of flat.h, flat_terms.h and flat_select.h for rows of floats, and flat_threshold.h.
#include "flat_instances.h"
#include "flat_threshold.h"

instantiate_flat_queries(l2, L2)
instantiate_flat_queries(ip, INNER_PRODUCT)
instantiate_flat_queries(cosine, COSINE)
instantiate_flat(l2, L2, f32, float)
instantiate_flat(ip, INNER_PRODUCT, f32, float)
instantiate_flat(cosine, COSINE, f32, float)
