// The plain twin of every kernel.
#define ISA scalar
#define LANES 1
#include "sequence_table.inc.h"
