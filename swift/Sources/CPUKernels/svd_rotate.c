// From V and B = A V to singular values and vectors: by the singular value decomposition of B's R (Rayleigh–Ritz), or,
// as the journal did, by the lengths of B's columns.
#include "svd_state.h"

// Values below this much of the largest are rounding of R's products.
#define LEAST_VALUE 1e-7

void svd_order(uint64_t count, const double *values, uint64_t *order) {
  for (uint64_t i = 0; i < count; i++) {
    uint64_t at = i;
    for (; at > 0 && values[order[at - 1]] < values[i]; at--) order[at] = order[at - 1];
    order[at] = i;
  }
}

bool svd_values(const svd_state *s, const double *values, const uint64_t *order, float *out, cpu_report *report) {
  const double most = values[order ? order[0] : 0];
  bool finite = true;
  report->rank = 0;
  for (uint64_t i = 0; i < s->k; i++) {
    const double value = values[order ? order[i] : i];
    // B is A V by alpha twice.
    out[i] = (float)(value / (double)s->alpha / (double)s->alpha);
    finite = finite && isfinite(out[i]);
    report->rank += value > 0 && value > (double)s->n * 0x1p-23 * most;
  }
  return finite;
}

typedef struct rotation {
  qr_frame *frame;
  const float *x, *by;  // rows × line, line × line
  float *out;           // rows × k
  uint64_t line, k;
} rotation;

#define ROTATE_ROWS 16
#define ROTATE_COLUMNS 256

static void rotate(void *pointer, uint64_t item) {
  const rotation *r = pointer;
  const uint64_t end = qr_item_end(r->frame, item);
  float block[ROTATE_ROWS * ROTATE_COLUMNS];
  for (uint64_t first = 0; first < r->k; first += ROTATE_COLUMNS) {
    const uint64_t left = r->line - first, width = left < ROTATE_COLUMNS ? left : ROTATE_COLUMNS;
    const uint64_t columns = r->k - first < width ? r->k - first : width;
    for (uint64_t row = item * r->frame->item_rows; row < end; row += ROTATE_ROWS) {
      const uint64_t count = end - row < ROTATE_ROWS ? end - row : ROTATE_ROWS;
      memset(block, 0, count * width * sizeof(float));
      r->frame->factor->nn(count, width, r->k, r->x + row * r->line, r->line, r->by + first, r->line, block, width);
      for (uint64_t i = 0; i < count; i++)
        memcpy(r->out + (row + i) * r->k + first, block + i * width, columns * sizeof(float));
    }
  }
}

// Turns column i of x (k × k, rows of columns) into a unit vector orthogonal to those before; false: nothing is left.
static bool make_unit(uint64_t k, double *x, uint64_t i, double least) {
  double *v = x + i * k, length = 0;
  for (uint32_t pass = 0; pass < 2; pass++) {
    for (uint64_t j = 0; j < i; j++) {
      double sum = 0;
      for (uint64_t r = 0; r < k; r++) sum += x[j * k + r] * v[r];
      for (uint64_t r = 0; r < k; r++) v[r] -= sum * x[j * k + r];
    }
    length = 0;
    for (uint64_t r = 0; r < k; r++) length += v[r] * v[r];
    length = sqrt(length);
    if (!(length > least)) return false;
    for (uint64_t r = 0; r < k; r++) v[r] /= length;
  }
  return true;
}

// Left singular vectors of R, as rows: R W / s, and directions of their own where s vanishes.
static void left_vectors(uint64_t k, const double *r, const double *w, const double *values, double *left) {
  memset(left, 0, k * k * sizeof(double));
  uint64_t next = 0;
  for (uint64_t i = 0; i < k; i++) {
    double *to = left + i * k;
    bool good = values[i] > LEAST_VALUE * values[0];
    if (good) {
      for (uint64_t row = 0; row < k; row++) {
        double sum = 0;
        for (uint64_t c = row; c < k; c++) sum += r[row * k + c] * w[c * k + i];
        to[row] = sum / values[i];
      }
      // Columns of larger values are orthogonal as they are.
      if (values[i] < 1e-3 * values[0]) good = make_unit(k, left, i, 0.1);
    }
    while (!good) {
      memset(to, 0, k * sizeof(double));
      to[next++ % k] = 1;
      good = make_unit(k, left, i, 0.5 / sqrt((double)k));
    }
  }
}

static cpu_factor_status rotate_both(svd_state *s, const double *left, const double *w, float *u, float *v) {
  const uint64_t k = s->k, line = s->line;
  float *by = qr_allocate(line * line, sizeof(float));
  if (!by) return CPU_FACTOR_MEMORY;
  memset(by, 0, line * line * sizeof(float));
  for (uint64_t i = 0; i < k; i++)
    for (uint64_t c = 0; c < k; c++) by[i * line + c] = (float)left[c * k + i];
  rotation r = {&s->tall, s->b, by, u, line, k};
  bool done = qr_run(s->tall.team, s->tall.items, (double)(s->m * k * k), rotate, &r);
  for (uint64_t i = 0; i < k; i++)
    for (uint64_t c = 0; c < k; c++) by[i * line + c] = (float)w[i * k + c];
  r = (rotation){&s->wide, s->v, by, v, line, k};
  done = done && qr_run(s->tall.team, s->wide.items, (double)(s->n * k * k), rotate, &r);
  free(by);
  return done ? CPU_FACTOR_OK : CPU_FACTOR_STOPPED;
}

cpu_factor_status svd_rotate(svd_state *s, float *u, float *out, float *v, cpu_report *report) {
  const uint64_t k = s->k;
  double *r = qr_allocate(4 * k * k + k + cpu_eigen_scratch(k), sizeof(double));
  if (!r) return CPU_FACTOR_MEMORY;
  double *gram = r + k * k, *w = gram + k * k, *left = w + k * k, *values = left + k * k, *scratch = values + k;
  cpu_factor_status status = svd_orthonormalize(s, &s->tall, s->b, r);
  if (status == CPU_FACTOR_OK) {
    memset(gram, 0, k * k * sizeof(double));
    for (uint64_t row = 0; row < k; row++)
      for (uint64_t i = row; i < k; i++) {
        const double factor = r[row * k + i];
        double *to = gram + i * k;
        for (uint64_t j = row; j <= i; j++) to[j] += factor * r[row * k + j];
      }
    if (!cpu_eigen_symmetric(k, gram, values, w, scratch)) status = CPU_FACTOR_DIVERGED;
  }
  if (status == CPU_FACTOR_OK) {
    for (uint64_t i = 0; i < k; i++) values[i] = values[i] > 0 ? sqrt(values[i]) : 0;
    if (!svd_values(s, values, NULL, out, report)) status = CPU_FACTOR_TOO_LONG;
    left_vectors(k, r, w, values, left);
  }
  if (status == CPU_FACTOR_OK) status = rotate_both(s, left, w, u, v);
  free(r);
  return status;
}

cpu_factor_status svd_sort(svd_state *s, float *u, float *out, float *v, cpu_report *report) {
  const uint64_t k = s->k, line = s->line;
  uint64_t *order = qr_allocate(k, sizeof(uint64_t));
  float *copy = NULL;
  if (!order) return CPU_FACTOR_MEMORY;
  svd_order(k, s->norms, order);
  cpu_factor_status status = svd_values(s, s->norms, order, out, report) ? CPU_FACTOR_OK : CPU_FACTOR_TOO_LONG;
  if (status == CPU_FACTOR_OK && report->rank < k) {
    // Columns of no length take directions orthogonal to all of B's.
    copy = qr_allocate(s->m * line, sizeof(float));
    if (copy) {
      memcpy(copy, s->b, s->m * line * sizeof(float));
      for (uint64_t row = 0; row < s->m; row++)
        for (uint64_t i = report->rank; i < k; i++) copy[row * line + order[i]] = 0;
      status = svd_orthonormalize(s, &s->tall, copy, NULL);
    } else {
      status = CPU_FACTOR_MEMORY;
    }
  }
  for (uint64_t i = 0; i < k && status == CPU_FACTOR_OK; i++) {
    const bool counts = i < report->rank;
    const float *from = (counts ? s->b : copy) + order[i];
    const float factor = counts ? (float)(1 / s->norms[order[i]]) : 1;
    for (uint64_t row = 0; row < s->m; row++) u[row * k + i] = from[row * line] * factor;
    for (uint64_t row = 0; row < s->n; row++) v[row * k + i] = s->v[row * line + order[i]];
  }
  free(copy);
  free(order);
  return status;
}
