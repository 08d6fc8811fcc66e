// Additive quantizers: a vector is about the sum of one row of each of its codebooks. Those of a product are parts of
// a vector, each with as many codebooks of its own.
#ifndef CPU_ADDITIVE_H
#define CPU_ADDITIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cpu_pq.h"

#define CPU_ADDITIVE_MAX_BITS 16  // of an index
#define CPU_ADDITIVE_MAX_BOOKS 1024
#define CPU_FIT_BLOCK 64  // rows and columns that a step of fitting takes
#define CPU_FIT_ROWS 8    // coordinates that are solved for at once

typedef enum cpu_norm {  // what codes hold beside indices, and how they are compared by L2: faiss's Search_type_t
  CPU_NORM_DECOMPRESS = 0,
  CPU_NORM_NONE = 1,  // |query|² - product
  CPU_NORM_FROM_LUT = 2,
  CPU_NORM_FLOAT = 3,  // from here on |query|² + norm - 2 product
  CPU_NORM_QINT8 = 4,
  CPU_NORM_QINT4 = 5,
  CPU_NORM_CQINT8 = 6,
  CPU_NORM_CQINT4 = 7,
  CPU_NORM_LSQ2X4 = 8,
  CPU_NORM_RQ2X4 = 9,
} cpu_norm;

// A trained quantizer. Columns are padded to multiples of 16 with their last row.
typedef struct cpu_additive {
  uint32_t d, m, splits, dsub;
  bool searches;  // codes are found by local search, not by a beam
  uint32_t norm;  // cpu_norm
  uint64_t code_size;
  const uint32_t *nbits;    // m
  const uint32_t *offsets;  // m + 1: rows of codebooks before each
  const float *codebooks;   // offsets[m] × dsub
  float norm_min, norm_max;
  const float *norms;  // what a norm of 4 or 8 bits stands for
  // How codes are found.
  uint32_t beam;
  uint32_t rounds, sweeps, changes, chunk;  // of local search: faiss's encode_ils_iters, icm_iters, nperts, chunk_size
  uint32_t seed;
  // The rest is made by cpu_additive_prepare.
  uint32_t stride;            // entries of a table, a multiple of 16
  const uint64_t *column_at;  // m + 1
  const float *columns;       // of each codebook dsub × its padded rows; of the first of a part, less `middle`
  const float *squares;       // of each padded row of columns; ∞ for those that only fill
  const float *middle;        // d: means of first codebooks; zeros for local search
  const uint64_t *cross_at;   // m
  const float *cross;         // twice the products of rows and those of earlier codebooks of the part, or NULL
  float reach;                // no sum of rows is longer
  float farthest_norm;        // largest size of norms
} cpu_additive;

struct cpu_kernels;
struct cpu_scan;

// Candidates of a beam, nearest first.
typedef struct cpu_beam {
  uint32_t count, capacity;
  float *keys;
  uint32_t *index, *parent;
} cpu_beam;

typedef struct cpu_additive_kernels {
  // out[i] = rows[0][i] + rows[1][i] + …, in that order.
  void (*sum)(const float *const *rows, uint32_t count, uint32_t n, float *out);
  // The first least of sums; n is a multiple of 16.
  uint32_t (*least)(const float *const *rows, uint32_t count, uint32_t n);
  // Puts base + values[i] where they belong in the beam; ties keep the earlier.
  void (*select)(const float *values, uint32_t n, float base, uint32_t parent, cpu_beam *beam);
  // out[r][c] -= product of CPU_FIT_BLOCK numbers of left[r] and right[c]; rows are `line` apart, columns fours.
  void (*subtract)(const double *left, uint32_t rows, const double *right, uint32_t columns, size_t line, double *out);
  // out[r] -= factors[r] * row, for CPU_FIT_ROWS rows of n numbers.
  void (*eliminate)(const double *row, uint64_t n, const double *factors, double *out, size_t line);
} cpu_additive_kernels;

const cpu_additive_kernels *cpu_additive_table(const struct cpu_kernels *kernels);

// Bits of a norm; whether L2 is compared by what codes hold instead of what they stand for.
uint32_t cpu_norm_bits(uint32_t norm);
bool cpu_norm_is_coded(uint32_t norm);

// Numbers that prepare wants: floats, and words of 64 bits.
uint64_t cpu_additive_floats(const cpu_additive *a);
uint64_t cpu_additive_words(const cpu_additive *a);
// Floats of `cross`: 0 where a beam has to go by residuals, as little is left of vectors at its end.
uint64_t cpu_additive_cross(const cpu_additive *a);
// cross: as many floats as said, or NULL.
void cpu_additive_prepare(const struct cpu_kernels *kernels, cpu_additive *a, float *floats, uint64_t *words,
                          float *cross);

// What n codes stand for, each plus `centroid` (d floats) unless that is NULL.
void cpu_additive_decode(const struct cpu_kernels *kernels, const cpu_additive *a, const uint8_t *codes, uint64_t n,
                         const float *centroid, float *x);
// Indices of n rows by beam search, n × m. False: out of memory.
bool cpu_additive_beam(const struct cpu_kernels *kernels, const cpu_additive *a, const float *x, uint64_t n,
                       uint32_t *indices);
// Codes of indices. room: d floats.
void cpu_additive_write(const struct cpu_kernels *kernels, const cpu_additive *a, const uint32_t *indices, uint64_t n,
                        float *room, uint8_t *codes);
// The number that codes of L2 are compared by: see cpu_norm. centroid: or NULL. room: d floats.
double cpu_additive_key(const struct cpu_kernels *kernels, const cpu_additive *a, const float *query,
                        const uint8_t *code, const float *centroid, float *room);

// ---- local search
// faiss's random numbers: MT19937, and integers below a limit of them.
typedef struct cpu_twister {
  uint32_t state[624];
  uint32_t at;
} cpu_twister;

void cpu_twister_start(cpu_twister *twister, uint32_t seed);
uint32_t cpu_twister_below(cpu_twister *twister, uint32_t limit);

// Floats of twice the products of all rows of one part, and their filling in for codebook m of the part.
uint64_t cpu_additive_pairs(const cpu_additive *a);
void cpu_additive_fill_pairs(const struct cpu_kernels *kernels, const cpu_additive *a, uint32_t part, uint32_t m,
                             float *pairs, void *scratch);
// Betters the indices of n rows, in one part, of m each. draws: of each round, row and change which codebook and what
// index; rows of a round are `line` apart. False: out of memory.
bool cpu_additive_search(const struct cpu_kernels *kernels, const cpu_additive *a, uint32_t part, const float *pairs,
                         const float *x, uint64_t n, uint32_t *indices, const uint32_t *draws, uint64_t line,
                         uint32_t rounds);

// ---- the codebooks that leave the least squared error to rows of given indices
// Solved with one lower triangle and, below it, a row a coordinate: (size + depth) × size doubles, where `size` is
// that of all codebooks, and depth that of a row, both rounded up to whole blocks.
typedef struct cpu_fit {
  uint64_t rows, size, depth;  // rows of codebooks
  double *matrix;
} cpu_fit;

uint64_t cpu_fit_rounded(uint64_t n);
// Counts of indices that meet, plus `lambda`, and sums of rows. m indices a row, ksub rows a codebook.
void cpu_fit_start(cpu_fit *fit, const float *x, const uint32_t *indices, uint64_t n, uint32_t d, uint32_t m,
                   uint32_t ksub, float lambda);
// One block of columns: first the square on the diagonal, then, spread over threads, blocks of rows below it, then
// those of the rest of the matrix. False: no such codebooks.
bool cpu_fit_square(cpu_fit *fit, uint64_t block);
void cpu_fit_below(cpu_fit *fit, uint64_t block, uint64_t row);
void cpu_fit_rest(const struct cpu_kernels *kernels, cpu_fit *fit, uint64_t block, uint64_t row);
// CPU_FIT_ROWS coordinates from one of them on.
void cpu_fit_solve(const struct cpu_kernels *kernels, cpu_fit *fit, uint64_t coordinate);

// ---- tables
// Codes as columns of a scan by tables: indices, then norms where they are of 4 or 8 bits and count.
cpu_pq cpu_additive_columns(const cpu_additive *a, bool inner);
// terms: norms where they are floats and count. Returns the largest size of them.
float cpu_additive_pack(const cpu_additive *a, const cpu_pq *columns, const uint8_t *base, cpu_pq_chunk *chunk,
                        float *terms);
// m × stride: minus the products of x and all rows of columns.
void cpu_additive_tables(const struct cpu_kernels *kernels, const cpu_additive *a, const float *x, float *out);
size_t cpu_additive_scratch(const cpu_additive *a, const cpu_pq *columns);
// As cpu_pq_scan. terms: or NULL.
void cpu_additive_scan(const struct cpu_scan *scan, const cpu_additive *a, const cpu_pq *columns, const uint32_t *index,
                       uint32_t nq, const cpu_pq_chunk *chunk, const float *terms, float farthest, float *scratch);

#endif
