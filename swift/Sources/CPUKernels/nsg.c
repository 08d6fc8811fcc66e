// Graphs of neighbors by descent (Dong, Moses and Li, 2011), and navigating spreading-out graphs (Fu and others, 2019).
#include "cpu_nsg.h"

#include "graph.h"

static uint32_t room_of(const cpu_descent *descent) { return descent->sample + descent->back; }

// New ones that a node was told of, or old ones.
static uint32_t *told_to(const cpu_descent *descent, uint32_t node, uint32_t old) {
  return descent->told + ((size_t)node * 2 + old) * room_of(descent);
}

static uint32_t mixed(uint64_t seed) {
  seed = (seed ^ seed >> 30) * 0xbf58476d1ce4e5b9u;
  seed = (seed ^ seed >> 27) * 0x94d049bb133111ebu;
  return (uint32_t)((seed ^ seed >> 31) >> 32);
}

// Nodes that wait to be compared with the one whose pool is filled.
typedef struct group {
  uint32_t nodes[CPU_DIRECT_ROWS], count;
} group;

static uint32_t flush(cpu_walker *walker, const cpu_graph *graph, const cpu_descent *descent, uint32_t node, target to,
                      group *waiting) {
  float keys[CPU_DIRECT_ROWS];
  uint64_t *pool = descent->pools + (size_t)node * descent->keep;
  uint32_t came = 0;
  graph_keys(walker, graph, to, waiting->nodes, waiting->count, keys);
  for (uint32_t i = 0; i < waiting->count; i++)
    came += insert(pool, &descent->known[node], descent->keep, pack(walker, keys[i], waiting->nodes[i])) < descent->keep;
  waiting->count = 0;
  return came;
}

static uint32_t look_at(cpu_walker *walker, const cpu_graph *graph, const cpu_descent *descent, uint32_t node,
                        target to, uint32_t other, group *waiting) {
  prefetch_row(graph, other);
  waiting->nodes[waiting->count++] = other;
  return waiting->count == CPU_DIRECT_ROWS ? flush(walker, graph, descent, node, to, waiting) : 0;
}

// What a node's pool is filled against; false where memory lacks.
static bool prepare(cpu_walker *walker, const cpu_graph *graph, uint32_t node, target *to) {
  if (!graph_make_room(walker, graph) || !graph_begin(walker, graph, 0)) return false;
  walker->ties = ties_of(node);
  *to = graph_walk_target(walker, graph, graph_row(walker, graph, node, 0));
  is_new(walker, node);
  return true;
}

void cpu_descent_exact(cpu_walker *walker, const cpu_graph *graph, const cpu_descent *descent, uint32_t node) {
  group waiting = {.count = 0};
  target to;
  if (!prepare(walker, graph, node, &to)) return;
  for (uint32_t other = 0; other < graph->count; other++)
    if (other != node) look_at(walker, graph, descent, node, to, other, &waiting);
  flush(walker, graph, descent, node, to, &waiting);
}

void cpu_descent_start(cpu_walker *walker, const cpu_graph *graph, const cpu_descent *descent, uint32_t node) {
  group waiting = {.count = 0};
  target to;
  if (!prepare(walker, graph, node, &to)) return;
  for (uint32_t i = 0; i < descent->sample; i++) {
    uint32_t other = mixed((uint64_t)node << 32 | (i + 1)) % graph->count;
    if (is_new(walker, other)) look_at(walker, graph, descent, node, to, other, &waiting);
  }
  flush(walker, graph, descent, node, to, &waiting);
}

// The lowest bit of an item says that it was told of.
void cpu_descent_tell(const cpu_descent *descent, uint32_t node) {
  const cpu_walker ties = {.ties = ties_of(node)};
  uint64_t *pool = descent->pools + (size_t)node * descent->keep;
  uint32_t *counts = descent->counts + (size_t)node * 4, n[2] = {0, 0};
  for (uint32_t i = 0; i < descent->known[node] && n[0] < descent->sample; i++) {
    uint32_t old = pool[i] & 1;
    if (n[old] == descent->sample) continue;
    told_to(descent, node, old)[n[old]++] = node_in(&ties, pool[i]);
    pool[i] |= 1;
  }
  for (uint32_t old = 0; old < 2; old++) counts[old] = counts[2 + old] = n[old];
}

void cpu_descent_back(const cpu_graph *graph, const cpu_descent *descent, uint32_t from, uint32_t to) {
  const uint32_t back = descent->back;
  for (uint32_t node = 0; node < graph->count && back > 0; node++) {
    const uint32_t *counts = descent->counts + (size_t)node * 4;
    for (uint32_t old = 0; old < 2; old++) {
      const uint32_t *mine = told_to(descent, node, old);
      for (uint32_t i = 0; i < counts[old]; i++) {
        uint32_t other = mine[i];
        if (other < from || other >= to) continue;
        uint32_t *theirs = told_to(descent, other, old), *count = descent->counts + (size_t)other * 4 + 2 + old;
        uint32_t own = descent->counts[(size_t)other * 4 + old];
        // Of more than there is room for, any.
        if (*count < own + back) theirs[(*count)++] = node;
        else theirs[own + mixed((uint64_t)node << 32 | (other ^ descent->round << 24)) % back] = node;
      }
    }
  }
}

uint32_t cpu_descent_join(cpu_walker *walker, const cpu_graph *graph, const cpu_descent *descent, uint32_t node) {
  group waiting = {.count = 0};
  target to;
  uint32_t came = 0;
  if (!prepare(walker, graph, node, &to)) return 0;
  const uint64_t *pool = descent->pools + (size_t)node * descent->keep;
  for (uint32_t i = 0; i < descent->known[node]; i++) is_new(walker, node_in(walker, pool[i]));
  const uint32_t *counts = descent->counts + (size_t)node * 4 + 2;
  // Pairs of which one is new to whoever knows both.
  for (uint32_t old = 0; old < 2; old++) {
    const uint32_t *mine = told_to(descent, node, old);
    for (uint32_t i = 0; i < counts[old]; i++) {
      for (uint32_t theirs_old = 0; theirs_old < 2 - old; theirs_old++) {
        const uint32_t *theirs = told_to(descent, mine[i], theirs_old);
        uint32_t n = descent->counts[(size_t)mine[i] * 4 + 2 + theirs_old];
        for (uint32_t j = 0; j < n; j++)
          if (is_new(walker, theirs[j])) came += look_at(walker, graph, descent, node, to, theirs[j], &waiting);
      }
    }
  }
  return came + flush(walker, graph, descent, node, to, &waiting);
}

void cpu_descent_links(const cpu_descent *descent, uint32_t node, uint32_t n, uint32_t *links) {
  const cpu_walker ties = {.ties = ties_of(node)};
  uint32_t known = descent->known[node] < n ? descent->known[node] : n;
  for (uint32_t i = 0; i < known; i++) links[i] = node_in(&ties, descent->pools[(size_t)node * descent->keep + i]);
  pad(links, known, n);
}

uint64_t cpu_graph_nearest(cpu_walker *walker, const cpu_graph *graph, const float *x, uint32_t from, uint32_t to) {
  uint64_t nearest = UINT64_MAX;
  if (!graph_make_room(walker, graph)) return nearest;
  walker->ties = 0;
  target center = graph_walk_target(walker, graph, x);
  for (uint32_t at = from; at < to; at += CPU_DIRECT_ROWS) {
    uint32_t nodes[CPU_DIRECT_ROWS], n = to - at < CPU_DIRECT_ROWS ? to - at : CPU_DIRECT_ROWS;
    float keys[CPU_DIRECT_ROWS];
    for (uint32_t i = 0; i < n; i++) nodes[i] = at + i;
    graph_keys(walker, graph, center, nodes, n, keys);
    for (uint32_t i = 0; i < n; i++) {
      uint64_t item = pack(walker, keys[i], nodes[i]) >> 1;
      nearest = item < nearest ? item : nearest;
    }
  }
  return nearest;
}

void cpu_nsg_link(cpu_walker *walker, const cpu_graph *neighbors, uint32_t node, const cpu_walk *how,
                  uint32_t candidates, uint32_t most, uint32_t *links) {
  uint32_t fresh[MAX_ROW];
  float keys[MAX_ROW + CPU_DIRECT_ROWS];
  pad(links, 0, most);
  if (!graph_make_room(walker, neighbors)) return;
  if (!graph_reserve(walker, &walker->queue, &walker->queue_size, candidates + 1)) return;
  walker->ties = ties_of(node);
  target to = graph_walk_target(walker, neighbors, graph_row(walker, neighbors, node, 0));
  uint32_t count = graph_begin_at(walker, neighbors, to, how->starts, how->start_count, how->ef);
  if (walker->failed) return;
  // The node itself is met too; it is the first of its own candidates, or nearly.
  walker->collects = candidates + 1, walker->collected = 0;
  for (uint32_t i = 0; i < count; i++) insert(walker->queue, &walker->collected, walker->collects, walker->near[i]);
  graph_walk(walker, neighbors, to, 0, how->ef, count, UINT32_MAX);
  uint32_t n = graph_gather(walker, neighbors, node, 0, fresh);
  graph_keys(walker, neighbors, to, fresh, n, keys);
  for (uint32_t i = 0; i < n; i++)
    insert(walker->queue, &walker->collected, walker->collects, pack(walker, keys[i], fresh[i]));
  uint32_t kept = 0;
  for (uint32_t i = 0; i < walker->collected; i++)
    if (node_in(walker, walker->queue[i]) != node) walker->queue[kept++] = walker->queue[i];
  walker->collects = 0;
  graph_choose(walker, neighbors, walker->queue, kept < candidates ? kept : candidates, links, 0, most);
}
