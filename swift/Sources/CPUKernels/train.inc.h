// Kernels of training: k-means over parts of rows, Walsh–Hadamard transforms.
#include "cpu_train.h"

// Rows at once, and vectors of centroids at once: their sums, and what is least of each row, stay in registers.
#if LANES == 16 || LANES == 4
#define PART_ROWS 4
#define PART_WIDE 4
#else
#define PART_ROWS 2
#define PART_WIDE 2
#endif

// The lane that is least, the first of those; where none is, as of infinities, the first centroid.
INLINE uint32_t least_lane(vf least, vn index) {
#if LANES == 1
  return (uint32_t)index;
#else
  float values[LANES];
  int32_t firsts[LANES];
  store(values, least);
  memcpy(firsts, &index, sizeof firsts);
  float low = values[0];
  UNROLL for (uint32_t i = 1; i < LANES; i++) low = values[i] < low ? values[i] : low;
  int32_t first = INT32_MAX;
  UNROLL for (int32_t i = 0; i < LANES; i++) {
    int32_t at = values[i] == low ? firsts[i] + i : INT32_MAX;
    first = at < first ? at : first;
  }
  return first == INT32_MAX ? 0 : (uint32_t)first;
#endif
}

// Labels of `rows` parts, which are minus what is compared: dsub numbers each, CPU_PARTS_NUMBERS apart.
INLINE void nearest_parts(uint32_t rows, const cpu_part *part, const float *minus, uint32_t *labels) {
  vf least[PART_ROWS];
  vn index[PART_ROWS];
  UNROLL for (uint32_t r = 0; r < rows; r++) least[r] = (vf)INFINITY, index[r] = (vn)0;
  const uint32_t dsub = part->dsub, stride = part->stride;
#define SOME_CENTROIDS(wide)                                                                \
  {                                                                                         \
    vf sums[PART_ROWS][wide];                                                               \
    UNROLL for (uint32_t w = 0; w < wide; w++) {                                            \
      vf half = load(part->halves + j + w * LANES);                                         \
      UNROLL for (uint32_t r = 0; r < rows; r++) sums[r][w] = half;                         \
    }                                                                                       \
    for (uint32_t c = 0; c < dsub; c++) {                                                   \
      const float *column = part->columns + (size_t)c * stride + j;                         \
      vf entries[wide];                                                                     \
      UNROLL for (uint32_t w = 0; w < wide; w++) entries[w] = load(column + w * LANES);     \
      UNROLL for (uint32_t r = 0; r < rows; r++) {                                          \
        vf value = (vf)minus[r * CPU_PARTS_NUMBERS + c];                                    \
        UNROLL for (uint32_t w = 0; w < wide; w++) sums[r][w] = fma_v(value, entries[w], sums[r][w]); \
      }                                                                                     \
    }                                                                                       \
    UNROLL for (uint32_t w = 0; w < wide; w++) {                                            \
      UNROLL for (uint32_t r = 0; r < rows; r++) {                                          \
        index[r] = sums[r][w] < least[r] ? (vn)(int32_t)(j + w * LANES) : index[r];         \
        least[r] = sums[r][w] < least[r] ? sums[r][w] : least[r];                           \
      }                                                                                     \
    }                                                                                       \
  }
  uint32_t j = 0;
  for (; j + PART_WIDE * LANES <= stride; j += PART_WIDE * LANES) SOME_CENTROIDS(PART_WIDE)
  for (; j < stride; j += LANES) SOME_CENTROIDS(1)
#undef SOME_CENTROIDS
  UNROLL for (uint32_t r = 0; r < rows; r++) labels[r] = least_lane(least[r], index[r]);
}

static void FN(part_add)(const cpu_part *part, const float *x, uint64_t apart, uint64_t n, double *sums,
                         uint32_t *counts) {
  const uint32_t dsub = part->dsub;
  float minus[PART_ROWS * CPU_PARTS_NUMBERS];
  for (uint64_t from = 0; from < n; from += PART_ROWS) {
    uint32_t rows = n - from < PART_ROWS ? (uint32_t)(n - from) : PART_ROWS, labels[PART_ROWS];
    for (uint32_t r = 0; r < rows; r++)
      for (uint32_t c = 0; c < dsub; c++)
        minus[r * CPU_PARTS_NUMBERS + c] = part->mean[c] - x[(from + r) * apart + c];
    if (rows == PART_ROWS)
      nearest_parts(PART_ROWS, part, minus, labels);
    else
      for (uint32_t r = 0; r < rows; r++) nearest_parts(1, part, minus + r * CPU_PARTS_NUMBERS, labels + r);
    for (uint32_t r = 0; r < rows; r++) {
      const float *row = x + (from + r) * apart;
      double *sum = sums + (size_t)labels[r] * dsub;
      counts[labels[r]]++;
      uint32_t c = 0;
      for (; c + 8 <= dsub; c += 8) {
        vf8 values;
        vd total;
        memcpy(&values, row + c, sizeof values);
        memcpy(&total, sum + c, sizeof total);
        total += __builtin_convertvector(values, vd);
        memcpy(sum + c, &total, sizeof total);
      }
      for (; c < dsub; c++) sum[c] += row[c];
    }
  }
}

#if LANES > 1
// Lanes i and i ^ 1, 2, 4, 8 change places.
#if LANES == 16
#define LANE_LIST(f) f(0), f(1), f(2), f(3), f(4), f(5), f(6), f(7), f(8), f(9), f(10), f(11), f(12), f(13), f(14), f(15)
#elif LANES == 8
#define LANE_LIST(f) f(0), f(1), f(2), f(3), f(4), f(5), f(6), f(7)
#else
#define LANE_LIST(f) f(0), f(1), f(2), f(3)
#endif
#define XOR1(i) ((i) ^ 1)
#define XOR2(i) ((i) ^ 2)
#define XOR4(i) ((i) ^ 4)
#define XOR8(i) ((i) ^ 8)
#define SIGN1(i) ((i) & 1 ? -1.0f : 1.0f)
#define SIGN2(i) ((i) & 2 ? -1.0f : 1.0f)
#define SIGN4(i) ((i) & 4 ? -1.0f : 1.0f)
#define SIGN8(i) ((i) & 8 ? -1.0f : 1.0f)
#define BUTTERFLY(v, step) \
  v = __builtin_shufflevector(v, v, LANE_LIST(XOR##step)) + v * (vf){LANE_LIST(SIGN##step)}
#endif

// In place, without a factor: lengths grow by √n.
INLINE void walsh_hadamard(float *row, uint32_t n) {
  uint32_t step = 1;
#if LANES > 1
  if (n >= LANES) {
    for (uint32_t i = 0; i < n; i += LANES) {
      vf v = load(row + i);
      BUTTERFLY(v, 1);
      BUTTERFLY(v, 2);
#if LANES >= 8
      BUTTERFLY(v, 4);
#endif
#if LANES >= 16
      BUTTERFLY(v, 8);
#endif
      store(row + i, v);
    }
    step = LANES;
  }
#endif
  for (; step < n; step *= 2)
    for (uint32_t start = 0; start < n; start += 2 * step) {
      float *low = row + start, *high = low + step;
      uint32_t i = 0;
      for (; i + LANES <= step; i += LANES) {
        vf a = load(low + i), b = load(high + i);
        store(low + i, a + b);
        store(high + i, a - b);
      }
      for (; i < step; i++) {
        float a = low[i], b = high[i];
        low[i] = a + b;
        high[i] = a - b;
      }
    }
}

static void FN(hadamard)(float *row, uint32_t n, const float *signs, bool inverse, float factor) {
  for (uint32_t round = 0; round < 3; round++) {
    const float *sign = signs + (size_t)(inverse ? 2 - round : round) * n;
    if (inverse) walsh_hadamard(row, n);
    for (uint32_t i = 0; i < n; i++) row[i] *= sign[i];
    if (!inverse) walsh_hadamard(row, n);
  }
  for (uint32_t i = 0; i < n; i++) row[i] *= factor;
}

const cpu_train_kernels FN(cpu_train_table) = {.part_add = FN(part_add), .hadamard = FN(hadamard)};
