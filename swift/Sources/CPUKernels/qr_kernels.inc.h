#include "cpu_factor.h"

// What factorizations spend their time in. Nothing is packed: A is only broadcast, so that its line may be
// anything; what is loaded as vectors has lines of whole vectors.

#if LANES == 8
#define FACTOR_VECTORS 2
#else
#define FACTOR_VECTORS 4
#endif
#define FACTOR_DEPTH 128  // rows of b that stay in the first cache

// Up to 16 × 4 sums: `rows` by `vectors`, both constants where this is inlined. They start at zero, so that what a
// number gathers in c over many blocks does not round each term of a block.
INLINE void factor_tile(const bool transposed, const uint32_t rows, const uint32_t vectors, uint64_t k, const float *a,
                        uint64_t lda, const float *b, uint64_t ldb, float *c, uint64_t ldc) {
  vf sums[16][4];
  UNROLL for (uint32_t i = 0; i < rows; i++)
    UNROLL for (uint32_t w = 0; w < vectors; w++) sums[i][w] = (vf)0.0f;
  for (uint64_t p = 0; p < k; p++) {
    vf line[4];
    UNROLL for (uint32_t w = 0; w < vectors; w++) line[w] = load(b + p * ldb + w * LANES);
    UNROLL for (uint32_t i = 0; i < rows; i++) {
      vf x = (vf)(transposed ? a[p * lda + i] : a[i * lda + p]);
      UNROLL for (uint32_t w = 0; w < vectors; w++) sums[i][w] = fma_v(x, line[w], sums[i][w]);
    }
  }
  UNROLL for (uint32_t i = 0; i < rows; i++)
    UNROLL for (uint32_t w = 0; w < vectors; w++) {
      float *to = c + i * ldc + w * LANES;
      store(to, load(to) + sums[i][w]);
    }
}

// One column group of a product.
INLINE void factor_group(const bool transposed, const uint32_t rows, const uint32_t vectors, uint64_t m, uint64_t k,
                         const float *a, uint64_t lda, const float *b, uint64_t ldb, float *c, uint64_t ldc) {
  const uint64_t step = transposed ? 1 : lda;
  uint64_t i = 0;
  for (; i + rows <= m; i += rows) factor_tile(transposed, rows, vectors, k, a + i * step, lda, b, ldb, c + i * ldc, ldc);
  for (; i + 4 <= m; i += 4) factor_tile(transposed, 4, vectors, k, a + i * step, lda, b, ldb, c + i * ldc, ldc);
  for (; i < m; i++) factor_tile(transposed, 1, vectors, k, a + i * step, lda, b, ldb, c + i * ldc, ldc);
}

INLINE void factor_product(const bool transposed, uint64_t m, uint64_t n, uint64_t k, const float *a, uint64_t lda,
                           const float *b, uint64_t ldb, float *c, uint64_t ldc) {
  for (uint64_t p = 0; p < k; p += FACTOR_DEPTH) {
    const uint64_t depth = k - p < FACTOR_DEPTH ? k - p : FACTOR_DEPTH;
    const float *part = a + p * (transposed ? lda : 1);
    const float *lines = b + p * ldb;
    for (uint64_t j = 0; j < n;) {
      const uint64_t vectors = (n - j) / LANES;
      if (vectors >= FACTOR_VECTORS) {
        factor_group(transposed, 4, FACTOR_VECTORS, m, depth, part, lda, lines + j, ldb, c + j, ldc);
        j += FACTOR_VECTORS * LANES;
      } else if (vectors == 3) {
        factor_group(transposed, 4, 3, m, depth, part, lda, lines + j, ldb, c + j, ldc);
        j += 3 * LANES;
      } else if (vectors == 2) {
        factor_group(transposed, 8, 2, m, depth, part, lda, lines + j, ldb, c + j, ldc);
        j += 2 * LANES;
      } else {
        factor_group(transposed, LANES == 8 ? 8 : 16, 1, m, depth, part, lda, lines + j, ldb, c + j, ldc);
        j += LANES;
      }
    }
  }
}

static void FN(factor_nn)(uint64_t m, uint64_t n, uint64_t k, const float *a, uint64_t lda, const float *b, uint64_t ldb,
                          float *c, uint64_t ldc) {
  factor_product(false, m, n, k, a, lda, b, ldb, c, ldc);
}

static void FN(factor_tn)(uint64_t m, uint64_t n, uint64_t k, const float *a, uint64_t lda, const float *b, uint64_t ldb,
                          float *c, uint64_t ldc) {
  factor_product(true, m, n, k, a, lda, b, ldb, c, ldc);
}

static double FN(factor_dot)(const float *x, const float *y, uint64_t n) {
  double total = 0;
  for (uint64_t start = 0; start < n; start += 4096) {
    const uint64_t end = n - start < 4096 ? n : start + 4096;
    vf sums[4];
    UNROLL for (uint32_t w = 0; w < 4; w++) sums[w] = (vf)0.0f;
    uint64_t i = start;
    for (; i + 4 * LANES <= end; i += 4 * LANES)
      UNROLL for (uint32_t w = 0; w < 4; w++)
        sums[w] = fma_v(load(x + i + w * LANES), load(y + i + w * LANES), sums[w]);
    for (; i + LANES <= end; i += LANES) sums[0] = fma_v(load(x + i), load(y + i), sums[0]);
    float rest = 0;
    for (; i < end; i++) rest += x[i] * y[i];
    total += (double)sum_lanes((sums[0] + sums[1]) + (sums[2] + sums[3])) + (double)rest;
  }
  return total;
}

static void FN(factor_add)(uint64_t count, const float *factors, const float *x, uint64_t line, float *y, uint64_t n) {
  uint64_t j = 0;
  for (; j + 4 * LANES <= n; j += 4 * LANES) {
    vf sums[4];
    UNROLL for (uint32_t w = 0; w < 4; w++) sums[w] = load(y + j + w * LANES);
    for (uint64_t i = 0; i < count; i++)
      UNROLL for (uint32_t w = 0; w < 4; w++)
        sums[w] = fma_v((vf)factors[i], load(x + i * line + j + w * LANES), sums[w]);
    UNROLL for (uint32_t w = 0; w < 4; w++) store(y + j + w * LANES, sums[w]);
  }
  for (; j < n; j++) {
    float sum = y[j];
    for (uint64_t i = 0; i < count; i++) sum += factors[i] * x[i * line + j];
    y[j] = sum;
  }
}

static void FN(factor_scale)(float factor, float *x, uint64_t n) {
  for (uint64_t i = 0; i < n; i++) x[i] *= factor;
}

static void FN(factor_squares)(const float *x, uint64_t rows, uint64_t n, uint64_t line, double *sums) {
  for (uint64_t i = 0; i < rows; i++) {
    const float *row = x + i * line;
    for (uint64_t j = 0; j < n; j++) sums[j] += (double)row[j] * (double)row[j];
  }
}

static void FN(factor_scale_rows)(const float *x, uint64_t rows, uint64_t n, uint64_t line, const float *factors,
                                  float *out, uint64_t line_out, uint64_t width) {
  for (uint64_t i = 0; i < rows; i++) {
    const float *row = x + i * line;
    float *to = out + i * line_out;
    for (uint64_t j = 0; j < n; j++) to[j] = row[j] * factors[j];
    for (uint64_t j = n; j < width; j++) to[j] = 0;
  }
}

static void FN(factor_sum_slots)(const float *slots, uint64_t count, uint64_t stride, float factor, float *out,
                                 uint64_t n) {
  for (uint64_t j = 0; j < n; j += LANES) {
    vf sum = load(slots + j);
    for (uint64_t i = 1; i < count; i++) sum += load(slots + i * stride + j);
    store(out + j, sum * factor);
  }
}

static uint32_t FN(factor_largest)(const float *x, uint64_t n) {
  uint32_t most = 0;
  for (uint64_t i = 0; i < n; i++) {
    uint32_t bits;
    memcpy(&bits, x + i, sizeof bits);
    bits &= 0x7fffffffu;
    most = bits > most ? bits : most;
  }
  return most;
}

#define FACTOR_LINE CPU_FACTOR_PANEL

INLINE vd load_double(const double *p) {
  vd v;
  memcpy(&v, p, sizeof v);
  return v;
}

// to += factor · from, in whole vectors from the one that holds `first`.
INLINE void factor_add_double(uint32_t first, uint32_t n, double factor, const double *from, double *to) {
  for (uint32_t j = first & ~7u; j < n; j += 8) {
    vd sum = load_double(to + j) + (vd)factor * load_double(from + j);
    memcpy(to + j, &sum, sizeof sum);
  }
}

static double FN(factor_cholesky)(uint32_t n, double least, double *g, double *x) {
  double smallest = 1, diagonal[FACTOR_LINE];
  for (uint32_t j = 0; j < n; j++) diagonal[j] = g[j * FACTOR_LINE + j];
  for (uint32_t j = 0; j < n; j++) {
    double *row = g + j * FACTOR_LINE;
    const double pivot = row[j] / diagonal[j];
    if (!(pivot > least)) return 0;
    smallest = pivot < smallest ? pivot : smallest;
    const double inverse = 1 / sqrt(row[j]);
    for (uint32_t i = 0; i < FACTOR_LINE; i++) row[i] = i < j || i >= n ? 0 : row[i] * inverse;
    for (uint32_t i = j + 1; i < n; i++) factor_add_double(i, n, -row[i], row, g + i * FACTOR_LINE);
  }
  for (uint32_t i = n; i-- > 0;) {
    double *row = x + i * FACTOR_LINE;
    const double *factor = g + i * FACTOR_LINE;
    for (uint32_t j = 0; j < FACTOR_LINE; j++) row[j] = 0;
    for (uint32_t k = i + 1; k < n; k++) factor_add_double(k, n, -factor[k], x + k * FACTOR_LINE, row);
    const double inverse = 1 / factor[i];
    for (uint32_t j = 0; j < FACTOR_LINE; j++) row[j] *= inverse;
    row[i] = inverse;
  }
  return smallest;
}

static void FN(factor_triangles)(uint32_t n, const double *r, double *t) {
  // Row i needs only rows from i on: in place.
  for (uint32_t i = 0; i < n; i++) {
    const double *row = r + i * FACTOR_LINE;
    double *to = t + i * FACTOR_LINE;
    for (uint32_t j = 0; j < FACTOR_LINE; j++) to[j] *= row[i];
    for (uint32_t k = i + 1; k < n; k++) factor_add_double(k, n, row[k], t + k * FACTOR_LINE, to);
  }
}

static const cpu_factor FN(cpu_factor_table) = {
    .nn = FN(factor_nn),
    .tn = FN(factor_tn),
    .dot = FN(factor_dot),
    .add = FN(factor_add),
    .scale = FN(factor_scale),
    .squares = FN(factor_squares),
    .scale_rows = FN(factor_scale_rows),
    .sum_slots = FN(factor_sum_slots),
    .largest = FN(factor_largest),
    .cholesky = FN(factor_cholesky),
    .triangles = FN(factor_triangles),
};
