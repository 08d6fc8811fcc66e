// Packing and register tiles: TILE queries by WIDTH vectors of rows, all of d in one pass.

#define PANEL (WIDTH * LANES)

// One group of up to LANES rows into lanes [0, LANES) of out, and their squared lengths.
INLINE void pack_group(const float *const *rows, uint32_t n, uint32_t d, size_t ahead, const float *scale, const float *center,
                       float factor, uint32_t stride, float *out, float *squares, float *products) {
  vf sum = (vf)0.0f, product = (vf)0.0f;
  for (uint32_t j = 0; j < d; j += LANES) {
    uint32_t part = d - j < LANES ? d - j : LANES;
    vf middle = !center ? (vf)0.0f : part == LANES ? load(center + j) : load_part(center + j, part);
    vf v[LANES];
    UNROLL for (uint32_t i = 0; i < LANES; i++) {
      v[i] = (vf)0.0f;
      if (i < n) {
        __builtin_prefetch(rows[i] + ahead + j);
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

static void FN(pack)(const float *const *rows, uint32_t n, uint32_t width, uint32_t d, size_t ahead, const float *scale,
                     const float *center, float factor, uint32_t stride, float *out, float *squares, float *products) {
  for (uint32_t lane = 0; lane < width; lane += LANES) {
    uint32_t left = lane < n ? n - lane : 0;
    if (left > LANES) left = LANES;
    const float *scales = scale ? scale + lane : NULL;
    float *product = products ? products + lane : NULL;
    if (left == LANES && !product && !scales && factor == 1)
      pack_group(rows + lane, LANES, d, ahead, NULL, center, 1, stride, out + lane, squares + lane, NULL);
    else
      pack_group(rows + lane, left, d, ahead, scales, center, factor, stride, out + lane, squares + lane, product);
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

// Sums over a row: of squares, of center * value, of squared rounding errors.
typedef struct row_sums {
  vf square, product, error;
} row_sums;

// Two vectors of a row to one of pairs, and into its sums.
INLINE void round_pair(vf low, vf high, const vf *center, float factor, uint32_t *out, row_sums *sums) {
  if (center) {
    low = low - center[0], high = high - center[1];
    sums->product = fma_v(low, center[0], fma_v(high, center[1], sums->product));
  }
  sums->square = fma_v(low, low, fma_v(high, high, sums->square));
  low = low * factor, high = high * factor;
  vu pairs;
  // By hand: clang 17 crashes on the bfloat16 intrinsics in a function with a target attribute.
  __asm__("vcvtne2ps2bf16 %2, %1, %0" : "=v"(pairs) : "v"(high), "v"(low));
  memcpy(out, &pairs, sizeof pairs);
  __m256i first = _mm512_castsi512_si256((__m512i)pairs), second = _mm512_extracti64x4_epi64((__m512i)pairs, 1);
  low = low - (vf)_mm512_slli_epi32(_mm512_cvtepu16_epi32(first), 16);
  high = high - (vf)_mm512_slli_epi32(_mm512_cvtepu16_epi32(second), 16);
  sums->error = fma_v(low, low, fma_v(high, high, sums->error));
}

INLINE row_sums round_row(const float *row, uint32_t d, size_t ahead, float scale, const float *center, float factor,
                          uint32_t *out) {
  row_sums sums = {(vf)0.0f, (vf)0.0f, (vf)0.0f};
  uint32_t j = 0;
  for (; j + 2 * LANES <= d; j += 2 * LANES) {
    __builtin_prefetch(row + ahead + j);
    __builtin_prefetch(row + ahead + j + LANES);
    vf middle[2];
    if (center) middle[0] = load(center + j), middle[1] = load(center + j + LANES);
    round_pair(load(row + j) * scale, load(row + j + LANES) * scale, center ? middle : NULL, factor, out + j / 2,
               &sums);
  }
  if (j < d) {
    float part[2 * LANES] = {0}, middle_part[2 * LANES] = {0};
    memcpy(part, row + j, (d - j) * sizeof(float));
    if (center) memcpy(middle_part, center + j, (d - j) * sizeof(float));
    vf middle[2] = {load(middle_part), load(middle_part + LANES)};
    round_pair(load(part) * scale, load(part + LANES) * scale, center ? middle : NULL, factor, out + j / 2, &sums);
  }
  return sums;
}

// The sums of each of LANES vectors, times a factor, for the first n.
INLINE void sum_each(vf *v, uint32_t n, float factor, float *out) {
  transpose(v);
  vf sum = v[0];
  UNROLL for (uint32_t i = 1; i < LANES; i++) sum += v[i];
  float sums[LANES];
  store(sums, sum * factor);
  memcpy(out, sums, n * sizeof(float));
}

static void FN(pack_bf16)(const float *const *rows, uint32_t n, uint32_t width, uint32_t d, size_t ahead,
                          const float *scale, const float *center, float factor, uint32_t stride, uint32_t *out, float *squares,
                          float *products, float *errors, uint32_t *scratch) {
  uint32_t words = (d + 1) / 2, padded = (words + LANES - 1) / LANES * LANES;
  for (uint32_t lane = 0; lane < width; lane += LANES) {
    uint32_t held = lane < n ? n - lane : 0;
    if (held > LANES) held = LANES;
    vf square[LANES], product[LANES], error[LANES];
    for (uint32_t i = 0; i < LANES; i++) square[i] = product[i] = error[i] = (vf)0.0f;
    for (uint32_t i = 0; i < held; i++) {
      row_sums sums = round_row(rows[lane + i], d, ahead, scale ? scale[lane + i] : 1, center, factor, scratch + i * padded);
      square[i] = sums.square, product[i] = sums.product, error[i] = sums.error;
    }
    sum_each(square, held, 1, squares + lane);
    if (products) sum_each(product, held, -1, products + lane);
    sum_each(error, held, 1 / (factor * factor), errors + lane);
    for (uint32_t j = 0; j < words; j += LANES) {
      vf v[LANES];
      UNROLL for (uint32_t i = 0; i < LANES; i++) {
        v[i] = (vf)0.0f;
        if (i < held) memcpy(&v[i], scratch + i * padded + j, sizeof(vf));
      }
      transpose(v);
      // In order: where stride < LANES each store overwrites the tail of the one before.
      uint32_t part = words - j < LANES ? words - j : LANES;
      if (part == LANES) {
        UNROLL for (uint32_t i = 0; i < LANES; i++) memcpy(out + (size_t)(j + i) * stride + lane, &v[i], sizeof(vf));
      } else {
        vf edge[LANES];
        UNROLL for (uint32_t i = 0; i < LANES; i++) edge[i] = v[i];
        for (uint32_t i = 0; i < part; i++) memcpy(out + (size_t)(j + i) * stride + lane, &edge[i], sizeof(vf));
      }
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
