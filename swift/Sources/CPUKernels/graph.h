// Inside the kernels of graphs: what walks are made of.
//
// A candidate is one word: its key in an order that integers have, its node, and in the lowest bit whether it was
// expanded; so that a list is sorted by key. A walker's ties order nodes: to a query the lower is the nearer, but to
// each node that is linked they come in another order, or rows that are equal would all be linked to the first of them.
#ifndef GRAPH_H
#define GRAPH_H

#include <stdlib.h>
#include <string.h>

#include "cpu_hnsw.h"

#define MAX_ROW (2 * CPU_HNSW_MAX_LINKS)

// What nodes are compared with.
typedef struct target {
  const float *x;
  float scale;  // 1 / length for cosine
  const float *tables;  // of codes of product quantizers, or NULL
} target;

// Room for a walker's numbers, where rows are codes: before all below.
bool graph_make_room(cpu_walker *walker, const cpu_graph *graph);
// A node's row; what its code stands for comes to `place`, 0 to 2.
const float *graph_row(const cpu_walker *walker, const cpu_graph *graph, uint32_t node, uint32_t place);
target graph_target(const cpu_graph *graph, const float *x);
// One that a walk compares with many nodes; a walker has one of these.
target graph_walk_target(const cpu_walker *walker, const cpu_graph *graph, const float *x);
// Keys of n nodes; keys has room for whole groups of CPU_DIRECT_ROWS.
void graph_keys(cpu_walker *walker, const cpu_graph *graph, target to, const uint32_t *nodes, uint32_t n, float *keys);
// Room for more words, by half again at least.
bool graph_reserve(cpu_walker *walker, uint64_t **words, uint64_t *size, uint64_t wanted);
// Starts a walk with a list of so many: nothing was seen.
bool graph_begin(cpu_walker *walker, const cpu_graph *graph, uint64_t near);
// A node's links that were not seen yet.
uint32_t graph_gather(cpu_walker *walker, const cpu_graph *graph, uint32_t node, uint32_t level, uint32_t *fresh);
// The ef nodes of a level that are nearest, as far as a walk from those in the list finds them; it ends where it has
// left so many of them.
uint32_t graph_walk(cpu_walker *walker, const cpu_graph *graph, target to, uint32_t level, uint32_t ef, uint32_t count,
                    uint32_t steps);
// The nearest node that greedy walks from the entry find above a level, as an item.
uint64_t graph_descend(cpu_walker *walker, const cpu_graph *graph, target to, uint32_t level);
// A sorted list of these nodes, the nearest of them, that a walk begins with.
uint32_t graph_begin_at(cpu_walker *walker, const cpu_graph *graph, target to, const uint32_t *starts, uint32_t count,
                        uint32_t ef);
// Adds to `kept` those of sorted candidates that no kept one covers: is nearer to it than the node that chooses.
uint32_t graph_choose(cpu_walker *walker, const cpu_graph *graph, const uint64_t *near, uint32_t count, uint32_t *kept,
                      uint32_t n, uint32_t most);

// The order of nodes that are as far from a node as each other.
static inline uint32_t ties_of(uint32_t node) { return (node * 2654435761u) >> 1; }

// A pair that has no distance comes last.
static inline uint64_t pack(const cpu_walker *walker, float key, uint32_t node) {
  if (!(key <= INFINITY)) key = INFINITY;
  key += 0.0f;  // no −0
  uint32_t bits;
  memcpy(&bits, &key, 4);
  bits ^= bits >> 31 ? UINT32_MAX : 0x80000000u;
  return (uint64_t)bits << 32 | (node ^ walker->ties) << 1;
}

static inline float key_in(uint64_t item) {
  uint32_t bits = (uint32_t)(item >> 32);
  bits ^= bits >> 31 ? 0x80000000u : UINT32_MAX;
  float key;
  memcpy(&key, &bits, 4);
  return key;
}

static inline uint32_t node_in(const cpu_walker *walker, uint64_t item) { return (uint32_t)item >> 1 ^ walker->ties; }

static inline bool is_new(cpu_walker *walker, uint32_t node) {
  bool new = walker->seen[node] != walker->mark;
  walker->seen[node] = walker->mark;
  return new;
}

// Puts an item into a sorted list of at most `most`; returns where, or `most` if it came too late.
static inline uint32_t insert(uint64_t *near, uint32_t *count, uint32_t most, uint64_t item) {
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

static inline void prefetch_row(const cpu_graph *graph, uint32_t node) {
  size_t size = graph->rows ? graph->d * sizeof(float) : graph->codec->code_size;
  const char *row = (graph->rows ? (const char *)graph->rows : (const char *)graph->codes) + node * size;
  size_t bytes = size < 2048 ? size : 2048;
  for (size_t at = 0; at < bytes; at += 64) __builtin_prefetch(row + at);
}

static inline void pad(uint32_t *links, uint32_t from, uint32_t to) {
  for (uint32_t i = from; i < to; i++) links[i] = CPU_NO_NODE;
}

#endif
