// The plain twin of every kernel.
#define ISA scalar
#define LANES 1
#define TILE 4
#define WIDTH 4
#include "table.inc.h"
