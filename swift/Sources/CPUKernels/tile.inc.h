// Packing and register tiles: TILE queries by WIDTH vectors of rows, all of d in one pass.

#define PANEL (WIDTH * LANES)

// One group of up to LANES rows into lanes [0, LANES) of out, and their squared lengths.
INLINE void pack_group(const float *const *rows, uint32_t n, uint32_t d, const float *scale, const float *center,
                       float factor, uint32_t stride, float *out, float *squares, float *products) {
  vf sum = (vf)0.0f, product = (vf)0.0f;
  for (uint32_t j = 0; j < d; j += LANES) {
    uint32_t part = d - j < LANES ? d - j : LANES;
    vf middle = !center ? (vf)0.0f : part == LANES ? load(center + j) : load_part(center + j, part);
    vf v[LANES];
    UNROLL for (uint32_t i = 0; i < LANES; i++) {
      v[i] = (vf)0.0f;
      if (i < n) {
        v[i] = part == LANES ? load(rows[i] + j) : load_part(rows[i] + j, part);
        if (scale) v[i] = v[i] * scale[i];
        v[i] = v[i] - middle;
      }
    }
    transpose(v);
    // In order: where stride < LANES each store overwrites the tail of the one before.
    if (part == LANES) {
      UNROLL for (uint32_t i = 0; i < LANES; i++) {
        sum = fma_v(v[i], v[i], sum);
        if (products) product = fma_v(v[i], (vf)center[j + i], product);
        store(out + (size_t)(j + i) * stride, factor == 1 ? v[i] : v[i] * factor);
      }
    } else {
      vf edge[LANES];
      UNROLL for (uint32_t i = 0; i < LANES; i++) edge[i] = v[i];
      for (uint32_t i = 0; i < part; i++) {
        sum = fma_v(edge[i], edge[i], sum);
        if (products) product = fma_v(edge[i], (vf)center[j + i], product);
        store(out + (size_t)(j + i) * stride, edge[i] * factor);
      }
    }
  }
  float sums[LANES];
  store(sums, sum);
  memcpy(squares, sums, n * sizeof(float));
  if (products) {
    store(sums, -product);
    memcpy(products, sums, n * sizeof(float));
  }
}

static void FN(pack)(const float *const *rows, uint32_t n, uint32_t width, uint32_t d, const float *scale,
                     const float *center, float factor, uint32_t stride, float *out, float *squares, float *products) {
  for (uint32_t lane = 0; lane < width; lane += LANES) {
    uint32_t left = lane < n ? n - lane : 0;
    if (left > LANES) left = LANES;
    const float *scales = scale ? scale + lane : NULL;
    float *product = products ? products + lane : NULL;
    if (left == LANES && !product && !scales && factor == 1)
      pack_group(rows + lane, LANES, d, NULL, center, 1, stride, out + lane, squares + lane, NULL);
    else
      pack_group(rows + lane, left, d, scales, center, factor, stride, out + lane, squares + lane, product);
  }
}

INLINE uint32_t collect(vf (*sums)[WIDTH], uint32_t queries, const float *limits, uint64_t valid, cpu_hit *hits) {
  uint32_t count = 0;
  UNROLL for (uint32_t i = 0; i < queries; i++) {
    uint64_t mask = 0;
    UNROLL for (uint32_t w = 0; w < WIDTH; w++) mask |= (uint64_t)mask_within(sums[i][w], limits[i]) << (w * LANES);
    mask &= valid;
    if (__builtin_expect(mask != 0, 0)) {
      float keys[PANEL];
      UNROLL for (uint32_t w = 0; w < WIDTH; w++) store(keys + w * LANES, sums[i][w]);
      for (; mask; mask &= mask - 1) {
        uint32_t row = (uint32_t)__builtin_ctzll(mask);
        hits[count++] = (cpu_hit){i, row, keys[row]};
      }
    }
  }
  return count;
}

INLINE uint32_t tile_f32_of(uint32_t queries, const float *q, const float *rows, uint32_t d, const float *init,
                            const float *limits, uint64_t valid, cpu_hit *hits) {
  vf sums[TILE][WIDTH];
  UNROLL for (uint32_t i = 0; i < queries; i++)
    UNROLL for (uint32_t w = 0; w < WIDTH; w++) sums[i][w] = load(init + w * LANES);
  for (uint32_t j = 0; j < d; j++) {
    vf row[WIDTH];
    UNROLL for (uint32_t w = 0; w < WIDTH; w++) row[w] = load(rows + (size_t)j * PANEL + w * LANES);
    UNROLL for (uint32_t i = 0; i < queries; i++) {
      vf value = (vf)q[(size_t)j * queries + i];
      UNROLL for (uint32_t w = 0; w < WIDTH; w++) sums[i][w] = fma_v(value, row[w], sums[i][w]);
    }
  }
  return collect(sums, queries, limits, valid, hits);
}

static uint32_t FN(tile_f32)(uint32_t queries, const float *q, const float *rows, uint32_t d, const float *init,
                             const float *limits, uint64_t valid, cpu_hit *hits) {
#if TILE > 8
  if (queries > 8) return tile_f32_of(TILE, q, rows, d, init, limits, valid, hits);
#endif
#if TILE > 4
  if (queries > 4) return tile_f32_of(TILE < 8 ? TILE : 8, q, rows, d, init, limits, valid, hits);
#endif
  (void)queries;
  return tile_f32_of(4, q, rows, d, init, limits, valid, hits);
}

#if defined(ISA_BF16)
typedef uint32_t vu __attribute__((ext_vector_type(LANES)));

// To bfloat16, ties to even, in the low half.
INLINE vu round_bf16(const float *p) {
  vu bits;
  memcpy(&bits, p, sizeof bits);
  return (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
}

static void FN(pair_bf16)(const float *panel, uint32_t d, uint32_t width, uint32_t *out) {
  for (uint32_t j = 0; j < d; j += 2) {
    // A query panel may be narrower than a vector: what spills over is overwritten, or slack.
    for (uint32_t i = 0; i < width; i += LANES) {
      vu pair = round_bf16(panel + (size_t)j * width + i);
      if (j + 1 < d) pair |= round_bf16(panel + (size_t)(j + 1) * width + i) << 16;
      memcpy(out + (size_t)(j / 2) * width + i, &pair, sizeof pair);
    }
  }
}

INLINE uint32_t tile_bf16_of(uint32_t queries, const uint32_t *q, const uint32_t *rows, uint32_t d, const float *init,
                             const float *limits, uint64_t valid, cpu_hit *hits) {
  vf sums[TILE][WIDTH];
  UNROLL for (uint32_t i = 0; i < queries; i++)
    UNROLL for (uint32_t w = 0; w < WIDTH; w++) sums[i][w] = load(init + w * LANES);
  for (uint32_t j = 0; j < (d + 1) / 2; j++) {
    vu row[WIDTH];
    UNROLL for (uint32_t w = 0; w < WIDTH; w++) memcpy(&row[w], rows + (size_t)j * PANEL + w * LANES, sizeof(vu));
    UNROLL for (uint32_t i = 0; i < queries; i++) {
      vu value = (vu)q[(size_t)j * queries + i];
      // By hand: clang 17 crashes on the intrinsic in a function with a target attribute.
      UNROLL for (uint32_t w = 0; w < WIDTH; w++)
        __asm__("vdpbf16ps %2, %1, %0" : "+v"(sums[i][w]) : "v"(value), "v"(row[w]));
    }
  }
  return collect(sums, queries, limits, valid, hits);
}

static uint32_t FN(tile_bf16)(uint32_t queries, const uint32_t *q, const uint32_t *rows, uint32_t d, const float *init,
                              const float *limits, uint64_t valid, cpu_hit *hits) {
  if (queries > 8) return tile_bf16_of(TILE, q, rows, d, init, limits, valid, hits);
  if (queries > 4) return tile_bf16_of(8, q, rows, d, init, limits, valid, hits);
  return tile_bf16_of(4, q, rows, d, init, limits, valid, hits);
}
#endif
