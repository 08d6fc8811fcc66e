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

static int by_id(const void *a, const void *b) {
  int64_t x = ((const cpu_binary_hit *)a)->id, y = ((const cpu_binary_hit *)b)->id;
  return (x > y) - (x < y);
}

// Drops all but the k nearest: of those at the bound the first, or those of the least ids.
static void compact(cpu_binary_collector *c) {
  uint64_t kept = 0, ties = 0, at_bound = c->counts[c->bound], nearer = c->within - at_bound;
  // Hits at the bound go behind the others, where there is room for them.
  cpu_binary_hit *tied = c->ordered || at_bound == c->k - nearer ? NULL : malloc(at_bound * sizeof *tied);
  if (!c->ordered && !tied && at_bound != c->k - nearer) {
    c->failed = true;
    c->count = 0;
    return;
  }
  for (uint64_t i = 0; i < c->count; i++) {
    cpu_binary_hit hit = c->hits[i];
    if (hit.distance > c->bound) continue;
    if (hit.distance == c->bound) {
      if (tied) {
        tied[ties++] = hit;
        continue;
      }
      if (ties == c->k - nearer) continue;
      ties++;
    }
    c->hits[kept++] = hit;
  }
  if (tied) {
    qsort(tied, ties, sizeof *tied, by_id);
    if (ties > c->k - nearer) ties = c->k - nearer;
    memcpy(c->hits + kept, tied, ties * sizeof *tied);
    kept += ties;
    c->last = tied[ties - 1].id;
    free(tied);
  }
  c->counts[c->bound] = (uint32_t)ties;
  c->count = c->within = kept;
}

// Keeps a hit that is below the limit.
static void push(const cpu_binary_scan *scan, uint32_t query, cpu_binary_hit hit) {
  cpu_binary_collector *c = &scan->collectors[query];
  if (c->k == 0) {
    if (c->count < c->capacity || widen(c)) c->hits[c->count++] = hit;
    return;
  }
  if (hit.distance > c->bound || (hit.distance == c->bound && hit.id > c->last)) return;
  if (c->count == c->capacity) compact(c);
  c->hits[c->count++] = hit;
  c->counts[hit.distance]++;
  c->within++;
  if (c->within < c->k) return;
  while (c->within - c->counts[c->bound] >= c->k) {
    c->within -= c->counts[c->bound--];
    c->last = INT64_MAX;
  }
  scan->limits[query] = (uint64_t)c->bound + !c->ordered;
  if (c->bound + 1 < __atomic_load_n(&scan->shared[query], __ATOMIC_RELAXED))
    __atomic_store_n(&scan->shared[query], c->bound + 1, __ATOMIC_RELAXED);
}

// The limit of a query, with what scans of other parts know.
static inline uint64_t limit_of(const cpu_binary_scan *scan, uint32_t query) {
  uint32_t shared = __atomic_load_n(&scan->shared[query], __ATOMIC_RELAXED);
  return shared < scan->limits[query] ? shared : scan->limits[query];
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
    uint64_t mask = scan->kernels->direct(codes, scan->bytes, positions, n, words, limit_of(scan, query), distances);
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

// Some queries against rows: `words` and `limits` are theirs, index[i] or first + i their numbers.
static void scan_blocks(const cpu_binary_scan *scan, const uint32_t *index, uint32_t first, uint32_t nq,
                        const uint64_t *words, uint64_t *limits, const cpu_binary_rows *rows, uint64_t from, uint32_t n,
                        const uint64_t *block) {
  cpu_binary_pair pairs[CPU_BINARY_QUERIES * CPU_BINARY_ROWS];
  uint32_t found = scan->kernels->block(block, scan->words, words, scan->stride, nq, limits, pairs);
  for (uint32_t i = 0; i < found; i++) {
    cpu_binary_pair pair = pairs[i];
    if (pair.row >= n || pair.distance >= limits[pair.query]) continue;
    uint32_t query = index ? index[pair.query] : first + pair.query;
    push(scan, query, (cpu_binary_hit){id_of(rows, from + pair.row), pair.distance});
    limits[pair.query] = scan->limits[query];
  }
}

void cpu_binary_blocks(const cpu_binary_scan *scan, const uint32_t *index, uint32_t first, uint32_t nq,
                       const cpu_binary_rows *rows, uint64_t *room) {
  uint64_t limits[CPU_BINARY_QUERIES], *block = room, *gathered = room + (size_t)scan->stride * CPU_BINARY_ROWS;
  if (!index) {
    for (uint32_t q = first; q < first + nq; q++) scan->limits[q] = limit_of(scan, q);
    for (uint64_t from = 0; from < rows->n; from += CPU_BINARY_ROWS) {
      uint32_t n = rows->n - from < CPU_BINARY_ROWS ? (uint32_t)(rows->n - from) : CPU_BINARY_ROWS;
      pack(scan, rows, from, n, block);
      for (uint32_t at = 0; at < nq; at += CPU_BINARY_QUERIES) {
        uint32_t query = first + at, some = nq - at < CPU_BINARY_QUERIES ? nq - at : CPU_BINARY_QUERIES;
        scan_blocks(scan, NULL, query, some, scan->queries + (size_t)query * scan->stride, scan->limits + query, rows,
                    from, n, block);
      }
    }
    return;
  }
  for (uint32_t at = 0; at < nq; at += CPU_BINARY_QUERIES) {
    uint32_t some = nq - at < CPU_BINARY_QUERIES ? nq - at : CPU_BINARY_QUERIES;
    for (uint32_t i = 0; i < some; i++) {
      uint32_t query = index[at + i];
      memcpy(gathered + (size_t)i * scan->stride, scan->queries + (size_t)query * scan->stride, scan->stride * 8);
      limits[i] = limit_of(scan, query);
    }
    for (uint64_t from = 0; from < rows->n; from += CPU_BINARY_ROWS) {
      uint32_t n = rows->n - from < CPU_BINARY_ROWS ? (uint32_t)(rows->n - from) : CPU_BINARY_ROWS;
      pack(scan, rows, from, n, block);
      scan_blocks(scan, index + at, 0, some, gathered, limits, rows, from, n, block);
    }
  }
}

void cpu_binary_merge(const cpu_binary_scan *scan, uint32_t query, const cpu_binary_collector *other) {
  cpu_binary_collector *c = &scan->collectors[query];
  // What comes now is in no order, though after all that is here.
  c->ordered = false;
  c->failed |= other->failed;
  for (uint64_t i = 0; i < other->count; i++) push(scan, query, other->hits[i]);
}

static int ascending(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

// Most come in order.
static void sort_ids(int64_t *ids, uint64_t n) {
  for (uint64_t i = 1; i < n; i++) {
    if (ids[i] >= ids[i - 1]) continue;
    qsort(ids, n, sizeof *ids, ascending);
    return;
  }
}

void cpu_binary_finish(cpu_binary_collector *c, uint64_t k, int32_t *distances, int64_t *labels) {
  if (c->count > c->k && c->k > 0) compact(c);
  // Where those of each distance begin; then each to its place.
  uint64_t count = 0, n = c->count;
  for (uint32_t distance = 0; distance < c->distances && count < n; distance++) {
    uint32_t here = c->counts[distance];
    c->counts[distance] = (uint32_t)count;
    count += here;
  }
  for (uint64_t i = 0; i < n; i++) {
    uint32_t place = c->counts[c->hits[i].distance]++;
    distances[place] = (int32_t)c->hits[i].distance;
    labels[place] = c->hits[i].id;
  }
  for (uint64_t from = 0; from < n;) {
    uint64_t to = from + 1;
    while (to < n && distances[to] == distances[from]) to++;
    sort_ids(labels + from, to - from);
    from = to;
  }
  for (uint64_t i = n; i < k; i++) distances[i] = INT32_MAX, labels[i] = -1;
  c->count = 0;
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
