// Scalar codecs of the instruction set being compiled. Every number is rounded in the same steps on all of them.
#include "simd.h"

#include "cpu_codec.h"
#include "element.h"

#include "widen.inc.h"

// The code of dimension j, of 4, 6 or 8 bits: least significant bits first.
INLINE uint32_t code_at(uint32_t bits, const uint8_t *code, uint32_t j) {
  if (bits == 8) return code[j];
  if (bits == 4) return code[j / 2] >> (j % 2 * 4) & 15;
  uint32_t bit = j * 6, low = code[bit / 8];
  if (bit % 8 > 2) low |= (uint32_t)code[bit / 8 + 1] << 8;
  return low >> bit % 8 & 63;
}

// The codes of LANES dimensions from j, a multiple of LANES.
INLINE vf codes_at(uint32_t bits, const uint8_t *code, uint32_t j) {
#if LANES == 1
  return (vf)code_at(bits, code, j);
#else
  typedef uint8_t vb __attribute__((ext_vector_type(LANES)));
  typedef int32_t vi __attribute__((ext_vector_type(LANES)));
  if (bits == 8) {
    vb bytes;
    memcpy(&bytes, code + j, sizeof bytes);
    return __builtin_convertvector(__builtin_convertvector(bytes, vi), vf);
  }
  vw words, shifts;
  if (bits == 4) {
    UNROLL for (uint32_t i = 0; i < LANES; i++) shifts[i] = i % 8 * 4;
#if LANES == 4
    uint16_t word;
    memcpy(&word, code + j / 2, sizeof word);
    words = (vw)(uint32_t)word;
#else
    uint32_t word[LANES / 8];
    memcpy(word, code + j / 2, sizeof word);
    UNROLL for (uint32_t i = 0; i < LANES; i++) words[i] = word[i / 8];
#endif
    words = words >> shifts & (vw)15;
  } else {
    UNROLL for (uint32_t i = 0; i < LANES; i++) shifts[i] = i % 4 * 6;
    UNROLL for (uint32_t i = 0; i < LANES; i += 4) {
      const uint8_t *three = code + (j + i) / 4 * 3;
      uint16_t low;
      memcpy(&low, three, sizeof low);
      uint32_t word = low | (uint32_t)three[2] << 16;
      UNROLL for (uint32_t l = 0; l < 4; l++) words[i + l] = word;
    }
    words = words >> shifts & (vw)63;
  }
  return __builtin_convertvector((vi)words, vf);
#endif
}

INLINE void decode_ranges(uint32_t bits, const cpu_scalar *scalar, uint32_t d, size_t size, const uint8_t *codes,
                          uint64_t n, const float *centroid, float *x) {
  for (uint64_t row = 0; row < n; row++, codes += size, x += d) {
    uint32_t j = 0;
    for (; j + LANES <= d; j += LANES) {
      vf value = codes_at(bits, codes, j) * load(scalar->step + j) + load(scalar->start + j);
      store(x + j, centroid ? value + load(centroid + j) : value);
    }
    for (; j < d; j++) {
      float value = (float)code_at(bits, codes, j) * scalar->step[j] + scalar->start[j];
      x[j] = centroid ? value + centroid[j] : value;
    }
  }
}

INLINE void decode_halves(uint32_t type, uint32_t d, const uint8_t *codes, uint64_t n, const float *centroid,
                          float *x) {
  for (uint64_t row = 0; row < n; row++, codes += 2 * (size_t)d, x += d) {
    uint32_t j = 0;
    for (; j + LANES <= d; j += LANES) {
      vf value = type == CPU_F16 ? load_half((const uint16_t *)codes + j) : load_bfloat((const uint16_t *)codes + j);
      store(x + j, centroid ? value + load(centroid + j) : value);
    }
    for (; j < d; j++) {
      uint16_t bits = ((const uint16_t *)codes)[j];
      float value = type == CPU_F16 ? cpu_widen_f16(bits) : cpu_widen_bf16(bits);
      x[j] = centroid ? value + centroid[j] : value;
    }
  }
}

static void FN(decode)(const cpu_scalar *scalar, uint32_t d, size_t size, const uint8_t *codes, uint64_t n,
                       const float *centroid, float *x) {
  switch (scalar->type) {
    case CPU_SQ_4BIT:
    case CPU_SQ_4BIT_UNIFORM: decode_ranges(4, scalar, d, size, codes, n, centroid, x); break;
    case CPU_SQ_6BIT: decode_ranges(6, scalar, d, size, codes, n, centroid, x); break;
    case CPU_SQ_FP16: decode_halves(CPU_F16, d, codes, n, centroid, x); break;
    case CPU_SQ_BF16: decode_halves(CPU_BF16, d, codes, n, centroid, x); break;
    default: decode_ranges(8, scalar, d, size, codes, n, centroid, x);
  }
}

// Kinds of codes: bits of those in ranges, and two that have none.
enum { HALF = 16, BFLOAT = 17 };

INLINE vf value_at(uint32_t kind, const uint8_t *code, uint32_t j, vf step, vf start) {
  if (kind == HALF) return load_half((const uint16_t *)code + j);
  if (kind == BFLOAT) return load_bfloat((const uint16_t *)code + j);
  return codes_at(kind, code, j) * step + start;
}

// The last d - j < LANES numbers of a row, then zeros.
INLINE vf last_values(uint32_t kind, const cpu_scalar *scalar, const uint8_t *code, uint32_t j, uint32_t d,
                      const float *centroid) {
  float part[LANES] = {0};
  for (uint32_t i = 0; j + i < d; i++) {
    float value;
    if (kind == HALF || kind == BFLOAT) {
      uint16_t bits = ((const uint16_t *)code)[j + i];
      value = kind == HALF ? cpu_widen_f16(bits) : cpu_widen_bf16(bits);
    } else {
      value = (float)code_at(kind, code, j + i) * scalar->step[j + i] + scalar->start[j + i];
    }
    part[i] = centroid ? value + centroid[j + i] : value;
  }
  return load(part);
}

INLINE void add_pair(bool dot, vf query, vf row, vf *sum) {
  vf difference = query - row;
  *sum = dot ? fma_v(query, row, *sum) : fma_v(difference, difference, *sum);
}

// Four rows at a time: what is known of the columns is loaded once for them.
INLINE void direct_codes(uint32_t kind, bool dot, uint32_t nq, const cpu_codec *codec, const uint8_t *codes,
                         const uint32_t *positions, uint32_t n, const float *centroid, const float *const *queries,
                         float *sums, float *squares) {
  const cpu_scalar *scalar = &codec->scalar;
  const uint32_t d = codec->d;
  for (uint32_t at = 0; at < n; at += 4) {
    vf sum[4][4], square[4];
    const uint8_t *rows[4];
    UNROLL for (uint32_t r = 0; r < 4; r++) {
      uint32_t i = at + r < n ? at + r : n - 1;  // a short group repeats its last row
      rows[r] = codes + (size_t)(positions ? positions[i] : i) * codec->code_size;
      square[r] = (vf)0.0f;
      UNROLL for (uint32_t q = 0; q < nq; q++) sum[r][q] = (vf)0.0f;
    }
    // Lists come from far.
    const size_t bytes = 4 * codec->code_size;
    if (!positions)
      for (size_t byte = 0; byte < bytes; byte += 64) __builtin_prefetch(rows[0] + CPU_AHEAD / 4 * bytes + byte);
    uint32_t j = 0;
    for (; j + LANES <= d; j += LANES) {
      vf step = (vf)1.0f, start = (vf)0.0f, middle = centroid ? load(centroid + j) : (vf)0.0f;
      if (kind < HALF) step = load(scalar->step + j), start = load(scalar->start + j);
      UNROLL for (uint32_t r = 0; r < 4; r++) {
        vf row = value_at(kind, rows[r], j, step, start) + middle;
        if (dot) square[r] = fma_v(row, row, square[r]);
        UNROLL for (uint32_t q = 0; q < nq; q++) add_pair(dot, load(queries[q] + j), row, &sum[r][q]);
      }
    }
    if (j < d) {
      UNROLL for (uint32_t r = 0; r < 4; r++) {
        vf row = last_values(kind, scalar, rows[r], j, d, centroid);
        if (dot) square[r] = fma_v(row, row, square[r]);
        UNROLL for (uint32_t q = 0; q < nq; q++) add_pair(dot, load_part(queries[q] + j, d - j), row, &sum[r][q]);
      }
    }
    if (dot) sum_four(square[0], square[1], square[2], square[3], squares + at);
    UNROLL for (uint32_t q = 0; q < nq; q++) {
      vf a = sum[0][q], b = sum[1][q], c = sum[2][q], e = sum[3][q];
      if (dot) a = -a, b = -b, c = -c, e = -e;
      sum_four(a, b, c, e, sums + q * CPU_DIRECT_ROWS + at);
    }
  }
}

#define DIRECT_OF(kind, dot)                                                                                      \
  switch (nq) {                                                                                                   \
    case 1: direct_codes(kind, dot, 1, codec, codes, positions, n, centroid, queries, sums, squares); return;     \
    case 2: direct_codes(kind, dot, 2, codec, codes, positions, n, centroid, queries, sums, squares); return;     \
    case 3: direct_codes(kind, dot, 3, codec, codes, positions, n, centroid, queries, sums, squares); return;     \
    default: direct_codes(kind, dot, 4, codec, codes, positions, n, centroid, queries, sums, squares); return;    \
  }

#define DIRECT(kind)               \
  if (dot) { DIRECT_OF(kind, true) } \
  DIRECT_OF(kind, false)

static void FN(direct)(const cpu_codec *codec, const uint8_t *codes, const uint32_t *positions, uint32_t n,
                       const float *centroid, bool dot, const float *const *queries, uint32_t nq, float *sums,
                       float *squares) {
  switch (codec->scalar.type) {
    case CPU_SQ_4BIT:
    case CPU_SQ_4BIT_UNIFORM: DIRECT(4)
    case CPU_SQ_6BIT: DIRECT(6)
    case CPU_SQ_FP16: DIRECT(HALF)
    case CPU_SQ_BF16: DIRECT(BFLOAT)
    default: DIRECT(8)
  }
}

#define CHUNK 64

// Codes of up to CHUNK numbers, as faiss rounds them: the product by 255 to a float, those by 15 and 63 not.
INLINE void encode_ranges(uint32_t bits, const cpu_scalar *scalar, const float *x, uint32_t from, uint32_t n,
                          uint8_t *out) {
  const float *least = scalar->least + from, *range = scalar->range + from;
  for (uint32_t j = 0; j < n; j++) {
    float part = (x[from + j] - least[j]) / (range[j] == 0 ? 1 : range[j]);
    part = part < 0 || range[j] == 0 ? 0 : part > 1 ? 1 : part;
    out[j] = bits == 8 ? (uint8_t)(int32_t)(255 * part) : (uint8_t)(int32_t)(part * (bits == 4 ? 15.0 : 63.0));
  }
}

// Integers from 0 to 255 as they are, and what is past them as the nearer of these.
INLINE void encode_direct(float less, const float *x, uint32_t n, uint8_t *out) {
  for (uint32_t j = 0; j < n; j++) {
    float value = x[j] - less;
    value = value < 0 ? 0 : value > 255 ? 255 : value;
    out[j] = (uint8_t)(int32_t)value;
  }
}

// To the nearest half, of two to that away from zero, as faiss rounds.
INLINE uint16_t narrow_away(float value) {
  uint32_t bits = cpu_bits_of(value), sign = bits >> 16 & 0x8000, rest = bits & 0x7fffffff;
  if (rest >= 0x477ff000) return (uint16_t)(sign | 0x7c00);
  if (rest >= 0x38800000) return (uint16_t)(sign | (rest - 0x38000000 + 0x1000) >> 13);
  float steps = cpu_float_of(rest) * 0x1p24f;  // below the normal ones, which are 2^-24 apart
  uint32_t whole = (uint32_t)steps;
  return (uint16_t)(sign | (whole + (steps - (float)whole >= 0.5f)));
}

// bfloat16 goes away from zero too.
INLINE void encode_halves(uint32_t type, uint32_t d, const float *x, uint8_t *code) {
  for (uint32_t j = 0; j < d; j++) {
    uint16_t bits = type == CPU_F16 ? narrow_away(x[j]) : (uint16_t)((cpu_bits_of(x[j]) + 0x8000) >> 16);
    memcpy(code + 2 * (size_t)j, &bits, sizeof bits);
  }
}

static void encode_row(const cpu_scalar *scalar, uint32_t d, const float *x, uint8_t *code) {
  uint8_t numbers[CHUNK + 4];
  for (uint32_t from = 0; from < d; from += CHUNK) {
    uint32_t n = d - from < CHUNK ? d - from : CHUNK;
    memset(numbers + n, 0, 4);
    switch (scalar->type) {
      case CPU_SQ_8BIT:
      case CPU_SQ_8BIT_UNIFORM: encode_ranges(8, scalar, x, from, n, code + from); break;
      case CPU_SQ_8BIT_DIRECT: encode_direct(0, x + from, n, code + from); break;
      case CPU_SQ_8BIT_DIRECT_SIGNED: encode_direct(-128, x + from, n, code + from); break;
      case CPU_SQ_6BIT: {
        encode_ranges(6, scalar, x, from, n, numbers);
        uint8_t *out = code + from / 4 * 3;
        for (uint32_t j = 0; j < n; j += 4) {
          uint32_t word = numbers[j] | numbers[j + 1] << 6 | numbers[j + 2] << 12 | numbers[j + 3] << 18;
          uint32_t left = n - j < 4 ? n - j : 4;
          for (uint32_t byte = 0; byte < (left * 6 + 7) / 8; byte++) *out++ = (uint8_t)(word >> 8 * byte);
        }
        break;
      }
      default:
        encode_ranges(4, scalar, x, from, n, numbers);
        for (uint32_t j = 0; j < n; j += 2) code[(from + j) / 2] = (uint8_t)(numbers[j] | numbers[j + 1] << 4);
    }
  }
}

static void FN(encode)(const cpu_scalar *scalar, uint32_t d, size_t size, const float *x, uint64_t n, uint8_t *codes) {
  for (uint64_t row = 0; row < n; row++, x += d, codes += size) {
    if (scalar->type == CPU_SQ_FP16)
      encode_halves(CPU_F16, d, x, codes);
    else if (scalar->type == CPU_SQ_BF16)
      encode_halves(CPU_BF16, d, x, codes);
    else
      encode_row(scalar, d, x, codes);
  }
}

const cpu_scalar_kernels FN(cpu_scalar) = {.decode = FN(decode), .encode = FN(encode), .direct = FN(direct)};
