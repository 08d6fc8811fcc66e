// What a query has found: intervals while scanning, exact numbers at the end.
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "cpu_kernels.h"

static bool is_similarity(uint32_t metric) { return metric == 0 || metric == 23 || metric == 100; }

static const float *row_at(const cpu_source *source, uint64_t location) {
  if (!source->segments) return source->rows + location * source->d;
  return source->segments[location >> 32].rows + (location & 0xffffffff) * source->d;
}

static int64_t id_at(const cpu_source *source, uint64_t location) {
  if (!source->segments) return (int64_t)location;
  return source->segments[location >> 32].ids[location & 0xffffffff];
}

static float exact_key(const cpu_scan *scan, uint64_t query, uint64_t location) {
  const cpu_source *source = &scan->source;
  double value = scan->kernels->pair(source->metric, source->metric_arg, scan->queries + query * source->d,
                                     row_at(source, location), source->d);
  return (float)(is_similarity(source->metric) ? -value : value);
}

// Moves the k smallest upper ends to the front (Hoare's selection).
static void select_upper(cpu_candidate *items, uint64_t count, uint64_t k) {
  uint64_t low = 0, high = count - 1;
  while (low < high) {
    float a = items[low].upper, b = items[(low + high) / 2].upper, c = items[high].upper;
    float pivot = a < b ? (b < c ? b : a < c ? c : a) : (a < c ? a : b < c ? c : b);
    uint64_t i = low, j = high;
    for (;;) {
      while (items[i].upper < pivot) i++;
      while (items[j].upper > pivot) j--;
      if (i >= j) break;
      cpu_candidate swap = items[i];
      items[i++] = items[j];
      items[j--] = swap;
    }
    if (i == j && items[i].upper <= pivot) i++;
    if (k - 1 < i)
      high = i - 1;
    else
      low = i;
    if (high == low + 1 || (i == low && j == high)) {
      if (items[high].upper < items[low].upper) {
        cpu_candidate swap = items[low];
        items[low] = items[high];
        items[high] = swap;
      }
      if (high <= low + 1) break;
    }
  }
}

// By key, then id: the order of results. lower holds the key and location the id.
static inline bool before(const cpu_candidate *a, const cpu_candidate *b) {
  return a->lower < b->lower || (a->lower == b->lower && (int64_t)a->location < (int64_t)b->location);
}

static void sift(cpu_candidate *items, uint64_t at, uint64_t count) {
  cpu_candidate item = items[at];
  for (uint64_t child; (child = 2 * at + 1) < count; at = child) {
    if (child + 1 < count && before(&items[child], &items[child + 1])) child++;
    if (!before(&item, &items[child])) break;
    items[at] = items[child];
  }
  items[at] = item;
}

static void sort_results(cpu_candidate *items, uint64_t count) {
  if (count <= 24) {
    for (uint64_t i = 1; i < count; i++) {
      cpu_candidate item = items[i];
      uint64_t j = i;
      for (; j > 0 && before(&item, &items[j - 1]); j--) items[j] = items[j - 1];
      items[j] = item;
    }
    return;
  }
  for (uint64_t i = count / 2; i-- > 0;) sift(items, i, count);
  for (uint64_t end = count - 1; end > 0; end--) {
    cpu_candidate top = items[0];
    items[0] = items[end];
    items[end] = top;
    sift(items, 0, end);
  }
}

// Lowers the bound to the k-th smallest upper end and drops what it excludes.
static void tighten(cpu_collector *c) {
  if (c->count < c->k || c->k == 0) return;
  if (c->count > c->k) select_upper(c->items, c->count, c->k);
  float bound = c->items[0].upper;
  for (uint64_t i = 1; i < c->k; i++) bound = c->items[i].upper > bound ? c->items[i].upper : bound;
  if (bound < c->bound) c->bound = bound;
  uint64_t kept = 0;
  for (uint64_t i = 0; i < c->count; i++)
    if (c->items[i].lower <= c->bound) c->items[kept++] = c->items[i];
  c->count = kept;
}

typedef struct exact {
  cpu_candidate result;  // key in lower, id in location
  uint64_t location;
} exact;

static bool exact_before(const exact *a, const exact *b) { return before(&a->result, &b->result); }

// More rows tie within their intervals than fit: computes them all and keeps the k best.
// Selection by repeated halving would need a copy; this is rare, so a binary heap of k does.
static void resolve(const cpu_scan *scan, uint64_t query, cpu_collector *c) {
  exact *heap = malloc(c->k * sizeof(exact));
  if (!heap) {
    c->failed = true;
    c->count = c->k;
    return;
  }
  uint64_t held = 0;
  for (uint64_t i = 0; i < c->count; i++) {
    uint64_t location = c->items[i].location;
    exact item = {{exact_key(scan, query, location), 0, (uint64_t)id_at(&scan->source, location)}, location};
    c->recomputed++;
    c->resolved++;
    if (isnan(item.result.lower)) continue;
    if (held < c->k) {
      uint64_t at = held++;
      for (; at > 0 && exact_before(&heap[(at - 1) / 2], &item); at = (at - 1) / 2) heap[at] = heap[(at - 1) / 2];
      heap[at] = item;
    } else if (exact_before(&item, &heap[0])) {
      uint64_t at = 0;
      for (uint64_t child; (child = 2 * at + 1) < held; at = child) {
        if (child + 1 < held && exact_before(&heap[child], &heap[child + 1])) child++;
        if (!exact_before(&item, &heap[child])) break;
        heap[at] = heap[child];
      }
      heap[at] = item;
    }
  }
  for (uint64_t i = 0; i < held; i++)
    c->items[i] = (cpu_candidate){heap[i].result.lower, heap[i].result.lower, heap[i].location};
  c->count = held;
  if (held == c->k && heap[0].result.lower < c->bound) c->bound = heap[0].result.lower;
  free(heap);
}

uint64_t cpu_collector_capacity(uint64_t k) { return 2 * k + 64; }

void cpu_collector_push(const cpu_scan *scan, uint64_t query, const cpu_candidate *found, uint32_t count) {
  cpu_collector *c = &scan->collectors[query];
  while (__atomic_exchange_n(&c->lock, 1, __ATOMIC_ACQUIRE)) cpu_pause();
  for (uint32_t i = 0; i < count; i++) {
    cpu_candidate item = found[i];
    if (!(item.lower >= -FLT_MAX && item.upper <= FLT_MAX)) item.lower = -INFINITY, item.upper = INFINITY;
    if (item.lower > c->bound) continue;
    if (c->k == 1 && item.upper < c->bound) __atomic_store_n((uint32_t *)&c->bound, *(uint32_t *)&item.upper, __ATOMIC_RELAXED);
    if (c->count == c->capacity) {
      if (c->k == 0) {
        uint64_t capacity = c->capacity ? 2 * c->capacity : 64;
        cpu_candidate *items = realloc(c->items, capacity * sizeof *items);
        if (!items) {
          c->failed = true;
          break;
        }
        c->items = items;
        c->capacity = capacity;
      } else {
        tighten(c);
        if (c->count > c->capacity - c->capacity / 4) resolve(scan, query, c);
        if (item.lower > c->bound) continue;
      }
    }
    c->items[c->count++] = item;
  }
  __atomic_store_n(&c->lock, 0, __ATOMIC_RELEASE);
}

static void prefetch_row(const cpu_source *source, uint64_t location) {
  const char *row = (const char *)row_at(source, location);
  size_t bytes = source->d * sizeof(float);
  for (size_t at = 0; at < bytes && at < 1024; at += 64) __builtin_prefetch(row + at);
}

// Every survivor computed in double; NaN is no result, as in faiss.
static void compute_exact(const cpu_scan *scan, uint64_t query, cpu_collector *c) {
  uint64_t kept = 0;
  for (uint64_t i = 0; i < c->count; i++) {
    if (i + 4 < c->count) prefetch_row(&scan->source, c->items[i + 4].location);
    float key = exact_key(scan, query, c->items[i].location);
    c->recomputed++;
    if (isnan(key) || (c->k == 0 && !(key < c->bound))) continue;
    c->items[kept++] = (cpu_candidate){key, key, (uint64_t)id_at(&scan->source, c->items[i].location)};
  }
  c->count = kept;
}

void cpu_collector_finish(const cpu_scan *scan, uint64_t query, float *distances, int64_t *labels) {
  cpu_collector *c = &scan->collectors[query];
  bool similarity = is_similarity(scan->source.metric);
  tighten(c);
  compute_exact(scan, query, c);
  sort_results(c->items, c->count);
  for (uint64_t i = 0; i < c->k; i++) {
    bool found = i < c->count;
    float key = found ? c->items[i].lower : FLT_MAX;
    distances[i] = similarity ? -key : key;
    labels[i] = found ? (int64_t)c->items[i].location : -1;
  }
}

void cpu_collector_finish_range(const cpu_scan *scan, uint64_t query) {
  cpu_collector *c = &scan->collectors[query];
  bool similarity = is_similarity(scan->source.metric);
  compute_exact(scan, query, c);
  // By id: sort with the ids as keys would round them, so order by (0, id) and restore.
  for (uint64_t i = 0; i < c->count; i++) c->items[i].lower = 0;
  sort_results(c->items, c->count);
  for (uint64_t i = 0; i < c->count; i++) c->items[i].lower = similarity ? -c->items[i].upper : c->items[i].upper;
}
