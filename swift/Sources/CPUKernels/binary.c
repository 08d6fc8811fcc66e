// Scans of codes of bits, and what their queries have found.
#include <stdlib.h>
#include <string.h>

#include "cpu_binary.h"
#include "cpu_kernels.h"

extern const cpu_binary_kernels cpu_binary_scalar;
#if defined(__x86_64__)
extern const cpu_binary_kernels cpu_binary_avx2, cpu_binary_avx512;
#elif defined(__aarch64__)
extern const cpu_binary_kernels cpu_binary_neon;
#endif

const cpu_binary_kernels *cpu_binary_table(const cpu_kernels *kernels) {
#if defined(__x86_64__)
  if (kernels->lanes == 16 && __builtin_cpu_supports("avx512vpopcntdq")) return &cpu_binary_avx512;
  if (kernels->lanes >= 8) return &cpu_binary_avx2;
#elif defined(__aarch64__)
  if (kernels->lanes == 4) return &cpu_binary_neon;
#endif
  (void)kernels;
  return &cpu_binary_scalar;
}

static inline bool before(const cpu_binary_hit *a, const cpu_binary_hit *b) {
  return a->distance < b->distance || (a->distance == b->distance && a->id < b->id);
}

static void sift(cpu_binary_hit *hits, uint64_t at, uint64_t count) {
  cpu_binary_hit item = hits[at];
  for (uint64_t child; (child = 2 * at + 1) < count; at = child) {
    if (child + 1 < count && before(&hits[child], &hits[child + 1])) child++;
    if (!before(&item, &hits[child])) break;
    hits[at] = hits[child];
  }
  hits[at] = item;
}

static bool widen(cpu_binary_collector *c) {
  uint64_t capacity = c->capacity ? 2 * c->capacity : 64;
  cpu_binary_hit *hits = realloc(c->hits, capacity * sizeof *hits);
  if (!hits) {
    c->failed = true;
    return false;
  }
  c->hits = hits;
  c->capacity = capacity;
  return true;
}

// Keeps a hit that is below the limit, if it belongs to the best.
static void push(const cpu_binary_scan *scan, uint32_t query, cpu_binary_hit hit) {
  cpu_binary_collector *c = &scan->collectors[query];
  if (c->k == 0) {
    if (c->count < c->capacity || widen(c)) c->hits[c->count++] = hit;
    return;
  }
  cpu_binary_hit *heap = c->hits;
  if (c->count < c->k) {
    uint64_t at = c->count++;
    for (; at > 0 && before(&heap[(at - 1) / 2], &hit); at = (at - 1) / 2) heap[at] = heap[(at - 1) / 2];
    heap[at] = hit;
  } else if (before(&hit, &heap[0])) {
    heap[0] = hit;
    sift(heap, 0, c->count);
  }
  if (c->count == c->k) scan->limits[query] = (uint64_t)heap[0].distance + !c->ordered;
}

static inline int64_t id_of(const cpu_binary_rows *rows, uint64_t row) {
  uint64_t at = rows->positions ? rows->positions[row] : row;
  return rows->ids ? rows->ids[at] : rows->first + (int64_t)at;
}

void cpu_binary_queries(const uint8_t *codes, uint32_t bytes, uint64_t n, uint64_t *queries) {
  size_t stride = cpu_binary_stride(bytes);
  memset(queries, 0, n * stride * 8);
  for (uint64_t i = 0; i < n; i++) memcpy(queries + i * stride, codes + i * bytes, bytes);
}

void cpu_binary_direct(const cpu_binary_scan *scan, uint32_t query, const cpu_binary_rows *rows) {
  uint32_t distances[CPU_BINARY_DIRECT];
  const uint64_t *words = scan->queries + (size_t)query * scan->stride;
  for (uint64_t at = 0; at < rows->n; at += CPU_BINARY_DIRECT) {
    uint32_t n = rows->n - at < CPU_BINARY_DIRECT ? (uint32_t)(rows->n - at) : CPU_BINARY_DIRECT;
    const uint8_t *codes = rows->codes + (rows->positions ? 0 : at * scan->bytes);
    const uint32_t *positions = rows->positions ? rows->positions + at : NULL;
    uint64_t mask = scan->kernels->direct(codes, scan->bytes, positions, n, words, scan->limits[query], distances);
    for (; mask; mask &= mask - 1) {
      uint32_t i = (uint32_t)__builtin_ctzll(mask);
      // The limit may have come down since.
      if (distances[i] >= scan->limits[query]) continue;
      push(scan, query, (cpu_binary_hit){id_of(rows, at + i), distances[i]});
    }
  }
}

// Rows word by word; those past n are all zeros.
static void pack(const cpu_binary_scan *scan, const cpu_binary_rows *rows, uint64_t from, uint32_t n, uint64_t *block) {
  if (n < CPU_BINARY_ROWS) memset(block, 0, (size_t)scan->words * CPU_BINARY_ROWS * 8);
  uint32_t whole = scan->bytes / 8, rest = scan->bytes % 8;
  for (uint32_t i = 0; i < n; i++) {
    uint64_t at = rows->positions ? rows->positions[from + i] : from + i;
    const uint8_t *code = rows->codes + at * scan->bytes;
    for (uint32_t w = 0; w < whole; w++) memcpy(block + w * CPU_BINARY_ROWS + i, code + 8 * w, 8);
    if (rest == 0) continue;
    uint64_t word = 0;
    memcpy(&word, code + 8 * whole, rest);
    block[whole * CPU_BINARY_ROWS + i] = word;
  }
}

void cpu_binary_blocks(const cpu_binary_scan *scan, uint32_t first, uint32_t nq, const cpu_binary_rows *rows,
                       uint64_t *room) {
  cpu_binary_pair pairs[CPU_BINARY_QUERIES * CPU_BINARY_ROWS];
  for (uint64_t from = 0; from < rows->n; from += CPU_BINARY_ROWS) {
    uint32_t n = rows->n - from < CPU_BINARY_ROWS ? (uint32_t)(rows->n - from) : CPU_BINARY_ROWS;
    pack(scan, rows, from, n, room);
    for (uint32_t at = 0; at < nq; at += CPU_BINARY_QUERIES) {
      uint32_t query = first + at;
      uint32_t found = scan->kernels->block(room, scan->words, scan->queries + (size_t)query * scan->stride,
                                            scan->stride, nq - at < CPU_BINARY_QUERIES ? nq - at : CPU_BINARY_QUERIES,
                                            scan->limits + query, pairs);
      for (uint32_t i = 0; i < found; i++) {
        cpu_binary_pair pair = pairs[i];
        if (pair.row >= n || pair.distance >= scan->limits[query + pair.query]) continue;
        push(scan, query + pair.query, (cpu_binary_hit){id_of(rows, from + pair.row), pair.distance});
      }
    }
  }
}

void cpu_binary_merge(const cpu_binary_scan *scan, uint32_t query, const cpu_binary_collector *other) {
  cpu_binary_collector *c = &scan->collectors[query];
  // What comes now is in no order.
  c->ordered = false;
  c->failed |= other->failed;
  for (uint64_t i = 0; i < other->count; i++) push(scan, query, other->hits[i]);
}

void cpu_binary_finish(cpu_binary_collector *c, uint64_t k, int32_t *distances, int64_t *labels) {
  uint64_t count = c->count;
  for (uint64_t i = count; i < k; i++) distances[i] = INT32_MAX, labels[i] = -1;
  for (uint64_t left = count; left > 0; left--) {
    cpu_binary_hit worst = c->hits[0];
    distances[left - 1] = (int32_t)worst.distance;
    labels[left - 1] = worst.id;
    c->hits[0] = c->hits[left - 1];
    if (left > 1) sift(c->hits, 0, left - 1);
  }
  c->count = 0;
}

static int by_id(const void *a, const void *b) {
  int64_t x = ((const cpu_binary_hit *)a)->id, y = ((const cpu_binary_hit *)b)->id;
  return (x > y) - (x < y);
}

void cpu_binary_sort(cpu_binary_collector *c) {
  if (c->count > 1) qsort(c->hits, c->count, sizeof *c->hits, by_id);
}

void cpu_binary_decode(uint32_t d, const uint8_t *codes, uint64_t n, const float *centroid, float *x) {
  size_t bytes = (d + 7) / 8;
  for (uint64_t row = 0; row < n; row++, codes += bytes, x += d)
    for (uint32_t i = 0; i < d; i++) x[i] = (codes[i / 8] >> i % 8 & 1 ? 1.0f : -1.0f) + (centroid ? centroid[i] : 0);
}

void cpu_binary_encode(uint32_t d, const float *x, uint64_t n, uint8_t *codes) {
  size_t bytes = (d + 7) / 8;
  memset(codes, 0, n * bytes);
  for (uint64_t row = 0; row < n; row++, codes += bytes, x += d)
    for (uint32_t i = 0; i < d; i++) codes[i / 8] |= (uint8_t)((x[i] > 0) << i % 8);
}
