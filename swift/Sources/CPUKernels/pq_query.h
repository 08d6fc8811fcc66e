// A query against codes of a product quantizer: its tables, and how far their sums are from true keys.
#ifndef PQ_QUERY_H
#define PQ_QUERY_H

#include <float.h>
#include <math.h>
#include <string.h>

#include "cpu_kernels.h"
#include "cpu_pq.h"

// Half an ulp of a float, with room for the second-order terms.
#define HALF_ULP 6.1e-8
#define PQ_FOUND 64  // candidates that wait for the collector's lock

static inline float load_bound(const cpu_collector *c) {
  uint32_t bits = __atomic_load_n((const uint32_t *)&c->bound, __ATOMIC_RELAXED);
  float bound;
  memcpy(&bound, &bits, sizeof bound);
  return bound;
}

// One query by its tables. The true key is that of the row that a code stands for, rounded as decoding rounds
// it; a sum of entries is off by rounding · sum + 2 · apart · √sum + rest. Of products, by rest alone.
typedef struct pq_query {
  const cpu_scan *scan;
  const cpu_pq *pq;
  uint64_t number;
  bool inner;
  double rounding, apart, rest;
  double base;  // of every key: the product of the query and the centroid
  float *tables;
  cpu_candidate found[PQ_FOUND];
  uint32_t count;
} pq_query;

static inline double half_width(const pq_query *q, double key) {
  if (q->inner) return q->rest + 2 * HALF_ULP * fabs(key);
  double positive = key > 0 ? key : 0, apart = q->apart == 0 ? 0 : 2 * q->apart * sqrt(positive);
  return q->rounding * positive + apart + q->rest;
}

// The largest sum of entries whose key may be within the bound.
static inline double sum_limit(const pq_query *q, double bound) {
  if (q->inner) return bound - q->base + q->rest + 4 * HALF_ULP * (fabs(bound) + fabs(q->base));
  if (q->rounding > 0.01) return INFINITY;
  double positive = bound > 0 ? bound : 0, apart = q->apart == 0 ? 0 : 4 * q->apart * sqrt(positive);
  return positive * (1 + 4 * q->rounding) + apart + 16 * q->rest;
}

static inline void flush(pq_query *q) {
  if (q->count) cpu_collector_push(q->scan, q->number, q->found, q->count);
  q->count = 0;
}

// A code whose entries add up to `sum`: what its key may be.
static inline void find(pq_query *q, uint64_t location, float sum) {
  double key = sum + q->base, half = half_width(q, key);
  if (q->count == PQ_FOUND) flush(q);
  q->found[q->count++] = (cpu_candidate){(float)(key - half), (float)(key + half), location};
}

// What every key has in common, and how exact keys are, for codes of vectors less `centroid`, or NULL: of products.
static inline void begin_products(pq_query *q, const float *centroid) {
  const cpu_kernels *kernels = q->scan->kernels;
  const cpu_pq *pq = q->pq;
  uint32_t d = pq->d;
  const float *query = q->scan->queries + q->number * d;
  double away = centroid ? sqrt(kernels->pair(CPU_INNER_PRODUCT, 0, centroid, centroid, d)) : 0;
  double rounding = (pq->dsub + (double)pq->m + 8) * HALF_ULP, tiny = 4 * ((double)d + 1) * FLT_MIN;
  double length = sqrt(kernels->pair(CPU_INNER_PRODUCT, 0, query, query, d));
  q->rounding = q->apart = 0;
  q->base = centroid ? -kernels->pair(CPU_INNER_PRODUCT, 0, query, centroid, d) : 0;
  q->rest = length * (rounding * pq->longest + HALF_ULP * (away + pq->longest)) + tiny;
}

// How exact keys are, for codes of vectors less `centroid`, unless that is NULL. compared: takes the d floats that
// tables are made of.
static inline void begin_keys(pq_query *q, const float *centroid, float *compared) {
  const cpu_kernels *kernels = q->scan->kernels;
  const cpu_pq *pq = q->pq;
  uint32_t d = pq->d;
  const float *query = q->scan->queries + q->number * d;
  if (q->inner || !centroid) memcpy(compared, query, d * sizeof(float));
  if (q->inner) {
    begin_products(q, centroid);
    return;
  }
  q->base = q->apart = 0;
  if (centroid) {
    for (uint32_t j = 0; j < d; j++) compared[j] = query[j] - centroid[j];
    double away = sqrt(kernels->pair(CPU_INNER_PRODUCT, 0, centroid, centroid, d));
    double length = sqrt(kernels->pair(CPU_INNER_PRODUCT, 0, compared, compared, d));
    q->apart = HALF_ULP * (length + away + pq->longest);
  }
  q->rounding = (pq->dsub + (double)pq->m + 8) * HALF_ULP;
  q->rest = q->apart * q->apart + 4 * ((double)d + 1) * FLT_MIN;
}

// Fills the tables of a query, which are at q->tables. less: room for d floats.
static inline void begin_query(pq_query *q, const cpu_pq_kernels *pq_kernels, const float *centroid, float *less) {
  begin_keys(q, centroid, less);
  pq_kernels->tables(q->pq, q->inner, 1, less, q->tables);
}

#endif
