// Layer norms, soft caps, small products.

// tanh to 1.2 units in the last place: odd, monotone over all floats, 1 from 9.011 on; a NaN stays.
// Below 0.625 an odd polynomial; above, 1 - 2 / (1 + exp 2x) with exp 2x = 2^k (1 + p): every step of it is monotone.
INLINE vf tanh_v(vf x) {
  vf a = __builtin_elementwise_abs(x);
  vf square = a * a;
  vf odd = fma_v((vf)-5.70498872745e-3f, square, (vf)2.06390887954e-2f);
  odd = fma_v(odd, square, (vf)-5.37397155531e-2f);
  odd = fma_v(odd, square, (vf)1.33314422036e-1f);
  odd = fma_v(odd, square, (vf)-3.33332819422e-1f);
  vf small = fma_v(a * square, odd, a);

  vf y = choose_below((vf)10.0f, a, (vf)20.0f, a + a);
  vf shifted = fma_v(y, (vf)1.44269504f, (vf)12582912.0f);  // its last bits are the nearest integer
  vf k = shifted - (vf)12582912.0f;
  vf r = fma_v(k, (vf)-0.693359375f, y);
  r = fma_v(k, (vf)2.12194440e-4f, r);
  vf q = fma_v((vf)1.9875691500e-4f, r, (vf)1.3981999507e-3f);
  q = fma_v(q, r, (vf)8.3334519073e-3f);
  q = fma_v(q, r, (vf)4.1665795894e-2f);
  q = fma_v(q, r, (vf)1.6666665459e-1f);
  q = fma_v(q, r, (vf)5.0000001201e-1f);
  vf p = fma_v(r * r, q, r);
  vu power_bits = (BITS(shifted) + (vu)127u) << 23;
#if LANES == 1
  vf power = __builtin_bit_cast(float, power_bits);
#else
  vf power = (vf)power_bits;
#endif
  vf large = (vf)1.0f - (vf)2.0f / fma_v(power, p, power + (vf)1.0f);

  vf value = choose_below(a, (vf)0.625f, small, large);
  vu bits = BITS(value) | (BITS(x) & (vu)0x80000000u);
#if LANES == 1
  return __builtin_bit_cast(float, bits);
#else
  return (vf)bits;
#endif
}

INLINE void soft_cap_of(uint32_t type, const void *x, uint64_t n, float cap, void *out) {
  uint64_t i = 0;
  for (; i + LANES <= n; i += LANES) {
    store_element(type, out, i, (vf)cap * tanh_v(load_element(type, x, i) / (vf)cap));
  }
  if (i < n) store_elements(type, out, i, n - i, (vf)cap * tanh_v(load_elements(type, x, i, n - i) / (vf)cap));
}

static void FN(soft_cap)(uint32_t type, const void *x, uint64_t n, float cap, void *out) {
  if (type == CPU_F32) soft_cap_of(CPU_F32, x, n, cap, out);
  else if (type == CPU_F16) soft_cap_of(CPU_F16, x, n, cap, out);
  else soft_cap_of(CPU_BF16, x, n, cap, out);
}

static void FN(tanh_all)(float *x, uint64_t n) {
  uint64_t i = 0;
  for (; i + LANES <= n; i += LANES) store(x + i, tanh_v(load(x + i)));
  if (i < n) store_elements(CPU_F32, x, i, n - i, tanh_v(load_elements(CPU_F32, x, i, n - i)));
}

// Numbers of a row that are added up in float before their sum goes into a double.
#define NORM_RUN 4096

typedef struct FN(moments) {
  double sum, squares;
} FN(moments);

// Sums of x - center and, unless it is the first pass, of its square.
INLINE FN(moments) moments_of(uint32_t type, const void *x, uint64_t at, uint64_t n, float center, bool is_first) {
  FN(moments) total = {0, 0};
  for (uint64_t first = 0; first < n; first += NORM_RUN) {
    uint64_t end = n - first < NORM_RUN ? n : first + NORM_RUN;
    vf sum[2] = {(vf)0.0f, (vf)0.0f}, squares[2] = {(vf)0.0f, (vf)0.0f};
    uint64_t i = first;
    for (; i + 2 * LANES <= end; i += 2 * LANES) {
      UNROLL for (uint32_t w = 0; w < 2; w++) {
        vf apart = load_element(type, x, at + i + w * LANES) - (vf)center;
        sum[w] += apart;
        if (!is_first) squares[w] = fma_v(apart, apart, squares[w]);
      }
    }
    for (; i + LANES <= end; i += LANES) {
      vf apart = load_element(type, x, at + i) - (vf)center;
      sum[0] += apart;
      if (!is_first) squares[0] = fma_v(apart, apart, squares[0]);
    }
    total.sum += sum_lanes(sum[0] + sum[1]);
    if (!is_first) total.squares += sum_lanes(squares[0] + squares[1]);
#if LANES > 1
    if (i < end) {
      vf part = load_elements(type, x, at + i, end - i);
      for (uint64_t lane = 0; lane < end - i; lane++) {
        float apart = lane_of(&part, (uint32_t)lane) - center;
        total.sum += apart;
        total.squares += (double)apart * apart;
      }
    }
#endif
  }
  return total;
}

INLINE void layer_norm_of(uint32_t type, const void *x, uint64_t first, uint64_t rows, uint64_t columns, float eps,
                          const float *weights, const float *biases, uint64_t period, void *out) {
  double share = 1.0 / (double)columns;
  for (uint64_t row = first; row < first + rows; row++) {
    uint64_t at = row * columns;
    const float *weight = weights ? weights + row % period * columns : NULL;
    const float *bias = biases ? biases + row % period * columns : NULL;
    // The mean as a float, then what it lacks: rows far from 0 keep their variance.
    float center = (float)(moments_of(type, x, at, columns, 0.0f, true).sum * share);
    FN(moments) moments = moments_of(type, x, at, columns, center, false);
    double rest = moments.sum * share;
    double variance = moments.squares * share - rest * rest;
    vf scale = (vf)(float)(1.0 / sqrt((variance > 0 ? variance : variance * 0) + (double)eps));
    vf shift = (vf)(float)rest;
    for (uint64_t i = 0; i < columns; i += LANES) {
      uint64_t left = columns - i;
      bool whole = left >= LANES;
      vf value = whole ? load_element(type, x, at + i) : load_elements(type, x, at + i, left);
      value = ((value - (vf)center) - shift) * scale;
      vf factor = !weight ? (vf)1.0f : whole ? load(weight + i) : load_part(weight + i, (uint32_t)left);
      vf added = !bias ? (vf)0.0f : whole ? load(bias + i) : load_part(bias + i, (uint32_t)left);
      if (weight || bias) value = fma_v(value, factor, added);
      if (whole) store_element(type, out, at + i, value);
      else store_elements(type, out, at + i, left, value);
    }
  }
}

static void FN(layer_norm)(uint32_t type, const void *x, uint64_t first, uint64_t rows, uint64_t columns, float eps,
                           const float *weights, const float *biases, uint64_t period, void *out) {
  if (type == CPU_F32) layer_norm_of(CPU_F32, x, first, rows, columns, eps, weights, biases, period, out);
  else if (type == CPU_F16) layer_norm_of(CPU_F16, x, first, rows, columns, eps, weights, biases, period, out);
  else layer_norm_of(CPU_BF16, x, first, rows, columns, eps, weights, biases, period, out);
}

// Rows of the matrix at a time: as many sums as there are registers for.
#if LANES == 16
#define LINEAR_ROWS 4
#else
#define LINEAR_ROWS 2
#endif

INLINE void linear_block(const float *w, uint64_t d, const float *const *xs, const float *const *adds,
                         float *const *outs, uint64_t row, const uint32_t rows, const uint32_t inputs) {
  vf sums[LINEAR_ROWS][CPU_LINEAR_INPUTS];
  UNROLL for (uint32_t m = 0; m < rows; m++) {
    UNROLL for (uint32_t q = 0; q < inputs; q++) sums[m][q] = (vf)0.0f;
  }
  uint64_t j = 0;
  for (; j + LANES <= d; j += LANES) {
    vf right[CPU_LINEAR_INPUTS];
    UNROLL for (uint32_t q = 0; q < inputs; q++) right[q] = load(xs[q] + j);
    UNROLL for (uint32_t m = 0; m < rows; m++) {
      vf left = load(w + (row + m) * d + j);
      UNROLL for (uint32_t q = 0; q < inputs; q++) sums[m][q] = fma_v(left, right[q], sums[m][q]);
    }
  }
  if (j < d) {
    UNROLL for (uint32_t m = 0; m < rows; m++) {
      vf left = load_part(w + (row + m) * d + j, (uint32_t)(d - j));
      UNROLL for (uint32_t q = 0; q < inputs; q++) {
        sums[m][q] = fma_v(left, load_part(xs[q] + j, (uint32_t)(d - j)), sums[m][q]);
      }
    }
  }
  UNROLL for (uint32_t m = 0; m < rows; m++) {
    UNROLL for (uint32_t q = 0; q < inputs; q++) {
      outs[q][row + m] = sum_lanes(sums[m][q]) + (adds ? adds[q][row + m] : 0.0f);
    }
  }
}

INLINE void linear_of(const float *w, uint64_t rows, uint64_t d, const float *const *xs, const float *const *adds,
                      float *const *outs, const uint32_t inputs) {
  uint64_t row = 0;
  for (; row + LINEAR_ROWS <= rows; row += LINEAR_ROWS) {
    linear_block(w, d, xs, adds, outs, row, LINEAR_ROWS, inputs);
  }
  for (; row < rows; row++) linear_block(w, d, xs, adds, outs, row, 1, inputs);
}

static void FN(linear)(const float *w, uint64_t rows, uint64_t d, const float *const *xs, const float *const *adds,
                       float *const *outs, uint32_t inputs) {
  if (inputs == 4) linear_of(w, rows, d, xs, adds, outs, 4);
  else if (inputs == 3) linear_of(w, rows, d, xs, adds, outs, 3);
  else if (inputs == 2) linear_of(w, rows, d, xs, adds, outs, 2);
  else linear_of(w, rows, d, xs, adds, outs, 1);
}
