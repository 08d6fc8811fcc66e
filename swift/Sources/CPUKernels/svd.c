// The k largest singular values by subspace iteration: V ← orth(Aᵀ(A V)).
#include "svd_state.h"

// Bytes that partial sums of Z may take; fewer items then.
#define SLOT_BYTES (64u << 20)

typedef struct lengths_state {
  qr_frame *frame;
  float *x;
  uint64_t line, k;
  double *squares;
  const float *scales;
} lengths_state;

static void square(void *pointer, uint64_t item) {
  const lengths_state *s = pointer;
  const uint64_t row = item * s->frame->item_rows;
  double *sums = s->squares + item * s->line;
  memset(sums, 0, s->line * sizeof(double));
  s->frame->factor->squares(s->x + row * s->line, qr_item_end(s->frame, item) - row, s->line, s->line, sums);
}

static void scale(void *pointer, uint64_t item) {
  const lengths_state *s = pointer;
  const uint64_t row = item * s->frame->item_rows;
  float *x = s->x + row * s->line;
  s->frame->factor->scale_rows(x, qr_item_end(s->frame, item) - row, s->k, s->line, s->scales, x, s->line, s->line);
}

// Scales columns by powers of two to lengths near 1, which are written.
static bool normalize(qr_frame *f, float *x, uint64_t line, uint64_t k, double *squares, double *lengths, float *scales,
                      bool *alive) {
  lengths_state s = {f, x, line, k, squares, scales};
  const double work = (double)(f->rows * line);
  if (!qr_run(f->team, f->items, work, square, &s)) return false;
  for (uint64_t c = 0; c < k; c++) {
    double sum = 0;
    for (uint64_t item = 0; item < f->items; item++) sum += squares[item * line + c];
    int exponent = 0;
    frexp(sqrt(sum), &exponent);
    exponent = exponent < -125 ? -125 : exponent;
    alive[c] = sum > 0;
    scales[c] = alive[c] ? (float)ldexp(1, -exponent) : 1;
    lengths[c] = alive[c] ? ldexp(sqrt(sum), -exponent) : 0;
  }
  return qr_run(f->team, f->items, work, scale, &s);
}

cpu_factor_status svd_orthonormalize(svd_state *s, qr_frame *f, float *x, double *r) {
  const uint64_t k = s->k, line = s->line, count = (k + LINE - 1) / LINE;
  const uint32_t width = (uint32_t)qr_round((k + count - 1) / count);
  const qr_panels panels = {x, line, width, width, k};
  const uint64_t above_lines = count * width + LINE;
  double *above = qr_allocate(above_lines * LINE + k + f->items * line, sizeof(double));
  float *scales = qr_allocate(k, sizeof(float));
  bool *alive = qr_allocate(k, sizeof(bool));
  cpu_factor_status status = above && scales && alive ? CPU_FACTOR_OK : CPU_FACTOR_MEMORY;
  if (status == CPU_FACTOR_OK) {
    double *lengths = above + above_lines * LINE;
    if (!normalize(f, x, line, k, lengths + k, lengths, scales, alive)) status = CPU_FACTOR_STOPPED;
    for (uint64_t p = 0; p < qr_panel_count(&panels) && status == CPU_FACTOR_OK; p++) {
      const uint64_t first = p * width, wide = k - first < width ? k - first : width;
      memset(above, 0, first * LINE * sizeof(double));
      status = qr_panel(f, &panels, p, lengths + first, alive + first, (double)k * 0x1p-23, r ? above : NULL,
                        above + first * LINE);
      if (!r || status != CPU_FACTOR_OK) continue;
      for (uint64_t i = 0; i < k; i++)
        for (uint64_t j = 0; j < wide; j++)
          r[i * k + first + j] = i <= first + j ? above[i * LINE + j] / (double)scales[first + j] : 0;
    }
    if (status == CPU_FACTOR_OK) status = qr_complete(f, &panels, alive);
  }
  free(above);
  free(scales);
  free(alive);
  return status;
}

static bool open_state(svd_state *s, const cpu_kernels *kernels, const cpu_team *team) {
  const uint64_t line = s->line = qr_round(s->k);
  const bool tall = qr_frame_open(&s->tall, kernels, team, s->m, s->k);
  const bool wide = qr_frame_open(&s->wide, kernels, team, s->n, s->k);
  // Items of Z: by the shape alone, as those of rows are.
  const uint64_t most = SLOT_BYTES / sizeof(float) / (s->n * line);
  s->items = s->tall.items;
  if (s->items > most) s->items = most < 2 ? 2 : most;
  s->item_rows = ((s->m + s->items - 1) / s->items + BLOCK - 1) / BLOCK * BLOCK;
  s->items = (s->m + s->item_rows - 1) / s->item_rows;
  s->v = qr_allocate(s->n * line, sizeof(float));
  s->scaled = s->alpha == 1 ? s->v : qr_allocate(s->n * line, sizeof(float));
  s->z = qr_allocate(s->n * line, sizeof(float));
  s->b = qr_allocate(s->items * s->item_rows * line, sizeof(float));
  s->slots = qr_allocate(s->items * s->n * line, sizeof(float));
  s->squares = qr_allocate(s->items * svd_squares_line(s), sizeof(double));
  s->norms = qr_allocate(2 * line, sizeof(double));
  s->last = s->norms ? s->norms + line : NULL;
  if (s->last) memset(s->last, 0, line * sizeof(double));
  const uint64_t banded = s->options->band > 0 ? s->n * line : 1;
  s->band_v = qr_allocate(banded, sizeof(float));
  s->band_z = qr_allocate(banded, sizeof(float));
  return tall && wide && s->v && s->scaled && s->z && s->b && s->slots && s->squares && s->norms && s->band_v &&
         s->band_z;
}

static void close_state(svd_state *s) {
  if (s->scaled != s->v) free(s->scaled);
  float *all[] = {s->v, s->z, s->b, s->slots, s->band_v, s->band_z};
  for (uint32_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
  free(s->squares);
  free(s->norms);
  qr_frame_close(&s->tall);
  qr_frame_close(&s->wide);
}

// Largest change of the sorted lengths by the largest of them; they become those to compare with.
static double change(svd_state *s, uint64_t *order) {
  svd_order(s->k, s->norms, order);
  const double largest = s->norms[order[0]];
  double most = 0;
  for (uint64_t i = 0; i < s->k; i++) {
    const double value = s->norms[order[i]], by = fabs(value - s->last[i]);
    most = by > most ? by : most;
    s->last[i] = value;
  }
  return largest > 0 ? most / largest : 0;
}

static cpu_factor_status iterate(svd_state *s, cpu_report *report) {
  uint64_t *order = qr_allocate(s->k, sizeof(uint64_t));
  cpu_factor_status status = order ? CPU_FACTOR_OK : CPU_FACTOR_MEMORY;
  while (status == CPU_FACTOR_OK && report->iterations < s->options->iterations && !report->converged) {
    if (!svd_z_step(s)) {
      status = CPU_FACTOR_STOPPED;
      break;
    }
    status = svd_orthonormalize(s, &s->wide, s->z, NULL);
    float *kept = s->v;
    if (s->scaled == s->v) s->scaled = s->z;
    s->v = s->z;
    s->z = kept;
    if (s->scaled != s->v)
      for (uint64_t i = 0; i < s->n * s->line; i++) s->scaled[i] = s->v[i] * s->alpha;
    const double moved = change(s, order);
    report->converged = s->options->tolerance > 0 && report->iterations > 0 && moved <= s->options->tolerance;
    report->iterations++;
  }
  free(order);
  return status;
}

// V as given, made orthonormal: no start overflows, vanishes or lacks rank.
static cpu_factor_status begin(svd_state *s, const float *start) {
  for (uint64_t i = 0; i < s->n; i++) {
    memset(s->v + i * s->line, 0, s->line * sizeof(float));
    memcpy(s->v + i * s->line, start + i * s->k, s->k * sizeof(float));
  }
  cpu_factor_status status = svd_orthonormalize(s, &s->wide, s->v, NULL);
  if (s->scaled != s->v)
    for (uint64_t i = 0; i < s->n * s->line; i++) s->scaled[i] = s->v[i] * s->alpha;
  return status;
}

cpu_factor_status cpu_topk_svd(const cpu_kernels *kernels, const cpu_team *team, const cpu_svd *options, const float *a,
                               const float *start, float *u, float *out, float *v, cpu_report *report) {
  *report = (cpu_report){0};
  svd_state s = {.options = options, .a = a, .m = options->m, .n = options->n, .k = options->k};
  const uint32_t bits = kernels->factor->largest(a, s.m * s.n);
  if (bits > 0x7f7fffffu) {
    report->where = kernels->find_nonfinite(a, s.m * s.n);
    return CPU_FACTOR_NONFINITE;
  }
  // Between 1e-9 and 1e9 squares of sums fit.
  const int exponent = (int)(bits >> 23) - 126;
  s.alpha = bits == 0 || (exponent > -30 && exponent < 30) ? 1 : (float)ldexp(1, exponent < -126 ? 126 : -exponent);
  cpu_factor_status status = open_state(&s, kernels, team) ? begin(&s, start) : CPU_FACTOR_MEMORY;
  if (status == CPU_FACTOR_OK) status = iterate(&s, report);
  if (status == CPU_FACTOR_OK && !svd_product(&s)) status = CPU_FACTOR_STOPPED;
  if (status == CPU_FACTOR_OK) status = (options->rotate ? svd_rotate : svd_sort)(&s, u, out, v, report);
  static const uint32_t names[] = {CPU_RAN_GRAM_FUSED, CPU_RAN_SVD_NAIVE, CPU_RAN_GEMM_AV_AT_B};
  report->variants = s.tall.variants | s.wide.variants | names[options->product];
  if (options->band > 0 && options->product != CPU_SVD_NAIVE) report->variants |= CPU_RAN_SVD_BANDED;
  close_state(&s);
  return status;
}
