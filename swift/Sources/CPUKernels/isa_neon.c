#if defined(__aarch64__)
#include <arm_neon.h>
#define ISA neon
#define ISA_NEON
#define LANES 4
#define TILE 8
#define WIDTH 2
#include "table.inc.h"
#endif
