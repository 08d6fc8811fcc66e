// Matrix products of one thread. Swift spreads blocks of them over the pool.
#ifndef CPU_LINALG_H
#define CPU_LINALG_H

#include "cpu_kernels.h"

typedef enum cpu_type { CPU_F32 = 0, CPU_F16 = 1, CPU_BF16 = 2 } cpu_type;

// A row-major matrix; op() of it is its transpose where `transposed`.
typedef struct cpu_matrix {
  const void *data;
  uint64_t line;  // elements between rows, as it lies
  uint32_t type;  // cpu_type
  bool transposed;
} cpu_matrix;

// C = alpha op(A) op(B) + beta C, of m × n, with k between; sums in float32. C is not read where beta is 0,
// and must not overlap A or B. scratch: cpu_gemm_scratch bytes, enough for smaller products too, on 64 bytes.
void cpu_gemm(const cpu_kernels *kernels, uint64_t m, uint64_t n, uint64_t k, float alpha, const cpu_matrix *a,
              const cpu_matrix *b, float beta, float *c, uint64_t line_c, void *scratch);
size_t cpu_gemm_scratch(const cpu_kernels *kernels, uint64_t m, uint64_t n, uint64_t k);

// ---- the same in parts, for several threads
// How a product is cut. B is packed by panels of `width` columns, `k_block` rows of it at a time, `k_chunk` of them
// together; then blocks of rows, `m_block` at most, are multiplied by up to n_block columns of it.
typedef struct cpu_gemm_plan {
  uint64_t m, n, k;
  uint64_t m_block, n_block, k_block, k_chunk;
  uint32_t vectors, width, rows;  // of a tile
  bool place_a, place_b;          // read where they lie: no element is read twice
} cpu_gemm_plan;

// Whether cpu_gemm makes Cᵀ = op(B)ᵀ op(A)ᵀ instead: a large operand that is transposed is read in its own order.
bool cpu_gemm_flips(const cpu_kernels *kernels, uint64_t m, uint64_t n, const cpu_matrix *a, const cpu_matrix *b);
cpu_gemm_plan cpu_gemm_plan_of(const cpu_kernels *kernels, uint64_t m, uint64_t n, uint64_t k, const cpu_matrix *a,
                               const cpu_matrix *b);
// Floats of a packed chunk of B, and of what cpu_gemm_rows packs into.
size_t cpu_gemm_packed_b(const cpu_gemm_plan *plan);
size_t cpu_gemm_packed_a(const cpu_gemm_plan *plan);
// Panels [first, last) of the columns from j, for rows [p, p + depth) of op(B); all into their places in out.
// Threads may share the work, a range of panels each.
void cpu_gemm_pack_b(const cpu_kernels *kernels, const cpu_gemm_plan *plan, const cpu_matrix *b, uint64_t p,
                     uint64_t depth, uint64_t j, uint64_t first, uint64_t last, float *out);
// A part of C: rows [i, i + m), columns of panels [first, last) from j, for k in [p, p + depth), packed as above.
// c: of row 0 and column 0. scratch: packed_a floats of this thread.
typedef struct cpu_gemm_part {
  uint64_t i, m, j, first, last, p, depth;
  float alpha, beta;
  float *c;
  uint64_t line_c;
} cpu_gemm_part;
void cpu_gemm_rows(const cpu_kernels *kernels, const cpu_gemm_plan *plan, const cpu_matrix *a, const cpu_matrix *b,
                   const float *packed_b, const cpu_gemm_part *part, float *scratch);

// ---- matrices by vectors
// y = alpha W x + beta y + bias, for `batch` matrices one after the other, each with its own x and y. A matrix is
// n × k, or, where `columns`, k × n. Sums are in float32, y is of x's type.
typedef struct cpu_gemv {
  uint64_t n, k, line;         // elements between rows of W
  uint64_t line_bias;          // 0: one bias for all
  uint32_t type_w, type_x, type_bias;
  bool columns;
  float alpha, beta;           // y is not read where beta is 0
  const void *w, *bias;        // bias: or NULL
  const float *x;              // widened: batch × k
  void *y;                     // batch × n
} cpu_gemv;

// Outputs [first, last) of one matrix.
void cpu_gemv_part(const cpu_kernels *kernels, const cpu_gemv *g, uint64_t matrix, uint64_t first, uint64_t last);
// The same in two steps, for threads that share k: sums over [p, p + depth), and what becomes of them.
void cpu_gemv_sums(const cpu_kernels *kernels, const cpu_gemv *g, uint64_t matrix, uint64_t first, uint64_t last,
                   uint64_t p, uint64_t depth, float *sums);
void cpu_gemv_finish(const cpu_gemv *g, uint64_t matrix, uint64_t first, uint64_t last, const float *sums);
// Numbers of a type as floats.
void cpu_widen_all(uint32_t type, const void *x, uint64_t count, float *out);

#endif
