// Scans of additive quantizers' codes: tables of products, entries added up.
#include <float.h>
#include <math.h>
#include <string.h>

#include "additive_bits.h"
#include "cpu_kernels.h"

// Half an ulp of a float, with room for the second-order terms.
#define HALF_ULP 6.1e-8

static bool has_column(const cpu_additive *a, bool inner) {
  uint32_t bits = cpu_norm_bits(a->norm);
  return !inner && (bits == 4 || bits == 8);
}

cpu_pq cpu_additive_columns(const cpu_additive *a, bool inner) {
  return (cpu_pq){
      .d = a->d, .m = a->m + has_column(a, inner), .nbits = a->stride > 256 ? 16 : 8, .stride = a->stride,
      .code_size = a->code_size,
  };
}

float cpu_additive_pack(const cpu_additive *a, const cpu_pq *columns, const uint8_t *base, cpu_pq_chunk *chunk,
                        float *terms) {
  uint32_t bytes = columns->nbits > 8 ? 2 : 1;
  size_t block_bytes = (size_t)columns->m * CPU_PQ_BLOCK * bytes;
  float farthest = 0;
  if (chunk->n % CPU_PQ_BLOCK) memset((uint8_t *)chunk->blocks + chunk->n / CPU_PQ_BLOCK * block_bytes, 0, block_bytes);
  for (uint32_t i = 0; i < chunk->n; i++) {
    const uint8_t *code = base + (chunk->positions ? chunk->positions[i] : i) * a->code_size;
    uint8_t *block = (uint8_t *)chunk->blocks + i / CPU_PQ_BLOCK * block_bytes + i % CPU_PQ_BLOCK * bytes;
    uint64_t bit = 0;
    for (uint32_t m = 0; m < columns->m; m++, block += CPU_PQ_BLOCK * bytes) {
      uint32_t nbits = m < a->m ? a->nbits[m] : cpu_norm_bits(a->norm);
      uint32_t index = read_bits(code, a->code_size, bit, nbits);
      block[0] = (uint8_t)index;
      if (bytes == 2) block[1] = (uint8_t)(index >> 8);
      bit += nbits;
    }
    if (!terms) continue;
    terms[i] = read_norm(a, code);
    if (terms[i] < INFINITY) farthest = fmaxf(farthest, fabsf(terms[i]));
  }
  return farthest;
}

void cpu_additive_tables(const cpu_kernels *kernels, const cpu_additive *a, const float *x, float *out) {
  uint32_t each = a->m / a->splits;
  for (uint32_t m = 0; m < a->m; m++, out += a->stride) {
    uint32_t wide = (uint32_t)((a->column_at[m + 1] - a->column_at[m]) / a->dsub);
    cpu_pq book = {.d = a->dsub, .m = 1, .nbits = a->nbits[m], .dsub = a->dsub, .ksub = 1u << a->nbits[m],
                   .stride = wide, .columns = a->columns + a->column_at[m]};
    kernels->pq->tables(&book, true, 1, x + (size_t)(m / each) * a->dsub, out);
    for (uint32_t k = wide; k < a->stride; k++) out[k] = out[wide - 1];
  }
}

size_t cpu_additive_scratch(const cpu_additive *a, const cpu_pq *columns) {
  return cpu_pq_scratch(columns) + a->d;
}

void cpu_additive_scan(const cpu_scan *scan, const cpu_additive *a, const cpu_pq *columns, const uint32_t *index,
                       uint32_t nq, const cpu_pq_chunk *chunk, const float *terms, float farthest, float *scratch) {
  const cpu_kernels *kernels = scan->kernels;
  bool inner = scan->source.metric == CPU_INNER_PRODUCT;
  float *tables = scratch, *rest = tables + cpu_pq_scratch(columns);
  uint32_t d = a->d;
  const float *centroid = chunk->centroid;
  float factor = inner || a->norm == CPU_NORM_NONE ? 1 : 2;
  if (has_column(a, inner)) farthest = a->farthest_norm;
  double away = inner && centroid ? sqrt(kernels->pair(CPU_INNER_PRODUCT, 0, centroid, centroid, d)) : 0;
  for (uint32_t i = 0; i < nq; i++) {
    uint64_t number = index[i];
    const float *query = scan->queries + number * d, *compared = query;
    double base = 0;
    if (inner) {
      if (centroid) base = -kernels->pair(CPU_INNER_PRODUCT, 0, query, centroid, d);
    } else {
      if (centroid) {
        for (uint32_t j = 0; j < d; j++) rest[j] = query[j] - centroid[j];
        compared = rest;
      }
      base = kernels->pair(CPU_INNER_PRODUCT, 0, compared, compared, d);
    }
    double length = sqrt(kernels->pair(CPU_INNER_PRODUCT, 0, compared, compared, d));
    base -= factor * kernels->pair(CPU_INNER_PRODUCT, 0, compared, a->middle, d);
    cpu_additive_tables(kernels, a, compared, tables);
    if (factor != 1)
      for (size_t k = 0; k < (size_t)a->m * a->stride; k++) tables[k] *= factor;
    if (has_column(a, inner)) {
      float *norms = tables + (size_t)a->m * a->stride;
      uint32_t count = 1u << cpu_norm_bits(a->norm);
      for (uint32_t k = 0; k < a->stride; k++) norms[k] = a->norms[k < count ? k : count - 1];
    }
    // What products, sums, and decoding round away, and the middle that first codebooks are kept without.
    double rounding = (a->dsub + 2.0 * a->m + 24) * HALF_ULP;
    double lost = rounding * (factor * length * ((double)a->reach + away) + farthest + base * (inner ? 0 : 1)) +
                  HALF_ULP * fabs(base) + 4 * ((double)d + 1) * FLT_MIN;
    cpu_table_scan(scan, columns, number, chunk, tables, terms, base, lost);
  }
}
