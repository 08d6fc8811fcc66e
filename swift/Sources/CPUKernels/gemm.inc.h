// Register tiles of products, and packing for them.
#include "gemm.h"

// Rows of a full tile of so many vectors: sums, a row of B and one factor fill the registers.
#if LANES == 16
#define TILE_ROWS(v) ((v) <= 2 ? 14 : (v) == 3 ? 8 : 6)
#define WIDE 2
#elif LANES == 8
#define TILE_ROWS(v) ((v) == 1 ? 12 : (v) == 2 ? 6 : (v) == 3 ? 4 : 0)
#define WIDE 2
#elif LANES == 4
#define TILE_ROWS(v) ((v) == 1 ? 14 : (v) == 2 ? 12 : (v) == 3 ? 8 : 6)
#define WIDE 3
#else
#define TILE_ROWS(v) 4
#define WIDE 4
#endif

INLINE void tile_store(uint32_t rows, uint32_t vectors, vf (*sums)[CPU_MAX_VECTORS], const cpu_tile_out *out) {
  vf alpha = (vf)out->alpha, beta = (vf)out->beta;
  bool whole = out->columns == vectors * LANES, reads = out->beta != 0;
  UNROLL for (uint32_t i = 0; i < rows; i++) {
    if (i >= out->rows) return;
    float *c = out->c + i * out->line;
    UNROLL for (uint32_t v = 0; v < vectors; v++) {
      vf value = alpha * sums[i][v];
      if (whole) {
        store(c + v * LANES, reads ? fma_v(beta, load(c + v * LANES), value) : value);
        continue;
      }
      if (out->columns <= v * LANES) break;
      uint32_t part = out->columns - v * LANES;
      if (part >= LANES) {
        store(c + v * LANES, reads ? fma_v(beta, load(c + v * LANES), value) : value);
      } else {
        store_part(c + v * LANES, reads ? fma_v(beta, load_part(c + v * LANES, part), value) : value, part);
      }
    }
  }
}

// Asks memory for the tile's place in C while sums are made.
INLINE void tile_await(uint32_t rows, uint32_t vectors, const cpu_tile_out *out) {
  UNROLL for (uint32_t i = 0; i < rows; i++)
    UNROLL for (uint32_t v = 0; v < vectors * LANES; v += 16) __builtin_prefetch(out->c + i * out->line + v, 1);
}

INLINE void tile_packed(uint32_t rows, uint32_t vectors, uint64_t k, const float *a, const float *b, size_t step_b,
                        const cpu_tile_out *out) {
  vf sums[CPU_MAX_TILE_ROWS][CPU_MAX_VECTORS];
  tile_await(rows, vectors, out);
  UNROLL for (uint32_t i = 0; i < rows; i++)
    UNROLL for (uint32_t v = 0; v < vectors; v++) sums[i][v] = (vf)0.0f;
  for (uint64_t p = 0; p < k; p++, a += rows, b += step_b) {
    vf row[CPU_MAX_VECTORS];
    UNROLL for (uint32_t v = 0; v < vectors; v++) row[v] = load(b + v * LANES);
    UNROLL for (uint32_t i = 0; i < rows; i++)
      UNROLL for (uint32_t v = 0; v < vectors; v++) sums[i][v] = fma_v((vf)a[i], row[v], sums[i][v]);
  }
  tile_store(rows, vectors, sums, out);
}

// Rows of A as they lie, by threes: addresses then take few registers.
INLINE void tile_placed(uint32_t rows, uint32_t vectors, uint64_t k, const float *a, size_t line_a, const float *b,
                        size_t step_b, const cpu_tile_out *out) {
  vf sums[CPU_MAX_TILE_ROWS][CPU_MAX_VECTORS];
  const float *third[(CPU_MAX_TILE_ROWS + 2) / 3];
  UNROLL for (uint32_t i = 0; i < rows; i++) {
    if (i % 3 == 0) third[i / 3] = a + i * line_a;
    UNROLL for (uint32_t v = 0; v < vectors; v++) sums[i][v] = (vf)0.0f;
  }
  for (uint64_t p = 0; p < k; p++, b += step_b) {
    vf row[CPU_MAX_VECTORS];
    UNROLL for (uint32_t v = 0; v < vectors; v++) row[v] = load(b + v * LANES);
    UNROLL for (uint32_t i = 0; i < rows; i++) {
      vf factor = (vf)third[i / 3][p + (i % 3) * line_a];
      UNROLL for (uint32_t v = 0; v < vectors; v++) sums[i][v] = fma_v(factor, row[v], sums[i][v]);
    }
  }
  tile_store(rows, vectors, sums, out);
}

#define PACKED_TILE(v, r)                                                                                           \
  static void packed_##v##_##r(uint64_t k, const float *a, size_t line_a, const float *b, size_t step_b,            \
                               const cpu_tile_out *out) {                                                           \
    (void)line_a;                                                                                                   \
    tile_packed(r <= TILE_ROWS(v) ? r : 1, v, k, a, b, step_b, out);                                                \
  }
#define PACKED_TILES(v) \
  PACKED_TILE(v, 1) PACKED_TILE(v, 2) PACKED_TILE(v, 4) PACKED_TILE(v, 6) PACKED_TILE(v, 8) PACKED_TILE(v, 10) \
  PACKED_TILE(v, 12) PACKED_TILE(v, 14)
#define PLACED_TILE(v)                                                                                     \
  static void placed_##v(uint64_t k, const float *a, size_t line_a, const float *b, size_t step_b,         \
                         const cpu_tile_out *out) {                                                        \
    tile_placed(TILE_ROWS(v) ? TILE_ROWS(v) : 1, v, k, a, line_a, b, step_b, out);                         \
  }
PACKED_TILES(1)
PACKED_TILES(2)
PACKED_TILES(3)
PACKED_TILES(4)
PLACED_TILE(1)
PLACED_TILE(2)
PLACED_TILE(3)
PLACED_TILE(4)

// Rows of x are vectors of the panel already.
INLINE void pack_across_of(uint32_t type, const void *x, size_t line, uint32_t n, uint64_t k, uint32_t width,
                           float *out) {
  const char *next = (const char *)x + k * line * (type == CPU_F32 ? 4 : 2);
  for (uint64_t p = 0; p < k; p++, out += width) {
    uint32_t i = 0;
    for (; i + LANES <= n; i += LANES) {
      __builtin_prefetch(next + (p * line + i) * (type == CPU_F32 ? 4 : 2));
      store(out + i, load_as(type, x, p * line + i));
    }
    // The last stores reach into the next row, which is written next.
    if (i < n) store(out + i, load_part_as(type, x, p * line + i, n - i)), i += LANES;
    for (; i < width; i += LANES) store(out + i, (vf)0.0f);
  }
}

// Rows of x become lanes: squares of LANES by LANES are transposed.
INLINE void pack_along_of(uint32_t type, const void *x, size_t line, uint32_t n, uint64_t k, uint32_t width,
                          float *out) {
  for (uint64_t p = 0; p < k; p += LANES) {
    uint32_t part = k - p < LANES ? (uint32_t)(k - p) : LANES;
    for (uint32_t lane = 0; lane < width; lane += LANES) {
      vf v[LANES];
      UNROLL for (uint32_t i = 0; i < LANES; i++) {
        v[i] = (vf)0.0f;
        if (lane + i < n) {
          size_t at = (lane + i) * line + p;
          v[i] = part == LANES ? load_as(type, x, at) : load_part_as(type, x, at, part);
        }
      }
      transpose(v);
      float *to = out + p * width + lane;
      uint32_t held = width - lane;
      // In order: where width < LANES each store overwrites the tail of the one before.
      if (held >= LANES || width < LANES) {
        UNROLL for (uint32_t i = 0; i < LANES; i++)
          if (i < part) store(to + (size_t)i * width, v[i]);
      } else {
        UNROLL for (uint32_t i = 0; i < LANES; i++)
          if (i < part) store_part(to + (size_t)i * width, v[i], held);
      }
    }
  }
}

static void FN(pack_across)(uint32_t type, const void *x, size_t line, uint32_t n, uint64_t k, uint32_t width,
                            float *out) {
  switch (type) {
    case CPU_F32: pack_across_of(CPU_F32, x, line, n, k, width, out); break;
    case CPU_F16: pack_across_of(CPU_F16, x, line, n, k, width, out); break;
    default: pack_across_of(CPU_BF16, x, line, n, k, width, out);
  }
}

static void FN(pack_along)(uint32_t type, const void *x, size_t line, uint32_t n, uint64_t k, uint32_t width,
                           float *out) {
  switch (type) {
    case CPU_F32: pack_along_of(CPU_F32, x, line, n, k, width, out); break;
    case CPU_F16: pack_along_of(CPU_F16, x, line, n, k, width, out); break;
    default: pack_along_of(CPU_BF16, x, line, n, k, width, out);
  }
}

// The transpose of LANES rows at most, and as many columns.
INLINE void flip_square(uint32_t rows, uint32_t columns, const float *x, size_t line_x, float beta, float *c,
                        size_t line_c) {
  vf v[LANES];
  UNROLL for (uint32_t r = 0; r < LANES; r++) {
    v[r] = (vf)0.0f;
    if (r < rows) v[r] = columns == LANES ? load(x + r * line_x) : load_part(x + r * line_x, columns);
  }
  transpose(v);
  float each[LANES][LANES];
  UNROLL for (uint32_t r = 0; r < LANES; r++) store(each[r], v[r]);
  for (uint32_t r = 0; r < columns; r++, c += line_c) {
    vf value = load(each[r]);
    if (rows == LANES) {
      store(c, beta != 0 ? fma_v((vf)beta, load(c), value) : value);
    } else {
      store_part(c, beta != 0 ? fma_v((vf)beta, load_part(c, rows), value) : value, rows);
    }
  }
}

static void FN(add_flipped)(const float *x, size_t line_x, uint64_t rows, uint64_t columns, float beta, float *c,
                            size_t line_c) {
  for (uint64_t j = 0; j < columns; j += LANES) {
    uint32_t wide = columns - j < LANES ? (uint32_t)(columns - j) : LANES;
    for (uint64_t i = 0; i < rows; i += LANES) {
      uint32_t tall = rows - i < LANES ? (uint32_t)(rows - i) : LANES;
      flip_square(tall, wide, x + i * line_x + j, line_x, beta, c + j * line_c + i, line_c);
    }
  }
}

#define PACKED_ROW(v) \
  {packed_##v##_1, packed_##v##_2, packed_##v##_4, packed_##v##_6, packed_##v##_8, \
   packed_##v##_10, packed_##v##_12, packed_##v##_14}

static const cpu_gemm_kernels FN(gemm_kernels) = {
    .wide = WIDE,
    .rows = {0, TILE_ROWS(1), TILE_ROWS(2), TILE_ROWS(3), TILE_ROWS(4)},
    .packed = {{0}, PACKED_ROW(1), PACKED_ROW(2), PACKED_ROW(3), PACKED_ROW(4)},
    .placed = {NULL, placed_1, placed_2, placed_3, placed_4},
    .add_flipped = FN(add_flipped),
    .pack_across = FN(pack_across),
    .pack_along = FN(pack_along),
};
