// What the steps of a factorization share: rows in items for the team, panels of columns, and scratch.
#ifndef QR_FRAME_H
#define QR_FRAME_H

#include <stdlib.h>
#include <string.h>

#include "cpu_factor.h"

#define LINE CPU_FACTOR_PANEL
// Rows of a block that stay in the first cache.
#define BLOCK 64
// Multiply-adds below which threads are not worth waking.
#define TEAM_WORK 60000

// Columns 0 … n − 1 in panels of `width`, the last narrower: panel p starts at base + p * step, and row i of it
// `line` floats after row i − 1. Columns that pad the last panel are zero.
typedef struct qr_panels {
  float *base;
  uint64_t line, step;
  uint32_t width;
  uint64_t count;  // of columns
} qr_panels;

typedef struct qr_frame {
  const cpu_kernels *kernels;
  const cpu_factor *factor;
  const cpu_team *team;
  uint64_t rows, items, item_rows;
  float *slots;  // partial sums: an item each
  uint64_t slot;
  float *sums;      // of slots; a slot long
  float *columns;   // rows × LINE transposed, made when a panel needs it
  double *gram, *inverse;
  float *apply;     // R⁻¹ of a panel
  uint32_t variants;
} qr_frame;

static inline uint64_t qr_round(uint64_t n) { return (n + CPU_FACTOR_PAD - 1) / CPU_FACTOR_PAD * CPU_FACTOR_PAD; }
static inline uint64_t qr_columns_line(uint64_t rows) { return qr_round(rows) + CPU_FACTOR_PAD; }
static inline uint64_t qr_panel_count(const qr_panels *p) { return (p->count + p->width - 1) / p->width; }
static inline float *qr_panel_at(const qr_panels *p, uint64_t panel, uint64_t row) {
  return p->base + panel * p->step + row * p->line;
}

// Floats or doubles on 64 bytes; NULL where there is no memory. For free().
void *qr_allocate(uint64_t count, uint64_t size);
// A frame for matrices of `rows` whose panels go on for up to `columns`. False: no memory.
bool qr_frame_open(qr_frame *frame, const cpu_kernels *kernels, const cpu_team *team, uint64_t rows, uint64_t columns);
void qr_frame_close(qr_frame *frame);
static inline uint64_t qr_item_end(const qr_frame *frame, uint64_t item) {
  const uint64_t end = (item + 1) * frame->item_rows;
  return end < frame->rows ? end : frame->rows;
}
// Every item: on the team where the work is worth it. False: stopped.
bool qr_run(const cpu_team *team, uint64_t count, double work, void (*body)(void *state, uint64_t item), void *state);

// Makes the columns of panel p orthonormal, and orthogonal to all panels before it. `lengths`: of its columns, which
// must not be above about 1, as those of panels are. A column not alive is zero and stays so; one whose rest is
// below tolerance of its length dies. above: p * width lines of LINE coefficients, or NULL; within: LINE × LINE, upper
// triangular: what the columns were is (panels before) above + (panel) within.
cpu_factor_status qr_panel(qr_frame *frame, const qr_panels *panels, uint64_t p, const double *lengths, bool *alive,
                           double tolerance, double *above, double *within);
// Gives every dead column a direction of its own; then all are alive.
cpu_factor_status qr_complete(qr_frame *frame, const qr_panels *panels, bool *alive);
// The same for columns that each lie in one piece, `line` after the one before, by two passes of projection a
// column. Adds to r (n × n, lines of line_r) what the columns were. before: the diagonal of `within` so far, or NULL.
cpu_factor_status qr_columns(qr_frame *frame, float *q, uint64_t line, uint64_t n, const double *before,
                             const double *lengths, bool *alive, double tolerance, double *r, uint64_t line_r);
cpu_factor_status qr_columns_complete(qr_frame *frame, float *q, uint64_t line, uint64_t n, bool *alive);
// Householder's reflections of such columns; Q is made in q, its dependent columns too, and r of n × n.
cpu_factor_status qr_reflect(qr_frame *frame, float *a, uint64_t line, uint64_t n, const double *lengths, bool *alive,
                             double tolerance, float *q, double *r);
// A generator for directions that nothing else gives.
static inline float qr_random(uint64_t *state) {
  uint64_t z = (*state += 0x9e3779b97f4a7c15ull);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  z ^= z >> 31;
  return (float)(int32_t)(z >> 32) * 0x1p-31f;
}

#endif
