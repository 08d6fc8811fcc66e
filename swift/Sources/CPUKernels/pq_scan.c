// Scans of product quantizers' codes: tables of a query, entries added up, what may be near into collectors.
#include "pq_query.h"

// Steps that the bytes of a filter divide what is left below the bound in, a sub-vector.
#define STEPS 64
// Codes that make rounding a query's tables worth it.
#define FILTERED_CODES 192

size_t cpu_pq_scratch(const cpu_pq *pq) {
  // Tables, the query less the centroid, the tables' bytes, the least of each.
  return (size_t)pq->m * pq->stride + pq->d + (size_t)pq->m * 64 + pq->m;
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

static void scan_query(pq_query *q, const cpu_pq_kernels *kernels, const cpu_pq_chunk *chunk, float *least,
                       uint8_t *bytes) {
  const cpu_pq *pq = q->pq;
  uint32_t n = chunk->n;
  const cpu_collector *collector = &q->scan->collectors[q->number];
  bool filters = kernels->filter && pq->nbits <= 8 && pq->m <= CPU_PQ_MAX_BYTES;
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
  float *less = scratch + (size_t)pq->m * pq->stride, *least = less + pq->d;
  uint8_t *bytes = (uint8_t *)(least + pq->m);
  for (uint32_t i = 0; i < nq; i++) {
    pq_query q = {.scan = scan, .pq = pq, .inner = scan->source.metric == CPU_INNER_PRODUCT, .tables = scratch};
    q.number = index ? index[i] : (uint64_t)first + i;
    begin_query(&q, &kernels, chunk->centroid, less);
    scan_query(&q, &kernels, chunk, least, bytes);
  }
}
