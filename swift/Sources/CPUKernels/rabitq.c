// Scans of RaBitQ's codes, and of signs.
#include "cpu_rabitq.h"

#include <float.h>
#include <math.h>
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
    return __builtin_cpu_supports("avx512vpopcntdq") ? &cpu_rabitq_avx512_vpopcnt : &cpu_rabitq_avx512;
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

size_t cpu_rabitq_scan_bytes(const cpu_rabitq *r, uint32_t rounding, uint64_t n) {
  size_t blocks = (n + BLOCK - 1) / BLOCK, words = words_of(r);
  // Of queries: what they are less the center, their levels, and the bits of these.
  size_t query = round_up(TOGETHER * (size_t)r->d * 4) + round_up(words * 64) + round_up(words * 8 * CPU_RABITQ_MAX_QB);
  return query + (is_counted(r, rounding) ? round_up(blocks * block_bytes(r)) : round_up(BLOCK * (size_t)r->d * 4));
}

static cpu_rabitq_block block_at(const cpu_rabitq *r, void *blocks, size_t at) {
  cpu_rabitq_block block;
  block.words = (uint64_t *)((char *)blocks + at * block_bytes(r));
  block.factors = (float *)(block.words + (size_t)words_of(r) * BLOCK);
  block.ones = (uint32_t *)(block.factors + 2 * BLOCK);
  return block;
}

static const uint8_t *code_at(const cpu_rabitq *r, const cpu_rabitq_codes *codes, uint64_t i) {
  return codes->base + (codes->positions ? codes->positions[i] : i) * r->code_size;
}

static void pack(const cpu_rabitq *r, const cpu_rabitq_codes *codes, uint64_t from, cpu_rabitq_block *block) {
  uint32_t words = words_of(r), rest = (uint32_t)(r->signs % 8);
  uint64_t held = codes->n - from < BLOCK ? codes->n - from : BLOCK;
  for (uint32_t i = 0; i < BLOCK; i++) {
    // A short block repeats its last code.
    const uint8_t *code = code_at(r, codes, from + (i < held ? i : held - 1));
    uint32_t ones = 0;
    for (uint32_t w = 0; w < words; w++) {
      uint64_t word = 0;
      memcpy(&word, code + 8 * (size_t)w, w + 1 < words || rest == 0 ? 8 : rest);
      block->words[(size_t)w * BLOCK + i] = word;
      ones += (uint32_t)__builtin_popcountll(word);
    }
    float factors[2] = {0, 1};
    if (r->nbits) memcpy(factors, code + r->signs, sizeof factors);
    block->factors[i] = factors[0];
    block->factors[BLOCK + i] = factors[1];
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
  if (r->nbits > 1) return;
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

// The key of a code of more bits.
static double full_key(const cpu_rabitq *r, const cpu_rabitq_query *q, const float *factors, double dot) {
  double found = (double)factors[0] + (double)factors[1] * dot;
  if (r->inner) return -(q->product + found);
  found += q->square;
  return found > 0 ? found : found == found ? 0 : NAN;
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
    uint32_t dots[BLOCK];
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

// Codes whose numbers are multiplied with those of up to four queries.
static void scan_multiplied(const cpu_scan *scan, const cpu_rabitq *r, const cpu_rabitq_query *queries, uint32_t nq,
                            const cpu_rabitq_codes *codes, uint64_t from, uint32_t held, const float *rows) {
  uint32_t d = r->d;
  const float *rests[4];
  for (uint32_t i = 0; i < nq; i++) rests[i] = queries[i].rest;
  float dots[4 * BLOCK], squares[BLOCK];
  scan->kernels->direct_dot(rows, NULL, held, 0, rests, nq, d, dots, squares);
  for (uint32_t i = 0; i < nq; i++) {
    const cpu_rabitq_query *q = &queries[i];
    finds f = {.scan = scan, .codes = codes, .query = q->number};
    double bound = load_bound(&scan->collectors[f.query]), length = sqrt(q->square) * (d / 16.0 + 16) * 6e-8 * 4;
    for (uint32_t c = 0; c < held; c++) {
      const uint8_t *code = code_at(r, codes, from + c);
      float factors[2], ones = squares[c];
      memcpy(factors, r->nbits > 1 ? code + r->code_size - sizeof factors : code + r->signs, sizeof factors);
      double dot = -(double)dots[i * BLOCK + c], off = length * sqrt((double)squares[c]), key, width;
      if (r->nbits > 1) {
        key = full_key(r, q, factors, dot), width = fabs(factors[1]) * off;
      } else {
        key = key_of(r, q, factors[0], factors[1], dot, ones);
        width = 2 * fabs(factors[1]) * q->per_level * off;
      }
      if (key - width > bound) continue;
      dot = scan->kernels->pair(CPU_INNER_PRODUCT, 0, q->rest, rows + (size_t)c * d, d);
      find(&f, from + c,
           r->nbits > 1 ? full_key(r, q, factors, dot) : key_of(r, q, factors[0], factors[1], dot, ones));
    }
    flush(&f);
  }
}

void cpu_rabitq_scan(const cpu_scan *scan, const cpu_rabitq *r, uint32_t rounding, const uint32_t *index,
                     uint32_t first, uint32_t nq, const cpu_rabitq_codes *codes, void *scratch) {
  const cpu_rabitq_kernels *own = cpu_rabitq_table(scan->kernels);
  uint32_t d = r->d;
  size_t words = words_of(r);
  float *rests = scratch;
  uint8_t *levels = (uint8_t *)scratch + round_up(TOGETHER * (size_t)d * 4);
  uint64_t *bits = (uint64_t *)(levels + round_up(words * 64));
  void *blocks = (char *)bits + round_up(words * 8 * CPU_RABITQ_MAX_QB);
  const float *center = codes->centroid ? codes->centroid : r->center;
  bool counted = is_counted(r, rounding);
  if (counted)
    for (uint64_t from = 0; from < codes->n; from += BLOCK) {
      cpu_rabitq_block block = block_at(r, blocks, from / BLOCK);
      pack(r, codes, from, &block);
    }
  uint32_t together = counted ? 1 : TOGETHER;
  for (uint32_t at = 0; at < nq; at += together) {
    cpu_rabitq_query queries[TOGETHER];
    uint32_t count = nq - at < together ? nq - at : together;
    for (uint32_t i = 0; i < count; i++) {
      queries[i] = (cpu_rabitq_query){.number = index ? index[at + i] : first + at + i};
      const float *query = scan->queries + (size_t)queries[i].number * d;
      prepare(r, scan->kernels, own, rounding, query, center, rests + (size_t)i * d, levels, bits, &queries[i]);
    }
    if (counted) {
      finds f = {.scan = scan, .codes = codes, .query = queries[0].number};
      scan_counted(r, own, &queries[0], blocks, &f);
      continue;
    }
    for (uint64_t from = 0; from < codes->n; from += BLOCK) {
      uint32_t held = (uint32_t)(codes->n - from < BLOCK ? codes->n - from : BLOCK);
      float *rows = blocks;
      for (uint32_t c = 0; c < held; c++) {
        const uint8_t *code = code_at(r, codes, from + c);
        own->unpack(code, code + r->more, d, r->nbits - 1, rows + (size_t)c * d);
      }
      for (uint32_t i = 0; i < count; i += 4)
        scan_multiplied(scan, r, queries + i, count - i < 4 ? count - i : 4, codes, from, held, rows);
    }
  }
}
