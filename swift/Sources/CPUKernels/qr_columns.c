// Gram–Schmidt a column at a time, each column in one piece: c = Qᵀv, v ← v − Qc, and once more.
#include "qr_frame.h"

#define DOT_COLUMNS 8
#define ADD_ROWS 2048
// What is left of a column after a pass, by its length before, that needs no pass more.
#define ENOUGH 0.5
#define PASSES 5

typedef struct column_state {
  qr_frame *frame;
  const float *q;
  float *v;
  uint64_t line, count;
  double *c;
  float *minus;
} column_state;

static void dots(void *pointer, uint64_t item) {
  const column_state *s = pointer;
  const uint64_t end = (item + 1) * DOT_COLUMNS < s->count ? (item + 1) * DOT_COLUMNS : s->count;
  for (uint64_t i = item * DOT_COLUMNS; i < end; i++) {
    s->c[i] = s->frame->factor->dot(s->q + i * s->line, s->v, s->frame->rows);
    s->minus[i] = -(float)s->c[i];
  }
}

static void subtract(void *pointer, uint64_t item) {
  const column_state *s = pointer;
  const uint64_t start = item * ADD_ROWS;
  const uint64_t left = s->frame->rows - start;
  s->frame->factor->add(s->count, s->minus, s->q + start, s->line, s->v + start, left < ADD_ROWS ? left : ADD_ROWS);
}

// One pass of v against the columns before it. False: stopped.
static bool pass(column_state *s) {
  const uint64_t rows = s->frame->rows;
  const double work = (double)rows * (double)s->count;
  return qr_run(s->frame->team, (s->count + DOT_COLUMNS - 1) / DOT_COLUMNS, work, dots, s) &&
         qr_run(s->frame->team, (rows + ADD_ROWS - 1) / ADD_ROWS, work, subtract, s);
}

// Passes until little is lost, at least two; the length left, or 0 where it fell below `least`. r: coefficients, `step`
// apart, or NULL.
static cpu_factor_status reduce(column_state *s, double least, double *r, uint64_t step, double *length) {
  const cpu_factor *factor = s->frame->factor;
  double before = sqrt(factor->dot(s->v, s->v, s->frame->rows));
  *length = before;
  if (!(before > least)) *length = 0;
  for (uint32_t i = 0; i < PASSES && *length > 0 && s->count > 0; i++) {
    if (!pass(s)) return CPU_FACTOR_STOPPED;
    for (uint64_t k = 0; r && k < s->count; k++) r[k * step] += s->c[k];
    *length = sqrt(factor->dot(s->v, s->v, s->frame->rows));
    if (!(*length > least)) *length = 0;
    if (i > 0 && *length > ENOUGH * before) break;
    before = *length;
  }
  return CPU_FACTOR_OK;
}

static bool open_state(column_state *s, qr_frame *f, const float *q, uint64_t line, uint64_t n) {
  *s = (column_state){f, q, NULL, line, 0, qr_allocate(n, sizeof(double)), qr_allocate(n, sizeof(float))};
  return s->c && s->minus;
}

static void close_state(column_state *s) {
  free(s->c);
  free(s->minus);
}

cpu_factor_status qr_columns(qr_frame *f, float *q, uint64_t line, uint64_t n, const double *before,
                             const double *lengths, bool *alive, double tolerance, double *r, uint64_t line_r) {
  column_state s;
  cpu_factor_status status = open_state(&s, f, q, line, n) ? CPU_FACTOR_OK : CPU_FACTOR_MEMORY;
  for (uint64_t j = 0; j < n && status == CPU_FACTOR_OK; j++) {
    s.v = q + j * line;
    s.count = j;
    double length = 0;
    if (alive[j]) {
      const double least = tolerance * lengths[j] / (before ? before[j] : 1);
      status = reduce(&s, least, r + j, line_r, &length);
      if (status != CPU_FACTOR_OK) break;
      alive[j] = length > 0;
    }
    r[j * line_r + j] = length;
    if (length > 0) f->factor->scale((float)(1 / length), s.v, f->rows);
    else memset(s.v, 0, f->rows * sizeof(float));
  }
  close_state(&s);
  return status;
}

cpu_factor_status qr_columns_complete(qr_frame *f, float *q, uint64_t line, uint64_t n, bool *alive) {
  column_state s;
  uint64_t seed = 1;
  cpu_factor_status status = open_state(&s, f, q, line, n) ? CPU_FACTOR_OK : CPU_FACTOR_MEMORY;
  float *drawn = status == CPU_FACTOR_OK ? qr_allocate(f->rows, sizeof(float)) : NULL;
  if (!drawn) status = CPU_FACTOR_MEMORY;
  s.v = drawn;
  s.count = n;  // those not alive yet are zero: nothing is taken off along them
  for (uint64_t j = 0; j < n && status == CPU_FACTOR_OK;) {
    if (alive[j]) {
      j++;
      continue;
    }
    f->variants |= CPU_RAN_QR_COMPLETE;
    for (uint64_t i = 0; i < f->rows; i++) drawn[i] = qr_random(&seed);
    double length;
    status = reduce(&s, 1e-5, NULL, 0, &length);
    if (status != CPU_FACTOR_OK || length == 0) continue;
    f->factor->scale((float)(1 / length), drawn, f->rows);
    memcpy(q + j * line, drawn, f->rows * sizeof(float));
    alive[j] = true;
  }
  free(drawn);
  close_state(&s);
  return status;
}

void cpu_project_rows(const cpu_kernels *kernels, uint64_t rows, uint64_t n, const float *q, const float *v, double *sums) {
  // Sums of up to 64 rows in float, of those in double.
  float part[CPU_FACTOR_PANEL];
  for (uint64_t row = 0; row < rows; row += 64) {
    const uint64_t count = rows - row < 64 ? rows - row : 64;
    for (uint64_t j = 0; j < n; j += CPU_FACTOR_PANEL) {
      const uint64_t width = n - j < CPU_FACTOR_PANEL ? n - j : CPU_FACTOR_PANEL;
      memset(part, 0, sizeof part);
      kernels->factor->add(count, v + row, q + row * n + j, n, part, width);
      for (uint64_t i = 0; i < width; i++) sums[j + i] += (double)part[i];
    }
  }
}

void cpu_update_rows(const cpu_kernels *kernels, uint64_t rows, uint64_t n, const float *q, const float *c,
                     const float *v, float *out) {
  for (uint64_t i = 0; i < rows; i++) out[i] = (float)((double)v[i] - kernels->factor->dot(q + i * n, c, n));
}
