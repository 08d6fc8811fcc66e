// Kernels of additive quantizers.
#include "cpu_additive.h"
#include "simd.h"

static void FN(additive_sum)(const float *const *rows, uint32_t count, uint32_t n, float *out) {
  uint32_t i = 0;
  for (; i + 4 * LANES <= n; i += 4 * LANES) {
    vf sums[4];
    UNROLL for (uint32_t w = 0; w < 4; w++) sums[w] = load(rows[0] + i + w * LANES);
    for (uint32_t r = 1; r < count; r++) {
      UNROLL for (uint32_t w = 0; w < 4; w++) sums[w] += load(rows[r] + i + w * LANES);
    }
    UNROLL for (uint32_t w = 0; w < 4; w++) store(out + i + w * LANES, sums[w]);
  }
  for (; i + LANES <= n; i += LANES) {
    vf sum = load(rows[0] + i);
    for (uint32_t r = 1; r < count; r++) sum += load(rows[r] + i);
    store(out + i, sum);
  }
  for (; i < n; i++) {
    float sum = rows[0][i];
    for (uint32_t r = 1; r < count; r++) sum += rows[r][i];
    out[i] = sum;
  }
}

#if LANES == 1
typedef int32_t vn;
#else
typedef int32_t vn __attribute__((ext_vector_type(LANES)));
#endif

INLINE void lesser(uint32_t groups, const float *const *rows, uint32_t count, uint32_t at, vf *least, vn *index) {
  vf sums[4];
  UNROLL for (uint32_t w = 0; w < groups; w++) sums[w] = load(rows[0] + at + w * LANES);
  for (uint32_t r = 1; r < count; r++) {
    UNROLL for (uint32_t w = 0; w < groups; w++) sums[w] += load(rows[r] + at + w * LANES);
  }
  UNROLL for (uint32_t w = 0; w < groups; w++) {
    *index = sums[w] < *least ? (vn)(int32_t)(at + w * LANES) : *index;
    *least = sums[w] < *least ? sums[w] : *least;
  }
}

static uint32_t FN(additive_least)(const float *const *rows, uint32_t count, uint32_t n) {
  vf least = (vf)INFINITY;
  vn index = (vn)0;
  uint32_t i = 0;
  for (; i + 4 * LANES <= n; i += 4 * LANES) lesser(4, rows, count, i, &least, &index);
  for (; i + LANES <= n; i += LANES) lesser(1, rows, count, i, &least, &index);
#if LANES == 1
  return (uint32_t)index;
#else
  float values[LANES];
  int32_t firsts[LANES];
  memcpy(values, &least, sizeof values);
  memcpy(firsts, &index, sizeof firsts);
  uint32_t best = 0;
  for (uint32_t j = 1; j < LANES; j++) {
    bool before = values[j] == values[best] && firsts[j] + (int32_t)j < firsts[best] + (int32_t)best;
    if (values[j] < values[best] || before) best = j;
  }
  return (uint32_t)firsts[best] + best;
#endif
}

INLINE void insert(cpu_beam *beam, float key, uint32_t index, uint32_t parent) {
  if (beam->count == beam->capacity) {
    if (!(key < beam->keys[beam->count - 1])) return;
  } else {
    beam->count++;
  }
  if (key != key) key = INFINITY;
  uint32_t at = beam->count - 1;
  for (; at > 0 && key < beam->keys[at - 1]; at--) {
    beam->keys[at] = beam->keys[at - 1];
    beam->index[at] = beam->index[at - 1];
    beam->parent[at] = beam->parent[at - 1];
  }
  beam->keys[at] = key;
  beam->index[at] = index;
  beam->parent[at] = parent;
}

static void FN(additive_select)(const float *values, uint32_t n, float base, uint32_t parent, cpu_beam *beam) {
  uint32_t i = 0;
  for (; i + LANES <= n; i += LANES) {
    float limit = beam->count < beam->capacity ? INFINITY : beam->keys[beam->count - 1];
    vf keys = load(values + i) + base;
    uint32_t mask = mask_within(keys, limit);
    if (!mask) continue;
    float each[LANES];
    store(each, keys);
    for (; mask; mask &= mask - 1) {
      uint32_t j = (uint32_t)__builtin_ctz(mask);
      insert(beam, each[j], i + j, parent);
    }
  }
  for (; i < n; i++) insert(beam, values[i] + base, i, parent);
}

INLINE vd load_doubles(const double *p) {
  vd v;
  memcpy(&v, p, sizeof v);
  return v;
}

// Products of `rows` rows and 4 others, of CPU_FIT_BLOCK numbers each.
INLINE void subtract_rows(uint32_t rows, const double *left, const double *right, size_t line, double *out) {
  vd sums[2][4];
  UNROLL for (uint32_t r = 0; r < rows; r++) UNROLL for (uint32_t c = 0; c < 4; c++) sums[r][c] = (vd)0.0;
  for (uint32_t k = 0; k < CPU_FIT_BLOCK; k += 8) {
    vd others[4];
    UNROLL for (uint32_t c = 0; c < 4; c++) others[c] = load_doubles(right + c * line + k);
    UNROLL for (uint32_t r = 0; r < rows; r++) {
      vd one = load_doubles(left + r * line + k);
      UNROLL for (uint32_t c = 0; c < 4; c++) sums[r][c] += one * others[c];
    }
  }
  UNROLL for (uint32_t r = 0; r < rows; r++)
      UNROLL for (uint32_t c = 0; c < 4; c++) out[r * line + c] -= sum_doubles(sums[r][c]);
}

static void FN(additive_subtract)(const double *left, uint32_t rows, const double *right, uint32_t columns,
                                  size_t line, double *out) {
  for (uint32_t c = 0; c < columns; c += 4, right += 4 * line, out += 4) {
    uint32_t r = 0;
    for (; r + 2 <= rows; r += 2) subtract_rows(2, left + r * line, right, line, out + r * line);
    if (r < rows) subtract_rows(1, left + r * line, right, line, out + r * line);
  }
}

static void FN(additive_eliminate)(const double *row, uint64_t n, const double *factors, double *out, size_t line) {
  uint64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    vd values = load_doubles(row + i);
    UNROLL for (uint32_t r = 0; r < CPU_FIT_ROWS; r++) {
      vd rest = load_doubles(out + r * line + i) - values * factors[r];
      memcpy(out + r * line + i, &rest, sizeof rest);
    }
  }
  for (; i < n; i++)
    for (uint32_t r = 0; r < CPU_FIT_ROWS; r++) out[r * line + i] -= row[i] * factors[r];
}

const cpu_additive_kernels FN(cpu_additive_kernels) = {
    .sum = FN(additive_sum),
    .least = FN(additive_least),
    .select = FN(additive_select),
    .subtract = FN(additive_subtract),
    .eliminate = FN(additive_eliminate),
};
