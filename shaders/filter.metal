// filter_count, filter_offsets and filter_rows; gather_rows and scatter_rows by bits an element: f32, u32 and half
// an i64 are 32, f16 and bf16 are 16.
#include "filter.h"
#include "instantiate.h"

instantiate_kernel("gather_rows_b32", gather_rows, uint)
instantiate_kernel("gather_rows_b16", gather_rows, ushort)
instantiate_kernel("scatter_rows_b32", scatter_rows, uint)
instantiate_kernel("scatter_rows_b16", scatter_rows, ushort)
