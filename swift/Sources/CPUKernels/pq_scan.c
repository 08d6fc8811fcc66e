// Scans of product quantizers' codes: tables of a query, entries added up, what may be near into collectors.
#include "pq_query.h"

// Steps that the bytes of a filter divide what is left below the bound in, a sub-vector.
#define STEPS 64
// Codes that make rounding a query's tables worth it.
#define FILTERED_CODES 80

// Rows whose tables are made at once: small ones, which stay in a core's cache.
static uint32_t table_rows(const cpu_pq *pq) { return (size_t)pq->m * pq->stride <= 16384 ? CPU_PQ_ROWS : 1; }

size_t cpu_pq_scratch(const cpu_pq *pq) {
  // Tables, what they are made of, the bytes of one, the least of each sub-vector.
  return table_rows(pq) * ((size_t)pq->m * pq->stride + pq->d) + (size_t)pq->m * 64 + pq->m;
}

static uint64_t location_of(const cpu_pq_chunk *chunk, uint32_t row) {
  return chunk->first + (chunk->positions ? chunk->positions[row] : row);
}

static float entry_sum(const cpu_pq *pq, const float *tables, const uint8_t *block, uint32_t row) {
  float sum = 0;
  for (uint32_t m = 0; m < pq->m; m++) sum += tables[(size_t)m * pq->stride + block[(size_t)m * CPU_PQ_BLOCK + row]];
  return sum;
}

// Codes that add up to at most the bound by their bytes, then by their entries. Returns how many it did: none
// where there is no bound yet, or numbers are out of range.
static uint32_t scan_filtered(pq_query *q, const cpu_pq_kernels *kernels, const cpu_pq_chunk *chunk, uint32_t from,
                              float *least, uint8_t *bytes) {
  const cpu_pq *pq = q->pq;
  uint32_t n = chunk->n;
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
  const uint8_t *blocks = chunk->blocks;
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
        if (!(sum > limit)) find(q, location_of(chunk, row + i), sum);
      }
    }
    flush(q);
  }
  return n - from;
}

// terms: of each code beside its entries, or NULL.
static void scan_query(pq_query *q, const cpu_pq_kernels *kernels, const cpu_pq_chunk *chunk, const float *terms,
                       float *least, uint8_t *bytes) {
  const cpu_pq *pq = q->pq;
  uint32_t n = chunk->n;
  const cpu_collector *collector = &q->scan->collectors[q->number];
  bool filters = kernels->filter && pq->nbits <= 8 && pq->m <= CPU_PQ_MAX_BYTES && !terms;
  size_t block_bytes = cpu_pq_chunk_bytes(pq, 1);
  for (uint32_t from = 0; from < n;) {
    float bound = load_bound(collector);
    if (filters && bound < FLT_MAX && n - from >= FILTERED_CODES) {
      uint32_t done = scan_filtered(q, kernels, chunk, from, least, bytes);
      from += done;
      if (done) continue;
      filters = false;
    }
    uint32_t held = n - from < CPU_PQ_BLOCK ? n - from : CPU_PQ_BLOCK;
    float sums[CPU_PQ_BLOCK], limit = (float)fmin(sum_limit(q, bound) * (1 + 4 * HALF_ULP), INFINITY);
    kernels->sums(pq, q->tables, (const uint8_t *)chunk->blocks + from / CPU_PQ_BLOCK * block_bytes, sums);
    for (uint32_t i = 0; terms && i < held; i++) sums[i] += terms[from + i];
    // A NaN passes, and is looked at exactly.
    for (uint32_t i = 0; i < held; i++)
      if (!(sums[i] > limit)) find(q, location_of(chunk, from + i), sums[i]);
    flush(q);
    from += held;
  }
}

void cpu_pq_scan(const cpu_scan *scan, const cpu_pq *pq, const uint32_t *index, uint32_t first, uint32_t nq,
                 const cpu_pq_chunk *chunk, float *scratch) {
  cpu_pq_kernels kernels = cpu_pq_kernels_of(scan->kernels);
  uint32_t most = table_rows(pq);
  size_t size = (size_t)pq->m * pq->stride;
  float *compared = scratch + most * size, *least = compared + most * pq->d;
  uint8_t *bytes = (uint8_t *)(least + pq->m);
  bool inner = scan->source.metric == CPU_INNER_PRODUCT;
  pq_query queries[CPU_PQ_ROWS];
  for (uint32_t from = 0; from < nq; from += most) {
    uint32_t rows = nq - from < most ? nq - from : most;
    for (uint32_t i = 0; i < rows; i++) {
      pq_query *q = &queries[i];
      q->scan = scan, q->pq = pq, q->inner = inner, q->tables = scratch + i * size, q->count = 0;
      q->number = index ? index[from + i] : (uint64_t)first + from + i;
      begin_keys(q, chunk->centroid, compared + i * pq->d);
    }
    kernels.tables(pq, inner, rows, compared, scratch);
    for (uint32_t i = 0; i < rows; i++) scan_query(&queries[i], &kernels, chunk, NULL, least, bytes);
  }
}

void cpu_table_scan(const cpu_scan *scan, const cpu_pq *pq, uint64_t number, const cpu_pq_chunk *chunk, float *tables,
                    const float *terms, double base, double lost) {
  cpu_pq_kernels kernels = cpu_pq_kernels_of(scan->kernels);
  pq_query q = {.scan = scan, .pq = pq, .number = number, .inner = true, .tables = tables};
  q.base = base, q.rest = lost;
  // As cpu_pq_scan places them.
  float *least = tables + (size_t)pq->m * pq->stride + pq->d;
  scan_query(&q, &kernels, chunk, terms, least, (uint8_t *)(least + pq->m));
}
