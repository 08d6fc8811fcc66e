#if defined(__aarch64__)
#include <arm_neon.h>
#define ISA neon
#define ISA_NEON
#define LANES 4
#include "additive.inc.h"
#endif
