#include "metalfaiss.h"

_Static_assert(sizeof(mf_call) == 1024, "mf_call is 1,024 bytes");
_Static_assert(sizeof(mf_search) == 48, "mf_search is 48 bytes");
_Static_assert(sizeof(mf_sizes) == 40, "mf_sizes is 40 bytes");
_Static_assert(sizeof(mf_gpu_source) == 24, "mf_gpu_source is 24 bytes");
_Static_assert(sizeof(mf_gpu_constant) == 16, "mf_gpu_constant is 16 bytes");
_Static_assert(sizeof(mf_gpu_program) == 32, "mf_gpu_program is 32 bytes");
_Static_assert(sizeof(mf_gpu_dispatch) == 48, "mf_gpu_dispatch is 48 bytes");
_Static_assert(sizeof(mf_gpu_argument) == 16, "mf_gpu_argument is 16 bytes");
_Static_assert(sizeof(mf_gpu_copy) == 40, "mf_gpu_copy is 40 bytes");
_Static_assert(sizeof(mf_gpu_fill) == 32, "mf_gpu_fill is 32 bytes");
_Static_assert(sizeof(mf_gpu_sync) == 24, "mf_gpu_sync is 24 bytes");
_Static_assert(sizeof(mf_gpu_multiply) == 112, "mf_gpu_multiply is 112 bytes");
_Static_assert(sizeof(mf_gpu_times) == 56, "mf_gpu_times is 56 bytes");
_Static_assert(sizeof(mf_linalg_product) == 72, "mf_linalg_product is 72 bytes");
_Static_assert(sizeof(mf_linalg_vectors) == 64, "mf_linalg_vectors is 64 bytes");
_Static_assert(sizeof(mf_linalg_summing) == 16, "mf_linalg_summing is 16 bytes");
_Static_assert(sizeof(mf_linalg_rows) == 40, "mf_linalg_rows is 40 bytes");
_Static_assert(sizeof(mf_linalg_recurrence) == 40, "mf_linalg_recurrence is 40 bytes");
_Static_assert(sizeof(mf_linalg_qr_options) == 32, "mf_linalg_qr_options is 32 bytes");
_Static_assert(sizeof(mf_linalg_svd_options) == 48, "mf_linalg_svd_options is 48 bytes");
