// Rows where they lie, four at a time, against one to four queries.

INLINE void direct_of(bool dot, uint32_t nq, const float *const *rows, const float *const *queries, uint32_t d,
                      float *sums, float *squares) {
  vf sum[4][4], square[4];
  UNROLL for (uint32_t r = 0; r < 4; r++) {
    square[r] = (vf)0.0f;
    UNROLL for (uint32_t q = 0; q < nq; q++) sum[q][r] = (vf)0.0f;
  }
  for (uint32_t j = 0; j < d; j += LANES) {
    uint32_t part = d - j;
    vf row[4];
    UNROLL for (uint32_t r = 0; r < 4; r++) {
      row[r] = part >= LANES ? load(rows[r] + j) : load_part(rows[r] + j, part);
      if (dot) square[r] = fma_v(row[r], row[r], square[r]);
    }
    UNROLL for (uint32_t q = 0; q < nq; q++) {
      vf query = part >= LANES ? load(queries[q] + j) : load_part(queries[q] + j, part);
      UNROLL for (uint32_t r = 0; r < 4; r++) {
        vf difference = query - row[r];
        sum[q][r] = dot ? fma_v(query, row[r], sum[q][r]) : fma_v(difference, difference, sum[q][r]);
      }
    }
  }
  UNROLL for (uint32_t r = 0; r < 4; r++) {
    if (dot) squares[r] = sum_lanes(square[r]);
    UNROLL for (uint32_t q = 0; q < nq; q++) sums[q * 4 + r] = sum_lanes(sum[q][r]);
  }
}

static void FN(direct_l2)(const float *const *rows, const float *const *queries, uint32_t nq, uint32_t d,
                          float *sums) {
  switch (nq) {
    case 1: direct_of(false, 1, rows, queries, d, sums, NULL); break;
    case 2: direct_of(false, 2, rows, queries, d, sums, NULL); break;
    case 3: direct_of(false, 3, rows, queries, d, sums, NULL); break;
    default: direct_of(false, 4, rows, queries, d, sums, NULL);
  }
}

static void FN(direct_dot)(const float *const *rows, const float *const *queries, uint32_t nq, uint32_t d, float *sums,
                           float *squares) {
  switch (nq) {
    case 1: direct_of(true, 1, rows, queries, d, sums, squares); break;
    case 2: direct_of(true, 2, rows, queries, d, sums, squares); break;
    case 3: direct_of(true, 3, rows, queries, d, sums, squares); break;
    default: direct_of(true, 4, rows, queries, d, sums, squares);
  }
}
