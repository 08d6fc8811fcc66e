// Kernels of product quantizers.
#include "cpu_pq.h"

// `groups` vectors of entries of one sub-vector's table, for each of some rows: columns are read once for all.
INLINE void table_entries(bool inner, uint32_t rows, uint32_t groups, const cpu_pq *pq, const float *x,
                          const float *columns, float *out) {
  size_t size = (size_t)pq->m * pq->stride;
  vf sums[4][4];
  UNROLL for (uint32_t r = 0; r < rows; r++) UNROLL for (uint32_t w = 0; w < groups; w++) sums[r][w] = (vf)0.0f;
  for (uint32_t c = 0; c < pq->dsub; c++) {
    vf column[4];
    UNROLL for (uint32_t w = 0; w < groups; w++) column[w] = load(columns + (size_t)c * pq->stride + w * LANES);
    UNROLL for (uint32_t r = 0; r < rows; r++) {
      float entry = x[(size_t)r * pq->d + c];
      vf value = (vf)(inner ? -entry : entry);
      UNROLL for (uint32_t w = 0; w < groups; w++) {
        vf apart = inner ? column[w] : value - column[w];
        sums[r][w] = fma_v(inner ? value : apart, apart, sums[r][w]);
      }
    }
  }
  UNROLL for (uint32_t r = 0; r < rows; r++)
    UNROLL for (uint32_t w = 0; w < groups; w++) store(out + r * size + w * LANES, sums[r][w]);
}

INLINE void all_tables(bool inner, uint32_t rows, const cpu_pq *pq, const float *x, float *out) {
  // Registers that sums of several rows have.
  const uint32_t groups = LANES == 8 && rows > 1 ? 2 : 4;
  uint32_t dsub = pq->dsub, stride = pq->stride, wide = stride / (groups * LANES) * (groups * LANES);
  for (uint32_t m = 0; m < pq->m; m++) {
    const float *columns = pq->columns + (size_t)m * dsub * stride;
    for (uint32_t j = 0; j < wide; j += groups * LANES) table_entries(inner, rows, groups, pq, x, columns + j, out + j);
    for (uint32_t j = wide; j < stride; j += LANES) table_entries(inner, rows, 1, pq, x, columns + j, out + j);
    x += dsub;
    out += stride;
  }
}

INLINE void some_tables(bool inner, uint32_t rows, const cpu_pq *pq, const float *x, float *out) {
  if (rows == 4)
    all_tables(inner, 4, pq, x, out);
  else if (rows == 3)
    all_tables(inner, 3, pq, x, out);
  else if (rows == 2)
    all_tables(inner, 2, pq, x, out);
  else
    all_tables(inner, 1, pq, x, out);
}

static void FN(pq_tables)(const cpu_pq *pq, bool inner, uint32_t rows, const float *x, float *out) {
  if (inner)
    some_tables(true, rows, pq, x, out);
  else
    some_tables(false, rows, pq, x, out);
}

#if LANES == 1
typedef int32_t vn;
#else
typedef int32_t vn __attribute__((ext_vector_type(LANES)));
#endif

// The first least of each lane, and where it was, over `groups` vectors of centroids.
INLINE void nearer(uint32_t groups, const float *part, const float *columns, uint32_t dsub, uint32_t stride, uint32_t at,
                   vf *least, vn *index) {
  vf sums[4];
  UNROLL for (uint32_t w = 0; w < groups; w++) sums[w] = (vf)0.0f;
  for (uint32_t c = 0; c < dsub; c++) {
    vf value = (vf)part[c];
    UNROLL for (uint32_t w = 0; w < groups; w++) {
      vf apart = value - load(columns + (size_t)c * stride + at + w * LANES);
      sums[w] = fma_v(apart, apart, sums[w]);
    }
  }
  UNROLL for (uint32_t w = 0; w < groups; w++) {
    *index = sums[w] < *least ? (vn)(int32_t)(at + w * LANES) : *index;
    *least = sums[w] < *least ? sums[w] : *least;
  }
}

static uint32_t FN(pq_nearest)(const cpu_pq *pq, uint32_t m, const float *part) {
  uint32_t dsub = pq->dsub, stride = pq->stride, wide = stride / (4 * LANES) * (4 * LANES);
  const float *columns = pq->columns + (size_t)m * dsub * stride;
  vf least = (vf)INFINITY;
  vn index = (vn)0;
  for (uint32_t j = 0; j < wide; j += 4 * LANES) nearer(4, part, columns, dsub, stride, j, &least, &index);
  for (uint32_t j = wide; j < stride; j += LANES) nearer(1, part, columns, dsub, stride, j, &least, &index);
#if LANES == 1
  return (uint32_t)index;
#else
  float values[LANES];
  int32_t firsts[LANES];
  memcpy(values, &least, sizeof values);
  memcpy(firsts, &index, sizeof firsts);
  uint32_t best = 0;
  for (uint32_t i = 1; i < LANES; i++) {
    bool before = values[i] == values[best] && firsts[i] + (int32_t)i < firsts[best] + (int32_t)best;
    if (values[i] < values[best] || before) best = i;
  }
  return (uint32_t)firsts[best] + best;
#endif
}

static void FN(pq_extremes)(const cpu_pq *pq, const float *tables, float *least, double *lowest, double *size) {
  *lowest = *size = 0;
  for (uint32_t m = 0; m < pq->m; m++, tables += pq->stride) {
    vf low = load(tables), high = low;
    for (uint32_t j = LANES; j < pq->stride; j += LANES) {
      vf next = load(tables + j);
      low = next < low ? next : low;
      high = next > high ? next : high;
    }
    float lows[LANES], highs[LANES];
    store(lows, low);
    store(highs, high);
    for (uint32_t i = 1; i < LANES; i++) {
      lows[0] = lows[i] < lows[0] ? lows[i] : lows[0];
      highs[0] = highs[i] > highs[0] ? highs[i] : highs[0];
    }
    least[m] = lows[0];
    *lowest += lows[0];
    *size += fmax(fabsf(lows[0]), fabsf(highs[0]));
  }
}

// Lanes past 255 stay there, so that sums of bytes are too low, never too high.
static void FN(pq_round)(const cpu_pq *pq, const float *tables, const float *least, float inverse, uint8_t *bytes) {
  for (uint32_t m = 0; m < pq->m; m++, tables += pq->stride, bytes += 256) {
    for (uint32_t j = 0; j < pq->stride; j += LANES) {
      vf steps = (load(tables + j) - least[m]) * inverse;
      steps = steps < 255.0f ? steps : (vf)255.0f;
#if LANES == 1
      bytes[j] = (uint8_t)steps;
#elif defined(ISA_AVX512)
      _mm_storeu_si128((__m128i *)(bytes + j), _mm512_cvtepi32_epi8(_mm512_cvttps_epi32((__m512)steps)));
#else
      typedef int32_t whole __attribute__((ext_vector_type(LANES)));
      typedef uint8_t small __attribute__((ext_vector_type(LANES)));
      small out = __builtin_convertvector(__builtin_convertvector(steps, whole), small);
      memcpy(bytes + j, &out, sizeof out);
#endif
    }
  }
}

// Entries of LANES codes: index is their column, of bytes or of 16 bits.
INLINE vf gather_entries(bool wide, const float *table, const uint8_t *index) {
#if defined(ISA_AVX512)
  __m512i at = wide ? _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)index))
                    : _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)index));
  return (vf)_mm512_i32gather_ps(at, table, 4);
#elif defined(ISA_AVX2)
  __m256i at = wide ? _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)index))
                    : _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)index));
  return (vf)_mm256_i32gather_ps(table, at, 4);
#elif LANES > 1
  vf entries;
  UNROLL for (uint32_t i = 0; i < LANES; i++) entries[i] = table[wide ? index[2 * i] | index[2 * i + 1] << 8 : index[i]];
  return entries;
#else
  return table[wide ? (uint32_t)(index[0] | index[1] << 8) : index[0]];
#endif
}

INLINE void block_sums(bool wide, const cpu_pq *pq, const float *tables, const uint8_t *block, float *sums) {
  const uint32_t bytes = wide ? 2 : 1;
  for (uint32_t i = 0; i < CPU_PQ_BLOCK; i += 4 * LANES) {
    vf part[4];
    UNROLL for (uint32_t w = 0; w < 4; w++) part[w] = (vf)0.0f;
    for (uint32_t m = 0; m < pq->m; m++) {
      const uint8_t *column = block + ((size_t)m * CPU_PQ_BLOCK + i) * bytes;
      const float *table = tables + (size_t)m * pq->stride;
      UNROLL for (uint32_t w = 0; w < 4; w++) part[w] += gather_entries(wide, table, column + w * LANES * bytes);
    }
    UNROLL for (uint32_t w = 0; w < 4; w++) store(sums + i + w * LANES, part[w]);
  }
}

static void FN(pq_sums)(const cpu_pq *pq, const float *tables, const void *block, float *sums) {
  if (pq->nbits > 8)
    block_sums(true, pq, tables, block, sums);
  else
    block_sums(false, pq, tables, block, sums);
}

typedef uint8_t vb16 __attribute__((ext_vector_type(16)));

// A square of 16 codes by 16 indices, its rows become columns.
INLINE void transpose_bytes(const uint8_t *const *codes, uint32_t n, uint32_t from, uint8_t *out) {
  vb16 v[16];
  UNROLL for (uint32_t i = 0; i < 16; i++) {
    v[i] = (vb16)0;
    if (i < n) memcpy(&v[i], codes[i] + from, sizeof v[i]);
  }
  UNROLL for (uint32_t round = 0; round < 4; round++) {
    vb16 next[16];
    UNROLL for (uint32_t i = 0; i < 8; i++) {
      next[2 * i] = __builtin_shufflevector(v[i], v[i + 8], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      next[2 * i + 1] =
          __builtin_shufflevector(v[i], v[i + 8], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    }
    UNROLL for (uint32_t i = 0; i < 16; i++) v[i] = next[i];
  }
  UNROLL for (uint32_t i = 0; i < 16; i++) memcpy(out + (size_t)i * CPU_PQ_BLOCK, &v[i], sizeof v[i]);
}

static void FN(pq_transpose)(const uint8_t *const *codes, uint32_t n, uint32_t m, uint8_t *block) {
  for (uint32_t i = 0; i < CPU_PQ_BLOCK; i += 16) {
    uint32_t held = n <= i ? 0 : n - i < 16 ? n - i : 16, j = 0;
    for (; j + 16 <= m; j += 16) {
      if (held == 16)
        transpose_bytes(codes + i, 16, j, block + (size_t)j * CPU_PQ_BLOCK + i);
      else
        transpose_bytes(codes + i, held, j, block + (size_t)j * CPU_PQ_BLOCK + i);
    }
    for (; j < m; j++) {
      uint8_t *column = block + (size_t)j * CPU_PQ_BLOCK + i;
      for (uint32_t r = 0; r < 16; r++) column[r] = r < held ? codes[i + r][j] : 0;
    }
  }
}

const cpu_pq_kernels FN(cpu_pq_table) = {
    .tables = FN(pq_tables),
    .nearest = FN(pq_nearest),
    .sums = FN(pq_sums),
    .extremes = FN(pq_extremes),
    .round = FN(pq_round),
    .transpose = FN(pq_transpose),
};
