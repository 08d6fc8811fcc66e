// Panels of columns: projected against those before by matrix products, then made orthonormal by Cholesky's
// factor of their products, or a column at a time where that loses too much. Once is enough where nothing much
// cancels, which the inverse of the factor tells; else again.
#include "qr_frame.h"

// What rounding grows by in Q = W R⁻¹, up to which columns come out orthogonal to better than 1e-6.
#define GROWTH 2.0
// Least pivot, by its diagonal number, that Gram numbers rounded to float still give.
#define LEAST_PIVOT 1e-4
#define ROUNDS 16

typedef struct panel_state {
  qr_frame *frame;
  const qr_panels *panels;
  uint64_t before;  // panels before
  float *w;         // the panel
  uint32_t width;   // of it, padded
} panel_state;

// Qᵀ W of an item's rows.
static void project(void *pointer, uint64_t item) {
  const panel_state *s = pointer;
  const qr_frame *f = s->frame;
  const qr_panels *panels = s->panels;
  float *slot = f->slots + item * f->slot;
  const uint64_t each = (uint64_t)panels->width * s->width;
  memset(slot, 0, s->before * each * sizeof(float));
  const uint64_t end = qr_item_end(f, item);
  for (uint64_t row = item * f->item_rows; row < end; row += 2 * BLOCK) {
    const uint64_t count = end - row < 2 * BLOCK ? end - row : 2 * BLOCK;
    for (uint64_t p = 0; p < s->before; p++)
      f->factor->tn(panels->width, s->width, count, qr_panel_at(panels, p, row), panels->line,
                    s->w + row * panels->line, panels->line, slot + p * each, s->width);
  }
}

// W − Q S of an item's rows, and WᵀW of what is left.
static void update(void *pointer, uint64_t item) {
  const panel_state *s = pointer;
  const qr_frame *f = s->frame;
  const qr_panels *panels = s->panels;
  float *slot = f->slots + item * f->slot;
  const uint64_t each = (uint64_t)panels->width * s->width;
  memset(slot, 0, (uint64_t)s->width * s->width * sizeof(float));
  const uint64_t end = qr_item_end(f, item);
  for (uint64_t row = item * f->item_rows; row < end; row += BLOCK) {
    const uint64_t count = end - row < BLOCK ? end - row : BLOCK;
    float *w = s->w + row * panels->line;
    for (uint64_t p = 0; p < s->before; p++)
      f->factor->nn(count, s->width, panels->width, qr_panel_at(panels, p, row), panels->line, f->sums + p * each,
                    s->width, w, panels->line);
    f->factor->tn(s->width, s->width, count, w, panels->line, w, panels->line, slot, s->width);
  }
}

// W R⁻¹ of an item's rows.
static void apply(void *pointer, uint64_t item) {
  const panel_state *s = pointer;
  const qr_frame *f = s->frame;
  const uint64_t line = s->panels->line;
  float block[BLOCK * LINE];
  const uint64_t end = qr_item_end(f, item);
  for (uint64_t row = item * f->item_rows; row < end; row += BLOCK) {
    const uint64_t count = end - row < BLOCK ? end - row : BLOCK;
    float *w = s->w + row * line;
    for (uint64_t i = 0; i < count; i++) {
      memcpy(block + i * s->width, w + i * line, s->width * sizeof(float));
      memset(w + i * line, 0, s->width * sizeof(float));
    }
    f->factor->nn(count, s->width, s->width, block, s->width, f->apply, s->width, w, line);
  }
}

typedef struct sum_state {
  qr_frame *frame;
  uint64_t count, share;
} sum_state;

// Minus the sum of the slots: what is added to W.
static void sum_up(void *pointer, uint64_t item) {
  const sum_state *s = pointer;
  const qr_frame *f = s->frame;
  const uint64_t start = item * s->share;
  const uint64_t left = s->count - start;
  f->factor->sum_slots(f->slots + start, f->items, f->slot, -1, f->sums + start, left < s->share ? left : s->share);
}

// above += S within, where S is minus what `sums` holds.
static void add_above(const panel_state *s, const double *within, double *above, uint32_t round) {
  const uint64_t lines = s->before * s->panels->width;
  for (uint64_t i = 0; i < lines; i++) {
    const float *sum = s->frame->sums + i * s->width;
    double *to = above + i * LINE;
    if (round == 0) {
      for (uint32_t j = 0; j < s->width; j++) to[j] -= (double)sum[j];
      continue;
    }
    for (uint32_t k = 0; k < s->width; k++)
      for (uint32_t j = k; j < s->width; j++) to[j] -= (double)sum[k] * within[k * LINE + j];
  }
}

static void move_panel(const panel_state *s, uint32_t n, bool back) {
  const uint64_t line = qr_columns_line(s->frame->rows);
  float *columns = s->frame->columns;
  for (uint64_t row = 0; row < s->frame->rows; row++) {
    float *w = s->w + row * s->panels->line;
    for (uint32_t j = 0; j < n; j++) {
      if (back) w[j] = columns[j * line + row];
      else columns[j * line + row] = w[j];
    }
  }
}

// A column at a time: what is dependent becomes zero. Its R goes to gram.
static cpu_factor_status by_columns(panel_state *s, uint32_t n, const double *lengths, bool *alive, double tolerance,
                                    const double *within) {
  qr_frame *f = s->frame;
  const uint64_t line = qr_columns_line(f->rows);
  if (!f->columns) f->columns = qr_allocate(line * LINE, sizeof(float));
  if (!f->columns) return CPU_FACTOR_MEMORY;
  f->variants |= CPU_RAN_QR_PANEL_MGS;
  double before[LINE];
  for (uint32_t j = 0; j < n; j++) before[j] = within[j * LINE + j];
  memset(f->gram, 0, LINE * LINE * sizeof(double));
  move_panel(s, n, false);
  const cpu_factor_status status =
      qr_columns(f, f->columns, line, n, before, lengths, alive, tolerance, f->gram, LINE);
  if (status == CPU_FACTOR_OK) move_panel(s, n, true);
  return status;
}

// Whether Cholesky's factor, in gram, can be relied on, with its inverse in `apply`; *growth: of the columns' rounding,
// which is that of their lengths before they were projected.
static bool by_products(panel_state *s, uint32_t n, const double *lengths, const bool *alive, double tolerance,
                        const double *within, bool first, double *growth) {
  qr_frame *f = s->frame;
  for (uint32_t i = 0; i < n; i++)
    for (uint32_t j = 0; j < n; j++) {
      double sum = 0;
      for (uint64_t item = 0; item < f->items; item++) sum += (double)f->slots[item * f->slot + i * s->width + j];
      f->gram[i * LINE + j] = sum;
    }
  for (uint32_t j = 0; j < n; j++)
    if (!alive[j]) f->gram[j * LINE + j] = 1;
  if (!(f->factor->cholesky(n, LEAST_PIVOT, f->gram, f->inverse) > 0)) return false;
  double squares[LINE] = {0};
  for (uint32_t i = 0; i < n; i++) {
    // A column near the tolerance is measured by itself, once: later rounds leave it about as long as it is.
    const double kept = f->gram[i * LINE + i], before = first ? lengths[i] : 1;
    const double rest = kept * within[i * LINE + i];
    if (alive[i] && kept < 0.5 && !(rest > 4 * tolerance * lengths[i])) return false;
    for (uint32_t j = i; j < n; j++) {
      const double x = f->inverse[i * LINE + j] * before;
      squares[j] += x * x;
    }
  }
  *growth = 0;
  for (uint32_t j = 0; j < n; j++)
    if (alive[j] && squares[j] > *growth) *growth = squares[j];
  *growth = sqrt(*growth);
  memset(f->apply, 0, (uint64_t)s->width * s->width * sizeof(float));
  for (uint32_t i = 0; i < n; i++)
    for (uint32_t j = i; j < n; j++) f->apply[i * s->width + j] = (float)f->inverse[i * LINE + j];
  return true;
}

cpu_factor_status qr_panel(qr_frame *f, const qr_panels *panels, uint64_t p, const double *lengths, bool *alive,
                           double tolerance, double *above, double *within) {
  const uint64_t left = panels->count - p * panels->width;
  const uint32_t n = (uint32_t)(left < panels->width ? left : panels->width);
  panel_state s = {f, panels, p, qr_panel_at(panels, p, 0), (uint32_t)qr_round(n)};
  const double rows = (double)f->rows, width = (double)s.width;
  const double products = rows * width * (double)panels->width * (double)p;
  memset(within, 0, LINE * LINE * sizeof(double));
  for (uint32_t j = 0; j < n; j++)
    if (alive[j]) within[j * LINE + j] = 1;
  for (uint32_t round = 0; round < ROUNDS; round++) {
    if (p > 0) {
      if (!qr_run(f->team, f->items, products, project, &s)) return CPU_FACTOR_STOPPED;
      sum_state sum = {f, p * panels->width * s.width, 16 * 1024};
      const uint64_t shares = (sum.count + sum.share - 1) / sum.share;
      if (!qr_run(f->team, shares, (double)(sum.count * f->items), sum_up, &sum)) return CPU_FACTOR_STOPPED;
      if (above) add_above(&s, within, above, round);
    }
    if (!qr_run(f->team, f->items, products + rows * width * width, update, &s)) return CPU_FACTOR_STOPPED;
    double growth;
    const bool good = by_products(&s, n, lengths, alive, tolerance, within, round == 0, &growth);
    if (good) {
      if (!qr_run(f->team, f->items, rows * width * width, apply, &s)) return CPU_FACTOR_STOPPED;
    } else {
      const cpu_factor_status status = by_columns(&s, n, lengths, alive, tolerance, within);
      if (status != CPU_FACTOR_OK) return status;
    }
    f->factor->triangles(n, f->gram, within);
    if (good ? growth <= GROWTH : p == 0) return CPU_FACTOR_OK;
  }
  return CPU_FACTOR_DIVERGED;
}
