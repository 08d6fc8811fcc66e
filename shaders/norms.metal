// Instantiations of norms.h: <op>_<dtype>.
#include "instantiate.h"
#include "norms.h"

#define instantiate_rows(name, type)                                        \
  instantiate_kernel("row_squared_norms_" #name, row_squared_norms, type) \
  instantiate_kernel("row_norms_" #name, row_norms, type)                 \
  instantiate_kernel("normalize_rows_" #name, normalize_rows, type)       \
  instantiate_kernel("column_sums_" #name, column_sums, type)             \
  instantiate_kernel("max_deviation_" #name, max_deviation, type)         \
  instantiate_kernel("find_not_finite_" #name, find_not_finite, type)

instantiate_rows(f32, float)
instantiate_rows(f16, half)
instantiate_rows(bf16, bfloat)
