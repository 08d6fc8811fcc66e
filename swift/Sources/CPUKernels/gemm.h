// What products are made of: tiles and packing, one table an instruction set.
#ifndef GEMM_H
#define GEMM_H

#include "cpu_linalg.h"

#define CPU_MAX_VECTORS 4      // of a tile's columns
#define CPU_MAX_TILE_ROWS 14   // of any table
#define CPU_GEMV_AHEAD 4096  // bytes between what gemv reads and what memory is asked for

// Where a tile goes: rows × columns of C = alpha * sums + beta * C.
typedef struct cpu_tile_out {
  float *c;
  size_t line;
  uint32_t rows, columns;
  float alpha, beta;
} cpu_tile_out;

// Sums over k of a column of A by a row of B. A is a packed panel, column after column, or lies in rows `line_a`
// apart; B's rows are step_b apart, whole vectors of them.
typedef void (*cpu_tile)(uint64_t k, const float *a, size_t line_a, const float *b, size_t step_b,
                         const cpu_tile_out *out);

struct cpu_gemm_kernels {
  uint32_t wide;                        // vectors of a tile where columns are many
  uint32_t rows[CPU_MAX_VECTORS + 1];   // of a full tile, by its vectors; 0: there is none
  cpu_tile packed[CPU_MAX_VECTORS + 1][CPU_MAX_TILE_ROWS / 2 + 1];  // by vectors and half the rows, rounded up
  cpu_tile placed[CPU_MAX_VECTORS + 1];  // full tiles of A as it lies
  // C = x's transpose + beta * C, where x is rows × columns.
  void (*add_flipped)(const float *x, size_t line_x, uint64_t rows, uint64_t columns, float beta, float *c,
                      size_t line_c);
  // Into out[p * width + i] = x[p * line + i], for i below n and p below k; zero for i from n to width.
  // Writes up to 64 bytes of slack after its end.
  void (*pack_across)(uint32_t type, const void *x, size_t line, uint32_t n, uint64_t k, uint32_t width, float *out);
  // The same of x[i * line + p].
  void (*pack_along)(uint32_t type, const void *x, size_t line, uint32_t n, uint64_t k, uint32_t width, float *out);
};
typedef struct cpu_gemm_kernels cpu_gemm_kernels;

#endif
