// The kernel of hamming.h: hamming_distances.
#include "hamming.h"
