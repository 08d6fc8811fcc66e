// Indices by beam search: codebook after codebook, the nearest few sums of rows are kept.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "additive_room.h"
#include "cpu_additive.h"
#include "cpu_kernels.h"
#include "cpu_linalg.h"

// Rows that meet a codebook at once.
#define ROWS 64

// One part of one row, while it is searched for: candidates and the indices that led to them, before and after a step.
typedef struct beam_state {
  const cpu_additive *a;
  const cpu_kernels *kernels;
  uint32_t part;
  cpu_beam beams[2];
  uint32_t *paths[2];  // capacity × each
  float *rests[2];     // capacity × dsub: what is left of the row
  float *values;       // of one candidate's next rows
} beam_state;

// Copies the indices of candidates' parents and adds their own.
static void follow(beam_state *state, uint32_t step, uint32_t each) {
  cpu_beam *next = &state->beams[1];
  // Where no sum is a number, as of rows whose products are past the largest float, any row does.
  if (next->count == 0) {
    next->count = 1;
    next->keys[0] = INFINITY;
    next->index[0] = next->parent[0] = 0;
  }
  for (uint32_t b = 0; b < next->count; b++) {
    uint32_t *path = state->paths[1] + (size_t)b * each;
    memcpy(path, state->paths[0] + (size_t)next->parent[b] * each, step * sizeof *path);
    path[step] = next->index[b];
  }
}

static void swap(beam_state *state) {
  cpu_beam beam = state->beams[0];
  uint32_t *path = state->paths[0];
  float *rest = state->rests[0];
  state->beams[0] = state->beams[1], state->beams[1] = beam;
  state->paths[0] = state->paths[1], state->paths[1] = path;
  state->rests[0] = state->rests[1], state->rests[1] = rest;
}

// A step by what is left of the row after each candidate.
static void step_by_rests(beam_state *state, uint32_t step, uint32_t m) {
  const cpu_additive *a = state->a;
  uint32_t dsub = a->dsub, ksub = 1u << a->nbits[m], wide = (ksub + 15) / 16 * 16;
  const float *columns = a->columns + a->column_at[m];
  cpu_pq book = {
      .d = dsub, .m = 1, .nbits = a->nbits[m], .dsub = dsub, .ksub = ksub, .stride = wide, .columns = columns,
  };
  cpu_beam *next = &state->beams[1];
  next->count = 0;
  for (uint32_t b = 0; b < state->beams[0].count; b++) {
    state->kernels->pq->tables(&book, false, 1, state->rests[0] + (size_t)b * dsub, state->values);
    cpu_additive_table(state->kernels)->select(state->values, ksub, 0, b, next);
  }
  follow(state, step, a->m / a->splits);
  for (uint32_t b = 0; b < next->count; b++) {
    const float *rest = state->rests[0] + (size_t)next->parent[b] * dsub;
    for (uint32_t j = 0; j < dsub; j++)
      state->rests[1][(size_t)b * dsub + j] = rest[j] - columns[(size_t)j * wide + next->index[b]];
  }
  swap(state);
}

// A step by products: common[k] is what row k alone adds to the square.
static void step_by_products(beam_state *state, uint32_t step, uint32_t m, const float *common) {
  const cpu_additive *a = state->a;
  uint32_t each = a->m / a->splits, ksub = 1u << a->nbits[m], wide = (ksub + 15) / 16 * 16;
  const cpu_additive_kernels *table = cpu_additive_table(state->kernels);
  const float *rows[CPU_ADDITIVE_MAX_BOOKS];
  cpu_beam *next = &state->beams[1];
  next->count = 0;
  for (uint32_t b = 0; b < state->beams[0].count; b++) {
    const uint32_t *path = state->paths[0] + (size_t)b * each;
    const float *cross = a->cross + a->cross_at[m];
    rows[0] = common;
    for (uint32_t l = 0; l < step; l++) {
      rows[l + 1] = cross + (size_t)path[l] * wide;
      cross += ((size_t)wide) << a->nbits[state->part * each + l];
    }
    if (step > 0) table->sum(rows, step + 1, wide, state->values);
    table->select(step > 0 ? state->values : common, ksub, state->beams[0].keys[b], b, next);
  }
  follow(state, step, each);
  swap(state);
}

// products: of each codebook of the part, ROWS × its padded rows, times -2.
static void search_row(beam_state *state, const float *x, const float *products, uint32_t row, uint32_t *indices) {
  const cpu_additive *a = state->a;
  uint32_t each = a->m / a->splits, first = state->part * each;
  state->beams[0].count = 1;
  state->beams[0].keys[0] = 0;
  if (!a->cross) memcpy(state->rests[0], x, a->dsub * sizeof *x);
  float *common = state->values + a->stride;
  for (uint32_t step = 0; step < each; step++) {
    uint32_t m = first + step;
    if (!a->cross) {
      step_by_rests(state, step, m);
      continue;
    }
    uint32_t wide = (uint32_t)((a->column_at[m + 1] - a->column_at[m]) / a->dsub);
    const float *pair[] = {a->squares + a->column_at[m] / a->dsub, products + (size_t)row * wide};
    cpu_additive_table(state->kernels)->sum(pair, 2, wide, common);
    step_by_products(state, step, m, common);
    products += (size_t)ROWS * wide;
  }
  memcpy(indices, state->paths[0], each * sizeof *indices);
}

bool cpu_additive_beam(const cpu_kernels *kernels, const cpu_additive *a, const float *x, uint64_t n,
                       uint32_t *indices) {
  uint32_t each = a->m / a->splits, dsub = a->dsub, capacity = a->beam;
  size_t gemm = a->cross ? cpu_gemm_scratch(kernels, ROWS, a->stride, dsub) : 0;
  uint64_t wide = 0;
  for (uint32_t s = 0; s < a->splits && a->cross; s++) {
    uint64_t of_part = (a->column_at[(s + 1) * each] - a->column_at[s * each]) / dsub;
    wide = of_part > wide ? of_part : wide;
  }
  cpu_room room = {0};
  beam_state state = {.a = a, .kernels = kernels};
  void *scratch = NULL;
  float *near = NULL, *products = NULL;
  for (uint32_t pass = 0; pass < 2; pass++) {
    for (uint32_t i = 0; i < 2; i++) {
      cpu_beam *beam = &state.beams[i];
      beam->capacity = capacity;
      beam->keys = cpu_room_take(&room, capacity * sizeof(float));
      beam->index = cpu_room_take(&room, capacity * sizeof(uint32_t));
      beam->parent = cpu_room_take(&room, capacity * sizeof(uint32_t));
      state.paths[i] = cpu_room_take(&room, (size_t)capacity * each * sizeof(uint32_t));
      state.rests[i] = cpu_room_take(&room, (a->cross ? 0 : (size_t)capacity * dsub) * sizeof(float));
    }
    state.values = cpu_room_take(&room, 2 * (size_t)a->stride * sizeof(float));
    near = cpu_room_take(&room, (size_t)ROWS * dsub * sizeof(float));
    products = cpu_room_take(&room, (size_t)ROWS * wide * sizeof(float));
    scratch = cpu_room_take(&room, gemm);
    if (pass == 0 && !cpu_room_open(&room)) return false;
  }
  for (uint64_t from = 0; from < n; from += ROWS) {
    uint32_t held = n - from < ROWS ? (uint32_t)(n - from) : ROWS;
    for (uint32_t s = 0; s < a->splits; s++) {
      state.part = s;
      for (uint32_t i = 0; i < held; i++) {
        const float *row = x + (from + i) * a->d + (size_t)s * dsub, *middle = a->middle + (size_t)s * dsub;
        for (uint32_t j = 0; j < dsub; j++) near[(size_t)i * dsub + j] = row[j] - middle[j];
      }
      float *out = products;
      for (uint32_t m = s * each; m < (s + 1) * each && a->cross; m++) {
        uint64_t columns = (a->column_at[m + 1] - a->column_at[m]) / dsub;
        cpu_matrix left = {.data = near, .line = dsub, .type = CPU_F32};
        cpu_matrix right = {.data = a->columns + a->column_at[m], .line = columns, .type = CPU_F32};
        cpu_gemm(kernels, held, columns, dsub, -2, &left, &right, 0, out, columns, scratch);
        out += ROWS * columns;
      }
      for (uint32_t i = 0; i < held; i++)
        search_row(&state, near + (size_t)i * dsub, products, i, indices + (from + i) * a->m + s * each);
    }
  }
  free(room.memory);
  return true;
}
