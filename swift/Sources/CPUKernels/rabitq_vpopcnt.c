#if defined(__x86_64__)
#include <immintrin.h>
#pragma clang attribute push(__attribute__((target("avx512vpopcntdq,avx512vbmi,avx512vnni,avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,popcnt,f16c"))), apply_to = function)
#define ISA avx512_vpopcnt
#define ISA_AVX512
#define ISA_VPOPCNT
#define LANES 16
#include "rabitq.inc.h"
#pragma clang attribute pop
#endif
