#if defined(__aarch64__)
#include <arm_neon.h>
#define ISA neon
#define ISA_NEON
#include "binary.inc.h"
#endif
