// Kernels of RaBitQ for the instruction set being compiled.
#include "cpu_rabitq.h"
#include "simd.h"

#define BLOCK CPU_RABITQ_BLOCK

#if defined(ISA_VPOPCNT)
#define GROUPS (BLOCK / 8)
static void FN(count)(const uint64_t *words, uint32_t word_count, const uint64_t *bits, uint32_t planes,
                      int32_t *dots) {
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
                      int32_t *dots) {
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
    vst1q_s32(dots + i, vreinterpretq_s32_u32(sums));
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
                      int32_t *dots) {
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
      UNROLL for (uint32_t j = 0; j < 4; j++) dots[i + g * 4 + j] = (int32_t)four[j];
    }
  }
}
#else
static void FN(count)(const uint64_t *words, uint32_t word_count, const uint64_t *bits, uint32_t planes,
                      int32_t *dots) {
  for (uint32_t i = 0; i < BLOCK; i++) {
    dots[i] = 0;
    for (uint32_t p = 0; p < planes; p++)
      for (uint32_t w = 0; w < word_count; w++)
        dots[i] += __builtin_popcountll(words[(size_t)w * BLOCK + i] & bits[(size_t)p * word_count + w]) << p;
  }
}
#endif

#if LANES == 1
INLINE vf to_floats(const int32_t *x) { return (float)*x; }
INLINE vf size_of(vf x) { return fabsf(x); }
#else
typedef int32_t vi __attribute__((ext_vector_type(LANES)));
typedef uint32_t vu __attribute__((ext_vector_type(LANES)));
INLINE vf to_floats(const int32_t *x) {
  vi v;
  memcpy(&v, x, sizeof v);
  return __builtin_convertvector(v, vf);
}
INLINE vf size_of(vf x) { return (vf)((vu)x & 0x7fffffff); }
#endif

static uint64_t FN(within)(const cpu_rabitq_line *line, const int32_t *dots, const int32_t *ones,
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

#if defined(ISA_VPOPCNT)
// Words of eight codes at a time are gathered from where they lie.
static void FN(transpose)(const uint8_t *base, const uint32_t *positions, uint32_t n, size_t size, uint32_t word_count,
                          uint64_t last, uint64_t *words, uint32_t *ones) {
  __m512i step = _mm512_set1_epi64((int64_t)size);
  for (uint32_t i = 0; i < BLOCK; i += 8) {
    // A short block repeats its last code.
    uint64_t rows[8];
    UNROLL for (uint32_t j = 0; j < 8; j++) {
      uint32_t row = i + j < n ? i + j : n - 1;
      rows[j] = positions ? positions[row] : row;
    }
    __m512i at = _mm512_mullo_epi64(_mm512_loadu_si512(rows), step), sum = _mm512_setzero_si512();
    for (uint32_t w = 0; w < word_count; w++) {
      __m512i word = _mm512_i64gather_epi64(at, base + 8 * (size_t)w, 1);
      if (w + 1 == word_count) word = _mm512_and_si512(word, _mm512_set1_epi64((int64_t)last));
      _mm512_storeu_si512(words + (size_t)w * BLOCK + i, word);
      sum = _mm512_add_epi64(sum, _mm512_popcnt_epi64(word));
    }
    _mm256_storeu_si256((__m256i *)(ones + i), _mm512_cvtepi64_epi32(sum));
  }
}

static void FN(unpack)(const uint8_t *const *codes, size_t more, uint32_t d, uint32_t bits, uint8_t *levels) {
  // Bytes of eight numbers go to a word, where a shift takes each to its byte.
  uint8_t places[64], shifts[64];
  for (uint32_t i = 0; i < 64; i++) {
    places[i] = (uint8_t)((i / 8) * bits + (i % 8 < bits ? i % 8 : 0));
    shifts[i] = (uint8_t)((i % 8) * bits);
  }
  __m512i place = _mm512_loadu_si512(places), shift = _mm512_loadu_si512(shifts);
  uint32_t drop = bits == 8, kept = bits - drop;
  __m512i mask = _mm512_set1_epi8((char)((1u << bits) - 1)), sign = _mm512_set1_epi8((char)(1u << kept));
  __m512i half = _mm512_set1_epi8(0x7f);
  for (uint32_t c = 0; c < BLOCK; c++) {
    for (uint32_t j = 0; j < d; j += 64, levels += 64) {
      uint32_t left = d - j < 64 ? d - j : 64, bytes = (left * bits + 7) / 8, sign_bytes = (left + 7) / 8;
      __mmask64 some = left == 64 ? ~0ull : (1ull << left) - 1, held = bytes == 64 ? ~0ull : (1ull << bytes) - 1;
      __m512i packed = _mm512_maskz_loadu_epi8(held, codes[c] + more + (size_t)j / 8 * bits);
      __m512i x = _mm512_permutexvar_epi8(place, packed);
      x = _mm512_and_si512(_mm512_multishift_epi64_epi8(shift, x), mask);
      if (drop) x = _mm512_and_si512(_mm512_srli_epi16(x, 1), half);
      uint64_t ones = 0;
      if (left == 64)
        memcpy(&ones, codes[c] + j / 8, 8);
      else
        memcpy(&ones, codes[c] + j / 8, sign_bytes);
      x = _mm512_or_si512(x, _mm512_maskz_mov_epi8(ones, sign));
      _mm512_storeu_si512(levels, _mm512_maskz_mov_epi8(some, x));
    }
  }
}

static void FN(multiply)(const uint8_t *levels, uint32_t width, const int8_t *query, int32_t *dots) {
  for (uint32_t i = 0; i < BLOCK; i += 4) {
    __m512i sums[4];
    UNROLL for (uint32_t r = 0; r < 4; r++) sums[r] = _mm512_setzero_si512();
    for (uint32_t j = 0; j < width; j += 64) {
      __m512i q = _mm512_loadu_si512(query + j);
      UNROLL for (uint32_t r = 0; r < 4; r++)
        sums[r] = _mm512_dpbusd_epi32(sums[r], _mm512_loadu_si512(levels + (size_t)(i + r) * width + j), q);
    }
    __m512i low = _mm512_add_epi32(_mm512_unpacklo_epi32(sums[0], sums[1]), _mm512_unpackhi_epi32(sums[0], sums[1]));
    __m512i high = _mm512_add_epi32(_mm512_unpacklo_epi32(sums[2], sums[3]), _mm512_unpackhi_epi32(sums[2], sums[3]));
    __m512i all = _mm512_add_epi32(_mm512_unpacklo_epi64(low, high), _mm512_unpackhi_epi64(low, high));
    __m256i half = _mm256_add_epi32(_mm512_castsi512_si256(all), _mm512_extracti64x4_epi64(all, 1));
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
    _mm_storeu_si128((__m128i *)(dots + i), four);
  }
}
#else
#define NO_TRANSPOSE
static void FN(unpack)(const uint8_t *const *codes, size_t from, uint32_t d, uint32_t bits, uint8_t *levels) {
  uint64_t mask = (1u << bits) - 1;
  uint32_t drop = bits == 8, kept = bits - drop, width = (d + 63) / 64 * 64;
  for (uint32_t c = 0; c < BLOCK; c++, levels += width) {
    const uint8_t *signs = codes[c], *more = signs + from;
    for (uint32_t j = 0; j < d; j += 8, more += bits) {
      uint64_t word, out = 0, ones = signs[j >> 3];
      memcpy(&word, more, 8);
      UNROLL for (uint32_t i = 0; i < 8; i++)
        out |= (((word >> (i * bits) & mask) >> drop) | (ones >> i & 1) << kept) << (8 * i);
      if (d - j < 8) out &= (1ull << (8 * (d - j))) - 1;
      memcpy(levels + j, &out, 8);
    }
    for (uint32_t j = (d + 7) / 8 * 8; j < width; j++) levels[j] = 0;
  }
}

static void FN(multiply)(const uint8_t *levels, uint32_t width, const int8_t *query, int32_t *dots) {
  for (uint32_t i = 0; i < BLOCK; i++, levels += width) {
#if defined(ISA_AVX2) || defined(ISA_AVX512)
    __m256i sum = _mm256_setzero_si256(), one = _mm256_set1_epi16(1);
    for (uint32_t j = 0; j < width; j += 32) {
      __m256i pairs = _mm256_maddubs_epi16(_mm256_loadu_si256((const __m256i *)(levels + j)),
                                           _mm256_loadu_si256((const __m256i *)(query + j)));
      sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, one));
    }
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
    dots[i] = _mm_cvtsi128_si32(four) + _mm_extract_epi32(four, 1);
#elif defined(ISA_NEON)
    int32x4_t sum = vdupq_n_s32(0);
    for (uint32_t j = 0; j < width; j += 16) {
      uint8x16_t x = vld1q_u8(levels + j);
      int8x16_t q = vld1q_s8(query + j);
      int16x8_t low = vmulq_s16(vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(x))), vmovl_s8(vget_low_s8(q)));
      int16x8_t high = vmulq_s16(vreinterpretq_s16_u16(vmovl_u8(vget_high_u8(x))), vmovl_s8(vget_high_s8(q)));
      sum = vpadalq_s16(vpadalq_s16(sum, low), high);
    }
    dots[i] = vaddvq_s32(sum);
#else
    dots[i] = 0;
    for (uint32_t j = 0; j < width; j++) dots[i] += (int32_t)levels[j] * query[j];
#endif
  }
}
#endif

const cpu_rabitq_kernels FN(cpu_rabitq) = {
    .count = FN(count),
#if !defined(NO_TRANSPOSE)
    .transpose = FN(transpose),
#endif
    .within = FN(within), .round = FN(round), .unpack = FN(unpack), .multiply = FN(multiply)};
