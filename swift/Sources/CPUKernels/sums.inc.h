// Sums in float, with and without what rounding loses.

#if LANES == 1
typedef double vm;
typedef uint32_t vu;
#define WIDEN_ALL(v) ((double)(v))
#define BITS(v) __builtin_bit_cast(uint32_t, v)
#else
typedef double vm __attribute__((ext_vector_type(LANES)));
typedef uint32_t vu __attribute__((ext_vector_type(LANES)));
#define WIDEN_ALL(v) __builtin_convertvector(v, vm)
#define BITS(v) ((vu)(v))
#endif

// Independent sums a lane, so that one addition need not wait for the one before.
#define SUM_WAYS 4
// Additions to a plain sum before it goes into the sum of such: few roundings on the way of each number.
#define SUM_RUN 64

INLINE float lane_of(const vf *v, uint32_t i) { return ((const float *)v)[i]; }

// a * b - product, exactly.
INLINE vf product_error(vf a, vf b, vf product) {
#if LANES == 1
  return (float)((double)a * b - product);
#else
  return fma_v(a, b, -product);
#endif
}

// A term as hi + lo.
INLINE void make_term(uint32_t terms, vf a, vf b, float scale, vf *hi, vf *lo) {
  if (terms == CPU_TERMS_X) {
    *hi = a;
    *lo = (vf)0.0f;
    return;
  }
  if (terms == CPU_TERMS_SQUARES) a *= (vf)scale, b = a;
  *hi = a * b;
  *lo = product_error(a, b, *hi);
}

// sum + rest += hi + lo.
INLINE void add_term(uint32_t summation, vf hi, vf lo, vf *sum, vf *rest) {
  if (summation == CPU_SUM_PLAIN) {
    *sum += hi;
  } else if (summation == CPU_SUM_KAHAN) {
    vf y = hi + (*rest + lo);
    vf next = *sum + y;
    *rest = y - (next - *sum);
    *sum = next;
  } else {
    vf next = *sum + hi;
    vf part = next - *sum;
    vf low = *rest + (((*sum - (next - part)) + (hi - part)) + lo);
    *sum = next + low;
    *rest = low - (*sum - next);
  }
}

INLINE void sum_of(uint32_t terms, uint32_t summation, const float *x, const float *y, uint64_t n, float scale,
                   cpu_sum *out) {
  vf sum[SUM_WAYS], rest[SUM_WAYS], total[SUM_WAYS];
  vm magnitude = (vm)0.0;
  UNROLL for (uint32_t w = 0; w < SUM_WAYS; w++) sum[w] = rest[w] = total[w] = (vf)0.0f;
  uint64_t i = 0;
  uint32_t run = 0;
  for (; i + SUM_WAYS * LANES <= n; i += SUM_WAYS * LANES) {
    UNROLL for (uint32_t w = 0; w < SUM_WAYS; w++) {
      vf a = load(x + i + w * LANES), hi, lo;
      make_term(terms, a, terms == CPU_TERMS_XY ? load(y + i + w * LANES) : a, scale, &hi, &lo);
      magnitude += WIDEN_ALL(__builtin_elementwise_abs(hi));
      add_term(summation, hi, lo, &sum[w], &rest[w]);
    }
    if (summation == CPU_SUM_PLAIN && ++run == SUM_RUN) {
      run = 0;
      UNROLL for (uint32_t w = 0; w < SUM_WAYS; w++) total[w] += sum[w], sum[w] = (vf)0.0f;
    }
  }
  for (; i < n; i += LANES) {
    uint32_t left = n - i < LANES ? (uint32_t)(n - i) : LANES;
    vf a = load_part(x + i, left), hi, lo;
    make_term(terms, a, terms == CPU_TERMS_XY ? load_part(y + i, left) : a, scale, &hi, &lo);
    magnitude += WIDEN_ALL(__builtin_elementwise_abs(hi));
    add_term(summation, hi, lo, &sum[0], &rest[0]);
  }
  *out = (cpu_sum){0, 0, 0};
  for (uint32_t lane = 0; lane < LANES; lane++) out->magnitude += ((const double *)&magnitude)[lane];
  if (summation == CPU_SUM_PLAIN) {
    UNROLL for (uint32_t w = 0; w < SUM_WAYS; w++) total[w] += sum[w];
    out->value = sum_lanes((total[0] + total[1]) + (total[2] + total[3]));
    return;
  }
  for (uint32_t w = 0; w < SUM_WAYS; w++) {
    for (uint32_t lane = 0; lane < LANES; lane++) {
      cpu_sum part = {lane_of(&sum[w], lane), lane_of(&rest[w], lane), 0};
      cpu_sum_merge(summation, out, &part);
    }
  }
}

static void FN(sum)(uint32_t terms, uint32_t summation, const float *x, const float *y, uint64_t n, float scale,
                    cpu_sum *out) {
#define SUMMATIONS(kind)                                                                                  \
  if (summation == CPU_SUM_PLAIN) sum_of(kind, CPU_SUM_PLAIN, x, y, n, scale, out);                       \
  else if (summation == CPU_SUM_KAHAN) sum_of(kind, CPU_SUM_KAHAN, x, y, n, scale, out);                  \
  else sum_of(kind, CPU_SUM_TWO_FLOAT, x, y, n, scale, out)
  if (terms == CPU_TERMS_X) { SUMMATIONS(CPU_TERMS_X); }
  else if (terms == CPU_TERMS_XY) { SUMMATIONS(CPU_TERMS_XY); }
  else { SUMMATIONS(CPU_TERMS_SQUARES); }
#undef SUMMATIONS
}

static uint32_t FN(largest)(const float *x, uint64_t n) {
  vu most[2] = {(vu)0u, (vu)0u};
  uint64_t i = 0;
  for (; i + 2 * LANES <= n; i += 2 * LANES) {
    UNROLL for (uint32_t w = 0; w < 2; w++) {
      most[w] = __builtin_elementwise_max(most[w], BITS(load(x + i + w * LANES)) & (vu)0x7fffffffu);
    }
  }
  for (; i < n; i += LANES) {
    uint32_t left = n - i < LANES ? (uint32_t)(n - i) : LANES;
    most[0] = __builtin_elementwise_max(most[0], BITS(load_part(x + i, left)) & (vu)0x7fffffffu);
  }
  most[0] = __builtin_elementwise_max(most[0], most[1]);
  uint32_t largest = 0;
  for (uint32_t lane = 0; lane < LANES; lane++) {
    uint32_t bits = ((const uint32_t *)most)[lane];
    if (bits > largest) largest = bits;
  }
  return largest;
}
