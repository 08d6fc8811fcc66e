// A = QR: columns are scaled by powers of two to lengths near 1, made orthonormal by one of the methods, and what
// they were is scaled back.
#include "qr_frame.h"

typedef struct qr_state {
  qr_frame frame;
  const float *a;
  uint64_t m, n;
  float *scales;    // n: powers of two
  double *lengths;  // n: of the scaled columns
  double *squares;  // items × n
  bool *alive;
  qr_panels panels;  // blocked
  float *columns;    // the others: n × line
  uint64_t line;
  float *q;
} qr_state;

static void square(void *pointer, uint64_t item) {
  const qr_state *s = pointer;
  const uint64_t row = item * s->frame.item_rows;
  double *sums = s->squares + item * s->n;
  memset(sums, 0, s->n * sizeof(double));
  s->frame.factor->squares(s->a + row * s->n, qr_item_end(&s->frame, item) - row, s->n, s->n, sums);
}

static void to_panels(void *pointer, uint64_t item) {
  const qr_state *s = pointer;
  const uint64_t row = item * s->frame.item_rows;
  const uint64_t count = qr_item_end(&s->frame, item) - row;
  for (uint64_t p = 0; p < qr_panel_count(&s->panels); p++) {
    const uint64_t first = p * s->panels.width;
    const uint64_t n = s->n - first < s->panels.width ? s->n - first : s->panels.width;
    s->frame.factor->scale_rows(s->a + row * s->n + first, count, n, s->n, s->scales + first,
                                qr_panel_at(&s->panels, p, row), s->panels.line, s->panels.width);
  }
}

static void from_panels(void *pointer, uint64_t item) {
  const qr_state *s = pointer;
  const uint64_t end = qr_item_end(&s->frame, item);
  for (uint64_t row = item * s->frame.item_rows; row < end; row++)
    for (uint64_t first = 0; first < s->n; first += s->panels.width) {
      const uint64_t n = s->n - first < s->panels.width ? s->n - first : s->panels.width;
      memcpy(s->q + row * s->n + first, qr_panel_at(&s->panels, first / s->panels.width, row), n * sizeof(float));
    }
}

static void to_columns(void *pointer, uint64_t item) {
  const qr_state *s = pointer;
  const uint64_t end = qr_item_end(&s->frame, item);
  for (uint64_t row = item * s->frame.item_rows; row < end; row++)
    for (uint64_t j = 0; j < s->n; j++) s->columns[j * s->line + row] = s->a[row * s->n + j] * s->scales[j];
}

static void from_columns(void *pointer, uint64_t item) {
  const qr_state *s = pointer;
  const uint64_t end = qr_item_end(&s->frame, item);
  for (uint64_t row = item * s->frame.item_rows; row < end; row++)
    for (uint64_t j = 0; j < s->n; j++) s->q[row * s->n + j] = s->columns[j * s->line + row];
}

// Lengths of columns and their scales; refuses what is not finite.
static cpu_factor_status measure(qr_state *s, cpu_report *report) {
  const qr_frame *f = &s->frame;
  if (!qr_run(f->team, f->items, (double)s->m * (double)s->n, square, s)) return CPU_FACTOR_STOPPED;
  for (uint64_t j = 0; j < s->n; j++) {
    double sum = 0;
    for (uint64_t item = 0; item < f->items; item++) sum += s->squares[item * s->n + j];
    if (!isfinite(sum)) {
      report->where = f->kernels->find_nonfinite(s->a, s->m * s->n);
      return CPU_FACTOR_NONFINITE;
    }
    int exponent = 0;
    const double length = sqrt(sum);
    frexp(length, &exponent);
    exponent = exponent < -125 ? -125 : exponent;
    s->alive[j] = length > 0;
    s->scales[j] = length > 0 ? (float)ldexp(1, -exponent) : 1;
    s->lengths[j] = ldexp(length, length > 0 ? -exponent : 0);
  }
  return CPU_FACTOR_OK;
}

// r of a column, scaled back. What a float cannot hold is refused.
static bool put(float *to, double value, float scale) {
  value /= (double)scale;
  *to = (float)value;
  return isfinite(*to);
}

static cpu_factor_status blocked(qr_state *s, double tolerance, float *r, cpu_report *report) {
  qr_frame *f = &s->frame;
  const uint64_t n = s->n, count = (n + LINE - 1) / LINE;
  s->panels.width = (uint32_t)qr_round((n + count - 1) / count);
  s->panels.line = s->panels.width;
  s->panels.step = s->m * s->panels.line;
  s->panels.count = n;
  const uint64_t panels = qr_panel_count(&s->panels), width = s->panels.width;
  float *base = s->panels.base = qr_allocate(panels * s->panels.step, sizeof(float));
  double *above = qr_allocate((panels * width + LINE) * LINE, sizeof(double));
  cpu_factor_status status = base && above ? CPU_FACTOR_OK : CPU_FACTOR_MEMORY;
  if (status == CPU_FACTOR_OK && !qr_run(f->team, f->items, (double)(s->m * n), to_panels, s))
    status = CPU_FACTOR_STOPPED;
  for (uint64_t p = 0; p < panels && status == CPU_FACTOR_OK; p++) {
    const uint64_t first = p * width, lines = first;
    const uint64_t wide = n - first < width ? n - first : width;
    double *within = above + lines * LINE;
    memset(above, 0, lines * LINE * sizeof(double));
    status = qr_panel(f, &s->panels, p, s->lengths + first, s->alive + first, tolerance, above, within);
    if (status != CPU_FACTOR_OK) break;
    for (uint64_t i = 0; i < n; i++) {
      float *to = r + i * n + first;
      for (uint64_t j = 0; j < wide; j++) {
        const double value = i < first + j + 1 ? above[i * LINE + j] : 0;
        if (put(to + j, value, s->scales[first + j])) continue;
        report->where = first + j;
        status = CPU_FACTOR_TOO_LONG;
      }
    }
  }
  for (uint64_t j = 0; j < n; j++) report->rank += s->alive[j];
  if (status == CPU_FACTOR_OK) status = qr_complete(f, &s->panels, s->alive);
  if (status == CPU_FACTOR_OK && !qr_run(f->team, f->items, (double)(s->m * n), from_panels, s))
    status = CPU_FACTOR_STOPPED;
  free(base);
  free(above);
  return status;
}

static cpu_factor_status by_column(qr_state *s, bool reflections, double tolerance, float *r, cpu_report *report) {
  qr_frame *f = &s->frame;
  const uint64_t n = s->n;
  s->line = qr_columns_line(s->m);
  float *first = s->columns = qr_allocate(n * s->line, sizeof(float));
  float *second = reflections ? qr_allocate(n * s->line, sizeof(float)) : NULL;
  double *coefficients = qr_allocate(n * n, sizeof(double));
  cpu_factor_status status =
      first && coefficients && (second || !reflections) ? CPU_FACTOR_OK : CPU_FACTOR_MEMORY;
  if (status == CPU_FACTOR_OK && !qr_run(f->team, f->items, (double)(s->m * n), to_columns, s))
    status = CPU_FACTOR_STOPPED;
  if (status == CPU_FACTOR_OK && reflections) {
    status = qr_reflect(f, first, s->line, n, s->lengths, s->alive, tolerance, second, coefficients);
    s->columns = second;
  } else if (status == CPU_FACTOR_OK) {
    memset(coefficients, 0, n * n * sizeof(double));
    status = qr_columns(f, first, s->line, n, NULL, s->lengths, s->alive, tolerance, coefficients, n);
  }
  for (uint64_t j = 0; j < n; j++) report->rank += s->alive[j];
  if (status == CPU_FACTOR_OK && !reflections) status = qr_columns_complete(f, first, s->line, n, s->alive);
  for (uint64_t i = 0; i < n * n && status == CPU_FACTOR_OK; i++) {
    if (put(r + i, coefficients[i], s->scales[i % n])) continue;
    report->where = i % n;
    status = CPU_FACTOR_TOO_LONG;
  }
  if (status == CPU_FACTOR_OK && !qr_run(f->team, f->items, (double)(s->m * n), from_columns, s))
    status = CPU_FACTOR_STOPPED;
  free(first);
  free(second);
  free(coefficients);
  return status;
}

cpu_factor_status cpu_qr(const cpu_kernels *kernels, const cpu_team *team, cpu_qr_method method, uint64_t m, uint64_t n,
                         double tolerance, const float *a, float *q, float *r, cpu_report *report) {
  qr_state s = {.a = a, .m = m, .n = n, .q = q};
  *report = (cpu_report){0};
  const bool open = qr_frame_open(&s.frame, kernels, team, m, n);
  s.scales = qr_allocate(n, sizeof(float));
  s.lengths = qr_allocate(n, sizeof(double));
  s.alive = qr_allocate(n, sizeof(bool));
  s.squares = open ? qr_allocate(s.frame.items * n, sizeof(double)) : NULL;
  cpu_factor_status status = CPU_FACTOR_MEMORY;
  if (s.scales && s.lengths && s.alive && s.squares) status = measure(&s, report);
  if (status == CPU_FACTOR_OK) {
    static const uint32_t names[] = {CPU_RAN_QR_BLOCKED, CPU_RAN_QR_MGS, CPU_RAN_QR_BLOCKED, CPU_RAN_QR_HOUSEHOLDER};
    s.frame.variants |= names[method];
    status = method == CPU_QR_AUTO || method == CPU_QR_BLOCKED
                 ? blocked(&s, tolerance, r, report)
                 : by_column(&s, method == CPU_QR_HOUSEHOLDER, tolerance, r, report);
  }
  report->variants = s.frame.variants;
  qr_frame_close(&s.frame);
  free(s.scales);
  free(s.lengths);
  free(s.alive);
  free(s.squares);
  return status;
}
