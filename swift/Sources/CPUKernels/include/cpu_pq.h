// Product quantizers: tables of distances, codes, and scans of codes by them.
//
// A scan adds up one entry of a table a sub-vector. Before that, where the machine has bytes to look up, entries
// rounded down to bytes tell which codes cannot reach the bound: 64 codes at a time, in registers.
#ifndef CPU_PQ_H
#define CPU_PQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CPU_PQ_BLOCK 64     // codes a block of columns holds
#define CPU_PQ_GROUP 4      // blocks that a filter takes at once
#define CPU_PQ_ROWS 4       // rows whose tables are made at once
#define CPU_PQ_MAX_BITS 16  // of an index
#define CPU_PQ_MAX_BYTES 256  // sub-vectors whose bytes fit a filter's sums

// A trained quantizer. Numbers of centroids are padded to `stride`, a multiple of 16, with the last one.
typedef struct cpu_pq {
  uint32_t d, m, nbits, dsub, ksub, stride;
  uint64_t code_size;
  const float *centroids;  // m × ksub × dsub
  const float *columns;    // m × dsub × stride: the same, by coordinate
  float longest;           // no sum of one centroid a sub-vector is longer
} cpu_pq;

typedef struct cpu_pq_kernels {
  // out[m * stride + j]: what centroid j adds to the key: squared L2, or minus the product. For up to CPU_PQ_ROWS
  // rows, whose tables follow one another.
  void (*tables)(const cpu_pq *pq, bool inner, uint32_t rows, const float *x, float *out);
  // The nearest centroid of part m by squared L2; ties take the lower.
  uint32_t (*nearest)(const cpu_pq *pq, uint32_t m, const float *part);
  // Sums of one block's entries.
  void (*sums)(const cpu_pq *pq, const float *tables, const void *block, float *sums);
  // Columns of up to CPU_PQ_BLOCK codes of a byte an index; past n they are zero.
  void (*transpose)(const uint8_t *const *codes, uint32_t n, uint32_t m, uint8_t *block);
  // The least entry of each sub-vector; their sum, and that of the largest sizes.
  void (*extremes)(const cpu_pq *pq, const float *tables, float *least, double *lowest, double *size);
  // Entries as bytes, m × 256: whole steps above the least of each, `inverse` a unit, at most 255.
  void (*round)(const cpu_pq *pq, const float *tables, const float *least, float inverse, uint8_t *bytes);
  // Bit i of masks[b]: the bytes of code i of block b add up to at most `limit`. bytes: m × 256.
  // NULL where there is none faster than sums.
  void (*filter)(const uint8_t *blocks, uint32_t count, uint32_t m, const uint8_t *bytes, uint32_t limit,
                 uint64_t *masks);
} cpu_pq_kernels;

struct cpu_kernels;
struct cpu_scan;

// The kernels of a table; their filter needs more than its instruction set and is added here.
cpu_pq_kernels cpu_pq_kernels_of(const struct cpu_kernels *kernels);

// Floats that columns take.
uint64_t cpu_pq_columns(uint32_t m, uint32_t nbits, uint32_t dsub);
// Fills pq->columns, which are at `columns`, and pq->longest from centroids.
void cpu_pq_prepare(cpu_pq *pq, float *columns);

// Codes of n rows.
void cpu_pq_encode(const struct cpu_kernels *kernels, const cpu_pq *pq, const float *x, uint64_t n, uint8_t *codes);
// What n codes stand for, each plus `centroid` (d floats) unless that is NULL.
void cpu_pq_decode(const cpu_pq *pq, const uint8_t *codes, uint64_t n, const float *centroid, float *x);

// Sums of the entries of n codes, those of nodes, of one table of a distance a centroid.
void cpu_pq_sums(const cpu_pq *pq, const float *tables, const uint8_t *codes, const uint32_t *nodes, uint32_t n,
                 float *sums);

// Codes by column: what a scan reads.
typedef struct cpu_pq_chunk {
  uint32_t n;
  const uint32_t *positions;  // offsets from first, or NULL: consecutive
  uint64_t first;             // location of offset 0
  const float *centroid;      // codes stand for vectors less this one; NULL: for vectors
  void *blocks;
} cpu_pq_chunk;

// Bytes of blocks for n codes.
size_t cpu_pq_chunk_bytes(const cpu_pq *pq, uint64_t n);
// base: the code of offset 0.
void cpu_pq_pack(const struct cpu_kernels *kernels, const cpu_pq *pq, const uint8_t *base, cpu_pq_chunk *chunk);
// Floats of scratch for a scan.
size_t cpu_pq_scratch(const cpu_pq *pq);
// Queries, index[i] or first + i of the search, against a chunk, into the search's collectors. For L2 and products.
void cpu_pq_scan(const struct cpu_scan *scan, const cpu_pq *pq, const uint32_t *index, uint32_t first, uint32_t nq,
                 const cpu_pq_chunk *chunk, float *scratch);
// A query against a chunk by tables that are there, m × stride, in scratch as cpu_pq_scan has it: a code's key is base,
// its entries and, unless terms is NULL, its term, give or take `lost`.
void cpu_table_scan(const struct cpu_scan *scan, const cpu_pq *pq, uint64_t number, const cpu_pq_chunk *chunk,
                    float *tables, const float *terms, double base, double lost);

#endif
