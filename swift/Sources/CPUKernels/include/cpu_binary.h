// Codes of bits, compared by how many of them differ: scans of rows by one query, and of blocks of rows by many.
#ifndef CPU_BINARY_H
#define CPU_BINARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CPU_BINARY_ROWS 16      // rows of a block
#define CPU_BINARY_DIRECT 64    // rows that a direct kernel takes at most
#define CPU_BINARY_QUERIES 128  // queries that meet a block at once
#define CPU_BINARY_WORD 8       // queries are padded with zeros to whole vectors of so many words

// A pair that passed its limit in a block.
typedef struct cpu_binary_pair {
  uint32_t query, row, distance;
} cpu_binary_pair;

typedef struct cpu_binary_kernels {
  // Distances of up to CPU_BINARY_DIRECT rows of `bytes` bytes (those of positions, or consecutive) from a query.
  // Returns which are below the limit.
  uint64_t (*direct)(const uint8_t *rows, uint32_t bytes, const uint32_t *positions, uint32_t n, const uint64_t *query,
                     uint64_t limit, uint32_t *distances);
  // A block, word w of row i at block[w * CPU_BINARY_ROWS + i], against up to CPU_BINARY_QUERIES queries, `stride`
  // words apart. Writes the pairs below the query's limit; returns how many.
  uint32_t (*block)(const uint64_t *block, uint32_t words, const uint64_t *queries, uint32_t stride, uint32_t nq,
                    const uint64_t *limits, cpu_binary_pair *pairs);
} cpu_binary_kernels;

struct cpu_kernels;

const cpu_binary_kernels *cpu_binary_table(const struct cpu_kernels *kernels);

typedef struct cpu_binary_hit {
  int64_t id;
  uint32_t distance;
} cpu_binary_hit;

// What a query has found: at least the k least by distance, then id; or, where k is 0, all that are below the limit.
// Distances are small whole numbers: counting them tells how far the k-th is, and hits are only appended.
typedef struct cpu_binary_collector {
  uint64_t k, count, capacity;
  cpu_binary_hit *hits;
  uint32_t *counts;  // of each distance, 0 … bound; there are `distances` of them
  uint32_t distances;
  uint32_t bound;   // the k nearest are at most so far
  uint64_t within;  // hits that are
  int64_t last;     // of those as far as the bound, none after this id is among the k
  bool ordered;     // ids come in ascending order: of equal distances the first stay
  bool failed;      // memory was refused
} cpu_binary_collector;

// One scan's queries, each of `stride` words, and what they found.
typedef struct cpu_binary_scan {
  const cpu_binary_kernels *kernels;
  uint32_t bytes, words, stride;
  const uint64_t *queries;
  uint64_t *limits;  // a distance below it counts
  uint32_t *shared;  // the same, for all scans of parts of the rows; may be read late
  cpu_binary_collector *collectors;
} cpu_binary_scan;

// Rows: all of n, or those at positions. Their ids are ids[position], or first + position.
typedef struct cpu_binary_rows {
  const uint8_t *codes;
  const int64_t *ids;
  int64_t first;
  const uint32_t *positions;
  uint64_t n;
} cpu_binary_rows;

// Words that a code takes, and words from one query to the next.
static inline uint32_t cpu_binary_words(uint64_t bytes) { return (uint32_t)((bytes + 7) / 8); }
static inline uint32_t cpu_binary_stride(uint64_t bytes) { return (cpu_binary_words(bytes) + 7) / 8 * 8; }
// Lays out n codes as queries.
void cpu_binary_queries(const uint8_t *codes, uint32_t bytes, uint64_t n, uint64_t *queries);
// Hits that a collector of k needs room for.
static inline uint64_t cpu_binary_capacity(uint64_t k) { return k == 0 ? 0 : 2 * k + 32; }
// One query against rows where they lie.
void cpu_binary_direct(const cpu_binary_scan *scan, uint32_t query, const cpu_binary_rows *rows);
// Queries index[0 … nq), or first … first + nq where index is NULL, against rows, block by block.
// room: cpu_binary_room words.
void cpu_binary_blocks(const cpu_binary_scan *scan, const uint32_t *index, uint32_t first, uint32_t nq,
                       const cpu_binary_rows *rows, uint64_t *room);
static inline size_t cpu_binary_room(uint32_t stride) {
  return (size_t)stride * (CPU_BINARY_ROWS + CPU_BINARY_QUERIES);
}
// Takes over what another collector found.
void cpu_binary_merge(const cpu_binary_scan *scan, uint32_t query, const cpu_binary_collector *other);
// The k results of a query, best first; where there are fewer, -1 and the largest integer.
void cpu_binary_finish(cpu_binary_collector *collector, uint64_t k, int32_t *distances, int64_t *labels);
// Sorts what a range search found by id.
void cpu_binary_sort(cpu_binary_collector *collector);

// Bits as numbers: 1 of those that are set, -1 of others, each plus that of `centroid` unless it is NULL.
void cpu_binary_decode(uint32_t d, const uint8_t *codes, uint64_t n, const float *centroid, float *x);
// Sets the bits of numbers above 0.
void cpu_binary_encode(uint32_t d, const float *x, uint64_t n, uint8_t *codes);

#endif
