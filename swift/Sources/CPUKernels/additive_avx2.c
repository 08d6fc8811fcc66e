#if defined(__x86_64__)
#include <immintrin.h>
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,popcnt"))), apply_to = function)
#define ISA avx2
#define ISA_AVX2
#define LANES 8
#include "additive.inc.h"
#pragma clang attribute pop
#endif
