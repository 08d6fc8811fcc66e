// Sums that keep what rounding loses, and the kernels of sequence models: layer norms, soft caps, products a
// head, recurrent steps. One table an instruction set, as cpu_kernels; scalar is the plain twin.
#ifndef CPU_SEQUENCE_H
#define CPU_SEQUENCE_H

#include "cpu_linalg.h"

typedef enum cpu_terms {  // what is summed
  CPU_TERMS_X = 0,
  CPU_TERMS_XY = 1,
  CPU_TERMS_SQUARES = 2,  // of x scaled
} cpu_terms;

typedef enum cpu_summation {
  CPU_SUM_PLAIN = 0,      // float
  CPU_SUM_KAHAN = 1,      // float and what its rounding lost
  CPU_SUM_TWO_FLOAT = 2,  // pairs of floats, about 46 bits
} cpu_summation;

// Numbers that one call sums: the same blocks, whoever takes them, so that sums do not depend on threads.
#define CPU_SUM_BLOCK 65536
// Sequences whose states go through a matrix together.
#define CPU_LINEAR_INPUTS 4

// A sum of a part: value + rest.
typedef struct cpu_sum {
  double value, rest;
  double magnitude;  // sum of absolute values
} cpu_sum;

// Fixed point: limb i counts 2^(32 i) units of 2^-149, for products of 2^-298. Kept below 2^32 between blocks,
// but for the last, which has the sign.
#define CPU_LIMBS 20
typedef struct cpu_limbs {
  int64_t limb[CPU_LIMBS];
  uint32_t has_nan, has_positive, has_negative;  // a NaN, infinities
} cpu_limbs;

typedef struct cpu_sequence_kernels {
  // x: n numbers, as is y, NULL but for CPU_TERMS_XY. scale: a power of two for CPU_TERMS_SQUARES.
  void (*sum)(uint32_t terms, uint32_t summation, const float *x, const float *y, uint64_t n, float scale,
              cpu_sum *out);
  // The largest |x| as bits; those of a NaN, if there is one, are above infinity's.
  uint32_t (*largest)(const float *x, uint64_t n);
  // out = (x - mean) / sqrt(variance + eps) of rows from `first` on, times weights and plus biases unless NULL: those
  // of row r are in row r % period.
  void (*layer_norm)(uint32_t type, const void *x, uint64_t first, uint64_t rows, uint64_t columns, float eps,
                     const float *weights, const float *biases, uint64_t period, void *out);
  // out = cap * tanh(x / cap).
  void (*soft_cap)(uint32_t type, const void *x, uint64_t n, float cap, void *out);
  // Numbers as floats, and back.
  void (*widen)(uint32_t type, const void *x, uint64_t n, float *out);
  void (*narrow)(uint32_t type, const float *x, uint64_t n, void *out);
  // outs[q][i] = adds[q][i] + sum over j of w[i * d + j] * xs[q][j] for 1 to CPU_LINEAR_INPUTS inputs; adds may be
  // NULL, or outs.
  void (*linear)(const float *w, uint64_t rows, uint64_t d, const float *const *xs, const float *const *adds,
                 float *const *outs, uint32_t inputs);
  // x = tanh(x).
  void (*tanh_all)(float *x, uint64_t n);
} cpu_sequence_kernels;

// The table beside that of an instruction set.
const cpu_sequence_kernels *cpu_sequence_table(const cpu_kernels *kernels);

// total += part, in the summation's own arithmetic.
void cpu_sum_merge(uint32_t summation, cpu_sum *total, const cpu_sum *part);
// Adds n numbers, or products with y, exactly; n is at most CPU_SUM_BLOCK.
void cpu_limbs_add(cpu_limbs *total, const float *x, const float *y, uint64_t n);
// Adds another sum, and brings limbs below 2^32 again.
void cpu_limbs_merge(cpu_limbs *total, const cpu_limbs *part);

#endif
