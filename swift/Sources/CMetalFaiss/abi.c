#include "metalfaiss.h"

_Static_assert(sizeof(mf_call) == 1024, "mf_call is 1,024 bytes");
_Static_assert(sizeof(mf_search) == 48, "mf_search is 48 bytes");
_Static_assert(sizeof(mf_sizes) == 40, "mf_sizes is 40 bytes");
