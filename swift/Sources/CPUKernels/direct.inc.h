// Rows where they lie: four at a time against one to four queries, GROUP at a time against a panel of them.

// Sums of four vectors: into out[0..4).
INLINE void sum_four(vf a, vf b, vf c, vf d, float *out) {
#if LANES == 1
  out[0] = a, out[1] = b, out[2] = c, out[3] = d;
#else
  vf ab = LOW(a, b) + HIGH(a, b), cd = LOW(c, d) + HIGH(c, d);
  float lanes[LANES];
  store(lanes, LOW(ab, cd) + HIGH(ab, cd));  // a c b d, a c b d …
  vf4 sum;
  memcpy(&sum, lanes, sizeof sum);
  UNROLL for (uint32_t i = 4; i < LANES; i += 4) {
    vf4 next;
    memcpy(&next, lanes + i, sizeof next);
    sum += next;
  }
  sum = sum.xzyw;
  memcpy(out, &sum, sizeof sum);
#endif
}

INLINE void direct_of(bool dot, uint32_t nq, const float *base, const uint32_t *positions, uint32_t n, size_t ahead,
                      const float *const *queries, uint32_t d, float *sums, float *squares) {
  for (uint32_t at = 0; at < n; at += 4) {
    const float *rows[4];
    UNROLL for (uint32_t r = 0; r < 4; r++) {
      uint32_t i = at + r < n ? at + r : n - 1;  // a short group repeats its last row
      rows[r] = base + (size_t)(positions ? positions[i] : i) * d;
    }
    vf sum[4][4], square[4];
    UNROLL for (uint32_t r = 0; r < 4; r++) {
      square[r] = (vf)0.0f;
      UNROLL for (uint32_t q = 0; q < nq; q++) sum[q][r] = (vf)0.0f;
    }
    uint32_t j = 0;
    for (; j + LANES <= d; j += LANES) {
      vf row[4];
      UNROLL for (uint32_t r = 0; r < 4; r++) {
        __builtin_prefetch(rows[r] + ahead + j);
        row[r] = load(rows[r] + j);
        if (dot) square[r] = fma_v(row[r], row[r], square[r]);
      }
      UNROLL for (uint32_t q = 0; q < nq; q++) {
        vf query = load(queries[q] + j);
        UNROLL for (uint32_t r = 0; r < 4; r++) {
          vf difference = query - row[r];
          sum[q][r] = dot ? fma_v(query, row[r], sum[q][r]) : fma_v(difference, difference, sum[q][r]);
        }
      }
    }
    if (j < d) {
      UNROLL for (uint32_t r = 0; r < 4; r++) {
        vf row = load_part(rows[r] + j, d - j);
        if (dot) square[r] = fma_v(row, row, square[r]);
        UNROLL for (uint32_t q = 0; q < nq; q++) {
          vf query = load_part(queries[q] + j, d - j), difference = query - row;
          sum[q][r] = dot ? fma_v(query, row, sum[q][r]) : fma_v(difference, difference, sum[q][r]);
        }
      }
    }
    if (dot) sum_four(square[0], square[1], square[2], square[3], squares + at);
    UNROLL for (uint32_t q = 0; q < nq; q++)
      if (dot)
        sum_four(-sum[q][0], -sum[q][1], -sum[q][2], -sum[q][3], sums + q * CPU_DIRECT_ROWS + at);
      else
        sum_four(sum[q][0], sum[q][1], sum[q][2], sum[q][3], sums + q * CPU_DIRECT_ROWS + at);
  }
}

static void FN(direct_l2)(const float *base, const uint32_t *positions, uint32_t n, size_t ahead,
                          const float *const *queries, uint32_t nq, uint32_t d, float *sums) {
  switch (nq) {
    case 1: direct_of(false, 1, base, positions, n, ahead, queries, d, sums, NULL); break;
    case 2: direct_of(false, 2, base, positions, n, ahead, queries, d, sums, NULL); break;
    case 3: direct_of(false, 3, base, positions, n, ahead, queries, d, sums, NULL); break;
    default: direct_of(false, 4, base, positions, n, ahead, queries, d, sums, NULL);
  }
}

static void FN(direct_dot)(const float *base, const uint32_t *positions, uint32_t n, size_t ahead,
                           const float *const *queries, uint32_t nq, uint32_t d, float *sums, float *squares) {
  switch (nq) {
    case 1: direct_of(true, 1, base, positions, n, ahead, queries, d, sums, squares); break;
    case 2: direct_of(true, 2, base, positions, n, ahead, queries, d, sums, squares); break;
    case 3: direct_of(true, 3, base, positions, n, ahead, queries, d, sums, squares); break;
    default: direct_of(true, 4, base, positions, n, ahead, queries, d, sums, squares);
  }
}

#define VECTORS (CPU_MAX_QUERIES / LANES)
#define GROUP (LANES == 16 ? 8 : 4)

// Some columns of GROUP rows: products with the queries, and the rows' squares after centring.
INLINE void panel_columns(uint32_t columns, const float *const *rows, size_t ahead, uint32_t j, const float *panel,
                          const float *center, vf (*sums)[VECTORS], vf *squares) {
  vf middle = !center ? (vf)0.0f : columns == LANES ? load(center + j) : load_part(center + j, columns);
  UNROLL for (uint32_t r = 0; r < GROUP; r++) {
    __builtin_prefetch(rows[r] + ahead + j);
    vf row = (columns == LANES ? load(rows[r] + j) : load_part(rows[r] + j, columns)) - middle;
    squares[r] = fma_v(row, row, squares[r]);
  }
  for (uint32_t i = j; i < j + columns; i++) {
    vf query[VECTORS];
    UNROLL for (uint32_t v = 0; v < VECTORS; v++) query[v] = load(panel + (size_t)i * CPU_MAX_QUERIES + v * LANES);
    UNROLL for (uint32_t r = 0; r < GROUP; r++)
      UNROLL for (uint32_t v = 0; v < VECTORS; v++) sums[r][v] = fma_v(query[v], (vf)rows[r][i], sums[r][v]);
  }
}

static uint32_t FN(panel_f32)(uint32_t metric, const float *panel, const float *base, const uint32_t *positions,
                              uint32_t n, size_t ahead, uint32_t d, const float *center, const cpu_limits *limits,
                              float *squares, cpu_hit *hits) {
  uint32_t count = 0;
  for (uint32_t at = 0; at < n; at += GROUP) {
    const float *rows[GROUP];
    vf sums[GROUP][VECTORS], square[GROUP];
    UNROLL for (uint32_t r = 0; r < GROUP; r++) {
      uint32_t i = at + r < n ? at + r : n - 1;  // a short group repeats its last row
      rows[r] = base + (size_t)(positions ? positions[i] : i) * d;
      square[r] = (vf)0.0f;
      UNROLL for (uint32_t v = 0; v < VECTORS; v++) sums[r][v] = (vf)0.0f;
    }
    uint32_t j = 0;
    for (; j + LANES <= d; j += LANES) panel_columns(LANES, rows, ahead, j, panel, center, sums, square);
    if (j < d) panel_columns(d - j, rows, ahead, j, panel, center, sums, square);
    UNROLL for (uint32_t r = 0; r < GROUP; r += 4)
      sum_four(square[r], square[r + 1], square[r + 2], square[r + 3], squares + at + r);
    UNROLL for (uint32_t r = 0; r < GROUP; r++) {
      float length, start = 0, scale = 1, whole = squares[at + r];
      if (metric == CPU_COSINE) {
        // Squares out of a float's range say nothing: NaN is looked at exactly.
        scale = whole > CPU_LEAST_SQUARE && whole < INFINITY ? 1 / sqrtf(whole) : NAN;
        length = 1, whole = 0;
      } else {
        length = whole > CPU_LONGEST_SQUARE ? INFINITY : sqrtf(whole);
        if (metric == CPU_L2) start = whole;
      }
      UNROLL for (uint32_t v = 0; v < VECTORS; v++) {
        vf key = fma_v(sums[r][v], (vf)scale, (vf)start);
        vf limit = fma_v(load(limits->slope + v * LANES), (vf)length, load(limits->base + v * LANES));
        limit = fma_v((vf)limits->square, (vf)whole, limit);
        uint32_t mask = mask_not_above(key, limit);
        if (__builtin_expect(mask == 0 || at + r >= n, 1)) continue;
        float keys[LANES];
        store(keys, key);
        for (; mask; mask &= mask - 1) {
          uint32_t lane = (uint32_t)__builtin_ctz(mask);
          hits[count++] = (cpu_hit){v * LANES + lane, at + r, keys[lane]};
        }
      }
    }
  }
  return count;
}

static uint64_t FN(count_within)(const float *x, uint64_t n, float limit) {
  uint64_t count = 0, i = 0;
  for (; i + LANES <= n; i += LANES) count += (uint64_t)__builtin_popcount(mask_within(load(x + i), limit));
  for (; i < n; i++) count += !(x[i] > limit);
  return count;
}
