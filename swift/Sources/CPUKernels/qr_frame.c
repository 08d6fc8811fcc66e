#include "qr_frame.h"

#define MOST_ITEMS 64

void *qr_allocate(uint64_t count, uint64_t size) {
  void *memory = NULL;
  if (size == 0 || count > (SIZE_MAX / 4) / size) return NULL;
  if (posix_memalign(&memory, 64, count * size + 64) != 0) return NULL;
  return memory;
}

bool qr_frame_open(qr_frame *f, const cpu_kernels *kernels, const cpu_team *team, uint64_t rows, uint64_t columns) {
  memset(f, 0, sizeof *f);
  f->kernels = kernels;
  f->factor = kernels->factor;
  f->team = team;
  f->rows = rows;
  // By the shape alone, never by threads: sums have one order.
  f->items = rows / (rows < 1024 ? 128 : 256);
  f->items = f->items < 1 ? 1 : f->items > MOST_ITEMS ? MOST_ITEMS : f->items;
  f->item_rows = ((rows + f->items - 1) / f->items + BLOCK - 1) / BLOCK * BLOCK;
  f->items = (rows + f->item_rows - 1) / f->item_rows;
  f->slot = (qr_round(columns) + LINE) * (columns < LINE ? qr_round(columns) : LINE);
  f->slots = qr_allocate(f->items * f->slot, sizeof(float));
  f->sums = qr_allocate(f->slot, sizeof(float));
  f->gram = qr_allocate(LINE * LINE, sizeof(double));
  f->inverse = qr_allocate(LINE * LINE, sizeof(double));
  f->apply = qr_allocate(LINE * LINE, sizeof(float));
  return f->slots && f->sums && f->gram && f->inverse && f->apply;
}

void qr_frame_close(qr_frame *f) {
  free(f->slots);
  free(f->sums);
  free(f->columns);
  free(f->gram);
  free(f->inverse);
  free(f->apply);
}

bool qr_run(const cpu_team *team, uint64_t count, double work, void (*body)(void *state, uint64_t item), void *state) {
  if (work >= TEAM_WORK && count > 1) return team->run(team->context, count, body, state);
  for (uint64_t item = 0; item < count; item++) body(state, item);
  return true;
}
