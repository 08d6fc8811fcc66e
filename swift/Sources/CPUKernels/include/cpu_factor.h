// QR, singular values and symmetric eigenvalues. All steps of one factorization are here; what runs on
// many threads goes through a team, so that Swift's pool serves it.
#ifndef CPU_FACTOR_H
#define CPU_FACTOR_H

#include "cpu_kernels.h"

// Calls body(state, item) for every item below count, on any thread. False: stopped.
typedef struct cpu_team {
  void *context;
  bool (*run)(void *context, uint64_t count, void (*body)(void *state, uint64_t item), void *state);
} cpu_team;

typedef enum cpu_factor_status {
  CPU_FACTOR_OK = 0,
  CPU_FACTOR_STOPPED = 1,
  CPU_FACTOR_MEMORY = 2,
  CPU_FACTOR_NONFINITE = 3,  // where: the first number that is no number
  CPU_FACTOR_TOO_LONG = 4,   // where: the column longer than a float holds
  CPU_FACTOR_DIVERGED = 5,
} cpu_factor_status;

typedef enum cpu_qr_method { CPU_QR_AUTO = 0, CPU_QR_MGS = 1, CPU_QR_BLOCKED = 2, CPU_QR_HOUSEHOLDER = 3 } cpu_qr_method;

// What ran, as mf_linalg_factor_variant.
typedef enum cpu_factor_variant {
  CPU_RAN_QR_MGS = 1,
  CPU_RAN_QR_BLOCKED = 2,
  CPU_RAN_QR_HOUSEHOLDER = 4,
  CPU_RAN_QR_PANEL_MGS = 8,   // some panel of a blocked QR needed columns one at a time
  CPU_RAN_QR_COMPLETE = 16,   // dependent columns were replaced
  CPU_RAN_GRAM_FUSED = 32,    // Z = Aᵀ(AV) in one pass over A
  CPU_RAN_SVD_BANDED = 64,
  CPU_RAN_SVD_NAIVE = 128,
  CPU_RAN_GEMM_AV_AT_B = 2048,  // B = AV, then Z = AᵀB
} cpu_factor_variant;

typedef struct cpu_report {
  uint32_t variants;
  uint32_t rank;
  uint32_t iterations;
  uint32_t converged;
  uint64_t where;  // of an error
} cpu_report;

// A (m × n, m ≥ n ≥ 1) = QR. q: m × n; r: n × n, its diagonal not negative. A column whose rest is shorter than
// tolerance of its length is dependent: r's row is zero, q's column any that keeps q orthonormal.
cpu_factor_status cpu_qr(const cpu_kernels *kernels, const cpu_team *team, cpu_qr_method method, uint64_t m, uint64_t n,
                         double tolerance, const float *a, float *q, float *r, cpu_report *report);

// What computes Aᵀ(AV): one pass over A, plain loops, or a pass for each of two products.
typedef enum cpu_svd_product { CPU_SVD_FUSED = 0, CPU_SVD_NAIVE = 1, CPU_SVD_TILED = 2 } cpu_svd_product;

typedef struct cpu_svd {
  uint64_t m, n, k;
  uint32_t iterations;
  uint32_t band;  // columns of V a band; 0: all
  cpu_svd_product product;
  bool rotate;    // Rayleigh–Ritz at the end
  double tolerance;
} cpu_svd;

// k largest singular values of A (m × n): u m × k, s k, v n × k. start: n × k.
cpu_factor_status cpu_topk_svd(const cpu_kernels *kernels, const cpu_team *team, const cpu_svd *svd, const float *a,
                               const float *start, float *u, float *s, float *v, cpu_report *report);

// Eigenvalues of a symmetric n × n matrix, largest first, and its eigenvectors, a column each. Reads the lower
// triangle. False: no convergence, which finite numbers do not show.
bool cpu_eigen_symmetric(uint64_t n, const double *a, double *values, double *vectors, double *scratch);
// Doubles of scratch.
#define CPU_EIGEN_TURNS 4096  // rotations of vectors that are kept, to be done together
static inline uint64_t cpu_eigen_scratch(uint64_t n) { return n * n + 2 * n + 3 * CPU_EIGEN_TURNS; }

// c = Qᵀv, of an m × n matrix; partial sums of row blocks are in `sums`, n each.
#define CPU_PROJECT_ROWS 1024
void cpu_project_rows(const cpu_kernels *kernels, uint64_t rows, uint64_t n, const float *q, const float *v, double *sums);
// out = v − Qc of some rows.
void cpu_update_rows(const cpu_kernels *kernels, uint64_t rows, uint64_t n, const float *q, const float *c,
                     const float *v, float *out);

// ---- kernels of an instruction set. Widths n and lines of what is loaded as vectors are multiples of CPU_FACTOR_PAD.
#define CPU_FACTOR_PAD 16
#define CPU_FACTOR_PANEL 64

typedef struct cpu_factor {
  // c += a b: m × n, k between.
  void (*nn)(uint64_t m, uint64_t n, uint64_t k, const float *a, uint64_t lda, const float *b, uint64_t ldb, float *c,
             uint64_t ldc);
  // c += aᵀ b: a is k × m.
  void (*tn)(uint64_t m, uint64_t n, uint64_t k, const float *a, uint64_t lda, const float *b, uint64_t ldb, float *c,
             uint64_t ldc);
  // Σ x y, in double from 4,096 to 4,096.
  double (*dot)(const float *x, const float *y, uint64_t n);
  // y += Σ factors[i] x[i], each x `line` after the one before.
  void (*add)(uint64_t count, const float *factors, const float *x, uint64_t line, float *y, uint64_t n);
  void (*scale)(float factor, float *x, uint64_t n);
  // sums[j] += Σ over rows of x².
  void (*squares)(const float *x, uint64_t rows, uint64_t n, uint64_t line, double *sums);
  // out = x by a factor a column, zero from n to the width.
  void (*scale_rows)(const float *x, uint64_t rows, uint64_t n, uint64_t line, const float *factors, float *out,
                     uint64_t line_out, uint64_t width);
  // out = factor · Σ over slots, each `stride` after the one before.
  void (*sum_slots)(const float *slots, uint64_t count, uint64_t stride, float factor, float *out, uint64_t n);
  // Largest bits without sign: above 0x7f7fffff where one is not finite.
  uint32_t (*largest)(const float *x, uint64_t n);
  // G = RᵀR in place, of n ≤ CPU_FACTOR_PANEL, lines of that; x = R⁻¹. Returns the least pivot by its
  // diagonal number; not above `least`: given up.
  double (*cholesky)(uint32_t n, double least, double *g, double *x);
  // t = r t, both upper triangular.
  void (*triangles)(uint32_t n, const double *r, double *t);
} cpu_factor;

#endif
