// Scans of RaBitQ's codes, and of signs.
#include "cpu_rabitq.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cpu_kernels.h"

#define BLOCK CPU_RABITQ_BLOCK
// Queries that meet a block of numbers while it is warm.
#define TOGETHER 32
// What float sums of a few terms may be off by.
#define ROUNDING 2e-6

extern const cpu_rabitq_kernels cpu_rabitq_scalar;
#if defined(__x86_64__)
extern const cpu_rabitq_kernels cpu_rabitq_avx2, cpu_rabitq_avx512, cpu_rabitq_avx512_vpopcnt;
#elif defined(__aarch64__)
extern const cpu_rabitq_kernels cpu_rabitq_neon;
#endif

const cpu_rabitq_kernels *cpu_rabitq_table(const cpu_kernels *kernels) {
#if defined(__x86_64__)
  if (kernels->lanes == 16)
    return __builtin_cpu_supports("avx512vpopcntdq") && __builtin_cpu_supports("avx512vbmi") &&
                   __builtin_cpu_supports("avx512vnni")
               ? &cpu_rabitq_avx512_vpopcnt
               : &cpu_rabitq_avx512;
  if (kernels->lanes == 8) return &cpu_rabitq_avx2;
#elif defined(__aarch64__)
  if (kernels->lanes == 4) return &cpu_rabitq_neon;
#endif
  return &cpu_rabitq_scalar;
}

static inline uint32_t words_of(const cpu_rabitq *r) { return (uint32_t)((r->signs + 7) / 8); }
static inline uint32_t bits_of(uint32_t rounding) { return rounding % CPU_RABITQ_CENTERED; }

// Whether queries are rounded to integers, whose products are counted.
static bool is_counted(const cpu_rabitq *r, uint32_t rounding) {
  return r->nbits == 0 || (r->nbits == 1 && bits_of(rounding) > 0);
}

static size_t round_up(size_t bytes) { return (bytes + 63) / 64 * 64; }
static size_t block_bytes(const cpu_rabitq *r) { return (size_t)words_of(r) * BLOCK * 8 + BLOCK * 12; }

// Bytes of a row of levels.
static size_t width_of(const cpu_rabitq *r) { return round_up(r->d); }

size_t cpu_rabitq_scan_bytes(const cpu_rabitq *r, uint32_t rounding, uint64_t n) {
  size_t blocks = (n + BLOCK - 1) / BLOCK, words = words_of(r), row = round_up((size_t)r->d * 4);
  // Of queries: what they are less the center, their levels, and the bits of these.
  if (is_counted(r, rounding))
    return row + round_up(words * 64) + round_up(words * 8 * CPU_RABITQ_MAX_QB) + round_up(blocks * block_bytes(r));
  // What queries are less the center, in floats and bytes; a block of levels; and numbers of one code.
  return TOGETHER * (row + width_of(r)) + BLOCK * width_of(r) + row;
}

static cpu_rabitq_block block_at(const cpu_rabitq *r, void *blocks, size_t at) {
  cpu_rabitq_block block;
  block.words = (uint64_t *)((char *)blocks + at * block_bytes(r));
  block.factors = (float *)(block.words + (size_t)words_of(r) * BLOCK);
  block.ones = (int32_t *)(block.factors + 2 * BLOCK);
  return block;
}

static const uint8_t *code_at(const cpu_rabitq *r, const cpu_rabitq_codes *codes, uint64_t i) {
  return codes->base + (codes->positions ? codes->positions[i] : i) * r->code_size;
}

static void pack(const cpu_rabitq *r, const cpu_rabitq_kernels *own, const cpu_rabitq_codes *codes, uint64_t from,
                 cpu_rabitq_block *block) {
  uint32_t words = words_of(r), rest = (uint32_t)(r->signs % 8);
  uint32_t held = (uint32_t)(codes->n - from < BLOCK ? codes->n - from : BLOCK);
  // What follows signs may be read with the last of them, where anything does.
  bool whole = own->transpose && (rest == 0 || r->nbits > 0);
  if (whole) {
    const uint32_t *positions = codes->positions ? codes->positions + from : NULL;
    own->transpose(codes->base + (positions ? 0 : from * r->code_size), positions, held, r->code_size, words,
                   rest == 0 ? ~0ull : (1ull << 8 * rest) - 1, block->words, (uint32_t *)block->ones);
  }
  for (uint32_t i = 0; i < BLOCK; i++) {
    // A short block repeats its last code.
    const uint8_t *code = code_at(r, codes, from + (i < held ? i : held - 1));
    float factors[2] = {0, 1};
    if (r->nbits) memcpy(factors, code + r->signs, sizeof factors);
    block->factors[i] = factors[0];
    block->factors[BLOCK + i] = factors[1];
    if (whole) continue;
    int32_t ones = 0;
    for (uint32_t w = 0; w < words; w++) {
      uint64_t word = 0;
      memcpy(&word, code + 8 * (size_t)w, w + 1 < words || rest == 0 ? 8 : rest);
      block->words[(size_t)w * BLOCK + i] = word;
      ones += __builtin_popcountll(word);
    }
    block->ones[i] = ones;
  }
}

// A query less the center, and its bits.
static void prepare(const cpu_rabitq *r, const cpu_kernels *kernels, const cpu_rabitq_kernels *own, uint32_t rounding,
                    const float *query, const float *center, float *rest, uint8_t *levels, uint64_t *bits,
                    cpu_rabitq_query *q) {
  static const float widths[] = {0.79688f, 1.49375f, 2.05078f, 2.50938f, 2.91250f, 3.26406f, 3.59844f, 3.91016f};
  uint32_t d = r->d;
  q->rest = rest;
  q->bits = bits;
  for (uint32_t j = 0; j < d; j++) rest[j] = query[j] - (center ? center[j] : 0);
  if (r->nbits == 0) {
    q->planes = 1;
    memset(bits, 0, (size_t)words_of(r) * 8);
    for (uint32_t j = 0; j < d; j++) bits[j >> 6] |= (uint64_t)(rest[j] >= 0) << (j & 63);
    for (uint32_t w = 0; w < words_of(r); w++) q->square += __builtin_popcountll(bits[w]);
    q->per_level = -2, q->per_bit = 1;
    return;
  }
  q->square = kernels->pair(CPU_INNER_PRODUCT, 0, rest, rest, d);
  if (r->inner) {
    q->length = kernels->pair(CPU_INNER_PRODUCT, 0, query, query, d);
    q->product = center ? kernels->pair(CPU_INNER_PRODUCT, 0, query, center, d) : 0;
  }
  uint32_t planes = q->planes = bits_of(rounding);
  double root = 1.0f / sqrtf((float)d);
  if (r->nbits > 1) {
    q->per_level = 1;
    return;
  }
  if (planes == 0) {
    double sum = 0;
    for (uint32_t j = 0; j < d; j++) sum += rest[j];
    q->per_level = 2 * root, q->always = -sum * root;
    return;
  }
  bool centered = rounding >= CPU_RABITQ_CENTERED;
  uint32_t most = (1u << planes) - 1;
  float least = rest[0], greatest = rest[0];
  for (uint32_t j = 1; j < d; j++) {
    least = rest[j] < least ? rest[j] : least;
    greatest = rest[j] > greatest ? rest[j] : greatest;
  }
  if (centered) {
    greatest = widths[planes - 1] * sqrtf((float)q->square / (float)d);
    least = -greatest;
  }
  float step = (greatest - least) / (float)most, inverse = 1.0f / step;
  // None where all numbers are the same.
  if (!(step > 0) || !(inverse <= FLT_MAX)) inverse = 0;
  double sum = (double)own->round(rest, d, least, inverse, planes, levels, bits);
  if (!centered) {
    q->per_level = 2 * step * root, q->per_bit = 2 * least * root;
    q->always = -root * (step * sum + (double)d * least);
    return;
  }
  double squares = 0;
  for (uint32_t j = 0; j < d; j++) {
    double odd = 2.0 * levels[j] - most;
    squares += odd * odd;
  }
  double scale = sqrt(q->square / (squares * d));
  q->per_level = 4 * scale, q->per_bit = -2.0 * most * scale, q->always = ((double)most * d - 2 * sum) * scale;
}

static inline float load_bound(const cpu_collector *c) {
  uint32_t bits = __atomic_load_n((const uint32_t *)&c->bound, __ATOMIC_RELAXED);
  float bound;
  memcpy(&bound, &bits, sizeof bound);
  return bound;
}

// What was found, on its way to a collector. Keys are final.
typedef struct finds {
  const cpu_scan *scan;
  const cpu_rabitq_codes *codes;
  uint64_t query;
  uint32_t count;
  cpu_candidate found[BLOCK];
} finds;

static void flush(finds *f) {
  if (f->count) cpu_collector_push(f->scan, f->query, f->found, f->count);
  f->count = 0;
}

static void find(finds *f, uint64_t i, double exact) {
  float key = (float)exact;
  // NaN, and what a float cannot hold, is no result, as in faiss.
  if (!(key < FLT_MAX && key > -FLT_MAX)) return;
  if (f->count == BLOCK) flush(f);
  uint64_t offset = f->codes->positions ? f->codes->positions[i] : i;
  f->found[f->count++] = (cpu_candidate){key, key, f->codes->first + offset};
}

// The key of a code of one bit, whose product with the query is dot.
static double key_of(const cpu_rabitq *r, const cpu_rabitq_query *q, double first, double second, double dot,
                     double ones) {
  double found = q->per_level * dot + q->per_bit * ones + q->always;
  if (r->nbits == 0) return found + q->square;
  double apart = first + q->square - 2 * second * found;
  return r->inner ? 0.5 * (apart - q->length) : apart > 0 ? apart : apart == apart ? 0 : NAN;
}

// Codes whose bits are counted.
static void scan_counted(const cpu_rabitq *r, const cpu_rabitq_kernels *own, const cpu_rabitq_query *q, void *blocks,
                         finds *f) {
  const cpu_collector *collector = &f->scan->collectors[f->query];
  uint64_t n = f->codes->n;
  uint32_t words = words_of(r);
  double sign = r->nbits ? -2 : 1, scale = r->inner ? 2 : 1;
  double most = fabs(q->per_level) * ((double)((1u << q->planes) - 1) * r->d) +
                fabs(q->per_bit) * 8.0 * (double)r->signs + fabs(q->always);
  cpu_rabitq_line line = {.base = (float)(q->square - q->length), .level = (float)(sign * q->per_level),
                          .bit = (float)(sign * q->per_bit), .always = (float)(sign * q->always),
                          .slack = (float)(2 * ROUNDING * most)};
  for (uint64_t from = 0; from < n; from += BLOCK) {
    cpu_rabitq_block block = block_at(r, blocks, from / BLOCK);
    int32_t dots[BLOCK];
    own->count(block.words, words, q->bits, q->planes, dots);
    double bound = load_bound(collector);
    line.limit = bound < FLT_MAX ? (float)(scale * bound + ROUNDING * (fabs(scale * bound) + fabs(line.base))) : INFINITY;
    uint64_t mask = own->within(&line, dots, block.ones, block.factors);
    if (n - from < BLOCK) mask &= (1ull << (n - from)) - 1;
    for (; mask; mask &= mask - 1) {
      uint32_t i = (uint32_t)__builtin_ctzll(mask);
      double key = key_of(r, q, block.factors[i], block.factors[BLOCK + i], dots[i], block.ones[i]);
      if (!(key > bound * (1 + 1e-6) + 1e-30)) find(f, from + i, key);
    }
    flush(f);
  }
}

// Bits that levels of bytes leave out, and what levels of 0 stand for.
static inline uint32_t dropped(const cpu_rabitq *r) { return r->nbits == 9; }
static inline float zero_of(const cpu_rabitq *r) { return r->nbits > 1 ? (float)(1u << (r->nbits - 1)) - 0.5f : 0; }

// A query less the center in bytes.
static void round_bytes(const cpu_rabitq *r, int8_t *bytes, cpu_rabitq_query *q) {
  // Two products of a byte with a level of eight bits would not fit 16 bits.
  float most = r->nbits > 7 ? 63 : 127, largest = 0;
  uint32_t d = r->d;
  for (uint32_t j = 0; j < d; j++) largest = fabsf(q->rest[j]) > largest ? fabsf(q->rest[j]) : largest;
  float inverse = most / largest;
  if (!(inverse <= FLT_MAX)) inverse = 0;
  q->bytes = bytes;
  q->step = inverse > 0 ? (double)largest / most : 0;
  for (uint32_t j = 0; j < d; j++) {
    int32_t value = (int32_t)lrintf(q->rest[j] * inverse);
    bytes[j] = (int8_t)value;
    q->sum += value;
    q->size += abs(value);
    q->off += fabs(q->rest[j] - q->step * value);
  }
  memset(bytes + d, 0, width_of(r) - d);
}

// What the numbers of a code stand for, of its levels.
static void fill_row(const cpu_rabitq *r, const uint8_t *code, const uint8_t *levels, float *x) {
  float zero = zero_of(r);
  if (!dropped(r)) {
    for (uint32_t j = 0; j < r->d; j++) x[j] = (float)levels[j] - zero;
    return;
  }
  for (uint32_t j = 0; j < r->d; j++) x[j] = (float)(2 * levels[j] + (code[r->more + j] & 1)) - zero;
}

// Codes of levels, of which a key is base + first + second · found.
static void scan_levels(const cpu_scan *scan, const cpu_rabitq *r, const cpu_rabitq_kernels *own,
                        const cpu_rabitq_query *q, const cpu_rabitq_codes *codes, uint64_t from, const float *factors,
                        const uint8_t *levels, float *row) {
  finds f = {.scan = scan, .codes = codes, .query = q->number};
  uint64_t width = width_of(r);
  uint32_t d = r->d, twice = dropped(r) ? 2 : 1;
  int32_t dots[BLOCK];
  static const int32_t none[BLOCK];
  own->multiply(levels, (uint32_t)width, q->bytes, dots);
  float zero = zero_of(r);
  double middle = (twice - 1) * 0.5 - zero, most = zero > 0 ? zero : 1, bound = load_bound(&scan->collectors[f.query]);
  double level = q->per_level * q->step * twice, always = q->per_level * q->step * middle * (double)q->sum + q->always;
  // What rounding the query took; of nine bits also half a level.
  double margin = q->per_level * (q->off * most + (twice - 1) * 0.5 * (q->off + q->step * q->size));
  double base = r->nbits > 1 ? (r->inner ? -q->product : q->square) : (q->square - q->length) * (r->inner ? 0.5 : 1);
  cpu_rabitq_line line = {.base = (float)base, .level = (float)level, .always = (float)always};
  line.slack = (float)(1.01 * margin + 2 * ROUNDING * (level * 255 * q->size + fabs(always)));
  line.limit = bound < FLT_MAX ? (float)(bound + ROUNDING * (fabs(bound) + fabs(base))) : INFINITY;
  uint64_t mask = own->within(&line, dots, none, factors);
  if (codes->n - from < BLOCK) mask &= (1ull << (codes->n - from)) - 1;
  for (; mask; mask &= mask - 1) {
    uint32_t i = (uint32_t)__builtin_ctzll(mask);
    fill_row(r, code_at(r, codes, from + i), levels + i * width, row);
    double dot = scan->kernels->pair(CPU_INNER_PRODUCT, 0, q->rest, row, d);
    double key = base + factors[i] + factors[BLOCK + i] * (q->per_level * dot + q->always);
    find(&f, from + i, r->inner || key > 0 || key != key ? key : 0);
  }
  flush(&f);
}

static void scan_all_levels(const cpu_scan *scan, const cpu_rabitq *r, const cpu_rabitq_kernels *own,
                            const cpu_rabitq_query *queries, uint32_t nq, const cpu_rabitq_codes *codes,
                            uint8_t *levels, float *row) {
  // Keys are of these factors, whatever the bits and the metric.
  float scale = r->nbits > 1 ? (r->inner ? -1 : 1) : r->inner ? 0.5f : 1, slope = r->nbits > 1 ? 1 : -2;
  for (uint64_t from = 0; from < codes->n; from += BLOCK) {
    float factors[2 * BLOCK];
    const uint8_t *each[BLOCK];
    for (uint32_t i = 0; i < BLOCK; i++) {
      // A short block repeats its last code.
      const uint8_t *code = each[i] = code_at(r, codes, from + i < codes->n ? from + i : codes->n - 1);
      float two[2];
      memcpy(two, r->nbits > 1 ? code + r->code_size - sizeof two : code + r->signs, sizeof two);
      factors[i] = scale * two[0];
      factors[BLOCK + i] = scale * slope * two[1];
    }
    own->unpack(each, r->more, r->d, r->nbits - 1, levels);
    for (uint32_t i = 0; i < nq; i++) scan_levels(scan, r, own, queries + i, codes, from, factors, levels, row);
  }
}

void cpu_rabitq_scan(const cpu_scan *scan, const cpu_rabitq *r, uint32_t rounding, const uint32_t *index,
                     uint32_t first, uint32_t nq, const cpu_rabitq_codes *codes, void *scratch) {
  const cpu_rabitq_kernels *own = cpu_rabitq_table(scan->kernels);
  size_t words = words_of(r), row = round_up((size_t)r->d * 4), width = width_of(r);
  const float *center = codes->centroid ? codes->centroid : r->center;
  bool counted = is_counted(r, rounding);
  char *at = scratch;
  if (counted) {
    uint8_t *levels = (uint8_t *)at + row;
    uint64_t *bits = (uint64_t *)(levels + round_up(words * 64));
    void *blocks = (char *)bits + round_up(words * 8 * CPU_RABITQ_MAX_QB);
    for (uint64_t from = 0; from < codes->n; from += BLOCK) {
      cpu_rabitq_block block = block_at(r, blocks, from / BLOCK);
      pack(r, own, codes, from, &block);
    }
    for (uint32_t i = 0; i < nq; i++) {
      cpu_rabitq_query q = {.number = index ? index[i] : first + i};
      const float *query = scan->queries + (size_t)q.number * r->d;
      prepare(r, scan->kernels, own, rounding, query, center, (float *)at, levels, bits, &q);
      finds f = {.scan = scan, .codes = codes, .query = q.number};
      scan_counted(r, own, &q, blocks, &f);
    }
    return;
  }
  char *bytes = at + TOGETHER * row;
  uint8_t *levels = (uint8_t *)bytes + TOGETHER * width;
  for (uint32_t from = 0; from < nq; from += TOGETHER) {
    cpu_rabitq_query queries[TOGETHER];
    uint32_t count = nq - from < TOGETHER ? nq - from : TOGETHER;
    for (uint32_t i = 0; i < count; i++) {
      queries[i] = (cpu_rabitq_query){.number = index ? index[from + i] : first + from + i};
      const float *query = scan->queries + (size_t)queries[i].number * r->d;
      prepare(r, scan->kernels, own, 0, query, center, (float *)(at + i * row), NULL, NULL, &queries[i]);
      round_bytes(r, (int8_t *)bytes + i * width, &queries[i]);
    }
    scan_all_levels(scan, r, own, queries, count, codes, levels, (float *)(levels + BLOCK * width));
  }
}
