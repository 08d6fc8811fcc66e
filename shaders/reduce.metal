// Instantiations of reduce.h: row_<op>_<dtype>.
#include "instantiate.h"
#include "reduce.h"

#define instantiate_reduce(name, type)                                             \
  instantiate_kernel("row_sum_" #name, reduce_rows, type, RowSum, float)           \
  instantiate_kernel("row_mean_" #name, reduce_rows, type, RowMean, float)         \
  instantiate_kernel("row_min_" #name, reduce_rows, type, RowValue<false>, float)  \
  instantiate_kernel("row_max_" #name, reduce_rows, type, RowValue<true>, float)   \
  instantiate_kernel("row_argmin_" #name, reduce_rows, type, RowArg<false>, uint)  \
  instantiate_kernel("row_argmax_" #name, reduce_rows, type, RowArg<true>, uint)

instantiate_reduce(f32, float)
instantiate_reduce(f16, half)
instantiate_reduce(bf16, bfloat)
