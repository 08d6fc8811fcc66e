// Directions for columns that depend on others: drawn at random, and made orthonormal to all the rest as panels
// of a copy.
#include "qr_frame.h"

#define DRAWS 64

static void copy_panels(const qr_panels *from, const qr_panels *to, uint64_t rows) {
  for (uint64_t p = 0; p < qr_panel_count(from); p++) {
    const uint64_t left = from->count - p * from->width;
    const uint64_t n = left < from->width ? left : from->width;
    for (uint64_t row = 0; row < rows; row++) {
      float *line = qr_panel_at(to, p, row);
      memset(line, 0, to->width * sizeof(float));
      memcpy(line, qr_panel_at(from, p, row), n * sizeof(float));
    }
  }
}

// Draws n columns of panel p; their lengths are about 1.
static void draw(const qr_panels *panels, uint64_t p, uint32_t n, uint64_t rows, uint64_t *seed) {
  const float size = (float)sqrt(3.0 / (double)rows);
  for (uint64_t row = 0; row < rows; row++) {
    float *line = qr_panel_at(panels, p, row);
    memset(line, 0, panels->width * sizeof(float));
    for (uint32_t j = 0; j < n; j++) line[j] = qr_random(seed) * size;
  }
}

cpu_factor_status qr_complete(qr_frame *frame, const qr_panels *panels, bool *alive) {
  uint64_t dead = 0, column = 0, seed = 1;
  for (uint64_t j = 0; j < panels->count; j++) dead += !alive[j];
  if (dead == 0) return CPU_FACTOR_OK;
  frame->variants |= CPU_RAN_QR_COMPLETE;
  const uint64_t count = qr_panel_count(panels), width = panels->width;
  const uint64_t all_panels = count + (dead + width - 1) / width;
  qr_panels all = {NULL, width, frame->rows * width, panels->width, 0};
  all.base = qr_allocate(all_panels * all.step, sizeof(float));
  double *within = qr_allocate(LINE * LINE, sizeof(double));
  qr_frame own = {0};
  cpu_factor_status status = CPU_FACTOR_MEMORY;
  if (all.base && within && qr_frame_open(&own, frame->kernels, frame->team, frame->rows, all_panels * width)) {
    status = CPU_FACTOR_OK;
    copy_panels(panels, &all, frame->rows);
  }
  uint64_t p = count;
  for (uint32_t draws = 0; dead > 0 && status == CPU_FACTOR_OK; draws++) {
    if (draws == all_panels + DRAWS) status = CPU_FACTOR_DIVERGED;
    const uint32_t n = (uint32_t)(dead < width ? dead : width);
    bool good[LINE];
    double lengths[LINE];
    for (uint32_t j = 0; j < n; j++) {
      good[j] = true;
      lengths[j] = 1;
    }
    draw(&all, p, n, frame->rows, &seed);
    all.count = p * width + n;
    if (status == CPU_FACTOR_OK) status = qr_panel(&own, &all, p, lengths, good, 1e-5, NULL, within);
    if (status != CPU_FACTOR_OK) break;
    bool whole = true;
    for (uint32_t j = 0; j < n; j++) {
      whole = whole && good[j];
      if (!good[j]) continue;
      while (alive[column]) column++;
      float *to = qr_panel_at(panels, column / width, 0) + column % width;
      const float *from = qr_panel_at(&all, p, 0) + j;
      for (uint64_t row = 0; row < frame->rows; row++) to[row * panels->line] = from[row * all.line];
      alive[column] = true;
      dead--;
    }
    if (whole) {
      p++;
    } else {
      // Some were drawn in vain: those that were not count as columns of the matrix from here on.
      copy_panels(panels, &all, frame->rows);
      p = count;
    }
  }
  free(all.base);
  free(within);
  qr_frame_close(&own);
  return status;
}
