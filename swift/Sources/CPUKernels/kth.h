// Bounds of what was found.
#ifndef KTH_H
#define KTH_H

#include "cpu_kernels.h"

// The k-th smallest of n >= k numbers, or one a little above it that at most k + slack are within. By halving between
// the ends: counting runs over whole vectors where selecting would mispredict.
float cpu_kth(const cpu_kernels *kernels, const float *x, uint64_t n, uint64_t k, uint64_t slack);

#endif
