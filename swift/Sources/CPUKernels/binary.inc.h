// Kernels of codes of bits, for one instruction set. A block's rows lie word by word, so that a vector holds one word of
// each: sums need no shuffles.
#include <string.h>

#include "cpu_binary.h"

#define PASTE_(a, b) a##_##b
#define PASTE(a, b) PASTE_(a, b)
#define FN(name) PASTE(name, ISA)
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("clang loop unroll(full)")

// bits: words; a count of their bits is added to `sums`, of which so many words fit before `total` has to widen them.
#if defined(ISA_AVX512)
#define WIDTH 8
#define MOST_WORDS UINT32_MAX
typedef __m512i bits;
INLINE bits zero(void) { return _mm512_setzero_si512(); }
INLINE bits load_bits(const uint64_t *p) { return _mm512_loadu_si512(p); }
INLINE bits repeat(uint64_t word) { return _mm512_set1_epi64((long long)word); }
INLINE bits count(bits sums, bits a, bits b) {
  return _mm512_add_epi64(sums, _mm512_popcnt_epi64(_mm512_xor_si512(a, b)));
}
INLINE bits total(bits sums) { return sums; }
INLINE bits add(bits a, bits b) { return _mm512_add_epi64(a, b); }
INLINE uint32_t below(bits sums, uint64_t limit) { return _mm512_cmplt_epu64_mask(sums, repeat(limit)); }
#elif defined(ISA_AVX2)
#define WIDTH 4
#define MOST_WORDS 31
typedef __m256i bits;
INLINE bits zero(void) { return _mm256_setzero_si256(); }
INLINE bits load_bits(const uint64_t *p) { return _mm256_loadu_si256((const __m256i *)p); }
INLINE bits repeat(uint64_t word) { return _mm256_set1_epi64x((long long)word); }
INLINE bits count(bits sums, bits a, bits b) {
  const __m256i counts = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3, 1, 2,
                                          2, 3, 2, 3, 3, 4);
  const __m256i nibble = _mm256_set1_epi8(15);
  __m256i differ = _mm256_xor_si256(a, b);
  __m256i low = _mm256_shuffle_epi8(counts, _mm256_and_si256(differ, nibble));
  __m256i high = _mm256_shuffle_epi8(counts, _mm256_and_si256(_mm256_srli_epi16(differ, 4), nibble));
  return _mm256_add_epi8(sums, _mm256_add_epi8(low, high));
}
INLINE bits total(bits sums) { return _mm256_sad_epu8(sums, zero()); }
INLINE bits add(bits a, bits b) { return _mm256_add_epi64(a, b); }
INLINE uint32_t below(bits sums, uint64_t limit) {
  return (uint32_t)_mm256_movemask_pd((__m256d)_mm256_cmpgt_epi64(repeat(limit), sums));
}
#elif defined(ISA_NEON)
#define WIDTH 2
#define MOST_WORDS 31
typedef uint64x2_t bits;
INLINE bits zero(void) { return vdupq_n_u64(0); }
INLINE bits load_bits(const uint64_t *p) { return vld1q_u64(p); }
INLINE bits repeat(uint64_t word) { return vdupq_n_u64(word); }
INLINE bits count(bits sums, bits a, bits b) {
  uint8x16_t ones = vcntq_u8(vreinterpretq_u8_u64(veorq_u64(a, b)));
  return vreinterpretq_u64_u8(vaddq_u8(vreinterpretq_u8_u64(sums), ones));
}
INLINE bits total(bits sums) { return vpaddlq_u32(vpaddlq_u16(vpaddlq_u8(vreinterpretq_u8_u64(sums)))); }
INLINE bits add(bits a, bits b) { return vaddq_u64(a, b); }
INLINE uint32_t below(bits sums, uint64_t limit) {
  uint64x2_t less = vcltq_u64(sums, repeat(limit));
  return (uint32_t)(vgetq_lane_u64(less, 0) & 1) | (uint32_t)(vgetq_lane_u64(less, 1) & 2);
}
#else
#define WIDTH 1
#define MOST_WORDS UINT32_MAX
typedef uint64_t bits;
INLINE bits zero(void) { return 0; }
INLINE bits load_bits(const uint64_t *p) { return *p; }
INLINE bits repeat(uint64_t word) { return word; }
INLINE bits count(bits sums, bits a, bits b) { return sums + (uint64_t)__builtin_popcountll(a ^ b); }
INLINE bits total(bits sums) { return sums; }
INLINE bits add(bits a, bits b) { return a + b; }
INLINE uint32_t below(bits sums, uint64_t limit) { return sums < limit; }
#endif

#define VECTORS (CPU_BINARY_ROWS / WIDTH)

// Appends the pairs of one query that are below its limit.
INLINE uint32_t take(const bits *sums, uint64_t limit, uint32_t query, cpu_binary_pair *pairs, uint32_t found) {
  uint32_t mask = 0;
  UNROLL for (uint32_t v = 0; v < VECTORS; v++) mask |= below(sums[v], limit) << (v * WIDTH);
  if (mask == 0) return found;
  uint64_t distances[CPU_BINARY_ROWS];
  memcpy(distances, sums, sizeof distances);
  for (; mask; mask &= mask - 1) {
    uint32_t row = (uint32_t)__builtin_ctz(mask);
    pairs[found++] = (cpu_binary_pair){query, row, (uint32_t)distances[row]};
  }
  return found;
}

// Of `words` that the compiler knows: the block stays in registers where there are enough.
INLINE uint32_t block_of(const uint64_t *block, const uint32_t words, const uint64_t *queries, uint32_t stride,
                         uint32_t nq, const uint64_t *limits, cpu_binary_pair *pairs) {
  bits rows[8 * VECTORS];
  UNROLL for (uint32_t i = 0; i < words * VECTORS; i++) rows[i] = load_bits(block + i * WIDTH);
  uint32_t found = 0;
  for (uint32_t q = 0; q < nq; q++) {
    const uint64_t *query = queries + (size_t)q * stride;
    bits sums[VECTORS];
    UNROLL for (uint32_t v = 0; v < VECTORS; v++) sums[v] = zero();
    UNROLL for (uint32_t w = 0; w < words; w++) {
      bits word = repeat(query[w]);
      UNROLL for (uint32_t v = 0; v < VECTORS; v++) sums[v] = count(sums[v], rows[w * VECTORS + v], word);
    }
    UNROLL for (uint32_t v = 0; v < VECTORS; v++) sums[v] = total(sums[v]);
    found = take(sums, limits[q], q, pairs, found);
  }
  return found;
}

static uint32_t FN(block_any)(const uint64_t *block, uint32_t words, const uint64_t *queries, uint32_t stride,
                              uint32_t nq, const uint64_t *limits, cpu_binary_pair *pairs) {
  uint32_t found = 0;
  for (uint32_t q = 0; q < nq; q++) {
    const uint64_t *query = queries + (size_t)q * stride;
    bits all[VECTORS];
    UNROLL for (uint32_t v = 0; v < VECTORS; v++) all[v] = zero();
    for (uint32_t from = 0; from < words;) {
      uint32_t to = words - from > MOST_WORDS ? from + MOST_WORDS : words;
      bits sums[VECTORS];
      UNROLL for (uint32_t v = 0; v < VECTORS; v++) sums[v] = zero();
      for (uint32_t w = from; w < to; w++) {
        bits word = repeat(query[w]);
        const uint64_t *row = block + (size_t)w * CPU_BINARY_ROWS;
        UNROLL for (uint32_t v = 0; v < VECTORS; v++) sums[v] = count(sums[v], load_bits(row + v * WIDTH), word);
      }
      UNROLL for (uint32_t v = 0; v < VECTORS; v++) all[v] = add(all[v], total(sums[v]));
      from = to;
    }
    found = take(all, limits[q], q, pairs, found);
  }
  return found;
}

static uint32_t FN(block)(const uint64_t *block, uint32_t words, const uint64_t *queries, uint32_t stride, uint32_t nq,
                          const uint64_t *limits, cpu_binary_pair *pairs) {
  switch (words) {
    case 1: return block_of(block, 1, queries, stride, nq, limits, pairs);
    case 2: return block_of(block, 2, queries, stride, nq, limits, pairs);
    case 4: return block_of(block, 4, queries, stride, nq, limits, pairs);
    case 8: return block_of(block, 8, queries, stride, nq, limits, pairs);
    default: return FN(block_any)(block, words, queries, stride, nq, limits, pairs);
  }
}

#if defined(ISA_AVX512)

// Sums of each vector's words: those of a[i] at i.
INLINE __m512i sum_eight(const __m512i *a) {
  __m512i pairs[4], fours[2];
  UNROLL for (int i = 0; i < 4; i++)
    pairs[i] = _mm512_add_epi64(_mm512_unpacklo_epi64(a[2 * i], a[2 * i + 1]),
                                _mm512_unpackhi_epi64(a[2 * i], a[2 * i + 1]));
  UNROLL for (int i = 0; i < 2; i++)
    fours[i] = _mm512_add_epi64(_mm512_shuffle_i64x2(pairs[2 * i], pairs[2 * i + 1], 0x88),
                                _mm512_shuffle_i64x2(pairs[2 * i], pairs[2 * i + 1], 0xdd));
  return _mm512_add_epi64(_mm512_shuffle_i64x2(fours[0], fours[1], 0x88),
                          _mm512_shuffle_i64x2(fours[0], fours[1], 0xdd));
}

// Rows of 32 bytes that follow each other, two a vector.
INLINE __m512i sums_of_32(const uint8_t *rows, __m512i query) {
  __m512i a[4], pairs[2];
  UNROLL for (int i = 0; i < 4; i++) a[i] = count(zero(), load_bits((const uint64_t *)(rows + 64 * i)), query);
  UNROLL for (int i = 0; i < 2; i++)
    pairs[i] = _mm512_add_epi64(_mm512_unpacklo_epi64(a[2 * i], a[2 * i + 1]),
                                _mm512_unpackhi_epi64(a[2 * i], a[2 * i + 1]));
  __m512i sums = _mm512_add_epi64(_mm512_shuffle_i64x2(pairs[0], pairs[1], 0x88),
                                  _mm512_shuffle_i64x2(pairs[0], pairs[1], 0xdd));
  // They are those of rows 0 2 1 3, 4 6 5 7.
  return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 1, 3, 4, 6, 5, 7), sums);
}

// Rows of 16 bytes that follow each other, four a vector.
INLINE __m512i sums_of_16(const uint8_t *rows, __m512i query) {
  __m512i a = count(zero(), load_bits((const uint64_t *)rows), query);
  __m512i b = count(zero(), load_bits((const uint64_t *)(rows + 64)), query);
  __m512i sums = _mm512_add_epi64(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
  return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), sums);
}

INLINE __m512i sums_of_any(const uint8_t *const *rows, uint32_t bytes, const uint64_t *query) {
  __m512i sums[8];
  UNROLL for (int i = 0; i < 8; i++) sums[i] = zero();
  uint32_t at = 0;
  for (; at + 64 <= bytes; at += 64) {
    __m512i part = load_bits(query + at / 8);
    UNROLL for (int i = 0; i < 8; i++) sums[i] = count(sums[i], load_bits((const uint64_t *)(rows[i] + at)), part);
  }
  if (at < bytes) {
    __mmask64 rest = ~0ull >> (64 - (bytes - at));
    __m512i part = load_bits(query + at / 8);
    UNROLL for (int i = 0; i < 8; i++) sums[i] = count(sums[i], _mm512_maskz_loadu_epi8(rest, rows[i] + at), part);
  }
  return sum_eight(sums);
}

static uint64_t FN(direct)(const uint8_t *rows, uint32_t bytes, const uint32_t *positions, uint32_t n,
                           const uint64_t *query, uint64_t limit, uint32_t *distances) {
  uint64_t mask = 0;
  uint32_t at = 0;
  if (!positions && (bytes == 32 || bytes == 16 || bytes == 8)) {
    __m512i repeated = bytes == 32   ? _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)query))
                       : bytes == 16 ? _mm512_broadcast_i64x2(_mm_loadu_si128((const __m128i *)query))
                                     : repeat(query[0]);
    for (; at + 8 <= n; at += 8) {
      const uint8_t *from = rows + (size_t)at * bytes;
      __m512i sums = bytes == 32   ? sums_of_32(from, repeated)
                     : bytes == 16 ? sums_of_16(from, repeated)
                                   : count(zero(), load_bits((const uint64_t *)from), repeated);
      mask |= (uint64_t)below(sums, limit) << at;
      _mm256_storeu_si256((__m256i *)(distances + at), _mm512_cvtepi64_epi32(sums));
    }
  }
  for (; at < n; at += 8) {
    uint32_t part = n - at < 8 ? n - at : 8;
    const uint8_t *from[8];
    UNROLL for (uint32_t i = 0; i < 8; i++) {
      uint32_t row = at + (i < part ? i : 0);
      from[i] = rows + (size_t)(positions ? positions[row] : row) * bytes;
    }
    __m512i sums = sums_of_any(from, bytes, query);
    uint32_t valid = (1u << part) - 1;
    mask |= (uint64_t)(below(sums, limit) & valid) << at;
    _mm256_mask_storeu_epi32(distances + at, (__mmask8)valid, _mm512_cvtepi64_epi32(sums));
  }
  return mask;
}

#else

INLINE uint32_t distance_of(const uint8_t *row, uint32_t bytes, const uint64_t *query) {
  uint64_t sum = 0;
  uint32_t at = 0;
#if defined(ISA_NEON)
  for (; at + 16 <= bytes; at += 16)
    sum += vaddlvq_u8(vcntq_u8(veorq_u8(vld1q_u8(row + at), vld1q_u8((const uint8_t *)query + at))));
#endif
  for (; at < bytes; at += 8) {
    uint64_t word = 0;
    memcpy(&word, row + at, bytes - at < 8 ? bytes - at : 8);
    sum += (uint64_t)__builtin_popcountll(word ^ query[at / 8]);
  }
  return (uint32_t)sum;
}

// Of `bytes` that the compiler knows, where it does.
INLINE uint64_t direct_of(const uint8_t *rows, const uint32_t bytes, const uint32_t *positions, uint32_t n,
                          const uint64_t *query, uint64_t limit, uint32_t *distances) {
  uint64_t mask = 0;
  for (uint32_t i = 0; i < n; i++) {
    uint32_t distance = distance_of(rows + (size_t)(positions ? positions[i] : i) * bytes, bytes, query);
    distances[i] = distance;
    mask |= (uint64_t)(distance < limit) << i;
  }
  return mask;
}

static uint64_t FN(direct)(const uint8_t *rows, uint32_t bytes, const uint32_t *positions, uint32_t n,
                           const uint64_t *query, uint64_t limit, uint32_t *distances) {
  switch (bytes) {
    case 8: return direct_of(rows, 8, positions, n, query, limit, distances);
    case 16: return direct_of(rows, 16, positions, n, query, limit, distances);
    case 32: return direct_of(rows, 32, positions, n, query, limit, distances);
    case 64: return direct_of(rows, 64, positions, n, query, limit, distances);
    default: return direct_of(rows, bytes, positions, n, query, limit, distances);
  }
}

#endif

const cpu_binary_kernels FN(cpu_binary) = {.direct = FN(direct), .block = FN(block)};
