// Products of a subspace iteration. The fused one takes a block of A's rows through B = A V and Z += AᵀB while it
// is in the cache: A is read once.
#include "svd_state.h"

static uint64_t item_end(const svd_state *s, uint64_t item) {
  const uint64_t end = (item + 1) * s->item_rows;
  return end < s->m ? end : s->m;
}

static void fused(void *pointer, uint64_t item) {
  const svd_state *s = pointer;
  const cpu_factor *f = s->tall.factor;
  const uint64_t width = s->width, n = s->n;
  float *slot = s->slots + item * n * width;
  double *squares = s->squares + item * svd_squares_line(s) + s->first;
  float *block = s->b + item * s->item_rows * s->line;
  memset(slot, 0, n * width * sizeof(float));
  memset(squares, 0, width * sizeof(double));
  for (uint64_t row = item * s->item_rows; row < item_end(s, item); row += BLOCK) {
    const uint64_t left = item_end(s, item) - row, count = left < BLOCK ? left : BLOCK;
    memset(block, 0, count * width * sizeof(float));
    f->nn(count, width, n, s->a + row * n, n, s->factor, s->factor_line, block, width);
    if (s->alpha != 1) f->scale(s->alpha, block, count * width);
    f->squares(block, count, width, width, squares);
    f->tn(n, width, count, s->a + row * n, n, block, width, slot, width);
  }
}

static void sum_up(void *pointer, uint64_t item) {
  const svd_state *s = pointer;
  const uint64_t all = s->n * s->width, share = 16 * 1024, start = item * share;
  s->tall.factor->sum_slots(s->slots + start, s->items, all, 1, s->product + start,
                            all - start < share ? all - start : share);
}

// B = A V of an item's rows, lines of `width`.
static void product(void *pointer, uint64_t item) {
  const svd_state *s = pointer;
  const cpu_factor *f = s->tall.factor;
  const uint64_t width = s->width;
  double *squares = s->squares + item * svd_squares_line(s) + s->first;
  memset(squares, 0, width * sizeof(double));
  for (uint64_t row = item * s->item_rows; row < item_end(s, item); row += BLOCK) {
    const uint64_t left = item_end(s, item) - row, count = left < BLOCK ? left : BLOCK;
    float *b = s->b + row * width;
    memset(b, 0, count * width * sizeof(float));
    f->nn(count, width, s->n, s->a + row * s->n, s->n, s->factor, s->factor_line, b, width);
    if (s->alpha != 1) f->scale(s->alpha, b, count * width);
    f->squares(b, count, width, width, squares);
  }
}

// Z = AᵀB, an item's rows' part.
static void transposed_product(void *pointer, uint64_t item) {
  const svd_state *s = pointer;
  const uint64_t width = s->width, n = s->n;
  float *slot = s->slots + item * n * width;
  memset(slot, 0, n * width * sizeof(float));
  for (uint64_t row = item * s->item_rows; row < item_end(s, item); row += BLOCK) {
    const uint64_t left = item_end(s, item) - row, count = left < BLOCK ? left : BLOCK;
    s->tall.factor->tn(n, width, count, s->a + row * n, n, s->b + row * width, width, slot, width);
  }
}

static bool run_products(svd_state *s) {
  const double work = (double)s->m * (double)s->n * (double)s->width;
  const uint64_t all = s->n * s->width, share = 16 * 1024;
  const cpu_team *team = s->tall.team;
  if (s->options->product == CPU_SVD_TILED) {
    if (!qr_run(team, s->items, work, product, s) || !qr_run(team, s->items, work, transposed_product, s)) return false;
  } else if (!qr_run(team, s->items, 2 * work, fused, s)) {
    return false;
  }
  return qr_run(team, (all + share - 1) / share, (double)(all * s->items), sum_up, s);
}

static bool run_banded(svd_state *s) {
  const uint64_t n = s->n, band = s->options->band;
  for (uint64_t first = 0; first < s->k; first += band) {
    const uint64_t columns = s->k - first < band ? s->k - first : band;
    s->width = qr_round(columns);
    s->first = first;
    s->factor = s->band_v;
    s->factor_line = s->width;
    s->product = s->band_z;
    for (uint64_t i = 0; i < n; i++) {
      memset(s->band_v + i * s->width, 0, s->width * sizeof(float));
      memcpy(s->band_v + i * s->width, s->scaled + i * s->line + first, columns * sizeof(float));
    }
    if (!run_products(s)) return false;
    for (uint64_t i = 0; i < n; i++)
      memcpy(s->z + i * s->line + first, s->band_z + i * s->width, columns * sizeof(float));
  }
  return true;
}

// A number at a time, as an untiled kernel goes about it.
static void naive_b(void *pointer, uint64_t item) {
  const svd_state *s = pointer;
  double *squares = s->squares + item * svd_squares_line(s);
  memset(squares, 0, s->line * sizeof(double));
  for (uint64_t i = item * s->item_rows; i < item_end(s, item); i++)
    for (uint64_t c = 0; c < s->k; c++) {
      float sum = 0;
      for (uint64_t j = 0; j < s->n; j++) sum += s->a[i * s->n + j] * s->scaled[j * s->line + c];
      sum *= s->alpha;
      s->b[i * s->line + c] = sum;
      squares[c] += (double)sum * (double)sum;
    }
}

#define NAIVE_COLUMNS 16
static void naive_z(void *pointer, uint64_t item) {
  const svd_state *s = pointer;
  const uint64_t end = (item + 1) * NAIVE_COLUMNS < s->n ? (item + 1) * NAIVE_COLUMNS : s->n;
  for (uint64_t j = item * NAIVE_COLUMNS; j < end; j++)
    for (uint64_t c = 0; c < s->k; c++) {
      float sum = 0;
      for (uint64_t i = 0; i < s->m; i++) sum += s->a[i * s->n + j] * s->b[i * s->line + c];
      s->z[j * s->line + c] = sum;
    }
}

static bool run_naive(svd_state *s) {
  const double work = (double)s->m * (double)s->n * (double)s->k;
  return qr_run(s->tall.team, s->items, work, naive_b, s) &&
         qr_run(s->tall.team, (s->n + NAIVE_COLUMNS - 1) / NAIVE_COLUMNS, work, naive_z, s);
}

static void sum_norms(svd_state *s, uint64_t items) {
  for (uint64_t c = 0; c < s->k; c++) {
    double sum = 0;
    for (uint64_t item = 0; item < items; item++) sum += s->squares[item * svd_squares_line(s) + c];
    s->norms[c] = sqrt(sum);
  }
}

static void take_all(svd_state *s) {
  s->factor = s->scaled;
  s->factor_line = s->width = s->line;
  s->first = 0;
  s->product = s->z;
}

bool svd_z_step(svd_state *s) {
  take_all(s);
  const bool done = s->options->product == CPU_SVD_NAIVE ? run_naive(s)
                    : s->options->band > 0                    ? run_banded(s)
                                                              : run_products(s);
  sum_norms(s, s->items);
  return done;
}

bool svd_product(svd_state *s) {
  take_all(s);
  const bool done = qr_run(s->tall.team, s->items, (double)s->m * (double)s->n * (double)s->k, product, s);
  sum_norms(s, s->items);
  return done;
}
