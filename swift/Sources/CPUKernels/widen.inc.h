// Vectors of a matrix of any type, widened to float.

#if LANES > 1
typedef uint16_t vh __attribute__((ext_vector_type(LANES)));
typedef uint32_t vw __attribute__((ext_vector_type(LANES)));
#endif

INLINE vf load_half(const uint16_t *p) {
#if defined(ISA_AVX512)
  return (vf)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
#elif defined(ISA_AVX2)
  return (vf)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
#elif defined(ISA_NEON)
  return (vf)vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
#else
  return cpu_widen_f16(*p);
#endif
}

INLINE vf load_bfloat(const uint16_t *p) {
#if LANES > 1
  vh bits;
  memcpy(&bits, p, sizeof bits);
  return (vf)(__builtin_convertvector(bits, vw) << 16);
#else
  return cpu_widen_bf16(*p);
#endif
}

// LANES elements of x from `at`.
INLINE vf load_as(uint32_t type, const void *x, size_t at) {
  if (type == CPU_F32) return load((const float *)x + at);
  return type == CPU_F16 ? load_half((const uint16_t *)x + at) : load_bfloat((const uint16_t *)x + at);
}

// The first n < LANES of them, then zeros.
INLINE vf load_part_as(uint32_t type, const void *x, size_t at, uint32_t n) {
  if (type == CPU_F32) return load_part((const float *)x + at, n);
  uint16_t part[LANES] = {0};
  memcpy(part, (const uint16_t *)x + at, n * sizeof *part);
  return type == CPU_F16 ? load_half(part) : load_bfloat(part);
}

// The first n < LANES lanes.
INLINE void store_part(float *p, vf v, uint32_t n) {
#if defined(ISA_AVX512)
  _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v);
#else
  float part[LANES];
  store(part, v);
  memcpy(p, part, n * sizeof(float));
#endif
}
