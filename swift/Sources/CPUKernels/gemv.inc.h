// Products of a matrix and a vector: every number of the matrix is read once, in order, where it lies.

// Sums of rows by x. Rows go one after the other, as memory likes to be read.
INLINE void gemv_rows_of(uint32_t type, const void *w, size_t line, uint64_t n, uint64_t k, const float *x,
                         float *sums) {
  const char *bytes = w;
  const uint32_t size = type == CPU_F32 ? 4 : 2;
  for (uint64_t at = 0; at < n; at += 4) {
    vf sum[4];
    UNROLL for (uint32_t r = 0; r < 4; r++) {
      size_t row = (at + r < n ? at + r : n - 1) * line;  // a short group repeats its last row
      vf part[4];
      UNROLL for (uint32_t h = 0; h < 4; h++) part[h] = (vf)0.0f;
      uint64_t p = 0;
      for (; p + 4 * LANES <= k; p += 4 * LANES) {
        UNROLL for (uint32_t h = 0; h < 4 * LANES * size; h += 64)
          __builtin_prefetch(bytes + (row + p) * size + h + CPU_GEMV_AHEAD);
        UNROLL for (uint32_t h = 0; h < 4; h++)
          part[h] = fma_v(load_as(type, w, row + p + h * LANES), load(x + p + h * LANES), part[h]);
      }
      for (; p + LANES <= k; p += LANES) part[0] = fma_v(load_as(type, w, row + p), load(x + p), part[0]);
      if (p < k) {
        uint32_t left = (uint32_t)(k - p);
        part[1] = fma_v(load_part_as(type, w, row + p, left), load_part(x + p, left), part[1]);
      }
      sum[r] = (part[0] + part[1]) + (part[2] + part[3]);
    }
    float four[4];
    sum_four(sum[0], sum[1], sum[2], sum[3], four);
    memcpy(sums + at, four, (n - at < 4 ? n - at : 4) * sizeof *four);
  }
}

// sums[j] += rows p to p + depth of column j by x: the sums stay in the first cache meanwhile.
INLINE void gemv_add_rows(uint32_t type, uint32_t depth, const void *w, size_t line, uint64_t n, const float *x,
                          bool follows, float *sums) {
  const char *next = (const char *)w + depth * line * (type == CPU_F32 ? 4 : 2);
  uint64_t j = 0;
  for (; j + LANES <= n; j += LANES) {
    vf even = load(sums + j), odd = (vf)0.0f;
    UNROLL for (uint32_t i = 0; i < depth; i++) {
      if (follows && depth > 1) __builtin_prefetch(next + (i * line + j) * (type == CPU_F32 ? 4 : 2));
      vf value = load_as(type, w, i * line + j);
      if (i & 1) odd = fma_v(value, (vf)x[i], odd);
      else even = fma_v(value, (vf)x[i], even);
    }
    store(sums + j, even + odd);
  }
  if (j == n) return;
  uint32_t left = (uint32_t)(n - j);
  vf sum = load_part(sums + j, left);
  for (uint32_t i = 0; i < depth; i++) sum = fma_v(load_part_as(type, w, i * line + j, left), (vf)x[i], sum);
  store_part(sums + j, sum, left);
}

INLINE void gemv_columns_of(uint32_t type, const void *w, size_t line, uint64_t n, uint64_t k, const float *x,
                            float *sums) {
  const char *bytes = w;
  const uint32_t size = type == CPU_F32 ? 4 : 2;
  memset(sums, 0, n * sizeof *sums);
  uint64_t p = 0;
  for (; p + 8 <= k; p += 8)
    gemv_add_rows(type, 8, bytes + p * line * size, line, n, x + p, p + 16 <= k, sums);
  for (; p < k; p++) gemv_add_rows(type, 1, bytes + p * line * size, line, n, x + p, false, sums);
}

static void FN(gemv_rows)(uint32_t type, const void *w, size_t line, uint64_t n, uint64_t k, const float *x,
                          float *sums) {
  switch (type) {
    case CPU_F32: gemv_rows_of(CPU_F32, w, line, n, k, x, sums); break;
    case CPU_F16: gemv_rows_of(CPU_F16, w, line, n, k, x, sums); break;
    default: gemv_rows_of(CPU_BF16, w, line, n, k, x, sums);
  }
}

static void FN(gemv_columns)(uint32_t type, const void *w, size_t line, uint64_t n, uint64_t k, const float *x,
                             float *sums) {
  switch (type) {
    case CPU_F32: gemv_columns_of(CPU_F32, w, line, n, k, x, sums); break;
    case CPU_F16: gemv_columns_of(CPU_F16, w, line, n, k, x, sums); break;
    default: gemv_columns_of(CPU_BF16, w, line, n, k, x, sums);
  }
}
