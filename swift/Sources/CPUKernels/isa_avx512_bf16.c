#if defined(__x86_64__)
#include <immintrin.h>
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma,f16c,popcnt"))), apply_to = function)
#define ISA avx512_bf16
#define ISA_BF16
#define ISA_AVX512
#define LANES 16
#define TILE 12
#define WIDTH 2
#include "table.inc.h"
#pragma clang attribute pop
#endif
