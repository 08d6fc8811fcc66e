// Instantiations of topk.h: topk_rows_f32_<labels>, topk_merge_f32_<labels in>_<labels out>.
#include "instantiate.h"
#include "topk.h"

instantiate_kernel("topk_rows_f32_u32", topk_rows, uint)
instantiate_kernel("topk_rows_f32_i64", topk_rows, long)
instantiate_kernel("topk_merge_f32_u32_u32", topk_merge, uint, uint)
instantiate_kernel("topk_merge_f32_u32_i64", topk_merge, uint, long)
instantiate_kernel("topk_merge_f32_i64_i64", topk_merge, long, long)
