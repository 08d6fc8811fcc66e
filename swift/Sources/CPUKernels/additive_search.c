// Indices by local search: some change at random, then each in turn is set to the best beside the others, as long as
// that betters what they stand for.
#include <stdlib.h>
#include <string.h>

#include "additive_room.h"
#include "cpu_additive.h"
#include "cpu_kernels.h"
#include "cpu_linalg.h"

#define ROWS 64

void cpu_twister_start(cpu_twister *twister, uint32_t seed) {
  uint32_t *s = twister->state;
  s[0] = seed;
  for (uint32_t i = 1; i < 624; i++) s[i] = 1812433253u * (s[i - 1] ^ s[i - 1] >> 30) + i;
  twister->at = 624;
}

static uint32_t next(cpu_twister *twister) {
  uint32_t *s = twister->state;
  if (twister->at == 624) {
    for (uint32_t i = 0; i < 624; i++) {
      uint32_t y = (s[i] & 0x80000000u) | (s[(i + 1) % 624] & 0x7fffffffu);
      s[i] = s[(i + 397) % 624] ^ y >> 1 ^ (y & 1 ? 0x9908b0dfu : 0);
    }
    twister->at = 0;
  }
  uint32_t y = s[twister->at++];
  y ^= y >> 11;
  y ^= y << 7 & 0x9d2c5680u;
  y ^= y << 15 & 0xefc60000u;
  return y ^ y >> 18;
}

// The upper half of a product with the limit, once the lower one favours none.
uint32_t cpu_twister_below(cpu_twister *twister, uint32_t limit) {
  uint64_t product = (uint64_t)next(twister) * limit;
  if ((uint32_t)product < limit) {
    uint32_t least = -limit % limit;
    while ((uint32_t)product < least) product = (uint64_t)next(twister) * limit;
  }
  return (uint32_t)(product >> 32);
}

uint64_t cpu_additive_pairs(const cpu_additive *a) {
  uint64_t each = a->m / a->splits, ksub = 1u << a->nbits[0], wide = (ksub + 15) / 16 * 16;
  return each * ksub * each * wide;
}

// Row k of codebook l has its products with all rows of codebook m at ((l * ksub + k) * each + m) * wide.
void cpu_additive_fill_pairs(const cpu_kernels *kernels, const cpu_additive *a, uint32_t part, uint32_t m, float *pairs,
                             void *scratch) {
  uint64_t each = a->m / a->splits, ksub = 1u << a->nbits[0], wide = (ksub + 15) / 16 * 16;
  uint32_t first = part * (uint32_t)each;
  const float *rows = a->codebooks + (size_t)a->offsets[first] * a->dsub;
  cpu_matrix left = {.data = rows, .line = a->dsub, .type = CPU_F32};
  cpu_matrix right = {.data = a->columns + a->column_at[first + m], .line = wide, .type = CPU_F32};
  cpu_gemm(kernels, each * ksub, wide, a->dsub, 2, &left, &right, 0, pairs + m * wide, each * wide, scratch);
}

typedef struct local_state {
  const cpu_kernels *kernels;
  const cpu_additive *a;
  uint32_t part, each, ksub, wide;
  const float *pairs;
  float *alone;  // of the row, each × wide: what indices add to the square by themselves
  float *decoded;
} local_state;

static double apart(const local_state *state, const float *x, const uint32_t *indices) {
  const cpu_additive *a = state->a;
  const float *rows[CPU_ADDITIVE_MAX_BOOKS];
  for (uint32_t j = 0; j < state->each; j++)
    rows[j] = a->codebooks + (size_t)(a->offsets[state->part * state->each + j] + indices[j]) * a->dsub;
  cpu_additive_table(state->kernels)->sum(rows, state->each, a->dsub, state->decoded);
  return state->kernels->pair(CPU_L2, 0, x, state->decoded, a->dsub);
}

// Sets each index to the best beside the others. False where none changed.
static bool sweep(const local_state *state, uint32_t *indices) {
  const float *rows[CPU_ADDITIVE_MAX_BOOKS];
  bool changed = false;
  for (uint32_t m = 0; m < state->each; m++) {
    uint32_t count = 0;
    rows[count++] = state->alone + (size_t)m * state->wide;
    for (uint32_t l = 0; l < state->each; l++) {
      if (l == m) continue;
      size_t row = (size_t)l * state->ksub + indices[l];
      rows[count++] = state->pairs + (row * state->each + m) * state->wide;
    }
    uint32_t best = cpu_additive_table(state->kernels)->least(rows, count, state->wide);
    changed = changed || best != indices[m];
    indices[m] = best;
  }
  return changed;
}

static void better(const local_state *state, const float *x, uint32_t *best, uint32_t *tried, const uint32_t *draws,
                   uint64_t line, uint32_t rounds) {
  const cpu_additive *a = state->a;
  size_t bytes = state->each * sizeof *best;
  double least = apart(state, x, best);
  uint32_t changes = a->changes < state->each ? a->changes : state->each;
  for (uint32_t round = 0; round < rounds; round++, draws += line) {
    memcpy(tried, best, bytes);
    for (uint32_t i = 0; i < changes; i++) tried[draws[2 * i]] = draws[2 * i + 1];
    // Once nothing changes, nothing will.
    for (uint32_t i = 0; i < a->sweeps && sweep(state, tried); i++) {
    }
    double now = apart(state, x, tried);
    if (!((float)now < (float)least)) continue;
    least = now;
    memcpy(best, tried, bytes);
  }
}

bool cpu_additive_search(const cpu_kernels *kernels, const cpu_additive *a, uint32_t part, const float *pairs,
                         const float *x, uint64_t n, uint32_t *indices, const uint32_t *draws, uint64_t line,
                         uint32_t rounds) {
  uint32_t each = a->m / a->splits, dsub = a->dsub, ksub = 1u << a->nbits[0], wide = (ksub + 15) / 16 * 16;
  uint32_t changes = a->changes < each ? a->changes : each;
  local_state state = {.kernels = kernels, .a = a, .part = part, .each = each, .ksub = ksub, .wide = wide};
  state.pairs = pairs;
  cpu_room room = {0};
  float *products = NULL, *near = NULL;
  uint32_t *tried = NULL;
  void *scratch = NULL;
  for (uint32_t pass = 0; pass < 2; pass++) {
    state.alone = cpu_room_take(&room, (size_t)each * wide * sizeof(float));
    state.decoded = cpu_room_take(&room, dsub * sizeof(float));
    products = cpu_room_take(&room, (size_t)ROWS * each * wide * sizeof(float));
    near = cpu_room_take(&room, (size_t)ROWS * dsub * sizeof(float));
    tried = cpu_room_take(&room, each * sizeof(uint32_t));
    scratch = cpu_room_take(&room, cpu_gemm_scratch(kernels, ROWS, wide, dsub));
    if (pass == 0 && !cpu_room_open(&room)) return false;
  }
  const float *squares = a->squares + a->column_at[part * each] / dsub;
  for (uint64_t from = 0; from < n; from += ROWS) {
    uint32_t held = n - from < ROWS ? (uint32_t)(n - from) : ROWS;
    for (uint32_t i = 0; i < held; i++)
      memcpy(near + (size_t)i * dsub, x + (from + i) * a->d + (size_t)part * dsub, dsub * sizeof(float));
    for (uint32_t m = 0; m < each; m++) {
      cpu_matrix left = {.data = near, .line = dsub, .type = CPU_F32};
      cpu_matrix right = {.data = a->columns + a->column_at[part * each + m], .line = wide, .type = CPU_F32};
      cpu_gemm(kernels, held, wide, dsub, -2, &left, &right, 0, products + m * wide, (uint64_t)each * wide, scratch);
    }
    for (uint32_t i = 0; i < held; i++) {
      const float *pair[] = {squares, products + (size_t)i * each * wide};
      cpu_additive_table(kernels)->sum(pair, 2, each * wide, state.alone);
      better(&state, near + (size_t)i * dsub, indices + (from + i) * a->m + part * each, tried,
             draws + (from + i) * 2 * changes, line, rounds);
    }
  }
  free(room.memory);
  return true;
}
