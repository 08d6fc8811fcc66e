// Products of matrices and vectors: blocks of outputs, and what is added to them.
#include "element.h"

enum { SUMS = 1024 };  // outputs at a time: they stay in the first cache

static float add(const cpu_gemv *g, uint64_t matrix, uint64_t i, float sum) {
  float value = g->alpha * sum;
  if (g->beta != 0) value += g->beta * cpu_widen(g->type_x, g->y, matrix * g->n + i);
  if (g->bias) value += cpu_widen(g->type_bias, g->bias, matrix * g->line_bias + i);
  return value;
}

void cpu_gemv_finish(const cpu_gemv *g, uint64_t matrix, uint64_t first, uint64_t last, const float *sums) {
  for (uint64_t i = first; i < last; i++) {
    float value = add(g, matrix, i, sums[i - first]);
    uint64_t at = matrix * g->n + i;
    switch (g->type_x) {
      case CPU_F32: ((float *)g->y)[at] = value; break;
      case CPU_F16: ((uint16_t *)g->y)[at] = cpu_narrow_f16(value); break;
      default: ((uint16_t *)g->y)[at] = cpu_narrow_bf16(value);
    }
  }
}

void cpu_gemv_sums(const cpu_kernels *kernels, const cpu_gemv *g, uint64_t matrix, uint64_t first, uint64_t last,
                   uint64_t p, uint64_t depth, float *sums) {
  uint64_t rows = g->columns ? g->k : g->n;
  uint64_t at = matrix * rows * g->line + (g->columns ? p * g->line + first : first * g->line + p);
  const void *w = (const char *)g->w + at * cpu_type_bytes(g->type_w);
  const float *x = g->x + matrix * g->k + p;
  (g->columns ? kernels->gemv_columns : kernels->gemv_rows)(g->type_w, w, g->line, last - first, depth, x, sums);
}

void cpu_gemv_part(const cpu_kernels *kernels, const cpu_gemv *g, uint64_t matrix, uint64_t first, uint64_t last) {
  float sums[SUMS];
  for (uint64_t i = first; i < last; i += SUMS) {
    uint64_t to = last - i < SUMS ? last : i + SUMS;
    cpu_gemv_sums(kernels, g, matrix, i, to, 0, g->k, sums);
    cpu_gemv_finish(g, matrix, i, to, sums);
  }
}

void cpu_widen_all(uint32_t type, const void *x, uint64_t count, float *out) {
  for (uint64_t i = 0; i < count; i++) out[i] = cpu_widen(type, x, i);
}
