// Which table goes with an instruction set.
#include "cpu_sequence.h"

extern const cpu_sequence_kernels cpu_sequence_scalar;
#if defined(__x86_64__)
extern const cpu_sequence_kernels cpu_sequence_avx2, cpu_sequence_avx512;
#elif defined(__aarch64__)
extern const cpu_sequence_kernels cpu_sequence_neon;
#endif

const cpu_sequence_kernels *cpu_sequence_table(const cpu_kernels *kernels) {
#if defined(__x86_64__)
  // cpu_tables offers these only where float16 is converted. No cpuid here: it leaves a virtual machine, 9 µs a call.
  if (kernels->lanes == 16) return &cpu_sequence_avx512;
  if (kernels->lanes == 8) return &cpu_sequence_avx2;
#elif defined(__aarch64__)
  if (kernels->lanes == 4) return &cpu_sequence_neon;
#endif
  return &cpu_sequence_scalar;
}
