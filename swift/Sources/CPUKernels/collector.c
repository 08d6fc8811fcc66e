// What a query has found: intervals while scanning, exact numbers at the end.
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cpu_additive.h"
#include "cpu_codec.h"
#include "cpu_kernels.h"
#include "kth.h"

// The rows, or codes, that a location is among, and its place there.
static const void *rows_of(const cpu_source *source, uint64_t location, uint64_t *at) {
  *at = source->segments ? location & 0xffffffff : location;
  return source->segments ? source->segments[location >> 32].rows : source->rows;
}

static int64_t id_at(const cpu_source *source, uint64_t location) {
  if (!source->segments) return (int64_t)location;
  return source->segments[location >> 32].ids[location & 0xffffffff];
}

// room: d floats where rows are codes.
static float exact_key(const cpu_scan *scan, uint64_t query, uint64_t location, float *room) {
  const cpu_source *source = &scan->source;
  uint64_t at;
  const float *row = rows_of(source, location, &at);
  if (source->codec) {
    const float *centroid = source->centroids ? source->centroids + (location >> 32) * source->d : NULL;
    const cpu_additive *additive = source->codec->additive;
    if (additive && source->metric == CPU_L2 && cpu_norm_is_coded(additive->norm)) {
      const float *queried = scan->queries + query * source->d;
      const uint8_t *code = (const uint8_t *)row + at * source->codec->code_size;
      return (float)cpu_additive_key(scan->kernels, additive, queried, code, centroid, room);
    }
    cpu_codec_decode_at(scan->kernels, source->codec, (const uint8_t *)row, at, centroid, room);
    row = room;
  } else {
    row += at * source->d;
  }
  double value =
      scan->kernels->pair(source->metric, source->metric_arg, scan->queries + query * source->d, row, source->d);
  return (float)(cpu_is_similarity(source->metric) ? -value : value);
}

// Whether the keys of candidates are exact already.
static bool is_final(const cpu_source *source) { return source->codec && source->codec->rabitq; }

static size_t room_of(const cpu_source *source) { return source->codec ? source->d * sizeof(float) : 0; }

// A computed pair, in the order of results: by key, then id.
typedef struct result {
  float key;
  int64_t id;
  uint64_t location;
} result;

static inline bool before(const result *a, const result *b) {
  return a->key < b->key || (a->key == b->key && a->id < b->id);
}

static void sift(result *items, uint64_t at, uint64_t count) {
  result item = items[at];
  for (uint64_t child; (child = 2 * at + 1) < count; at = child) {
    if (child + 1 < count && before(&items[child], &items[child + 1])) child++;
    if (!before(&item, &items[child])) break;
    items[at] = items[child];
  }
  items[at] = item;
}

static void sort_by_insertion(result *items, uint64_t count) {
  for (uint64_t i = 1; i < count; i++) {
    result item = items[i];
    uint64_t j = i;
    for (; j > 0 && before(&item, &items[j - 1]); j--) items[j] = items[j - 1];
    items[j] = item;
  }
}

#define RANKED 256

static void sort_results(const cpu_kernels *kernels, result *items, uint64_t count) {
  if (count <= 24) {
    sort_by_insertion(items, count);
  } else if (count <= RANKED) {
    // Each to its rank by counting whole vectors: no branch to mispredict. Equal keys fill the places
    // before the last of them, and take their order there.
    result sorted[RANKED];
    float keys[RANKED];
    bool taken[RANKED] = {false};
    for (uint64_t i = 0; i < count; i++) keys[i] = items[i].key;
    for (uint64_t i = 0; i < count; i++) {
      uint64_t place = kernels->count_within(keys, count, keys[i]) - 1;
      while (taken[place]) place--;
      taken[place] = true;
      sorted[place] = items[i];
    }
    sort_by_insertion(sorted, count);
    memcpy(items, sorted, count * sizeof(result));
  } else {
    for (uint64_t i = count / 2; i-- > 0;) sift(items, i, count);
    for (uint64_t end = count - 1; end > 0; end--) {
      result top = items[0];
      items[0] = items[end];
      items[end] = top;
      sift(items, 0, end);
    }
  }
}

// Floats as integers in the same order.
static int32_t rank(float value) {
  int32_t bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  return bits < 0 ? (int32_t)(0x80000000u - (uint32_t)bits) : bits;
}

static float unrank(int32_t order) {
  int32_t bits = order < 0 ? (int32_t)(0x80000000u - (uint32_t)order) : order;
  float value;
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
}

float cpu_kth(const cpu_kernels *kernels, const float *x, uint64_t n, uint64_t k, uint64_t slack) {
  float least = x[0], most = x[0];
  for (uint64_t i = 1; i < n; i++) {
    least = x[i] < least ? x[i] : least;
    most = x[i] > most ? x[i] : most;
  }
  int64_t low = (int64_t)rank(least) - 1, high = rank(most);
  for (uint64_t within = n; within > k + slack && high - low > 1;) {
    int64_t middle = low + (high - low) / 2;
    uint64_t count = kernels->count_within(x, n, unrank((int32_t)middle));
    if (count >= k)
      high = middle, within = count;
    else
      low = middle;
  }
  return unrank((int32_t)high);
}

// Lowers the bound to (or, at most a little above) the k-th smallest upper end, and drops what that excludes.
// slack: how many more than k may stay.
static void tighten(const cpu_kernels *kernels, cpu_collector *c, uint64_t slack) {
  if (c->count < c->k || c->k == 0) return;
  float bound = cpu_kth(kernels, c->upper, c->count, c->k, slack);
  if (bound < c->bound) c->bound = bound;
  bound = c->bound;
  uint64_t kept = 0;
  for (uint64_t i = 0; i < c->count; i++) {
    float lower = c->lower[i];
    c->lower[kept] = lower;
    c->upper[kept] = c->upper[i];
    c->location[kept] = c->location[i];
    kept += lower <= bound;
  }
  c->count = kept;
}

// More rows tie within their intervals than fit: computes them all and keeps the k best, in a heap
// with the worst on top.
static void resolve(const cpu_scan *scan, uint64_t query, cpu_collector *c) {
  result *heap = malloc(c->k * sizeof(result) + room_of(&scan->source));
  float *room = (float *)(heap + c->k);
  if (!heap) {
    c->failed = true;
    c->count = c->k;
    return;
  }
  uint64_t held = 0;
  for (uint64_t i = 0; i < c->count; i++) {
    uint64_t location = c->location[i];
    float key = is_final(&scan->source) ? c->lower[i] : exact_key(scan, query, location, room);
    result item = {key, id_at(&scan->source, location), location};
    c->recomputed++;
    c->resolved++;
    if (!(item.key < FLT_MAX)) continue;
    if (held < c->k) {
      uint64_t at = held++;
      for (; at > 0 && before(&heap[(at - 1) / 2], &item); at = (at - 1) / 2) heap[at] = heap[(at - 1) / 2];
      heap[at] = item;
    } else if (before(&item, &heap[0])) {
      heap[0] = item;
      sift(heap, 0, held);
    }
  }
  for (uint64_t i = 0; i < held; i++) {
    c->lower[i] = c->upper[i] = heap[i].key;
    c->location[i] = heap[i].location;
  }
  c->count = held;
  if (held == c->k && heap[0].key < c->bound) c->bound = heap[0].key;
  free(heap);
}

uint64_t cpu_collector_capacity(uint64_t k) { return 2 * k + k / 2 + 32; }

void cpu_collector_place(cpu_collector *c, void *memory, uint64_t capacity) {
  c->location = memory;
  c->lower = (float *)(c->location + capacity);
  c->upper = c->lower + capacity;
  c->capacity = capacity;
}

// A range search keeps what it finds: twice the room.
static bool widen(cpu_collector *c) {
  cpu_collector wide = *c;
  uint64_t capacity = c->capacity ? 2 * c->capacity : 64;
  void *memory = malloc(capacity * CPU_CANDIDATE_BYTES);
  if (!memory) {
    c->failed = true;
    return false;
  }
  cpu_collector_place(&wide, memory, capacity);
  if (c->count > 0) {
    memcpy(wide.location, c->location, c->count * sizeof *c->location);
    memcpy(wide.lower, c->lower, c->count * sizeof *c->lower);
    memcpy(wide.upper, c->upper, c->count * sizeof *c->upper);
  }
  free(c->location);
  *c = wide;
  return true;
}

void cpu_collector_push(const cpu_scan *scan, uint64_t query, const cpu_candidate *found, uint32_t count) {
  cpu_collector *c = &scan->collectors[query];
  while (__atomic_exchange_n(&c->lock, 1, __ATOMIC_ACQUIRE)) cpu_pause();
  for (uint32_t i = 0; i < count; i++) {
    cpu_candidate item = found[i];
    if (!(item.lower >= -FLT_MAX && item.upper <= FLT_MAX)) item.lower = -INFINITY, item.upper = INFINITY;
    if (item.lower > c->bound) continue;
    if (c->k == 1 && item.upper < c->bound) c->bound = item.upper;
    if (c->count == c->capacity) {
      if (c->k == 0) {
        if (!widen(c)) break;
      } else {
        tighten(scan->kernels, c, c->k / 16);
        if (c->count > c->capacity - c->capacity / 4) resolve(scan, query, c);
        if (item.lower > c->bound) continue;
      }
    }
    c->lower[c->count] = item.lower;
    c->upper[c->count] = item.upper;
    c->location[c->count++] = item.location;
  }
  __atomic_store_n(&c->lock, 0, __ATOMIC_RELEASE);
}

void cpu_collector_lower(const cpu_scan *scan, uint64_t query, float bound) {
  cpu_collector *c = &scan->collectors[query];
  while (__atomic_exchange_n(&c->lock, 1, __ATOMIC_ACQUIRE)) cpu_pause();
  if (bound < c->bound) c->bound = bound;
  __atomic_store_n(&c->lock, 0, __ATOMIC_RELEASE);
}

void cpu_collector_guess(const cpu_scan *scan, uint64_t query, uint64_t k, uint64_t capacity) {
  cpu_collector *c = &scan->collectors[query];
  tighten(scan->kernels, c, 0);
  c->hoped = c->count >= c->k ? c->bound : INFINITY;
  c->bound = c->hoped;
  c->k = k;
  c->count = 0;
  cpu_collector_place(c, c->location, capacity);
}

// A query whose hope failed is scanned again without one.
static void check_hope(const cpu_scan *scan, uint64_t query, cpu_collector *c) {
  if (c->hoped == INFINITY || scan->kernels->count_within(c->upper, c->count, c->hoped) >= c->k) return;
  c->bound = c->hoped = INFINITY;
  c->count = 0;
  cpu_scan_direct(scan, NULL, (uint32_t)query, 1, scan->source.rows, 0, NULL, scan->source.count);
  tighten(scan->kernels, c, 0);
}

static void prefetch_row(const cpu_source *source, uint64_t location) {
  uint64_t at;
  const char *row = rows_of(source, location, &at);
  if (source->segments) __builtin_prefetch(source->segments[location >> 32].ids + at);
  size_t bytes = source->codec ? source->codec->code_size : source->d * sizeof(float);
  if (source->codec && source->codec->layout.parts) {
    // A code is spread over its block.
    bytes = cpu_fast_stride(&source->codec->layout);
    at /= CPU_FAST_BLOCK;
  }
  row += at * bytes;
  for (size_t at = 0; at < bytes && at < 1024; at += 64) __builtin_prefetch(row + at);
}

// Every survivor computed in double. NaN, and what a float cannot hold, is no result, as in faiss.
// Free the answer.
static result *compute_exact(const cpu_scan *scan, uint64_t query, cpu_collector *c) {
  result *results = malloc((c->count + 1) * sizeof(result) + room_of(&scan->source));
  float *room = (float *)(results + c->count + 1);
  if (!results) {
    c->failed = true;
    c->count = 0;
    return NULL;
  }
  uint64_t kept = 0, ahead = c->count < 8 ? c->count : 8;
  for (uint64_t i = 0; i < ahead; i++) prefetch_row(&scan->source, c->location[i]);
  for (uint64_t i = 0; i < c->count; i++) {
    if (i + ahead < c->count) prefetch_row(&scan->source, c->location[i + ahead]);
    uint64_t location = c->location[i];
    float key = is_final(&scan->source) ? c->lower[i] : exact_key(scan, query, location, room);
    c->recomputed++;
    if (!(key < (c->k == 0 ? c->bound : FLT_MAX))) continue;
    results[kept++] = (result){key, id_at(&scan->source, location), location};
  }
  c->count = kept;
  return results;
}

void cpu_collector_finish(const cpu_scan *scan, uint64_t query, float *distances, int64_t *labels) {
  cpu_collector *c = &scan->collectors[query];
  bool similarity = cpu_is_similarity(scan->source.metric);
  tighten(scan->kernels, c, 0);
  check_hope(scan, query, c);
  result *results = compute_exact(scan, query, c);
  sort_results(scan->kernels, results, c->count);
  for (uint64_t i = 0; i < c->k; i++) {
    bool found = i < c->count;
    float key = found ? results[i].key : FLT_MAX;
    distances[i] = similarity ? -key : key;
    labels[i] = !found ? -1 : scan->locations ? (int64_t)results[i].location : results[i].id;
  }
  free(results);
}

void cpu_collector_finish_range(const cpu_scan *scan, uint64_t query) {
  cpu_collector *c = &scan->collectors[query];
  bool similarity = cpu_is_similarity(scan->source.metric);
  result *results = compute_exact(scan, query, c);
  for (uint64_t i = 0; i < c->count; i++) {
    c->upper[results[i].location = i] = similarity ? -results[i].key : results[i].key;
    results[i].key = 0;  // by id alone
  }
  sort_results(scan->kernels, results, c->count);
  for (uint64_t i = 0; i < c->count; i++) {
    c->lower[i] = c->upper[results[i].location];
    c->location[i] = (uint64_t)results[i].id;
  }
  for (uint64_t i = 0; i < c->count; i++) c->upper[i] = c->lower[i];
  free(results);
}
