// Rows where they lie: one after the other against one to four queries, GROUP at a time against a panel of them.

// Some columns of a row into a query's sum, and the row's square.
INLINE void direct_columns(bool dot, uint32_t nq, vf row, const float *const *queries, uint32_t j, uint32_t columns,
                           vf *sums, vf *square) {
  if (dot) *square = fma_v(row, row, *square);
  UNROLL for (uint32_t q = 0; q < nq; q++) {
    vf query = columns == LANES ? load(queries[q] + j) : load_part(queries[q] + j, columns), difference = query - row;
    sums[q] = dot ? fma_v(query, row, sums[q]) : fma_v(difference, difference, sums[q]);
  }
}

// Rows go one after the other, as memory likes to be read: four side by side take a sixth longer where they
// come from far. Where queries are more than two that would load them too often.
INLINE void direct_of(bool dot, uint32_t nq, const float *base, const uint32_t *positions, uint32_t n, size_t ahead,
                      const float *const *queries, uint32_t d, float *sums, float *squares) {
  const uint32_t side = nq > 2 ? 4 : 1, halves = nq > 2 ? 1 : 2;
  for (uint32_t at = 0; at < n; at += 4) {
    vf sum[2][4][4], square[2][4];
    const float *rows[4];
    UNROLL for (uint32_t r = 0; r < 4; r++) {
      uint32_t i = at + r < n ? at + r : n - 1;  // a short group repeats its last row
      rows[r] = base + (size_t)(positions ? positions[i] : i) * d;
      UNROLL for (uint32_t h = 0; h < 2; h++) {
        square[h][r] = (vf)0.0f;
        UNROLL for (uint32_t q = 0; q < nq; q++) sum[h][r][q] = (vf)0.0f;
      }
    }
    UNROLL for (uint32_t first = 0; first < 4; first += side) {
      uint32_t j = 0;
      for (; j + halves * LANES <= d; j += halves * LANES) {
        UNROLL for (uint32_t h = 0; h < halves; h++) {
          UNROLL for (uint32_t r = first; r < first + side; r++) {
            const float *row = rows[r] + j + h * LANES;
            __builtin_prefetch(row + ahead);
            direct_columns(dot, nq, load(row), queries, j + h * LANES, LANES, sum[h][r], &square[h][r]);
          }
        }
      }
      for (; j < d; j += LANES) {
        uint32_t columns = d - j < LANES ? d - j : LANES;
        UNROLL for (uint32_t r = first; r < first + side; r++)
          direct_columns(dot, nq, load_part(rows[r] + j, columns), queries, j, columns, sum[0][r], &square[0][r]);
      }
    }
    UNROLL for (uint32_t r = 0; r < 4; r++) {
      if (halves == 1) continue;
      square[0][r] += square[1][r];
      UNROLL for (uint32_t q = 0; q < nq; q++) sum[0][r][q] += sum[1][r][q];
    }
    if (dot) sum_four(square[0][0], square[0][1], square[0][2], square[0][3], squares + at);
    UNROLL for (uint32_t q = 0; q < nq; q++) {
      vf a = sum[0][0][q], b = sum[0][1][q], c = sum[0][2][q], e = sum[0][3][q];
      if (dot) a = -a, b = -b, c = -c, e = -e;
      sum_four(a, b, c, e, sums + q * CPU_DIRECT_ROWS + at);
    }
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
    if (ahead) __builtin_prefetch(rows[0] + ahead + (size_t)j * GROUP + r * LANES);
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
        length = cpu_safe_length(whole);
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
