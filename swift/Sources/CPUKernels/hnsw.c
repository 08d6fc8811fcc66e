// The hierarchy: searches, and what adds nodes and takes them out.
#include "graph.h"

// Of a node's links, what overfull ones are cut to, in tenths: room for those that come next.
#define KEPT_TENTHS 8
// Nodes that a repair considers, and dead ones that it passes through, at most.
#define REPAIR_WIDTH 128
#define REPAIR_DEAD 512

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
static uint32_t walk_filtered(cpu_walker *walker, const cpu_graph *graph, target to, const cpu_walk *how,
                              uint32_t count) {
  uint32_t fresh[MAX_ROW], found = 0, ef = how->ef, steps = how->steps;
  float keys[MAX_ROW + CPU_DIRECT_ROWS];
  const uint64_t *allowed = how->allowed;
  uint64_t waiting = count;
  if (!graph_reserve(walker, &walker->queue, &walker->queue_size, count + MAX_ROW)) return 0;
  memcpy(walker->queue, walker->near, count * 8);  // a sorted list is a heap
  for (uint32_t i = 0; i < count; i++)
    if (cpu_has_bit(allowed, node_in(walker, walker->queue[i]))) walker->near[found++] = walker->queue[i];
  while (waiting > 0) {
    uint64_t nearest = walker->queue[0];
    if (found == ef && nearest > walker->near[ef - 1]) break;
    if (how->steps > 0 && steps-- == 0) break;
    if (--waiting > 0) sift_down(walker->queue, waiting, walker->queue[waiting]);
    uint32_t n = graph_gather(walker, graph, node_in(walker, nearest), 0, fresh);
    if (!graph_reserve(walker, &walker->queue, &walker->queue_size, waiting + n)) return 0;
    graph_keys(walker, graph, to, fresh, n, keys);
    for (uint32_t i = 0; i < n; i++) {
      uint64_t item = pack(walker, keys[i], fresh[i]);
      if (found == ef && item > walker->near[ef - 1]) continue;
      sift_up(walker->queue, waiting++, item);
      if (cpu_has_bit(allowed, fresh[i])) insert(walker->near, &found, ef, item);
    }
  }
  return found;
}
// The nodes that a walk on the ground begins with, sorted.
static uint32_t begin_at(cpu_walker *walker, const cpu_graph *graph, target to, const cpu_walk *how) {
  if (how->starts) return graph_begin_at(walker, graph, to, how->starts, how->start_count, how->ef);
  uint64_t first = graph_descend(walker, graph, to, 0);
  if (!graph_begin(walker, graph, how->ef)) return 0;
  is_new(walker, node_in(walker, first));
  walker->near[0] = first;
  return 1;
}

uint32_t cpu_hnsw_search(cpu_walker *walker, const cpu_graph *graph, const float *query, const cpu_walk *how,
                         float *distances, int64_t *labels) {
  bool similar = cpu_is_similarity(graph->metric);
  uint32_t count = 0, found = 0, computed = 0, k = how->k;
  walker->ties = 0;
  if (graph->entry != CPU_NO_NODE && graph_make_room(walker, graph)) {
    target to = graph_walk_target(walker, graph, query);
    count = begin_at(walker, graph, to, how);
    if (count > 0)
      count = how->allowed ? walk_filtered(walker, graph, to, how, count)
                           : graph_walk(walker, graph, to, 0, how->ef, count, how->steps ? how->steps : UINT32_MAX);
  }
  // Winners are computed again in double, as those of a flat search are.
  for (uint32_t i = 0; i < count && i < k; i++) {
    uint32_t node = node_in(walker, walker->near[i]);
    float distance = (float)graph->kernels->pair(graph->metric, graph->metric_arg, query,
                                                graph_row(walker, graph, node, 2), graph->d);
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
void cpu_hnsw_plan(cpu_walker *walker, const cpu_graph *graph, const uint32_t *mates, uint32_t count, uint32_t at,
                   uint32_t ef, uint32_t *links) {
  float keys[CPU_HNSW_BATCH + CPU_DIRECT_ROWS];
  uint32_t node = mates[at];
  if (!graph_make_room(walker, graph)) return;
  walker->ties = ties_of(node);
  target to = graph_walk_target(walker, graph, graph_row(walker, graph, node, 0));
  graph_keys(walker, graph, to, mates, count, keys);
  bool empty = graph->entry == CPU_NO_NODE;
  uint32_t top = empty ? 0 : graph->levels[graph->entry];
  uint64_t nearest = empty ? 0 : graph_descend(walker, graph, to, graph->levels[node]);
  for (int level = graph->levels[node]; level >= 0; level--) {
    uint32_t found = 0;
    if (!graph_begin(walker, graph, ef)) return;
    if (!empty && (uint32_t)level <= top) {
      walker->near[0] = nearest;
      is_new(walker, node_in(walker, nearest));
      found = graph_walk(walker, graph, to, (uint32_t)level, ef, 1, UINT32_MAX);
      for (uint32_t i = 0; i < found; i++) walker->near[i] &= ~1ull;
      nearest = walker->near[0];
    }
    for (uint32_t i = 0; i < count; i++)
      if (i != at && graph->levels[mates[i]] >= level) insert(walker->near, &found, ef, pack(walker, keys[i], mates[i]));
    uint32_t *row = links + (size_t)level * graph->m;
    uint32_t n = graph_choose(walker, graph, walker->near, found, row, 0, graph->m);
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
  if (!graph_make_room(walker, graph) || !graph_reserve(walker, &walker->near, &walker->near_size, n)) return;
  walker->ties = ties_of(node);
  for (uint32_t i = 0; i < n; i++) prefetch_row(graph, all[i]);
  graph_keys(walker, graph, graph_target(graph, graph_row(walker, graph, node, 0)), all, n, keys);
  uint32_t sorted = 0, kept = most * KEPT_TENTHS / 10 ? most * KEPT_TENTHS / 10 : 1;
  for (uint32_t i = 0; i < n; i++) insert(walker->near, &sorted, n, pack(walker, keys[i], all[i]));
  pad(links, graph_choose(walker, graph, walker->near, sorted, links, 0, kept), most);
}

void cpu_hnsw_repair(cpu_walker *walker, const cpu_graph *graph, uint32_t node, const uint64_t *dead) {
  uint32_t fresh[MAX_ROW], lost[REPAIR_DEAD];
  float keys[MAX_ROW + CPU_DIRECT_ROWS];
  if (!graph_make_room(walker, graph)) return;
  target to = graph_target(graph, graph_row(walker, graph, node, 0));
  walker->ties = ties_of(node);
  for (uint32_t level = 0; level <= graph->levels[node]; level++) {
    uint32_t *links = cpu_links(graph, node, level), most = cpu_links_of(graph, level);
    uint32_t before = 0, kept = 0, waiting = 0, found = 0;
    while (before < most && links[before] != CPU_NO_NODE && !cpu_has_bit(dead, links[before])) before++;
    if (before == most || links[before] == CPU_NO_NODE) continue;
    if (!graph_begin(walker, graph, REPAIR_WIDTH)) return;
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
      graph_keys(walker, graph, to, fresh, n, keys);
      for (uint32_t i = 0; i < n; i++) insert(walker->near, &found, REPAIR_WIDTH, pack(walker, keys[i], fresh[i]));
    }
    // As many links as before, or the graph thins out; first those that no other covers.
    uint32_t wanted = before < graph->m ? graph->m : before;
    kept = graph_choose(walker, graph, walker->near, found, links, kept, wanted);
    pad(links, fill(walker, found, links, kept, wanted), most);
  }
}
