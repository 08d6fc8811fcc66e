#if defined(__x86_64__)
#include <immintrin.h>
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,popcnt,f16c"))), apply_to = function)
#define ISA avx512
#define ISA_AVX512
#define LANES 16
#include "rabitq.inc.h"
#pragma clang attribute pop
#endif
