// What the steps of a subspace iteration share.
#ifndef SVD_STATE_H
#define SVD_STATE_H

#include "qr_frame.h"

typedef struct svd_state {
  const cpu_svd *options;
  const float *a;
  uint64_t m, n, k;
  uint64_t line;        // k rounded up: of v, z and b
  float alpha;          // a power of two that brings A's numbers near 1; V and B are scaled by it
  float *v;             // n × line, orthonormal
  float *scaled;        // alpha v; v itself where alpha is 1
  float *z;             // n × line
  float *b;             // m × line
  float *slots;         // items × n × line
  double *squares;      // an item each: of b's columns
  double *norms, *last; // line: of b's columns
  uint64_t items, item_rows;
  float *band_v, *band_z;  // n × line, where there are bands
  qr_frame tall, wide;     // of m and of n rows
  // The product at hand.
  const float *factor;
  float *product;
  uint64_t factor_line, width, first;
} svd_state;

// A band's padded sums reach past its columns.
static inline uint64_t svd_squares_line(const svd_state *state) { return state->line + CPU_FACTOR_PAD; }

// z = Aᵀ(A v) by the variant asked for, and the lengths of A v's columns. False: stopped.
bool svd_z_step(svd_state *state);
// b = A v, and the lengths of its columns.
bool svd_product(svd_state *state);
// Columns of x (as v, z and b lie) become orthonormal; r: k × k coefficients, or NULL.
cpu_factor_status svd_orthonormalize(svd_state *state, qr_frame *frame, float *x, double *r);
// u, s and v of b = A v, with or without a rotation.
cpu_factor_status svd_rotate(svd_state *state, float *u, float *s, float *v, cpu_report *report);
cpu_factor_status svd_sort(svd_state *state, float *u, float *s, float *v, cpu_report *report);
// The order of count numbers, largest first.
void svd_order(uint64_t count, const double *values, uint64_t *order);
// What of s is above rounding; false where a float cannot hold it.
bool svd_values(const svd_state *state, const double *values, const uint64_t *order, float *s, cpu_report *report);

#endif
