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
_Static_assert(sizeof(mf_gpu_times) == 40, "mf_gpu_times is 40 bytes");
