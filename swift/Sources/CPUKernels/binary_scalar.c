// The plain twin of every kernel.
#define ISA scalar
#include "binary.inc.h"
