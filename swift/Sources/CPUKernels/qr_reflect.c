// Householder's QR, a column at a time: for comparison. A dependent column takes no row of R, so that the rows that
// are left over are directions orthogonal to all columns.
#include "qr_frame.h"

#define REFLECT_COLUMNS 8

typedef struct reflect_state {
  qr_frame *frame;
  const float *reflector;  // from row `first` on
  float *columns;          // the first column it is applied to
  uint64_t line, count, first;
  double factor;
} reflect_state;

// x ← x − factor v (v · x) for an item's columns.
static void reflect(void *pointer, uint64_t item) {
  const reflect_state *s = pointer;
  const cpu_factor *factor = s->frame->factor;
  const uint64_t n = s->frame->rows - s->first;
  const uint64_t end = (item + 1) * REFLECT_COLUMNS < s->count ? (item + 1) * REFLECT_COLUMNS : s->count;
  for (uint64_t j = item * REFLECT_COLUMNS; j < end; j++) {
    float *x = s->columns + j * s->line + s->first;
    const float by = (float)(-s->factor * factor->dot(s->reflector, x, n));
    factor->add(1, &by, s->reflector, 0, x, n);
  }
}

static bool reflect_all(reflect_state *s) {
  const double work = (double)(s->frame->rows - s->first) * (double)s->count;
  return qr_run(s->frame->team, (s->count + REFLECT_COLUMNS - 1) / REFLECT_COLUMNS, work, reflect, s);
}

// Q's columns: reflections applied to those of the identity, the last first. Column `row` of it goes where `order` says.
static bool form(qr_frame *f, const float *a, uint64_t line, uint64_t n, uint64_t rank, const uint64_t *order,
                 const double *factors, const double *signs, float *q) {
  for (uint64_t i = 0; i < n; i++) {
    memset(q + i * line, 0, f->rows * sizeof(float));
    q[i * line + i] = 1;
  }
  for (uint64_t i = rank; i-- > 0;) {
    reflect_state s = {f, a + order[i] * line + i, q + i * line, line, n - i, i, factors[i]};
    if (!reflect_all(&s)) return false;
  }
  for (uint64_t i = 0; i < rank; i++)
    if (signs[i] < 0) f->factor->scale(-1, q + i * line, f->rows);
  return true;
}

// Puts column `row` where order[row] says, in place.
static void arrange(float *q, uint64_t line, uint64_t rows, uint64_t n, const uint64_t *order, float *spare) {
  for (uint64_t i = 0; i < n; i++) memcpy(spare + order[i] * line, q + i * line, rows * sizeof(float));
  memcpy(q, spare, n * line * sizeof(float));
}

cpu_factor_status qr_reflect(qr_frame *f, float *a, uint64_t line, uint64_t n, const double *lengths, bool *alive,
                             double tolerance, float *q, double *r) {
  double *factors = qr_allocate(2 * n, sizeof(double));
  uint64_t *order = qr_allocate(n, sizeof(uint64_t));
  if (!factors || !order) {
    free(factors);
    free(order);
    return CPU_FACTOR_MEMORY;
  }
  double *signs = factors + n;
  uint64_t rank = 0;
  bool running = true;
  memset(r, 0, n * n * sizeof(double));
  for (uint64_t j = 0; j < n && running; j++) {
    float *v = a + j * line + rank;
    const double length = sqrt(f->factor->dot(v, v, f->rows - rank));
    alive[j] = alive[j] && length > tolerance * lengths[j];
    for (uint64_t i = 0; i < rank; i++) r[order[i] * n + j] = signs[i] * (double)a[j * line + i];
    if (!alive[j]) continue;
    // v ← x ± |x| e: no cancellation; v · v = 2 |x| (|x| + |x₀|).
    const double head = (double)v[0];
    signs[rank] = head > 0 ? -1 : 1;
    v[0] = (float)(head - signs[rank] * length);
    factors[rank] = 2 / f->factor->dot(v, v, f->rows - rank);
    r[j * n + j] = length;
    order[rank] = j;
    reflect_state s = {f, v, a + (j + 1) * line, line, n - j - 1, rank, factors[rank]};
    running = j + 1 == n || reflect_all(&s);
    rank++;
  }
  uint64_t spare = rank;
  for (uint64_t j = 0; j < n; j++)
    if (!alive[j]) order[spare++] = j;
  running = running && form(f, a, line, n, rank, order, factors, signs, q);
  if (running && rank < n) {
    arrange(q, line, f->rows, n, order, a);
    f->variants |= CPU_RAN_QR_COMPLETE;
  }
  free(factors);
  free(order);
  return running ? CPU_FACTOR_OK : CPU_FACTOR_STOPPED;
}
