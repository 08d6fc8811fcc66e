// Which table goes with an instruction set.
#include "cpu_sequence.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

extern const cpu_sequence_kernels cpu_sequence_scalar;
#if defined(__x86_64__)
extern const cpu_sequence_kernels cpu_sequence_avx2, cpu_sequence_avx512;
#elif defined(__aarch64__)
extern const cpu_sequence_kernels cpu_sequence_neon;
#endif

const cpu_sequence_kernels *cpu_sequence_table(const cpu_kernels *kernels) {
#if defined(__x86_64__)
  // Conversions of float16, which all but a few processors with AVX2 have.
  unsigned a, b, c = 0, d;
  bool halves = __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
  if (kernels->lanes == 16 && halves) return &cpu_sequence_avx512;
  if (kernels->lanes == 8 && halves) return &cpu_sequence_avx2;
#elif defined(__aarch64__)
  if (kernels->lanes == 4) return &cpu_sequence_neon;
#endif
  return &cpu_sequence_scalar;
}
