// Numbers in memory as floats, and back: float16 and bfloat16 round to even.

#if LANES == 1
INLINE float from_half(uint16_t bits) {
  uint32_t sign = (uint32_t)(bits & 0x8000) << 16;
  uint32_t exponent = (bits >> 10) & 31, fraction = bits & 0x3ff;
  if (exponent == 0) {
    float value = (float)fraction * 0x1p-24f;
    return sign ? -value : value;
  }
  uint32_t wide = sign | (exponent == 31 ? 0x7f800000 : (exponent + 112) << 23) | fraction << 13;
  return __builtin_bit_cast(float, wide);
}

INLINE uint16_t to_half(float value) {
  uint32_t bits = __builtin_bit_cast(uint32_t, value);
  uint32_t sign = (bits >> 16) & 0x8000;
  bits &= 0x7fffffff;
  if (bits > 0x7f800000) return (uint16_t)(sign | 0x7e00 | ((bits >> 13) & 0x1ff));
  if (bits >= 0x477ff000) return (uint16_t)(sign | 0x7c00);  // rounds past the largest
  // Below the normal numbers: 0.5 has the spacing of float16's subnormal numbers in its last bits.
  if (bits < 0x38800000) {
    float shifted = __builtin_bit_cast(float, bits) + 0.5f;
    return (uint16_t)(sign | (__builtin_bit_cast(uint32_t, shifted) - 0x3f000000));
  }
  return (uint16_t)(sign | ((bits - 0x38000000 + 0xfff + ((bits >> 13) & 1)) >> 13));
}
#else
typedef uint16_t vh __attribute__((ext_vector_type(LANES)));
#endif

// value < limit ? below : others, by lane.
INLINE vf choose_below(vf value, vf limit, vf below, vf others) {
#if LANES == 1
  return value < limit ? below : others;
#else
  vu mask = (vu)(value < limit);
  return (vf)(((vu)below & mask) | ((vu)others & ~mask));
#endif
}

INLINE vf load_element(uint32_t type, const void *x, uint64_t i) {
  if (type == CPU_F32) return load((const float *)x + i);
  const uint16_t *from = (const uint16_t *)x + i;
#if LANES == 1
  if (type == CPU_F16) return from_half(*from);
  uint32_t wide = (uint32_t)*from << 16;
  return __builtin_bit_cast(float, wide);
#else
  vh narrow;
  memcpy(&narrow, from, sizeof narrow);
  if (type == CPU_F16) {
#if defined(ISA_AVX512)
    return (vf)_mm512_cvtph_ps((__m256i)narrow);
#elif defined(ISA_AVX2)
    return (vf)_mm256_cvtph_ps((__m128i)narrow);
#elif defined(ISA_NEON)
    return (vf)vcvt_f32_f16((float16x4_t)narrow);
#endif
  }
  return (vf)(__builtin_convertvector(narrow, vu) << 16);
#endif
}

INLINE void store_element(uint32_t type, void *out, uint64_t i, vf value) {
  if (type == CPU_F32) {
    store((float *)out + i, value);
    return;
  }
  uint16_t *to = (uint16_t *)out + i;
#if LANES == 1
  if (type == CPU_F16) {
    *to = to_half(value);
    return;
  }
  uint32_t bits = BITS(value);
  *to = isnan(value) ? (uint16_t)(bits >> 16 | 0x40) : (uint16_t)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
#else
  vh narrow;
  if (type == CPU_F16) {
#if defined(ISA_AVX512)
    narrow = (vh)_mm512_cvtps_ph((__m512)value, _MM_FROUND_TO_NEAREST_INT);
#elif defined(ISA_AVX2)
    narrow = (vh)_mm256_cvtps_ph((__m256)value, _MM_FROUND_TO_NEAREST_INT);
#elif defined(ISA_NEON)
    narrow = (vh)vcvt_f16_f32((float32x4_t)value);
#endif
  } else {
    vu bits = (vu)value;
    vu is_nan = (vu)(value != value);
    vu rounded = (bits + (vu)0x7fffu + ((bits >> 16) & (vu)1u)) >> 16;
    narrow = __builtin_convertvector((((bits >> 16) | (vu)0x40u) & is_nan) | (rounded & ~is_nan), vh);
  }
  memcpy(to, &narrow, sizeof narrow);
#endif
}

// The first n < LANES elements, then zeros.
INLINE vf load_elements(uint32_t type, const void *x, uint64_t i, uint64_t n) {
  float part[LANES] = {0};
  if (type == CPU_F32) memcpy(part, (const float *)x + i, n * 4);
  else memcpy(part, (const uint16_t *)x + i, n * 2);
  return load_element(type, part, 0);
}

INLINE void store_elements(uint32_t type, void *out, uint64_t i, uint64_t n, vf value) {
  float part[LANES];
  store_element(type, part, 0, value);
  if (type == CPU_F32) memcpy((float *)out + i, part, n * 4);
  else memcpy((uint16_t *)out + i, part, n * 2);
}

static void FN(widen)(uint32_t type, const void *x, uint64_t n, float *out) {
  uint64_t i = 0;
  for (; i + LANES <= n; i += LANES) store(out + i, load_element(type, x, i));
  if (i < n) store_elements(CPU_F32, out, i, n - i, load_elements(type, x, i, n - i));
}

static void FN(narrow)(uint32_t type, const float *x, uint64_t n, void *out) {
  uint64_t i = 0;
  for (; i + LANES <= n; i += LANES) store_element(type, out, i, load(x + i));
  if (i < n) store_elements(type, out, i, n - i, load_elements(CPU_F32, x, i, n - i));
}
