// Kernels of blocks of 4-bit codes, for vectors of VB bytes: see cpu_fast.h.
#include "cpu_fast.h"
#include "simd.h"


#if defined(ISA_AVX512)
typedef __m512i vb;
INLINE vb load_bytes(const uint8_t *p) { return _mm512_loadu_si512(p); }
INLINE vb load_half(const uint8_t *p) { return _mm512_zextsi256_si512(_mm256_loadu_si256((const __m256i *)p)); }
INLINE vb zero_bytes(void) { return _mm512_setzero_si512(); }
INLINE vb low_half(vb x) { return _mm512_and_si512(x, _mm512_set1_epi8(15)); }
INLINE vb high_half(vb x) { return low_half(_mm512_srli_epi16(x, 4)); }
INLINE vb look_up(vb table, vb index) { return _mm512_shuffle_epi8(table, index); }
INLINE vb add_bytes(vb a, vb b) { return _mm512_adds_epu8(a, b); }
INLINE vb add_words(vb a, vb b) { return _mm512_add_epi16(a, b); }
INLINE vb odd_words(vb x) { return _mm512_srli_epi16(x, 8); }
INLINE vb even_words(vb both, vb odd) { return _mm512_sub_epi16(both, _mm512_slli_epi16(odd, 8)); }
// Codes of two blocks whose lanes add up to at most the limit: low and high halves of each.
INLINE uint64_t codes_within(const vb *sums, uint8_t limit) {
  vb pair[2];
  UNROLL for (uint32_t b = 0; b < 2; b++) {
    vb low = sums[2 * b], high = sums[2 * b + 1];
    pair[b] = _mm512_adds_epu8(_mm512_shuffle_i64x2(low, high, 0x44), _mm512_shuffle_i64x2(low, high, 0xee));
  }
  vb all = _mm512_adds_epu8(_mm512_shuffle_i64x2(pair[0], pair[1], 0x88), _mm512_shuffle_i64x2(pair[0], pair[1], 0xdd));
  return _mm512_cmple_epu8_mask(all, _mm512_set1_epi8((char)limit));
}
// Eight words: what the lanes of a vector of them add up to.
INLINE void fold_words(vb x, uint16_t *out) {
  __m256i half = _mm256_add_epi16(_mm512_castsi512_si256(x), _mm512_extracti64x4_epi64(x, 1));
  _mm_storeu_si128((__m128i *)out, _mm_add_epi16(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1)));
}
#elif defined(ISA_AVX2)
typedef __m256i vb;
INLINE vb load_bytes(const uint8_t *p) { return _mm256_loadu_si256((const __m256i *)p); }
INLINE vb zero_bytes(void) { return _mm256_setzero_si256(); }
INLINE vb low_half(vb x) { return _mm256_and_si256(x, _mm256_set1_epi8(15)); }
INLINE vb high_half(vb x) { return low_half(_mm256_srli_epi16(x, 4)); }
INLINE vb look_up(vb table, vb index) { return _mm256_shuffle_epi8(table, index); }
INLINE vb add_bytes(vb a, vb b) { return _mm256_adds_epu8(a, b); }
INLINE vb add_words(vb a, vb b) { return _mm256_add_epi16(a, b); }
INLINE vb odd_words(vb x) { return _mm256_srli_epi16(x, 8); }
INLINE vb even_words(vb both, vb odd) { return _mm256_sub_epi16(both, _mm256_slli_epi16(odd, 8)); }
INLINE uint64_t codes_within(const vb *sums, uint8_t limit) {
  uint64_t codes = 0;
  UNROLL for (uint32_t b = 0; b < 2; b++) {
    vb low = sums[2 * b], high = sums[2 * b + 1];
    vb all = _mm256_adds_epu8(_mm256_permute2x128_si256(low, high, 0x20), _mm256_permute2x128_si256(low, high, 0x31));
    vb most = _mm256_set1_epi8((char)limit);
    vb within = _mm256_cmpeq_epi8(_mm256_min_epu8(all, most), all);
    codes |= (uint64_t)(uint32_t)_mm256_movemask_epi8(within) << (32 * b);
  }
  return codes;
}
INLINE void fold_words(vb x, uint16_t *out) {
  _mm_storeu_si128((__m128i *)out, _mm_add_epi16(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1)));
}
#elif defined(ISA_NEON)
typedef uint8x16_t vb;
INLINE vb load_bytes(const uint8_t *p) { return vld1q_u8(p); }
INLINE vb zero_bytes(void) { return vdupq_n_u8(0); }
INLINE vb low_half(vb x) { return vandq_u8(x, vdupq_n_u8(15)); }
INLINE vb high_half(vb x) { return vshrq_n_u8(x, 4); }
INLINE vb look_up(vb table, vb index) { return vqtbl1q_u8(table, index); }
INLINE vb add_bytes(vb a, vb b) { return vqaddq_u8(a, b); }
INLINE vb add_words(vb a, vb b) {
  return vreinterpretq_u8_u16(vaddq_u16(vreinterpretq_u16_u8(a), vreinterpretq_u16_u8(b)));
}
INLINE vb odd_words(vb x) { return vreinterpretq_u8_u16(vshrq_n_u16(vreinterpretq_u16_u8(x), 8)); }
INLINE vb even_words(vb both, vb odd) {
  uint16x8_t high = vshlq_n_u16(vreinterpretq_u16_u8(odd), 8);
  return vreinterpretq_u8_u16(vsubq_u16(vreinterpretq_u16_u8(both), high));
}
INLINE uint64_t codes_within(const vb *sums, uint8_t limit) {
  const uint8x16_t bits = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
  uint64_t codes = 0;
  UNROLL for (uint32_t part = 0; part < 4; part++) {
    uint8x16_t within = vandq_u8(vcleq_u8(sums[part], vdupq_n_u8(limit)), bits);
    uint64_t mask = vaddv_u8(vget_low_u8(within)) | (uint64_t)vaddv_u8(vget_high_u8(within)) << 8;
    codes |= mask << (16 * part);
  }
  return codes;
}
INLINE void fold_words(vb x, uint16_t *out) { vst1q_u16(out, vreinterpretq_u16_u8(x)); }
#endif

#define FORESEEN 2048  // bytes

// Adds `parts` parts of two blocks, from where pointers are, for nq tables.
INLINE void add_parts(uint32_t nq, bool half, const uint8_t *first, const uint8_t *second, const uint8_t *const *tables,
                      size_t at, vb sums[CPU_FAST_QUERIES][4]) {
#if defined(ISA_AVX512)
  vb a = half ? load_half(first + at) : load_bytes(first + at);
  vb b = half ? load_half(second + at) : load_bytes(second + at);
#else
  (void)half;
  vb a = load_bytes(first + at), b = load_bytes(second + at);
#endif
  vb index[4] = {low_half(a), high_half(a), low_half(b), high_half(b)};
  UNROLL for (uint32_t q = 0; q < nq; q++) {
    vb table = load_bytes(tables[q] + at);
    UNROLL for (uint32_t i = 0; i < 4; i++) sums[q][i] = add_bytes(sums[q][i], look_up(table, index[i]));
  }
}

INLINE void filter_blocks(uint32_t nq, const uint8_t *blocks, size_t stride, uint32_t count, uint32_t parts,
                          const uint8_t *const *tables, const uint8_t *limits, cpu_fast_hit *hits, uint32_t *counts) {
  size_t bytes = 32 * cpu_fast_half(parts), whole = bytes / VB * VB;
  uint32_t room = (count + 1) / 2, found[CPU_FAST_QUERIES] = {0};
  for (uint32_t b = 0; b < count; b += 2) {
    const uint8_t *first = blocks + b * stride, *second = b + 1 < count ? first + stride : first;
    // What follows soon: lists are too short for the machine to foresee much of them.
    for (size_t at = 0; at < 2 * stride; at += 64) __builtin_prefetch(first + FORESEEN + at);
    vb sums[CPU_FAST_QUERIES][4];
    UNROLL for (uint32_t q = 0; q < nq; q++)
      UNROLL for (uint32_t i = 0; i < 4; i++) sums[q][i] = zero_bytes();
    for (size_t at = 0; at < whole; at += VB) add_parts(nq, false, first, second, tables, at, sums);
    if (whole < bytes) add_parts(nq, true, first, second, tables, whole, sums);
    UNROLL for (uint32_t q = 0; q < nq; q++) {
      uint64_t codes = codes_within(sums[q], limits[q]);
      hits[q * room + found[q]] = (cpu_fast_hit){b + 1 < count ? codes : (uint32_t)codes, b};
      found[q] += codes != 0;
    }
  }
  UNROLL for (uint32_t q = 0; q < nq; q++) counts[q] = found[q];
}

static void FN(fast_filter)(const uint8_t *blocks, size_t stride, uint32_t count, uint32_t parts,
                            const uint8_t *const *tables, uint32_t nq, const uint8_t *limits, cpu_fast_hit *hits,
                            uint32_t *counts) {
  size_t room = (count + 1) / 2;
  for (uint32_t done = 0; done < nq;) {
    uint32_t now = nq - done >= 4 ? 4 : nq - done >= 2 ? 2 : 1;
    const uint8_t *const *table = tables + done;
    if (now == 4)
      filter_blocks(4, blocks, stride, count, parts, table, limits + done, hits + done * room, counts + done);
    else if (now == 2)
      filter_blocks(2, blocks, stride, count, parts, table, limits + done, hits + done * room, counts + done);
    else
      filter_blocks(1, blocks, stride, count, parts, table, limits + done, hits + done * room, counts + done);
    done += now;
  }
}

// both: of even bytes plus 256 times of odd ones; odd: of odd bytes.
INLINE void add_wide(vb index, vb table, vb *both, vb *odd) {
  vb entry = look_up(table, index);
  *both = add_words(*both, entry);
  *odd = add_words(*odd, odd_words(entry));
}

static void FN(fast_sums)(const uint8_t *blocks, size_t stride, uint32_t count, uint32_t parts, const uint8_t *table,
                          uint16_t *sums) {
  size_t bytes = 32 * cpu_fast_half(parts);
  for (uint32_t b = 0; b < count; b++, blocks += stride, sums += CPU_FAST_BLOCK) {
    vb both[2] = {zero_bytes(), zero_bytes()}, odd[2] = {zero_bytes(), zero_bytes()};
    for (size_t at = 0; at < bytes; at += VB) {
#if defined(ISA_AVX512)
      vb codes = at + VB > bytes ? load_half(blocks + at) : load_bytes(blocks + at);
#else
      vb codes = load_bytes(blocks + at);
#endif
      vb entries = load_bytes(table + at);
      add_wide(low_half(codes), entries, &both[0], &odd[0]);
      add_wide(high_half(codes), entries, &both[1], &odd[1]);
    }
    UNROLL for (uint32_t h = 0; h < 2; h++) {
      fold_words(even_words(both[h], odd[h]), sums + 16 * h);
      fold_words(odd[h], sums + 16 * h + 8);
    }
  }
}

static void FN(fast_round)(uint32_t parts, const float *tables, const float *least, float inverse, uint8_t *bytes) {
  for (uint32_t m = 0; m < parts; m++) {
    UNROLL for (uint32_t j = 0; j < 16; j += LANES) {
      vf steps = (load(tables + 16 * m + j) - least[m]) * inverse;
      steps = steps < 255.0f ? steps : (vf)255.0f;
#if defined(ISA_AVX512)
      __m128i out = _mm512_cvtepi32_epi8(_mm512_cvttps_epi32((__m512)steps));
#else
      typedef int32_t whole __attribute__((ext_vector_type(LANES)));
      typedef uint8_t small __attribute__((ext_vector_type(LANES)));
      small out = __builtin_convertvector(__builtin_convertvector(steps, whole), small);
#endif
      memcpy(bytes + 16 * m + j, &out, sizeof out);
    }
  }
}

const cpu_fast_kernels FN(cpu_fast) = {.filter = FN(fast_filter), .sums = FN(fast_sums), .round = FN(fast_round)};
