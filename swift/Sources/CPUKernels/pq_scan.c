// Scans of product quantizers' codes: tables of a query, entries added up, what may be near into collectors.
#include <float.h>
#include <math.h>
#include <string.h>

#include "cpu_kernels.h"
#include "cpu_pq.h"

// Half an ulp of a float, with room for the second-order terms.
#define HALF_ULP 6.1e-8
// Steps that the bytes of a filter divide what is left below the bound in, a sub-vector.
#define STEPS 64
// Codes that make rounding a query's tables worth it.
#define FILTERED_CODES 192

size_t cpu_pq_scratch(const cpu_pq *pq) {
  // Tables, the query less the centroid, the tables' bytes, the least of each.
  return (size_t)pq->m * pq->stride + pq->d + (size_t)pq->m * 64 + pq->m;
}

static inline float load_bound(const cpu_collector *c) {
  uint32_t bits = __atomic_load_n((const uint32_t *)&c->bound, __ATOMIC_RELAXED);
  float bound;
  memcpy(&bound, &bits, sizeof bound);
  return bound;
}

// One query against a chunk. The true key is that of the row that a code stands for, rounded as decoding rounds
// it; a sum of entries is off by rounding · sum + 2 · apart · √sum + rest. Of products, by rest alone.
typedef struct pq_query {
  const cpu_scan *scan;
  const cpu_pq *pq;
  const cpu_pq_chunk *chunk;
  uint64_t number;
  bool inner;
  double rounding, apart, rest;
  double base;  // of every key: the product of the query and the centroid
  const float *tables;
  const float *terms;  // of each code beside its entries, or NULL
  cpu_candidate found[CPU_PQ_BLOCK];
  uint32_t count;
} pq_query;

static double half_width(const pq_query *q, double key) {
  if (q->inner) return q->rest + 2 * HALF_ULP * fabs(key);
  double positive = key > 0 ? key : 0;
  return q->rounding * positive + 2 * q->apart * sqrt(positive) + q->rest;
}

// The largest sum of entries whose key may be within the bound.
static double sum_limit(const pq_query *q, double bound) {
  if (q->inner) return bound - q->base + q->rest + 4 * HALF_ULP * (fabs(bound) + fabs(q->base));
  if (q->rounding > 0.01) return INFINITY;
  double positive = bound > 0 ? bound : 0;
  return positive * (1 + 4 * q->rounding) + 4 * q->apart * sqrt(positive) + 16 * q->rest;
}

static void flush(pq_query *q) {
  if (q->count) cpu_collector_push(q->scan, q->number, q->found, q->count);
  q->count = 0;
}

static void find(pq_query *q, uint32_t row, float sum) {
  double key = sum + q->base, half = half_width(q, key);
  uint64_t offset = q->chunk->positions ? q->chunk->positions[row] : row;
  if (q->count == CPU_PQ_BLOCK) flush(q);
  q->found[q->count++] = (cpu_candidate){(float)(key - half), (float)(key + half), q->chunk->first + offset};
}

static float entry_sum(const cpu_pq *pq, const float *tables, const uint8_t *block, uint32_t row) {
  float sum = 0;
  for (uint32_t m = 0; m < pq->m; m++) sum += tables[(size_t)m * pq->stride + block[(size_t)m * CPU_PQ_BLOCK + row]];
  return sum;
}

// Codes that add up to at most the bound by their bytes, then by their entries. Returns how many it did: none
// where there is no bound yet, or numbers are out of range.
static uint32_t scan_filtered(pq_query *q, const cpu_pq_kernels *kernels, uint32_t from, float *least, uint8_t *bytes) {
  const cpu_pq *pq = q->pq;
  uint32_t n = q->chunk->n;
  const cpu_collector *collector = &q->scan->collectors[q->number];
  double limit = sum_limit(q, load_bound(collector)), lowest = 0, size = 0;
  if (!(limit < FLT_MAX)) return 0;
  kernels->extremes(pq, q->tables, least, &lowest, &size);
  if (!(size < FLT_MAX)) return 0;
  // What adding floats may have lost.
  double lost = 2 * HALF_ULP * (pq->m + 2) * size, room = limit - lowest + lost;
  if (room < 0) return n - from;
  double steps = STEPS * pq->m > 254 ? STEPS * pq->m : 254, step = room / steps;
  if (!(step > FLT_MIN * 1e6)) return 0;
  kernels->round(pq, q->tables, least, (float)(1 / step), bytes);
  const uint8_t *blocks = q->chunk->blocks;
  size_t block_bytes = (size_t)pq->m * CPU_PQ_BLOCK;
  for (uint32_t at = from; at < n; at += CPU_PQ_GROUP * CPU_PQ_BLOCK) {
    uint64_t masks[CPU_PQ_GROUP];
    uint32_t count = (n - at + CPU_PQ_BLOCK - 1) / CPU_PQ_BLOCK;
    if (count > CPU_PQ_GROUP) count = CPU_PQ_GROUP;
    limit = sum_limit(q, load_bound(collector));
    double most = (limit - lowest + lost) / step + 2;
    if (most < 0) break;
    const uint8_t *group = blocks + at / CPU_PQ_BLOCK * block_bytes;
    kernels->filter(group, count, pq->m, bytes, (uint32_t)fmin(most, 65535), masks);
    for (uint32_t b = 0; b < count; b++) {
      uint32_t row = at + b * CPU_PQ_BLOCK;
      uint64_t mask = masks[b];
      if (n - row < CPU_PQ_BLOCK) mask &= (1ull << (n - row)) - 1;
      for (; mask; mask &= mask - 1) {
        uint32_t i = (uint32_t)__builtin_ctzll(mask);
        float sum = entry_sum(pq, q->tables, group + b * block_bytes, i);
        if (!(sum > limit)) find(q, row + i, sum);
      }
    }
    flush(q);
  }
  return n - from;
}

static void scan_query(pq_query *q, const cpu_pq_kernels *kernels, float *least, uint8_t *bytes) {
  const cpu_pq *pq = q->pq;
  uint32_t n = q->chunk->n;
  const cpu_collector *collector = &q->scan->collectors[q->number];
  bool filters = kernels->filter && pq->nbits <= 8 && pq->m <= CPU_PQ_MAX_BYTES && !q->terms;
  size_t block_bytes = cpu_pq_chunk_bytes(pq, 1);
  for (uint32_t from = 0; from < n;) {
    float bound = load_bound(collector);
    if (filters && bound < FLT_MAX && n - from >= FILTERED_CODES) {
      uint32_t done = scan_filtered(q, kernels, from, least, bytes);
      from += done;
      if (done) continue;
      filters = false;
    }
    uint32_t held = n - from < CPU_PQ_BLOCK ? n - from : CPU_PQ_BLOCK;
    float sums[CPU_PQ_BLOCK], limit = (float)fmin(sum_limit(q, bound) * (1 + 4 * HALF_ULP), INFINITY);
    kernels->sums(pq, q->tables, (const uint8_t *)q->chunk->blocks + from / CPU_PQ_BLOCK * block_bytes, sums);
    for (uint32_t i = 0; q->terms && i < held; i++) sums[i] += q->terms[from + i];
    // A NaN passes, and is looked at exactly.
    for (uint32_t i = 0; i < held; i++)
      if (!(sums[i] > limit)) find(q, from + i, sums[i]);
    flush(q);
    from += held;
  }
}

void cpu_pq_scan(const cpu_scan *scan, const cpu_pq *pq, const uint32_t *index, uint32_t first, uint32_t nq,
                 const cpu_pq_chunk *chunk, float *scratch) {
  const cpu_kernels *kernels = scan->kernels;
  cpu_pq_kernels pq_kernels = cpu_pq_kernels_of(kernels);
  uint32_t d = pq->d;
  float *tables = scratch, *rest = tables + (size_t)pq->m * pq->stride, *least = rest + d;
  uint8_t *bytes = (uint8_t *)(least + pq->m);
  bool inner = scan->source.metric == CPU_INNER_PRODUCT;
  const float *centroid = chunk->centroid;
  double away = centroid ? sqrt(kernels->pair(CPU_INNER_PRODUCT, 0, centroid, centroid, d)) : 0;
  for (uint32_t i = 0; i < nq; i++) {
    pq_query q = {.scan = scan, .pq = pq, .chunk = chunk, .inner = inner, .tables = tables};
    q.number = index ? index[i] : (uint64_t)first + i;
    const float *query = scan->queries + q.number * d, *compared = query;
    double rounding = (pq->dsub + (double)pq->m + 8) * HALF_ULP, tiny = 4 * ((double)d + 1) * FLT_MIN;
    if (inner) {
      double length = sqrt(kernels->pair(CPU_INNER_PRODUCT, 0, query, query, d));
      if (centroid) q.base = -kernels->pair(CPU_INNER_PRODUCT, 0, query, centroid, d);
      q.rest = length * (rounding * pq->longest + HALF_ULP * (away + pq->longest)) + tiny;
    } else {
      double length = 0;
      if (centroid) {
        for (uint32_t j = 0; j < d; j++) rest[j] = query[j] - centroid[j];
        compared = rest;
        length = sqrt(kernels->pair(CPU_INNER_PRODUCT, 0, rest, rest, d));
        q.apart = HALF_ULP * (length + away + pq->longest);
      }
      q.rounding = rounding;
      q.rest = q.apart * q.apart + tiny;
    }
    pq_kernels.tables(pq, inner, compared, tables);
    scan_query(&q, &pq_kernels, least, bytes);
  }
}

void cpu_table_scan(const cpu_scan *scan, const cpu_pq *pq, uint64_t number, const cpu_pq_chunk *chunk,
                    const float *tables, const float *terms, double base, double lost, float *scratch) {
  cpu_pq_kernels kernels = cpu_pq_kernels_of(scan->kernels);
  pq_query q = {.scan = scan, .pq = pq, .chunk = chunk, .number = number, .inner = true, .tables = tables};
  q.terms = terms, q.base = base, q.rest = lost;
  scan_query(&q, &kernels, scratch, (uint8_t *)(scratch + pq->m));
}
