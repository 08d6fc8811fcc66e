// Which tables this machine can run.
#include "cpu_kernels.h"

extern const cpu_kernels cpu_table_scalar;
#if defined(__x86_64__)
#include <cpuid.h>

extern const cpu_kernels cpu_table_avx2, cpu_table_avx512, cpu_table_avx512_bf16;
#elif defined(__aarch64__)
extern const cpu_kernels cpu_table_neon;
#endif

#if defined(__x86_64__)
// clang's __builtin_cpu_supports has no name for it.
static bool has_f16c(void) {
  uint32_t a, b, c, d;
  return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}
#endif

uint32_t cpu_tables(const cpu_kernels **tables, uint32_t capacity) {
  uint32_t count = 0;
#define OFFER(table) \
  if (count < capacity) tables[count++] = &(table)
#if defined(__x86_64__)
  __builtin_cpu_init();
  bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c() &&
              __builtin_cpu_supports("popcnt");
  bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (avx512 && __builtin_cpu_supports("avx512bf16")) OFFER(cpu_table_avx512_bf16);
  if (avx512) OFFER(cpu_table_avx512);
  if (avx2) OFFER(cpu_table_avx2);
#elif defined(__aarch64__)
  OFFER(cpu_table_neon);
#endif
  OFFER(cpu_table_scalar);
  return count;
}
