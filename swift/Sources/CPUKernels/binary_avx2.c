#if defined(__x86_64__)
#include <immintrin.h>
#pragma clang attribute push(__attribute__((target("avx2,popcnt"))), apply_to = function)
#define ISA avx2
#define ISA_AVX2
#include "binary.inc.h"
#pragma clang attribute pop
#endif
