// Kernels of RaBitQ for the instruction set being compiled.
#include "cpu_rabitq.h"
#include "simd.h"

#define BLOCK CPU_RABITQ_BLOCK

#if defined(ISA_VPOPCNT)
#define GROUPS (BLOCK / 8)
static void FN(count)(const uint64_t *words, uint32_t word_count, const uint64_t *bits, uint32_t planes,
                      uint32_t *dots) {
  __m512i sums[GROUPS];
  UNROLL for (uint32_t g = 0; g < GROUPS; g++) sums[g] = _mm512_setzero_si512();
  // From the highest plane down: each doubles those before it.
  for (uint32_t p = planes; p-- > 0;) {
    UNROLL for (uint32_t g = 0; g < GROUPS; g++) sums[g] = _mm512_add_epi64(sums[g], sums[g]);
    for (uint32_t w = 0; w < word_count; w++) {
      __m512i plane = _mm512_set1_epi64((int64_t)bits[(size_t)p * word_count + w]);
      UNROLL for (uint32_t g = 0; g < GROUPS; g++) {
        __m512i both = _mm512_and_si512(plane, _mm512_loadu_si512(words + (size_t)w * BLOCK + g * 8));
        sums[g] = _mm512_add_epi64(sums[g], _mm512_popcnt_epi64(both));
      }
    }
  }
  UNROLL for (uint32_t g = 0; g < GROUPS; g++)
    _mm256_storeu_si256((__m256i *)(dots + g * 8), _mm512_cvtepi64_epi32(sums[g]));
}
#elif defined(ISA_NEON)
static void FN(count)(const uint64_t *words, uint32_t word_count, const uint64_t *bits, uint32_t planes,
                      uint32_t *dots) {
  for (uint32_t i = 0; i < BLOCK; i += 4) {
    uint32x4_t sums = vdupq_n_u32(0);
    for (uint32_t p = planes; p-- > 0;) {
      sums = vaddq_u32(sums, sums);
      for (uint32_t from = 0; from < word_count; from += 31) {
        // A byte counts 8 bits a word.
        uint8x16_t low = vdupq_n_u8(0), high = vdupq_n_u8(0);
        uint32_t end = word_count - from < 31 ? word_count : from + 31;
        for (uint32_t w = from; w < end; w++) {
          uint64x2_t plane = vdupq_n_u64(bits[(size_t)p * word_count + w]);
          const uint64_t *at = words + (size_t)w * BLOCK + i;
          low = vaddq_u8(low, vcntq_u8(vreinterpretq_u8_u64(vandq_u64(plane, vld1q_u64(at)))));
          high = vaddq_u8(high, vcntq_u8(vreinterpretq_u8_u64(vandq_u64(plane, vld1q_u64(at + 2)))));
        }
        uint64x2_t a = vpaddlq_u32(vpaddlq_u16(vpaddlq_u8(low))), b = vpaddlq_u32(vpaddlq_u16(vpaddlq_u8(high)));
        sums = vaddq_u32(sums, vcombine_u32(vmovn_u64(a), vmovn_u64(b)));
      }
    }
    vst1q_u32(dots + i, sums);
  }
}
#elif defined(ISA_AVX2) || defined(ISA_AVX512)
// Bits of each byte, by halves of it.
INLINE __m256i byte_counts(__m256i x, __m256i table) {
  __m256i half = _mm256_set1_epi8(15);
  return _mm256_add_epi8(_mm256_shuffle_epi8(table, _mm256_and_si256(x, half)),
                         _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(x, 4), half)));
}

static void FN(count)(const uint64_t *words, uint32_t word_count, const uint64_t *bits, uint32_t planes,
                      uint32_t *dots) {
  const __m256i table = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3, 1, 2,
                                         2, 3, 2, 3, 3, 4);
  for (uint32_t i = 0; i < BLOCK; i += 16) {
    __m256i sums[4];
    UNROLL for (uint32_t g = 0; g < 4; g++) sums[g] = _mm256_setzero_si256();
    for (uint32_t p = planes; p-- > 0;) {
      UNROLL for (uint32_t g = 0; g < 4; g++) sums[g] = _mm256_add_epi64(sums[g], sums[g]);
      for (uint32_t from = 0; from < word_count; from += 31) {
        // A byte counts 8 bits a word.
        __m256i counts[4];
        UNROLL for (uint32_t g = 0; g < 4; g++) counts[g] = _mm256_setzero_si256();
        uint32_t end = word_count - from < 31 ? word_count : from + 31;
        for (uint32_t w = from; w < end; w++) {
          __m256i plane = _mm256_set1_epi64x((int64_t)bits[(size_t)p * word_count + w]);
          UNROLL for (uint32_t g = 0; g < 4; g++) {
            const __m256i *at = (const __m256i *)(words + (size_t)w * BLOCK + i + g * 4);
            __m256i both = _mm256_and_si256(plane, _mm256_loadu_si256(at));
            counts[g] = _mm256_add_epi8(counts[g], byte_counts(both, table));
          }
        }
        UNROLL for (uint32_t g = 0; g < 4; g++)
          sums[g] = _mm256_add_epi64(sums[g], _mm256_sad_epu8(counts[g], _mm256_setzero_si256()));
      }
    }
    UNROLL for (uint32_t g = 0; g < 4; g++) {
      uint64_t four[4];
      _mm256_storeu_si256((__m256i *)four, sums[g]);
      UNROLL for (uint32_t j = 0; j < 4; j++) dots[i + g * 4 + j] = (uint32_t)four[j];
    }
  }
}
#else
static void FN(count)(const uint64_t *words, uint32_t word_count, const uint64_t *bits, uint32_t planes,
                      uint32_t *dots) {
  for (uint32_t i = 0; i < BLOCK; i++) {
    dots[i] = 0;
    for (uint32_t p = 0; p < planes; p++)
      for (uint32_t w = 0; w < word_count; w++)
        dots[i] += (uint32_t)__builtin_popcountll(words[(size_t)w * BLOCK + i] & bits[(size_t)p * word_count + w]) << p;
  }
}
#endif

#if LANES == 1
INLINE vf to_floats(const uint32_t *x) { return (float)*x; }
INLINE vf size_of(vf x) { return fabsf(x); }
#else
typedef uint32_t vu __attribute__((ext_vector_type(LANES)));
INLINE vf to_floats(const uint32_t *x) {
  vu v;
  memcpy(&v, x, sizeof v);
  return __builtin_convertvector(v, vf);
}
INLINE vf size_of(vf x) { return (vf)((vu)x & 0x7fffffff); }
#endif

static uint64_t FN(within)(const cpu_rabitq_line *line, const uint32_t *dots, const uint32_t *ones,
                           const float *factors) {
  uint64_t mask = 0;
  vf base = (vf)line->base, level = (vf)line->level, bit = (vf)line->bit, always = (vf)line->always;
  vf slack = (vf)line->slack, limit = (vf)line->limit;
  for (uint32_t i = 0; i < BLOCK; i += LANES) {
    vf found = fma_v(level, to_floats(dots + i), fma_v(bit, to_floats(ones + i), always));
    vf first = load(factors + i), second = load(factors + BLOCK + i);
    vf key = fma_v(second, found, first + base);
    vf room = fma_v(size_of(second), slack, fma_v((vf)2e-6f, size_of(first), limit));
    mask |= (uint64_t)mask_not_above(key, room) << i;
  }
  return mask;
}

static uint64_t FN(round)(const float *x, uint32_t d, float least, float inverse, uint32_t planes, uint8_t *levels,
                          uint64_t *bits) {
  uint32_t most = (1u << planes) - 1, words = (d + 63) / 64;
  uint64_t sum = 0;
  for (uint32_t j = 0; j < d; j++) {
    float level = (x[j] - least) * inverse;
    // Rounded half up, in range.
    level = level > 0 ? level < (float)most ? level : (float)most : -0.5f;
    levels[j] = (uint8_t)(int32_t)(level + 0.5f);
    sum += levels[j];
  }
  memset(levels + d, 0, (size_t)words * 64 - d);
  for (uint32_t p = 0; p < planes; p++)
    for (uint32_t w = 0; w < words; w++) {
      const uint8_t *at = levels + (size_t)w * 64;
#if defined(ISA_AVX512)
      bits[(size_t)p * words + w] = _mm512_test_epi8_mask(_mm512_loadu_si512(at), _mm512_set1_epi8((char)(1 << p)));
#else
      uint64_t word = 0;
      for (uint32_t i = 0; i < 8; i++) {
        uint64_t eight;
        memcpy(&eight, at + 8 * i, 8);
        // The lowest bit of each byte, side by side.
        eight = (eight >> p & 0x0101010101010101ull) * 0x0102040810204080ull >> 56;
        word |= eight << (8 * i);
      }
      bits[(size_t)p * words + w] = word;
#endif
    }
  return sum;
}

static void FN(unpack)(const uint8_t *signs, const uint8_t *more, uint32_t d, uint32_t bits, float *x) {
  float zero = (float)(1u << bits) - 0.5f;
  if (bits == 0) zero = 0;
  uint32_t mask = (1u << bits) - 1;
  size_t bytes = ((size_t)d * bits + 7) / 8;
  for (uint32_t j = 0; j < d; j++) {
    uint32_t level = (uint32_t)(signs[j >> 3] >> (j & 7) & 1) << bits;
    if (bits) {
      size_t bit = (size_t)j * bits, at = bit >> 3;
      uint32_t two = more[at] | (at + 1 < bytes ? (uint32_t)more[at + 1] << 8 : 0);
      level |= two >> (bit & 7) & mask;
    }
    x[j] = (float)level - zero;
  }
}

const cpu_rabitq_kernels FN(cpu_rabitq) = {
    .count = FN(count), .within = FN(within), .round = FN(round), .unpack = FN(unpack)};
