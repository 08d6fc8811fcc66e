// Walks of a graph. A candidate is one word: its key in an order that integers have, its node, and in the
// lowest bit whether it was expanded; so that a list is sorted by key. A walker's ties order nodes: to a query
// the lower is the nearer, but to each node that is linked they come in another order, or rows that are equal
// would all be linked to the first of them.
#include <stdlib.h>
#include <string.h>

#include "cpu_hnsw.h"

#define MAX_ROW (2 * CPU_HNSW_MAX_LINKS)
// Of a node's links, what overfull ones are cut to, in tenths: room for those that come next.
#define KEPT_TENTHS 8
// Nodes that a repair considers, and dead ones that it passes through, at most.
#define REPAIR_WIDTH 128
#define REPAIR_DEAD 512
// Rows computed at once while one that is too near ends the loop.
#define CHECKED 8

typedef struct target {
  const float *x;
  float scale;  // 1 / length for cosine
} target;

static target target_of(const cpu_graph *graph, const float *x) {
  if (graph->metric != CPU_COSINE) return (target){x, 1};
  double square = graph->kernels->pair(CPU_INNER_PRODUCT, 0, x, x, graph->d);
  return (target){x, square > 0 ? (float)(1 / sqrt(square)) : 0};
}

static const float *row_of(const cpu_graph *graph, uint32_t node) { return graph->rows + (size_t)node * graph->d; }

// Keys of n nodes; keys has room for whole groups of CPU_DIRECT_ROWS.
static void keys_of(cpu_walker *walker, const cpu_graph *graph, target to, const uint32_t *nodes, uint32_t n,
                    float *keys) {
  const cpu_kernels *kernels = graph->kernels;
  float squares[CPU_DIRECT_ROWS];
  walker->computed += n;
  for (uint32_t at = 0; at < n; at += CPU_DIRECT_ROWS) {
    uint32_t part = n - at < CPU_DIRECT_ROWS ? n - at : CPU_DIRECT_ROWS;
    float *out = keys + at;
    if (graph->metric == CPU_L2) {
      kernels->direct_l2(graph->rows, nodes + at, part, 0, &to.x, 1, graph->d, out);
    } else if (graph->metric == CPU_INNER_PRODUCT || graph->metric == CPU_COSINE) {
      kernels->direct_dot(graph->rows, nodes + at, part, 0, &to.x, 1, graph->d, out, squares);
      if (graph->metric == CPU_COSINE)
        for (uint32_t i = 0; i < part; i++) out[i] = squares[i] > 0 ? out[i] * to.scale / sqrtf(squares[i]) : 0;
    } else {
      float sign = cpu_is_similarity(graph->metric) ? -1 : 1;
      for (uint32_t i = 0; i < part; i++)
        out[i] = sign * (float)kernels->pair(graph->metric, graph->metric_arg, to.x, row_of(graph, nodes[at + i]),
                                             graph->d);
    }
  }
}

// The order of nodes that are as far from a node as each other.
static uint32_t ties_of(uint32_t node) { return (node * 2654435761u) >> 1; }

// A pair that has no distance comes last.
static uint64_t pack(const cpu_walker *walker, float key, uint32_t node) {
  if (!(key <= INFINITY)) key = INFINITY;
  key += 0.0f;  // no −0
  uint32_t bits;
  memcpy(&bits, &key, 4);
  bits ^= bits >> 31 ? UINT32_MAX : 0x80000000u;
  return (uint64_t)bits << 32 | (node ^ walker->ties) << 1;
}

static float key_in(uint64_t item) {
  uint32_t bits = (uint32_t)(item >> 32);
  bits ^= bits >> 31 ? 0x80000000u : UINT32_MAX;
  float key;
  memcpy(&key, &bits, 4);
  return key;
}

static uint32_t node_in(const cpu_walker *walker, uint64_t item) { return (uint32_t)item >> 1 ^ walker->ties; }

// Room for more words, by half again at least.
static bool reserve(cpu_walker *walker, uint64_t **words, uint64_t *size, uint64_t wanted) {
  if (wanted <= *size) return true;
  if (wanted < *size + *size / 2) wanted = *size + *size / 2;
  uint64_t *larger = realloc(*words, wanted * 8);
  if (!larger) {
    walker->failed = true;
    return false;
  }
  *words = larger, *size = wanted;
  return true;
}

// Starts a walk: nothing was seen.
static bool begin(cpu_walker *walker, const cpu_graph *graph, uint64_t near) {
  if (walker->failed || !reserve(walker, &walker->near, &walker->near_size, near)) return false;
  if (walker->seen_size < graph->count) {
    uint64_t size = graph->count + graph->count / 8;
    free(walker->seen);
    walker->seen = calloc(size, 1);
    walker->seen_size = walker->seen ? size : 0;
    walker->failed = !walker->seen;
    walker->mark = 0;
    if (walker->failed) return false;
  }
  if (++walker->mark == 0) {
    memset(walker->seen, 0, walker->seen_size);
    walker->mark = 1;
  }
  return true;
}

static bool is_new(cpu_walker *walker, uint32_t node) {
  bool new = walker->seen[node] != walker->mark;
  walker->seen[node] = walker->mark;
  return new;
}

// Puts an item into a sorted list of at most `most`; returns where, or `most` if it came too late.
static uint32_t insert(uint64_t *near, uint32_t *count, uint32_t most, uint64_t item) {
  if (*count == most && (most == 0 || item >= near[most - 1])) return most;
  uint32_t low = 0, n = *count;
  while (n > 0) {
    uint32_t half = n / 2;
    bool after = near[low + half] < item;
    low = after ? low + half + 1 : low;
    n = after ? n - half - 1 : half;
  }
  if (*count < most) ++*count;
  memmove(near + low + 1, near + low, (*count - 1 - low) * 8);
  near[low] = item;
  return low;
}

static void prefetch_row(const cpu_graph *graph, uint32_t node) {
  const char *row = (const char *)row_of(graph, node);
  size_t bytes = graph->d * 4 < 2048 ? graph->d * 4 : 2048;
  for (size_t at = 0; at < bytes; at += 64) __builtin_prefetch(row + at);
}

static void prefetch_links(const cpu_graph *graph, uint32_t node, uint32_t level) {
  if (graph->file) {
    // Their place is in memory that may not be near either.
    __builtin_prefetch(graph->file->offsets + (size_t)node * 8);
    return;
  }
  const char *links = (const char *)cpu_links(graph, node, level);
  for (size_t at = 0; at < cpu_links_of(graph, level) * 4; at += 64) __builtin_prefetch(links + at);
}

// Links that were not seen yet of a node whose graph is in a file: they may be anything.
static uint32_t gather_file(cpu_walker *walker, const cpu_graph *graph, uint32_t node, uint32_t level,
                            uint32_t *fresh) {
  const uint8_t *links = cpu_file_links(graph, node, level);
  uint32_t most = links ? cpu_links_of(graph, level) : 0, n = 0;
  walker->lost |= !links;
  for (uint32_t i = 0; i < most; i++) {
    uint32_t other;
    memcpy(&other, links + (size_t)i * 4, 4);
    if (other == CPU_NO_NODE) break;
    if (other >= graph->count) {
      walker->lost = true;
      break;
    }
    if (!is_new(walker, other)) continue;
    prefetch_row(graph, other);
    fresh[n++] = other;
  }
  return n;
}

// A node's links that were not seen yet.
static uint32_t gather(cpu_walker *walker, const cpu_graph *graph, uint32_t node, uint32_t level, uint32_t *fresh) {
  if (graph->file) return gather_file(walker, graph, node, level, fresh);
  const uint32_t *links = cpu_links(graph, node, level);
  uint32_t most = cpu_links_of(graph, level), n = 0;
  for (uint32_t i = 0; i < most && links[i] != CPU_NO_NODE; i++) {
    if (!is_new(walker, links[i])) continue;
    prefetch_row(graph, links[i]);
    fresh[n++] = links[i];
  }
  return n;
}

// The ef nodes of a level that are nearest, as far as a walk from those in the list finds them.
static uint32_t walk(cpu_walker *walker, const cpu_graph *graph, target to, uint32_t level, uint32_t ef,
                     uint32_t count) {
  uint32_t fresh[MAX_ROW];
  float keys[MAX_ROW + CPU_DIRECT_ROWS];
  uint64_t *near = walker->near;
  for (uint32_t at = 0; at < count;) {
    if (near[at] & 1) {
      at++;
      continue;
    }
    near[at] |= 1;
    uint32_t n = gather(walker, graph, node_in(walker, near[at]), level, fresh);
    uint32_t next = at + 1;
    while (next < count && near[next] & 1) next++;
    if (next < count) prefetch_links(graph, node_in(walker, near[next]), level);
    keys_of(walker, graph, to, fresh, n, keys);
    for (uint32_t i = 0; i < n; i++) {
      uint32_t place = insert(near, &count, ef, pack(walker, keys[i], fresh[i]));
      if (place < next && place < ef) next = place;
    }
    at = next;
  }
  return count;
}

static uint64_t start(cpu_walker *walker, const cpu_graph *graph, target to, uint32_t node) {
  float key[CPU_DIRECT_ROWS];
  keys_of(walker, graph, to, &node, 1, key);
  return pack(walker, key[0], node);
}

// The nearest node that greedy walks from the entry find above a level, as an item.
static uint64_t descend(cpu_walker *walker, const cpu_graph *graph, target to, uint32_t level) {
  uint64_t nearest = start(walker, graph, to, graph->entry);
  for (uint32_t above = graph->file ? graph->file->top : graph->levels[graph->entry]; above > level; above--) {
    if (!begin(walker, graph, 1)) return nearest;
    walker->near[0] = nearest;
    is_new(walker, node_in(walker, nearest));
    walk(walker, graph, to, above, 1, 1);
    nearest = walker->near[0] & ~1ull;
  }
  return nearest;
}

static void sift_down(uint64_t *heap, uint64_t count, uint64_t item) {
  uint64_t at = 0;
  for (uint64_t child; (child = 2 * at + 1) < count; at = child) {
    if (child + 1 < count && heap[child + 1] < heap[child]) child++;
    if (heap[child] >= item) break;
    heap[at] = heap[child];
  }
  heap[at] = item;
}

static void sift_up(uint64_t *heap, uint64_t at, uint64_t item) {
  for (; at > 0 && heap[(at - 1) / 2] > item; at = (at - 1) / 2) heap[at] = heap[(at - 1) / 2];
  heap[at] = item;
}

// The same on the ground where only some may be found: the walk goes through all, and ends when ef of the
// allowed are nearer than whatever is left.
static uint32_t walk_filtered(cpu_walker *walker, const cpu_graph *graph, target to, uint32_t ef,
                              const uint64_t *allowed, uint64_t first) {
  uint32_t fresh[MAX_ROW], found = 0;
  float keys[MAX_ROW + CPU_DIRECT_ROWS];
  uint64_t waiting = 1;
  if (!reserve(walker, &walker->queue, &walker->queue_size, MAX_ROW)) return 0;
  walker->queue[0] = first;
  if (cpu_has_bit(allowed, node_in(walker, first))) insert(walker->near, &found, ef, first);
  while (waiting > 0) {
    uint64_t nearest = walker->queue[0];
    if (found == ef && nearest > walker->near[ef - 1]) break;
    if (--waiting > 0) sift_down(walker->queue, waiting, walker->queue[waiting]);
    uint32_t n = gather(walker, graph, node_in(walker, nearest), 0, fresh);
    if (!reserve(walker, &walker->queue, &walker->queue_size, waiting + n)) return 0;
    keys_of(walker, graph, to, fresh, n, keys);
    for (uint32_t i = 0; i < n; i++) {
      uint64_t item = pack(walker, keys[i], fresh[i]);
      if (found == ef && item > walker->near[ef - 1]) continue;
      sift_up(walker->queue, waiting++, item);
      if (cpu_has_bit(allowed, fresh[i])) insert(walker->near, &found, ef, item);
    }
  }
  return found;
}

uint32_t cpu_hnsw_search(cpu_walker *walker, const cpu_graph *graph, const float *query, uint32_t ef, uint32_t k,
                         const uint64_t *allowed, float *distances, int64_t *labels) {
  bool similar = cpu_is_similarity(graph->metric);
  uint32_t count = 0, found = 0, computed = 0;
  walker->ties = 0;
  if (graph->entry != CPU_NO_NODE) {
    target to = target_of(graph, query);
    uint64_t first = descend(walker, graph, to, 0);
    if (begin(walker, graph, ef)) {
      is_new(walker, node_in(walker, first));
      walker->near[0] = first;
      count = allowed ? walk_filtered(walker, graph, to, ef, allowed, first) : walk(walker, graph, to, 0, ef, 1);
    }
  }
  // Winners are computed again in double, as those of a flat search are.
  for (uint32_t i = 0; i < count && i < k; i++) {
    uint32_t node = node_in(walker, walker->near[i]);
    float distance = (float)graph->kernels->pair(graph->metric, graph->metric_arg, query, row_of(graph, node), graph->d);
    computed++;
    if (!(fabsf(distance) < INFINITY)) continue;
    uint32_t at = found++;
    for (; at > 0; at--) {
      float before = distances[at - 1];
      bool stays = similar ? before > distance : before < distance;
      if (stays || (before == distance && labels[at - 1] < node)) break;
      distances[at] = before, labels[at] = labels[at - 1];
    }
    distances[at] = distance, labels[at] = node;
  }
  for (uint32_t i = found; i < k; i++) distances[i] = similar ? -3.4028234663852886e38f : 3.4028234663852886e38f, labels[i] = -1;
  return computed;
}

// Whether a candidate is nearer to one of those kept than to the node that chooses.
static bool is_covered(cpu_walker *walker, const cpu_graph *graph, uint64_t item, const uint32_t *kept, uint32_t count) {
  float keys[CPU_DIRECT_ROWS];
  target to = target_of(graph, row_of(graph, node_in(walker, item)));
  float key = key_in(item);
  for (uint32_t at = 0; at < count; at += CHECKED) {
    uint32_t n = count - at < CHECKED ? count - at : CHECKED;
    keys_of(walker, graph, to, kept + at, n, keys);
    for (uint32_t i = 0; i < n; i++)
      if (keys[i] < key) return true;
  }
  return false;
}

// Adds to `kept` those of sorted candidates that no kept one covers.
static uint32_t choose(cpu_walker *walker, const cpu_graph *graph, const uint64_t *near, uint32_t count, uint32_t *kept,
                       uint32_t n, uint32_t most) {
  for (uint32_t i = 0; i < count && n < most; i++) {
    if (i + 1 < count) prefetch_row(graph, node_in(walker, near[i + 1]));
    if (!is_covered(walker, graph, near[i], kept, n)) kept[n++] = node_in(walker, near[i]);
  }
  return n;
}

// Adds the nearest candidates, covered or not, up to a number of links.
static uint32_t fill(const cpu_walker *walker, uint32_t count, uint32_t *kept, uint32_t n, uint32_t wanted) {
  for (uint32_t i = 0; i < count && n < wanted; i++) {
    uint32_t node = node_in(walker, walker->near[i]);
    bool known = false;
    for (uint32_t j = 0; j < n; j++) known |= kept[j] == node;
    if (!known) kept[n++] = node;
  }
  return n;
}

static void pad(uint32_t *links, uint32_t from, uint32_t to) {
  for (uint32_t i = from; i < to; i++) links[i] = CPU_NO_NODE;
}

void cpu_hnsw_plan(cpu_walker *walker, const cpu_graph *graph, const uint32_t *mates, uint32_t count, uint32_t at,
                   uint32_t ef, uint32_t *links) {
  float keys[CPU_HNSW_BATCH + CPU_DIRECT_ROWS];
  uint32_t node = mates[at];
  walker->ties = ties_of(node);
  target to = target_of(graph, row_of(graph, node));
  keys_of(walker, graph, to, mates, count, keys);
  bool empty = graph->entry == CPU_NO_NODE;
  uint32_t top = empty ? 0 : graph->levels[graph->entry];
  uint64_t nearest = empty ? 0 : descend(walker, graph, to, graph->levels[node]);
  for (int level = graph->levels[node]; level >= 0; level--) {
    uint32_t found = 0;
    if (!begin(walker, graph, ef)) return;
    if (!empty && (uint32_t)level <= top) {
      walker->near[0] = nearest;
      is_new(walker, node_in(walker, nearest));
      found = walk(walker, graph, to, (uint32_t)level, ef, 1);
      for (uint32_t i = 0; i < found; i++) walker->near[i] &= ~1ull;
      nearest = walker->near[0];
    }
    for (uint32_t i = 0; i < count; i++)
      if (i != at && graph->levels[mates[i]] >= level) insert(walker->near, &found, ef, pack(walker, keys[i], mates[i]));
    uint32_t *row = links + (size_t)level * graph->m;
    uint32_t n = choose(walker, graph, walker->near, found, row, 0, graph->m);
    // Where rows lie on a surface of few dimensions few links are left, and searches would keep more for the
    // same recall: by a fifth at 0.97, by a third at 0.99.
    if (level == 0) n = fill(walker, found, row, n, graph->m / 2);
    pad(row, n, graph->m);
  }
}

void cpu_hnsw_join(cpu_walker *walker, const cpu_graph *graph, uint32_t node, uint32_t level, const uint32_t *others,
                   uint32_t count) {
  uint32_t all[MAX_ROW + CPU_HNSW_BATCH], n = 0, most = cpu_links_of(graph, level);
  float keys[MAX_ROW + CPU_HNSW_BATCH + CPU_DIRECT_ROWS];
  uint32_t *links = cpu_links(graph, node, level);
  for (; n < most && links[n] != CPU_NO_NODE; n++) all[n] = links[n];
  uint32_t before = n;
  for (uint32_t i = 0; i < count; i++) {
    bool known = false;
    for (uint32_t j = 0; j < before; j++) known |= all[j] == others[i];
    if (!known) all[n++] = others[i];
  }
  if (n <= most) {
    memcpy(links + before, all + before, (n - before) * 4);
    return;
  }
  if (!reserve(walker, &walker->near, &walker->near_size, n)) return;
  walker->ties = ties_of(node);
  for (uint32_t i = 0; i < n; i++) prefetch_row(graph, all[i]);
  keys_of(walker, graph, target_of(graph, row_of(graph, node)), all, n, keys);
  uint32_t sorted = 0, kept = most * KEPT_TENTHS / 10 ? most * KEPT_TENTHS / 10 : 1;
  for (uint32_t i = 0; i < n; i++) insert(walker->near, &sorted, n, pack(walker, keys[i], all[i]));
  pad(links, choose(walker, graph, walker->near, sorted, links, 0, kept), most);
}

void cpu_hnsw_repair(cpu_walker *walker, const cpu_graph *graph, uint32_t node, const uint64_t *dead) {
  uint32_t fresh[MAX_ROW], lost[REPAIR_DEAD];
  float keys[MAX_ROW + CPU_DIRECT_ROWS];
  target to = target_of(graph, row_of(graph, node));
  walker->ties = ties_of(node);
  for (uint32_t level = 0; level <= graph->levels[node]; level++) {
    uint32_t *links = cpu_links(graph, node, level), most = cpu_links_of(graph, level);
    uint32_t before = 0, kept = 0, waiting = 0, found = 0;
    while (before < most && links[before] != CPU_NO_NODE && !cpu_has_bit(dead, links[before])) before++;
    if (before == most || links[before] == CPU_NO_NODE) continue;
    if (!begin(walker, graph, REPAIR_WIDTH)) return;
    is_new(walker, node);
    for (before = 0; before < most && links[before] != CPU_NO_NODE; before++) {
      uint32_t other = links[before];
      if (!is_new(walker, other)) continue;
      if (!cpu_has_bit(dead, other)) links[kept++] = other;
      else if (waiting < REPAIR_DEAD) lost[waiting++] = other;
    }
    // Where the dead led only to the dead, further on.
    for (uint32_t at = 0; at < waiting; at++) {
      uint32_t n = 0;
      uint32_t *theirs = cpu_links(graph, lost[at], level);
      for (uint32_t i = 0; i < most && theirs[i] != CPU_NO_NODE; i++) {
        if (!is_new(walker, theirs[i])) continue;
        if (!cpu_has_bit(dead, theirs[i])) fresh[n++] = theirs[i];
        else if (waiting < REPAIR_DEAD && found == 0) lost[waiting++] = theirs[i];
      }
      for (uint32_t i = 0; i < n; i++) prefetch_row(graph, fresh[i]);
      keys_of(walker, graph, to, fresh, n, keys);
      for (uint32_t i = 0; i < n; i++) insert(walker->near, &found, REPAIR_WIDTH, pack(walker, keys[i], fresh[i]));
    }
    // As many links as before, or the graph thins out; first those that no other covers.
    uint32_t wanted = before < graph->m ? graph->m : before;
    kept = choose(walker, graph, walker->near, found, links, kept, wanted);
    pad(links, fill(walker, found, links, kept, wanted), most);
  }
}

void cpu_walker_free(cpu_walker *walker) {
  free(walker->seen);
  free(walker->near);
  free(walker->queue);
  *walker = (cpu_walker){0};
}
