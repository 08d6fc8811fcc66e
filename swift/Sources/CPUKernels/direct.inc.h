// Rows where they lie, four at a time, against one to four queries.

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

INLINE void direct_of(bool dot, uint32_t nq, const float *base, const uint32_t *positions, uint32_t n,
                      const float *const *queries, uint32_t d, float *sums, float *squares) {
  // Memory is asked for the rows after these: it would wait for the sums, and stop at every page.
  size_t ahead = positions ? 0 : (size_t)CPU_AHEAD * d;
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
      sum_four(sum[q][0], sum[q][1], sum[q][2], sum[q][3], sums + q * CPU_DIRECT_ROWS + at);
  }
}

static void FN(direct_l2)(const float *base, const uint32_t *positions, uint32_t n, const float *const *queries,
                          uint32_t nq, uint32_t d, float *sums) {
  switch (nq) {
    case 1: direct_of(false, 1, base, positions, n, queries, d, sums, NULL); break;
    case 2: direct_of(false, 2, base, positions, n, queries, d, sums, NULL); break;
    case 3: direct_of(false, 3, base, positions, n, queries, d, sums, NULL); break;
    default: direct_of(false, 4, base, positions, n, queries, d, sums, NULL);
  }
}

static void FN(direct_dot)(const float *base, const uint32_t *positions, uint32_t n, const float *const *queries,
                           uint32_t nq, uint32_t d, float *sums, float *squares) {
  switch (nq) {
    case 1: direct_of(true, 1, base, positions, n, queries, d, sums, squares); break;
    case 2: direct_of(true, 2, base, positions, n, queries, d, sums, squares); break;
    case 3: direct_of(true, 3, base, positions, n, queries, d, sums, squares); break;
    default: direct_of(true, 4, base, positions, n, queries, d, sums, squares);
  }
}

static uint64_t FN(count_within)(const float *x, uint64_t n, float limit) {
  uint64_t count = 0, i = 0;
  for (; i + LANES <= n; i += LANES) count += (uint64_t)__builtin_popcount(mask_within(load(x + i), limit));
  for (; i < n; i++) count += !(x[i] > limit);
  return count;
}
