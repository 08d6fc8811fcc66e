// Vectors of the instruction set being compiled: LANES floats, from clang's vector
// extension, plus the few operations it has no spelling for. Included once an ISA.
#include <math.h>
#include <string.h>

#include "cpu_kernels.h"

#define PASTE_(a, b) a##_##b
#define PASTE(a, b) PASTE_(a, b)
#define FN(name) PASTE(name, ISA)
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("clang loop unroll(full)")

#if LANES == 1
typedef float vf;
#else
typedef float vf __attribute__((ext_vector_type(LANES)));
#endif
// Doubles are always eight wide, so that sums have one order on every instruction set.
typedef double vd __attribute__((ext_vector_type(8)));
typedef float vf8 __attribute__((ext_vector_type(8)));

INLINE vf load(const float *p) {
  vf v;
  memcpy(&v, p, sizeof v);
  return v;
}
INLINE void store(float *p, vf v) { memcpy(p, &v, sizeof v); }

// The first n < LANES floats, then zeros.
INLINE vf load_part(const float *p, uint32_t n) {
#if defined(ISA_AVX512)
  return (vf)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
#else
  float part[LANES] = {0};
  memcpy(part, p, n * sizeof(float));
  return load(part);
#endif
}

INLINE vf fma_v(vf a, vf b, vf c) {
#if defined(ISA_AVX512)
  return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(ISA_AVX2)
  return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(ISA_NEON)
  return (vf)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
  return a * b + c;
#endif
}

// Bit i: lane i of a is not above that of the limit (so a NaN passes and is looked at exactly).
INLINE uint32_t mask_not_above(vf a, vf limit) {
#if defined(ISA_AVX512)
  return _mm512_cmp_ps_mask((__m512)a, (__m512)limit, _CMP_NGT_UQ);
#elif defined(ISA_AVX2)
  return (uint32_t)_mm256_movemask_ps(_mm256_cmp_ps((__m256)a, (__m256)limit, _CMP_NGT_UQ));
#elif defined(ISA_NEON)
  uint32x4_t above = vcgtq_f32((float32x4_t)a, (float32x4_t)limit);
  const uint32x4_t bits = {1, 2, 4, 8};
  return vaddvq_u32(vbicq_u32(bits, above));
#else
  return !(a > limit);
#endif
}

INLINE uint32_t mask_within(vf a, float limit) { return mask_not_above(a, (vf)limit); }

typedef float vf4 __attribute__((ext_vector_type(4)));

INLINE float sum_lanes(vf v) {
#if LANES == 1
  return v;
#else
#if LANES == 16
  vf8 eight = v.lo + v.hi;
  vf4 four = eight.lo + eight.hi;
#elif LANES == 8
  vf4 four = v.lo + v.hi;
#else
  vf4 four = v;
#endif
  return (four.x + four.z) + (four.y + four.w);
#endif
}

INLINE double sum_doubles(vd v) {
  return ((v[0] + v[4]) + (v[1] + v[5])) + ((v[2] + v[6]) + (v[3] + v[7]));
}

// Interleaves halves: log2(LANES) rounds of it transpose a square of LANES vectors.
#if LANES == 16
#define LOW(a, b) __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define HIGH(a, b) __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
#elif LANES == 8
#define LOW(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define HIGH(a, b) __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#elif LANES == 4
#define LOW(a, b) __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define HIGH(a, b) __builtin_shufflevector(a, b, 2, 6, 3, 7)
#endif

INLINE void transpose(vf *v) {
#if LANES > 1
  UNROLL for (uint32_t round = 1; round < LANES; round *= 2) {
    vf next[LANES];
    UNROLL for (uint32_t i = 0; i < LANES / 2; i++) {
      next[2 * i] = LOW(v[i], v[i + LANES / 2]);
      next[2 * i + 1] = HIGH(v[i], v[i + LANES / 2]);
    }
    UNROLL for (uint32_t i = 0; i < LANES; i++) v[i] = next[i];
  }
#else
  (void)v;
#endif
}

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
