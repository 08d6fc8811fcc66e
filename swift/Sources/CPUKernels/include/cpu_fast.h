// Codes of 4-bit parts in blocks of 32, as faiss's fast scan lays them out, and kernels that look up all codes of a
// block at once. Tables are 16 bytes a part: what a part's numbers add, rounded down to whole steps. Whoever makes the
// tables knows what they stand for: product quantizers here, other codes of such parts elsewhere.
#ifndef CPU_FAST_H
#define CPU_FAST_H

#include <stddef.h>
#include <stdint.h>

#define CPU_FAST_BLOCK 32    // codes a block holds
#define CPU_FAST_QUERIES 4   // tables a kernel takes at most
#define CPU_FAST_NARROW 64   // parts whose steps add up in bytes: of more, rounding would leave little
#define CPU_FAST_MAX_PARTS 256  // parts whose steps add up in 16 bits

// How codes lie in memory: of every block 32 bytes for two parts, then what follows the parts of each code. A code
// by itself is its parts, the first in the low half of byte 0, then the rest.
typedef struct cpu_fast_layout {
  uint32_t parts;  // 0: codes lie one after the other
  uint32_t extra;  // bytes of a code that follow its parts
} cpu_fast_layout;

// Bytes of the parts of a block, of a block, and of a code by itself.
static inline size_t cpu_fast_half(uint32_t parts) { return (parts + 1) / 2; }
static inline size_t cpu_fast_stride(const cpu_fast_layout *layout) {
  return CPU_FAST_BLOCK * (cpu_fast_half(layout->parts) + layout->extra);
}
static inline size_t cpu_fast_code_size(const cpu_fast_layout *layout) {
  return cpu_fast_half(layout->parts) + layout->extra;
}
// Bytes of blocks for n codes.
static inline size_t cpu_fast_bytes(const cpu_fast_layout *layout, uint64_t n) {
  return (n + CPU_FAST_BLOCK - 1) / CPU_FAST_BLOCK * cpu_fast_stride(layout);
}
// Where in a lane the numbers of code i of a block are: in the low half of a byte for i below 16, else in the high one.
static inline uint32_t cpu_fast_lane(uint32_t i) { return (i & 7) << 1 | (i >> 3 & 1); }
// The code of bit j of a mask: those of low halves come first.
static inline uint32_t cpu_fast_code(uint32_t bit) { return (bit & 16) | (bit & 1) << 3 | (bit >> 1 & 7); }
// The number of part `part` of code i of a block.
static inline uint32_t cpu_fast_number(const uint8_t *block, uint32_t i, uint32_t part) {
  uint32_t byte = block[(size_t)part * 16 + cpu_fast_lane(i & 15)];
  return i & 16 ? byte >> 4 : byte & 15;
}
// What follows the parts of code i of a block.
static inline const uint8_t *cpu_fast_extra(const cpu_fast_layout *layout, const uint8_t *block, uint32_t i) {
  return block + CPU_FAST_BLOCK * cpu_fast_half(layout->parts) + (size_t)i * layout->extra;
}

// Writes n codes to places from `at`; a block that one of them is first in starts as zeros.
void cpu_fast_put(const cpu_fast_layout *layout, uint8_t *blocks, uint64_t at, const uint8_t *codes, uint64_t n);
// Copies codes out of their places.
void cpu_fast_get(const cpu_fast_layout *layout, const uint8_t *blocks, uint64_t at, uint64_t n, uint8_t *codes);
// Copies one code over another.
void cpu_fast_move(const cpu_fast_layout *layout, uint8_t *blocks, uint64_t to, uint64_t from);

// Two blocks, or the last one, of which some codes may be near: bit j of `codes` is code cpu_fast_code(j & 31) of
// block + (j >> 5).
typedef struct cpu_fast_hit {
  uint64_t codes;
  uint32_t block;
} cpu_fast_hit;

// Bytes of a table: whole vectors of any machine, zeros after its parts.
static inline size_t cpu_fast_table_bytes(uint32_t parts) { return (parts + 3) / 4 * 64; }

typedef struct cpu_fast_kernels {
  // Blocks, `stride` bytes apart, by up to CPU_FAST_QUERIES tables. Those with a code whose bytes add up to at most
  // limits[q] (254 or less; sums stop at 255) go to hits[q * (count + 1) / 2 ...]; counts[q] is how many. Codes past
  // the last of a block are zeros, and may be among them.
  void (*filter)(const uint8_t *blocks, size_t stride, uint32_t count, uint32_t parts, const uint8_t *const *tables,
                 uint32_t nq, const uint8_t *limits, cpu_fast_hit *hits, uint32_t *counts);
  // sums[b * 32 + i]: what the bytes of code i of block b add up to, for one table.
  void (*sums)(const uint8_t *blocks, size_t stride, uint32_t count, uint32_t parts, const uint8_t *table,
               uint16_t *sums);
  // A table's bytes: whole steps of 1 / inverse above the least of each part, at most 255. tables: 16 floats a part.
  void (*round)(uint32_t parts, const float *tables, const float *least, float inverse, uint8_t *bytes);
} cpu_fast_kernels;

struct cpu_kernels;
struct cpu_scan;
struct cpu_pq;

const cpu_fast_kernels *cpu_fast_table(const struct cpu_kernels *kernels);

// ---- product quantizers of 4 bits
// Codes of one list that a scan looks at.
typedef struct cpu_fast_part {
  const uint8_t *blocks;
  uint64_t n;
  uint64_t first;          // location of the first
  const float *centroid;   // codes stand for vectors less this one; NULL: for vectors
  const uint64_t *chosen;  // bit i % 64 of word i / 64: whether code i takes part; NULL: all do
} cpu_fast_part;

// What the code at a place stands for, plus `centroid` unless that is NULL.
void cpu_fast_decode(const struct cpu_pq *pq, const uint8_t *blocks, uint64_t at, const float *centroid, float *x);
// Floats of scratch for a scan.
size_t cpu_fast_scratch(const struct cpu_pq *pq);
// Queries, numbers[i] of the search, up to CPU_FAST_QUERIES, against parts, into the search's collectors. For L2 and
// products.
void cpu_fast_scan(const struct cpu_scan *scan, const struct cpu_pq *pq, const uint32_t *numbers, uint32_t nq,
                   const cpu_fast_part *parts, uint32_t count, float *scratch);

#endif
