// The table of the instruction set being compiled.
#include "simd.h"

#include "direct.inc.h"
#include "element.h"
#include "pair.inc.h"
#include "peak.inc.h"
#include "pq.inc.h"
#include "qr_kernels.inc.h"
#include "tile.inc.h"
#include "train.inc.h"
#include "widen.inc.h"
// In that order.
#include "gemm.inc.h"
#include "gemv.inc.h"

#define STRING_(x) #x
#define STRING(x) STRING_(x)

const cpu_kernels FN(cpu_table) = {
    .name = STRING(ISA),
    .lanes = LANES,
    .panel = PANEL,
    .tile = TILE,
    .pack = FN(pack),
    .tile_f32 = FN(tile_f32),
#if defined(ISA_BF16)
    .bf16 = true,
    .pack_bf16 = FN(pack_bf16),
    .tile_bf16 = FN(tile_bf16),
#endif
    .direct_l2 = FN(direct_l2),
    .direct_dot = FN(direct_dot),
    .panel_f32 = FN(panel_f32),
    .count_within = FN(count_within),
    .pair = FN(pair),
    .find_nonfinite = FN(find_nonfinite),
    .accumulate = FN(accumulate),
    .hamming = FN(hamming),
    .peak_fma = FN(peak_fma),
    .gemm = &FN(gemm_kernels),
    .gemv_rows = FN(gemv_rows),
    .gemv_columns = FN(gemv_columns),
    .read_all = FN(read_all),
    .factor = &FN(cpu_factor_table),
    .pq = &FN(cpu_pq_table),
    .train = &FN(cpu_train_table),
};
