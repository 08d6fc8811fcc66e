// Hierarchical navigable small worlds: the graph, and the walks that search and change it.
//
// Changes go in batches, so that the graph does not depend on how many threads there are: every node of a
// batch is planned against the graph as it was before the batch and against its mates, then each node
// that got links from the batch joins them to its own. Neither step writes what another thread reads.
#ifndef CPU_HNSW_H
#define CPU_HNSW_H

#include <string.h>

#include "cpu_codec.h"
#include "cpu_kernels.h"

#define CPU_NO_NODE UINT32_MAX    // pads a node's links
#define CPU_HNSW_MAX_LINKS 1024   // m at most
#define CPU_HNSW_BATCH 256        // nodes of a batch

// A graph where it lies in a file: arrays at any byte, of which nothing was checked but that they are there.
typedef struct cpu_graph_file {
  const uint8_t *levels;   // i32 a node: levels that it has
  const uint8_t *offsets;  // u64 a node: where its links start
  const uint8_t *links;    // i32: 2m of the ground, then m a level
  uint64_t words;          // links
  uint32_t top;            // level of the entry
} cpu_graph_file;

typedef struct cpu_graph {
  const cpu_kernels *kernels;
  const float *rows;        // or NULL: rows are what codes stand for
  const uint8_t *codes;
  const cpu_codec *codec;   // of codes, which are compared by L2 or products
  uint32_t d;
  uint32_t metric;
  float metric_arg;
  uint32_t m;               // links of a node on each upper level
  uint32_t width;           // and on the ground
  uint32_t count;           // nodes
  uint32_t entry;           // where searches start, or CPU_NO_NODE
  uint32_t *ground;         // count × width
  uint32_t *upper;          // blocks of m, one a node and level
  const uint32_t *blocks;   // a node's first block
  const uint8_t *levels;    // a node's level
  const cpu_graph_file *file;  // instead of these four, for searches only; or NULL
} cpu_graph;

// Memory of a walk; one a thread, any number of walks.
typedef struct cpu_walker {
  uint8_t *seen;  // mark of the last walk that came by, a node
  uint64_t seen_size;
  uint8_t mark;
  uint32_t ties;  // order of nodes with the same key
  bool failed;  // memory was refused: what the walk found counts for nothing
  bool lost;    // a file's links lead out of the graph: likewise
  uint64_t *near, near_size;  // sorted: order of key, then node and whether it was expanded
  uint64_t *queue, queue_size;
  uint32_t collects, collected;  // nearest nodes that a walk meets, kept or not: so many come to the queue; 0: none
  float *numbers;  // rows that codes stand for, and tables of distances
  uint64_t numbers_size;
  uint64_t computed;  // pairs
} cpu_walker;

void cpu_walker_free(cpu_walker *walker);

typedef struct cpu_walk {
  uint32_t ef, k;           // nodes that are kept, k at least; and of them, results
  uint32_t steps;           // nodes that a walk on the ground leaves at most; 0: any number
  uint32_t start_count;
  const uint32_t *starts;   // where it begins, each once; NULL: where greedy walks from the entry end
  const uint64_t *allowed;  // a bit a node: whether it may be found; NULL: all may
} cpu_walk;

// Nearest k nodes, as a flat search returns them. Returns pairs computed again in double.
uint32_t cpu_hnsw_search(cpu_walker *walker, const cpu_graph *graph, const float *query, const cpu_walk *how,
                         float *distances, int64_t *labels);

// Links for mates[at], a node that is not in the graph yet, from its level down: (level + 1) rows of m, the
// ground's first. Mates are the nodes of its batch.
void cpu_hnsw_plan(cpu_walker *walker, const cpu_graph *graph, const uint32_t *mates, uint32_t count, uint32_t at,
                   uint32_t ef, uint32_t *links);
// Adds links from a node to others that are not all new to it, in ascending order.
void cpu_hnsw_join(cpu_walker *walker, const cpu_graph *graph, uint32_t node, uint32_t level, const uint32_t *others,
                   uint32_t count);
// Replaces a node's links to the dead by links to whom these led. Reads the links of dead nodes only.
void cpu_hnsw_repair(cpu_walker *walker, const cpu_graph *graph, uint32_t node, const uint64_t *dead);

static inline bool cpu_has_bit(const uint64_t *bits, uint64_t at) { return bits[at / 64] >> (at % 64) & 1; }
static inline uint32_t cpu_links_of(const cpu_graph *graph, uint32_t level) {
  return level == 0 ? graph->width : graph->m;
}
static inline uint32_t *cpu_links(const cpu_graph *graph, uint32_t node, uint32_t level) {
  if (level == 0) return graph->ground + (size_t)node * graph->width;
  return graph->upper + (size_t)(graph->blocks[node] + level - 1) * graph->m;
}

// Where a node's links start in a graph's file, or NULL where it cannot have any.
static inline const uint8_t *cpu_file_links(const cpu_graph *graph, uint32_t node, uint32_t level) {
  const cpu_graph_file *file = graph->file;
  uint64_t at;
  uint32_t levels;
  memcpy(&at, file->offsets + (size_t)node * 8, 8);
  if (at > file->words) return NULL;
  if (level > 0) {
    memcpy(&levels, file->levels + (size_t)node * 4, 4);
    if (levels <= level) return NULL;
    at += (uint64_t)(level + 1) * graph->m;
  }
  return at + cpu_links_of(graph, level) > file->words ? NULL : file->links + at * 4;
}

#endif
