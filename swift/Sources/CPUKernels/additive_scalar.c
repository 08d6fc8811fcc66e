// The plain twin of every kernel.
#define ISA scalar
#define LANES 1
#include "additive.inc.h"
