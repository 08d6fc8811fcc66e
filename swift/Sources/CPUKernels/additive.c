// Codes of additive quantizers: what they are made of, what they stand for, and what they are written as.
#include "cpu_additive.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "additive_bits.h"
#include "cpu_kernels.h"
#include "cpu_linalg.h"

extern const cpu_additive_kernels cpu_additive_kernels_scalar;
#if defined(__x86_64__)
extern const cpu_additive_kernels cpu_additive_kernels_avx2, cpu_additive_kernels_avx512;
#elif defined(__aarch64__)
extern const cpu_additive_kernels cpu_additive_kernels_neon;
#endif

const cpu_additive_kernels *cpu_additive_table(const cpu_kernels *kernels) {
#if defined(__x86_64__)
  if (kernels->lanes == 16) return &cpu_additive_kernels_avx512;
  if (kernels->lanes == 8) return &cpu_additive_kernels_avx2;
#elif defined(__aarch64__)
  if (kernels->lanes == 4) return &cpu_additive_kernels_neon;
#endif
  return &cpu_additive_kernels_scalar;
}

uint32_t cpu_norm_bits(uint32_t norm) {
  static const uint8_t bits[] = {0, 0, 0, 32, 8, 4, 8, 4, 8, 8};
  return norm < sizeof bits ? bits[norm] : 0;
}

bool cpu_norm_is_coded(uint32_t norm) { return norm != CPU_NORM_DECOMPRESS && norm != CPU_NORM_FROM_LUT; }

static uint32_t padded(uint32_t rows) { return (rows + 15) / 16 * 16; }

uint64_t cpu_additive_floats(const cpu_additive *a) {
  uint64_t rows = 0;
  for (uint32_t m = 0; m < a->m; m++) rows += padded(1u << a->nbits[m]);
  return rows * (a->dsub + 1) + a->d;
}

uint64_t cpu_additive_words(const cpu_additive *a) { return 2 * (uint64_t)a->m + 1; }

// Floats of cross that are worth their memory.
#define MOST_CROSS (16u << 20)
// Tables of products lose what is left of a vector when it is this much smaller than what they add up.
#define LEAST_LEFT (1.0 / 256)

static uint64_t count_cross(const cpu_additive *a, uint64_t *at) {
  uint64_t count = 0;
  uint32_t each = a->m / a->splits;
  for (uint32_t m = 0; m < a->m; m++) {
    if (at) at[m] = count;
    uint64_t earlier = a->offsets[m] - a->offsets[m / each * each];
    count += earlier * padded(1u << a->nbits[m]);
  }
  return count;
}

static double mean_square(const cpu_additive *a, uint32_t m, const float *middle) {
  double sum = 0;
  for (uint32_t row = a->offsets[m]; row < a->offsets[m + 1]; row++) {
    for (uint32_t j = 0; j < a->dsub; j++) {
      double apart = (double)a->codebooks[(size_t)row * a->dsub + j] - middle[j];
      sum += apart * apart;
    }
  }
  return sum / (a->offsets[m + 1] - a->offsets[m]);
}

static void set_middle(const cpu_additive *a, float *middle) {
  memset(middle, 0, a->d * sizeof *middle);
  if (a->searches) return;
  uint32_t each = a->m / a->splits;
  for (uint32_t s = 0; s < a->splits; s++) {
    uint32_t from = a->offsets[s * each], to = a->offsets[s * each + 1];
    for (uint32_t j = 0; j < a->dsub; j++) {
      double sum = 0;
      for (uint32_t row = from; row < to; row++) sum += a->codebooks[(size_t)row * a->dsub + j];
      middle[s * a->dsub + j] = (float)(sum / (to - from));
    }
  }
}

uint64_t cpu_additive_cross(const cpu_additive *a) {
  uint32_t each = a->m / a->splits;
  uint64_t count = count_cross(a, NULL);
  if (a->searches || each == 1 || count > MOST_CROSS) return 0;
  float *middle = malloc(2 * (size_t)a->d * sizeof *middle);
  if (!middle) return 0;
  float *origin = middle + a->d;
  memset(origin, 0, a->d * sizeof *origin);
  set_middle(a, middle);
  bool enough = true;
  for (uint32_t s = 0; s < a->splits; s++) {
    double first = mean_square(a, s * each, middle + (size_t)s * a->dsub);
    double last = mean_square(a, s * each + each - 1, origin);
    enough = enough && last >= LEAST_LEFT * first;
  }
  free(middle);
  return enough ? count : 0;
}

static void fill_columns(const cpu_additive *a, uint32_t m, const float *middle, float *columns, float *squares) {
  uint32_t ksub = 1u << a->nbits[m], wide = padded(ksub);
  const float *rows = a->codebooks + (size_t)a->offsets[m] * a->dsub;
  for (uint32_t k = 0; k < wide; k++) {
    const float *row = rows + (size_t)(k < ksub ? k : ksub - 1) * a->dsub;
    double square = 0;
    for (uint32_t j = 0; j < a->dsub; j++) {
      float value = middle ? row[j] - middle[j] : row[j];
      columns[(size_t)j * wide + k] = value;
      square += (double)value * value;
    }
    squares[k] = k < ksub ? (float)square : INFINITY;
  }
}

static void fill_cross(const cpu_kernels *kernels, const cpu_additive *a, float *cross, void *scratch) {
  uint32_t each = a->m / a->splits;
  for (uint32_t m = 0; m < a->m; m++) {
    uint64_t at = a->cross_at[m], wide = padded(1u << a->nbits[m]);
    cpu_matrix columns = {.data = a->columns + a->column_at[m], .line = wide, .type = CPU_F32};
    for (uint32_t l = m / each * each; l < m; l++) {
      uint64_t rows = 1u << a->nbits[l], line = padded((uint32_t)rows);
      cpu_matrix earlier = {.data = a->columns + a->column_at[l], .line = line, .type = CPU_F32, .transposed = true};
      cpu_gemm(kernels, rows, wide, a->dsub, 2, &earlier, &columns, 0, cross + at, wide, scratch);
      at += rows * wide;
    }
  }
}

void cpu_additive_prepare(const cpu_kernels *kernels, cpu_additive *a, float *floats, uint64_t *words, float *cross) {
  uint64_t rows = 0;
  uint32_t each = a->m / a->splits, most = 16;
  for (uint32_t m = 0; m < a->m; m++) {
    words[m] = rows * a->dsub;
    rows += padded(1u << a->nbits[m]);
    if (padded(1u << a->nbits[m]) > most) most = padded(1u << a->nbits[m]);
  }
  words[a->m] = rows * a->dsub;
  a->column_at = words;
  a->cross_at = words + a->m + 1;
  count_cross(a, words + a->m + 1);
  uint32_t norms = cpu_norm_bits(a->norm) <= 8 ? 1u << cpu_norm_bits(a->norm) : 0;
  a->stride = most > norms ? most : norms;
  float *squares = floats + rows * a->dsub, *middle = squares + rows;
  set_middle(a, middle);
  a->columns = floats, a->squares = squares, a->middle = middle;
  double reach = 0;
  for (uint32_t m = 0; m < a->m; m++) {
    const float *about = m % each == 0 ? middle + (size_t)(m / each) * a->dsub : NULL;
    float *found = squares + a->column_at[m] / a->dsub;
    fill_columns(a, m, about, floats + a->column_at[m], found);
    float longest = 0;
    for (uint32_t k = 0; k < 1u << a->nbits[m]; k++) longest = found[k] > longest ? found[k] : longest;
    reach += sqrt(longest);
  }
  double away = 0;
  for (uint32_t j = 0; j < a->d; j++) away += (double)middle[j] * middle[j];
  a->reach = (float)((reach + sqrt(away)) * 1.0001);
  a->farthest_norm = 0;
  for (uint32_t i = 0; a->norms && i < norms; i++) a->farthest_norm = fmaxf(a->farthest_norm, fabsf(a->norms[i]));
  a->cross = NULL;
  if (!cross) return;
  size_t bytes = 0;
  for (uint32_t m = 0; m < a->m; m++) {
    size_t wanted = cpu_gemm_scratch(kernels, most, most, a->dsub);
    bytes = wanted > bytes ? wanted : bytes;
  }
  void *scratch = aligned_alloc(64, (bytes + 63) / 64 * 64 + 64);
  if (!scratch) return;
  fill_cross(kernels, a, cross, scratch);
  free(scratch);
  a->cross = cross;
}

// Codes are read in order; `room` rows at once.
void cpu_additive_decode(const cpu_kernels *kernels, const cpu_additive *a, const uint8_t *codes, uint64_t n,
                         const float *centroid, float *x) {
  const cpu_additive_kernels *table = cpu_additive_table(kernels);
  uint32_t each = a->m / a->splits;
  const float *rows[CPU_ADDITIVE_MAX_BOOKS + 1];
  for (uint64_t i = 0; i < n; i++, codes += a->code_size, x += a->d) {
    uint64_t bit = 0;
    for (uint32_t s = 0, m = 0; s < a->splits; s++) {
      for (uint32_t j = 0; j < each; j++, m++) {
        uint32_t index = read_bits(codes, a->code_size, bit, a->nbits[m]);
        rows[j] = a->codebooks + (size_t)(a->offsets[m] + index) * a->dsub;
        bit += a->nbits[m];
      }
      if (centroid) rows[each] = centroid + (size_t)s * a->dsub;
      table->sum(rows, each + (centroid != NULL), a->dsub, x + (size_t)s * a->dsub);
    }
  }
}

static float nearest_norm(const cpu_additive *a, float norm, uint32_t *index) {
  uint32_t count = 1u << cpu_norm_bits(a->norm);
  float best = INFINITY;
  *index = 0;
  for (uint32_t i = 0; i < count; i++) {
    float apart = fabsf(a->norms[i] - norm);
    // Of two as near the larger, as faiss does.
    if (apart < best || (apart == best && a->norms[i] > a->norms[*index])) best = apart, *index = i;
  }
  return best;
}

static uint32_t encode_norm(const cpu_additive *a, float norm) {
  uint32_t bits = cpu_norm_bits(a->norm), code = 0;
  if (a->norm == CPU_NORM_FLOAT) {
    memcpy(&code, &norm, sizeof code);
  } else if (a->norm == CPU_NORM_QINT8 || a->norm == CPU_NORM_QINT4) {
    float steps = (float)(1u << bits), at = floorf((norm - a->norm_min) / (a->norm_max - a->norm_min) * steps);
    code = !(at > 0) ? 0 : at > steps - 1 ? (1u << bits) - 1 : (uint32_t)at;
  } else {
    nearest_norm(a, norm, &code);
  }
  return code;
}

void cpu_additive_write(const cpu_kernels *kernels, const cpu_additive *a, const uint32_t *indices, uint64_t n,
                        float *room, uint8_t *codes) {
  uint32_t bits = cpu_norm_bits(a->norm);
  memset(codes, 0, n * a->code_size);
  for (uint64_t i = 0; i < n; i++, indices += a->m, codes += a->code_size) {
    uint64_t bit = 0;
    for (uint32_t m = 0; m < a->m; m++) {
      write_bits(codes, bit, a->nbits[m], indices[m]);
      bit += a->nbits[m];
    }
    if (bits == 0) continue;
    cpu_additive_decode(kernels, a, codes, 1, NULL, room);
    write_bits(codes, bit, bits, encode_norm(a, (float)kernels->pair(CPU_INNER_PRODUCT, 0, room, room, a->d)));
  }
}

double cpu_additive_key(const cpu_kernels *kernels, const cpu_additive *a, const float *query, const uint8_t *code,
                        const float *centroid, float *room) {
  cpu_additive_decode(kernels, a, code, 1, NULL, room);
  double square = 0, product = 0;
  for (uint32_t j = 0; j < a->d; j++) {
    double value = (double)query[j] - (centroid ? centroid[j] : 0);
    square += value * value;
    product += value * room[j];
  }
  if (a->norm == CPU_NORM_NONE) return square - product;
  return square + read_norm(a, code) - 2 * product;
}
