// Graphs that are made at once: of nearest neighbors, by descent, and of them navigating spreading-out graphs.
//
// Neighbors of neighbors are likely to be neighbors. In each round every node tells others of some that it found
// since the last, and looks at those that the nodes it knows were told of. No node writes what another reads, so
// that the graph does not depend on how many threads there are.
#ifndef CPU_NSG_H
#define CPU_NSG_H

#include "cpu_hnsw.h"

typedef struct cpu_descent {
  uint32_t keep;    // neighbors that a node knows of, at most
  uint32_t sample;  // new ones, and old ones, that it tells of in a round
  uint32_t back;    // and nodes that know it
  uint32_t round;
  uint64_t *pools;  // count × keep, the nearest first
  uint32_t *known;  // of each pool
  uint32_t *told;   // count × 2 × (sample + back): new ones, then old ones
  uint32_t *counts; // count × 4: told of pools, new and old, and with those that know the node
} cpu_descent;

// All neighbors of a node, the nearest first, at most `keep` of them.
void cpu_descent_exact(cpu_walker *walker, const cpu_graph *graph, const cpu_descent *descent, uint32_t node);
// Some random ones.
void cpu_descent_start(cpu_walker *walker, const cpu_graph *graph, const cpu_descent *descent, uint32_t node);
// What a node tells of its pool.
void cpu_descent_tell(const cpu_descent *descent, uint32_t node);
// Tells nodes from … to - 1 who knows them.
void cpu_descent_back(const cpu_graph *graph, const cpu_descent *descent, uint32_t from, uint32_t to);
// Looks at what the nodes it knows were told. Returns how many came to its pool.
uint32_t cpu_descent_join(cpu_walker *walker, const cpu_graph *graph, const cpu_descent *descent, uint32_t node);
// A node's nearest n, padded.
void cpu_descent_links(const cpu_descent *descent, uint32_t node, uint32_t n, uint32_t *links);

// The nearest to x of nodes from … to - 1: its key in an order that integers have, then the node.
uint64_t cpu_graph_nearest(cpu_walker *walker, const cpu_graph *graph, const float *x, uint32_t from, uint32_t to);
// Links of a node: `most` of the nearest `candidates` that it knows in a graph of neighbors, or that a walk to it
// from the starts meets, but for those that others cover.
void cpu_nsg_link(cpu_walker *walker, const cpu_graph *neighbors, uint32_t node, const cpu_walk *how,
                  uint32_t candidates, uint32_t most, uint32_t *links);

#endif
