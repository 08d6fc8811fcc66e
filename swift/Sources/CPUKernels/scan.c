// Scans: blocks of rows against blocks of queries, into collectors.
#include "cpu_codec.h"
#include "cpu_kernels.h"

#include <float.h>
#include <math.h>
#include <string.h>

// Half an ulp of a float, with room for the second-order terms.
#define HALF_ULP 6.1e-8f
// Room for the rounding of a measured length.
#define MEASURED 1.001f

static uint32_t panel_queries(const cpu_kernels *kernels, uint32_t variant, uint32_t left) {
  if (variant == CPU_PANEL_F32) return CPU_MAX_QUERIES;
  if (left <= 4) return 4;
  return left <= 8 && kernels->tile > 8 ? 8 : kernels->tile;
}

static size_t pair_words(uint32_t variant, uint32_t d) { return variant == CPU_TILE_BF16 ? (d + 1) / 2 : d; }

// A panel's stores run past its end by less than a vector.
#define SLACK 64

size_t cpu_queries_bytes(const cpu_kernels *kernels, uint32_t variant, uint64_t n, uint32_t d) {
  uint32_t panel = panel_queries(kernels, variant, kernels->tile);
  uint64_t padded = (n / panel + 1) * panel;
  return padded * pair_words(variant, d) * 4 + SLACK;
}

size_t cpu_rows_bytes(const cpu_kernels *kernels, uint32_t variant, uint64_t n, uint32_t d) {
  uint64_t padded = (n + kernels->panel - 1) / kernels->panel * kernels->panel;
  return padded * pair_words(variant, d) * 4 + SLACK;
}

static float inverse_length(const cpu_kernels *kernels, const float *x, uint32_t d) {
  double square = kernels->pair(CPU_INNER_PRODUCT, 0, x, x, d);
  return square > 0 ? (float)(1 / sqrt(square)) : 0;
}

static inline uint64_t query_number(const uint32_t *index, uint32_t first, uint32_t i) {
  return index ? index[i] : (uint64_t)first + i;
}

void cpu_pack_queries(const cpu_scan *scan, const float *center, cpu_queries *out, uint32_t *scratch) {
  const cpu_kernels *kernels = scan->kernels;
  uint32_t d = scan->source.d, metric = scan->source.metric;
  unsigned char *panel = out->panels;
  bool in_place = out->variant == CPU_PANEL_F32;
  double middle = center ? kernels->pair(CPU_INNER_PRODUCT, 0, center, center, d) : 0;
  out->center = in_place || metric != CPU_L2 ? (float)sqrt(middle) : 0;
  for (uint32_t start = 0; start < out->n;) {
    uint32_t left = out->n - start;
    uint32_t width = panel_queries(kernels, out->variant, left), n = left < width ? left : width;
    const float *rows[CPU_MAX_QUERIES];
    float scale[CPU_MAX_QUERIES], squares[CPU_MAX_QUERIES], errors[CPU_MAX_QUERIES] = {0};
    for (uint32_t i = 0; i < n; i++) {
      rows[i] = scan->queries + query_number(out->index, out->first, start + i) * d;
      if (metric == CPU_COSINE) scale[i] = inverse_length(kernels, rows[i], d);
    }
    // ⟨x, y⟩ = ⟨x − c, y − c⟩ + ⟨c, y − c⟩ + ⟨x, c⟩: a tile computes the first, its rows start
    // at the second, and the third is the query's own. Panels that read rows in place:
    // |x − y|² = |y − c|² − 2⟨x − c, y⟩ + |x|² − |c|².
    const float *scales = metric == CPU_COSINE ? scale : NULL;
    float factor = metric == CPU_L2 ? -2 : -1;
    if (out->variant == CPU_TILE_BF16)
      kernels->pack_bf16(rows, n, width, d, 0, scales, center, factor, width, (uint32_t *)panel, squares, NULL, errors,
                         scratch);
    else
      kernels->pack(rows, n, width, d, 0, scales, center, factor, width, (float *)panel, squares, NULL);
    for (uint32_t i = 0; i < n; i++) {
      out->norms[start + i] = cpu_safe_length(squares[i]);
      out->errors[start + i] = out->variant == CPU_TILE_BF16 ? cpu_safe_length(errors[i]) : 0;
      if (metric == CPU_L2 && in_place)
        out->bias[start + i] = (float)(kernels->pair(CPU_INNER_PRODUCT, 0, rows[i], rows[i], d) - middle);
      else if (metric == CPU_L2)
        out->bias[start + i] = squares[i];
      else if (center)
        out->bias[start + i] = (float)(-kernels->pair(CPU_INNER_PRODUCT, 0, rows[i], center, d) *
                                       (metric == CPU_COSINE ? (double)scale[i] : 1));
      else
        out->bias[start + i] = 0;
    }
    panel += width * pair_words(out->variant, d) * 4;
    start += n;
  }
}

void cpu_pack_rows(const cpu_scan *scan, const float *center, const float *base, cpu_rows *out, uint32_t *scratch) {
  const cpu_kernels *kernels = scan->kernels;
  uint32_t d = scan->source.d, metric = scan->source.metric, width = kernels->panel;
  size_t ahead = out->positions ? 0 : (size_t)CPU_AHEAD * d;
  size_t panel_bytes = width * pair_words(out->variant, d) * 4;
  for (uint32_t p = 0, start = 0; start < out->n; p++, start += width) {
    uint32_t n = out->n - start < width ? out->n - start : width;
    const float *rows[CPU_MAX_PANEL];
    float scale[CPU_MAX_PANEL], squares[CPU_MAX_PANEL], *init = out->init + start;
    for (uint32_t i = 0; i < n; i++) {
      rows[i] = base + (size_t)(out->positions ? out->positions[start + i] : start + i) * d;
      if (metric == CPU_COSINE) scale[i] = inverse_length(kernels, rows[i], d);
    }
    float errors[CPU_MAX_PANEL] = {0}, *products = metric != CPU_L2 && center ? init : NULL;
    const float *scales = metric == CPU_COSINE ? scale : NULL;
    unsigned char *panel = out->panels + p * panel_bytes;
    if (out->variant == CPU_TILE_BF16)
      kernels->pack_bf16(rows, n, width, d, ahead, scales, center, 1, width, (uint32_t *)panel, squares, products, errors,
                         scratch);
    else
      kernels->pack(rows, n, width, d, ahead, scales, center, 1, width, (float *)panel, squares, products);
    float longest = 0, roughest = 0;
    for (uint32_t i = 0; i < n; i++) {
      longest = squares[i] > longest || isnan(squares[i]) ? squares[i] : longest;
      roughest = errors[i] > roughest || isnan(errors[i]) ? errors[i] : roughest;
      if (metric == CPU_L2)
        init[i] = squares[i];
      else if (!center)
        init[i] = 0;
    }
    for (uint32_t i = n; i < width; i++) init[i] = 0;
    out->longest[p] = longest;
    out->roughest[p] = roughest;
  }
}

// The error of a tile's key is at most slope · Y + rough · E + square · Y² + rest: Y is the longest row of
// the panel, E the longest rounding error. By Cauchy and Schwarz |⟨x, y⟩ − ⟨x̂, ŷ⟩| ≤ |δx||y| + |x̂||δy|.
typedef struct margins {
  cpu_limits limits;  // slope and square; base is what a bound allows
  float rough[CPU_MAX_QUERIES], rest[CPU_MAX_QUERIES];
} margins;

static void set_margins(const cpu_scan *scan, const cpu_queries *queries, uint32_t start, uint32_t n, margins *m) {
  uint32_t d = scan->source.d;
  float rounding = ((float)d + 12) * HALF_ULP;
  bool is_l2 = scan->source.metric == CPU_L2;
  float factor = is_l2 ? 2 : 1;
  m->limits.square = is_l2 ? rounding : 0;
  bool in_place = queries->variant == CPU_PANEL_F32;
  for (uint32_t i = 0; i < n; i++) {
    float x = queries->norms[start + i], error = queries->errors[start + i], bias = fabsf(queries->bias[start + i]);
    // Rows in place are not centred, and |y| ≤ |y − c| + |c|; those of tiles are, and start at ⟨c, y − c⟩.
    float away = rounding * queries->center;
    m->limits.slope[i] = factor * (x * rounding + error * MEASURED) + (in_place ? 0 : away);
    m->rough[i] = factor * (x + error) * MEASURED;
    // Cosine rounds its unit rows before centring them.
    m->rest[i] = (is_l2 ? rounding * x * x : 0) + (in_place ? factor * x * away : 0) + 4 * HALF_ULP * bias +
                 4 * ((float)d + 1) * FLT_MIN + (scan->source.metric == CPU_COSINE ? 8 * HALF_ULP : 0);
  }
}

static inline float load_bound(const cpu_collector *c) {
  uint32_t bits = __atomic_load_n((const uint32_t *)&c->bound, __ATOMIC_RELAXED);
  float bound;
  __builtin_memcpy(&bound, &bits, sizeof bound);
  return bound;
}

// What a tile's value may be at most for a key within the bound, before the part that depends on the rows.
static inline float tile_limit(float bound, float bias, float rest) {
  return bound - bias + rest + 2 * HALF_ULP * (fabsf(bound) + fabsf(bias));
}

// Finds that wait until they are worth a query's lock.
#define PENDING 16

// What the queries of a panel let pass, and what they found.
typedef struct finders {
  const cpu_scan *scan;
  const float *bias;
  uint32_t n;
  bool nearest;
  margins margins;  // base is −∞ past n
  uint64_t number[CPU_MAX_QUERIES];
  float bound[CPU_MAX_QUERIES];
  uint32_t pending[CPU_MAX_QUERIES];
  cpu_candidate found[CPU_MAX_QUERIES][PENDING];
} finders;

static void set_bound(finders *f, uint32_t i, float bound) {
  f->bound[i] = bound;
  f->margins.limits.base[i] = tile_limit(bound, f->bias[i], f->margins.rest[i]);
}

static void start_finders(const cpu_scan *scan, const cpu_queries *queries, uint32_t start, uint32_t n, finders *f) {
  f->scan = scan;
  f->bias = queries->bias + start;
  f->n = n;
  f->nearest = scan->collectors[query_number(queries->index, queries->first, start)].k == 1;
  memset(&f->margins, 0, sizeof f->margins);
  set_margins(scan, queries, start, n, &f->margins);
  for (uint32_t i = 0; i < CPU_MAX_QUERIES; i++) f->margins.limits.base[i] = -INFINITY, f->pending[i] = 0;
  for (uint32_t i = 0; i < n; i++) {
    f->number[i] = query_number(queries->index, queries->first, start + i);
    set_bound(f, i, load_bound(&scan->collectors[f->number[i]]));
  }
}

static void flush(finders *f, uint32_t i) {
  cpu_collector_push(f->scan, f->number[i], f->found[i], f->pending[i]);
  f->pending[i] = 0;
  if (!f->nearest) set_bound(f, i, load_bound(&f->scan->collectors[f->number[i]]));
}

// A value that passed, whose error is at most `error` beside what the query's own part adds.
static inline void find(finders *f, uint32_t i, float value, float error, uint64_t location) {
  float key = value + f->bias[i], half = error + f->margins.rest[i] + 2 * HALF_ULP * fabsf(key);
  if (key - half > f->bound[i]) return;
  // One find is all it takes to know better.
  if (f->nearest && key + half < f->bound[i]) set_bound(f, i, key + half);
  if (f->pending[i] == PENDING) flush(f, i);
  f->found[i][f->pending[i]++] = (cpu_candidate){key - half, key + half, location};
}

static void end_finders(finders *f) {
  for (uint32_t i = 0; i < f->n; i++)
    if (f->pending[i]) flush(f, i);
}

void cpu_scan_tiles(const cpu_scan *scan, const cpu_queries *queries, const cpu_rows *rows) {
  const cpu_kernels *kernels = scan->kernels;
  uint32_t d = scan->source.d, width = kernels->panel;
  size_t words = pair_words(rows->variant, d);
  bool bf16 = rows->variant == CPU_TILE_BF16;
  const unsigned char *query_panel = queries->panels;
  cpu_hit hits[CPU_MAX_QUERIES * CPU_MAX_PANEL];
  for (uint32_t start = 0; start < queries->n;) {
    uint32_t left = queries->n - start;
    uint32_t tile = panel_queries(kernels, queries->variant, left), n = left < tile ? left : tile;
    finders f;
    start_finders(scan, queries, start, n, &f);
    const margins *m = &f.margins;
    for (uint32_t p = 0, row = 0; row < rows->n; p++, row += width) {
      float square = rows->longest[p], longest = cpu_safe_length(square);
      float roughest = bf16 ? cpu_safe_length(rows->roughest[p]) : 0;
      float error[CPU_MAX_QUERIES], limits[CPU_MAX_QUERIES];
      for (uint32_t i = 0; i < CPU_MAX_QUERIES; i++) {
        error[i] = m->limits.slope[i] * longest + m->rough[i] * roughest + m->limits.square * square;
        limits[i] = m->limits.base[i] + error[i];
      }
      uint32_t held = rows->n - row < width ? rows->n - row : width;
      uint64_t valid = held == 64 ? ~0ull : (1ull << held) - 1;
      const unsigned char *row_panel = rows->panels + p * width * words * 4;
      uint32_t count =
          bf16 ? kernels->tile_bf16(tile, (const uint32_t *)query_panel, (const uint32_t *)row_panel, d,
                                    rows->init + row, limits, valid, hits)
               : kernels->tile_f32(tile, (const float *)query_panel, (const float *)row_panel, d, rows->init + row,
                                   limits, valid, hits);
      for (uint32_t h = 0; h < count; h++) {
        uint32_t i = hits[h].query;
        if (i >= n) break;  // padding
        uint32_t offset = row + hits[h].row;
        if (rows->positions) offset = rows->positions[offset];
        find(&f, i, hits[h].key, error[i], rows->first + offset);
      }
    }
    end_finders(&f);
    query_panel += tile * words * 4;
    start += n;
  }
}

void cpu_scan_panels(const cpu_scan *scan, const cpu_queries *queries, const float *center, const float *base,
                     uint64_t location, const uint32_t *positions, uint64_t n) {
  const cpu_kernels *kernels = scan->kernels;
  uint32_t d = scan->source.d, metric = scan->source.metric;
  cpu_hit hits[CPU_MAX_QUERIES * CPU_DIRECT_ROWS];
  for (uint32_t start = 0; start < queries->n; start += CPU_MAX_QUERIES) {
    uint32_t left = queries->n - start;
    const float *panel = (const float *)queries->panels + (size_t)start * d;
    finders f;
    start_finders(scan, queries, start, left < CPU_MAX_QUERIES ? left : CPU_MAX_QUERIES, &f);
    const cpu_limits *limits = &f.margins.limits;
    for (uint64_t from = 0; from < n; from += CPU_DIRECT_ROWS) {
      uint32_t held = n - from < CPU_DIRECT_ROWS ? (uint32_t)(n - from) : CPU_DIRECT_ROWS;
      const uint32_t *chosen = positions ? positions + from : NULL;
      float squares[CPU_DIRECT_ROWS];
      uint32_t count = kernels->panel_f32(metric, panel, positions ? base : base + from * d, chosen, held,
                                          cpu_direct_ahead(positions, n - from, d), d, center, limits, squares, hits);
      for (uint32_t h = 0; h < count; h++) {
        uint32_t i = hits[h].query, row = hits[h].row;
        if (i >= f.n) continue;  // padding
        float square = metric == CPU_COSINE ? 1 : squares[row];
        float error = limits->slope[i] * cpu_safe_length(square) + limits->square * square;
        find(&f, i, hits[h].key, error, location + (chosen ? chosen[row] : from + row));
      }
    }
    end_finders(&f);
  }
}

// Lengths of the shortest and the longest of some rows.
typedef struct length_range {
  float least, most;
} length_range;

static length_range lengths_of(const float *squares, uint32_t n) {
  // Floats from zero up are in the order of their bits, and those have whole vectors to themselves.
  int32_t least = INT32_MAX, most = 0;
  for (uint32_t i = 0; i < n; i++) {
    int32_t bits;
    memcpy(&bits, squares + i, sizeof bits);
    least = bits < least ? bits : least;
    most = bits > most ? bits : most;
  }
  float shortest, longest;
  memcpy(&shortest, &least, sizeof least);
  memcpy(&longest, &most, sizeof most);
  return (length_range){sqrtf(shortest), cpu_safe_length(longest)};
}

// What a sum of direct_l2 or direct_dot may be at most for its key to reach the bound.
static float sum_limit(uint32_t metric, float bound, float rounding, float tiny, float norm, length_range lengths) {
  if (metric == CPU_L2) return (bound + tiny) * (1 + 2 * rounding);
  if (metric == CPU_INNER_PRODUCT) return bound + rounding * norm * lengths.most + tiny + 2 * HALF_ULP * fabsf(bound);
  if (!(lengths.least * lengths.least > CPU_LEAST_SQUARE && norm * lengths.least > CPU_LEAST_SQUARE)) return INFINITY;
  float cosine = bound + rounding + tiny + 2 * HALF_ULP * fabsf(bound);
  float limit = cosine * norm * (cosine < 0 ? lengths.least : lengths.most);
  return limit + 8 * HALF_ULP * fabsf(limit);
}

// Rows where they lie: floats, or codes with the centroid that they are taken from.
typedef struct places {
  const float *rows;
  const uint8_t *codes;
  const float *centroid;
} places;

// Sums of up to CPU_DIRECT_ROWS rows, those of positions or from `from` on, against up to 4 queries.
static void sum_direct(const cpu_scan *scan, const places *base, uint64_t from, const uint32_t *positions, uint32_t n,
                       size_t ahead, const float *const *queries, uint32_t nq, float *sums, float *squares) {
  const cpu_kernels *kernels = scan->kernels;
  uint32_t d = scan->source.d;
  bool dot = scan->source.metric != CPU_L2;
  if (base->codes) {
    const cpu_codec *codec = scan->source.codec;
    const uint8_t *codes = positions ? base->codes : base->codes + from * codec->code_size;
    cpu_scalar_table(kernels)->direct(codec, codes, positions, n, base->centroid, dot, queries, nq, sums, squares);
    return;
  }
  const float *rows = positions ? base->rows : base->rows + from * d;
  if (dot)
    kernels->direct_dot(rows, positions, n, ahead, queries, nq, d, sums, squares);
  else
    kernels->direct_l2(rows, positions, n, ahead, queries, nq, d, sums);
}

static void scan_direct(const cpu_scan *scan, const uint32_t *index, uint32_t first, uint32_t nq, const places *base,
                        uint64_t location, const uint32_t *positions, uint64_t n) {
  const cpu_kernels *kernels = scan->kernels;
  uint32_t d = scan->source.d, metric = scan->source.metric;
  float rounding = ((float)d + 12) * HALF_ULP, tiny = 4 * ((float)d + 1) * FLT_MIN;
  for (uint32_t q0 = 0; q0 < nq; q0 += 4) {
    uint32_t nq4 = nq - q0 < 4 ? nq - q0 : 4;
    const float *queries[4];
    uint64_t number[4];
    float norm[4] = {0}, bound[4], sums[4 * CPU_DIRECT_ROWS], squares[CPU_DIRECT_ROWS];
    for (uint32_t q = 0; q < nq4; q++) {
      number[q] = query_number(index, first, q0 + q);
      queries[q] = scan->queries + number[q] * d;
      if (metric != CPU_L2) norm[q] = (float)sqrt(kernels->pair(CPU_INNER_PRODUCT, 0, queries[q], queries[q], d));
      bound[q] = load_bound(&scan->collectors[number[q]]);
    }
    for (uint64_t from = 0; from < n; from += CPU_DIRECT_ROWS) {
      uint32_t held = n - from < CPU_DIRECT_ROWS ? (uint32_t)(n - from) : CPU_DIRECT_ROWS;
      size_t ahead = cpu_direct_ahead(positions, n - from, d);
      const uint32_t *chosen = positions ? positions + from : NULL;
      sum_direct(scan, base, from, chosen, held, ahead, queries, nq4, sums, squares);
      length_range lengths = {0};
      if (metric != CPU_L2) lengths = lengths_of(squares, held);
      for (uint32_t q = 0; q < nq4; q++) {
        const float *sum = sums + q * CPU_DIRECT_ROWS;
        // Most blocks hold nothing near enough: one limit for all rows of the block says so.
        float limit = sum_limit(metric, bound[q], rounding, tiny, norm[q], lengths);
        if (kernels->count_within(sum, held, limit) == 0) continue;
        float lower[CPU_DIRECT_ROWS], upper[CPU_DIRECT_ROWS];
        for (uint32_t r = 0; r < held; r++) {
          float key = sum[r], error = rounding * key + tiny;
          if (metric != CPU_L2) {
            float length = norm[q] * cpu_safe_length(squares[r]);
            error = (metric == CPU_COSINE ? rounding : rounding * length) + tiny;
            if (metric == CPU_COSINE && norm[q] == 0)
              key = 0;
            else if (metric == CPU_COSINE)  // squares out of a float's range say nothing: NaN is looked at exactly
              key = squares[r] > CPU_LEAST_SQUARE && length > CPU_LEAST_SQUARE && length < INFINITY ? key / length : NAN;
          }
          lower[r] = key - error;
          upper[r] = key + error;
        }
        cpu_candidate found[CPU_DIRECT_ROWS];
        uint32_t count = 0;
        for (uint32_t r = 0; r < held; r++) {
          found[count] = (cpu_candidate){lower[r], upper[r], location + (chosen ? chosen[r] : from + r)};
          count += !(lower[r] > bound[q]);
        }
        cpu_collector_push(scan, number[q], found, count);
        bound[q] = load_bound(&scan->collectors[number[q]]);
      }
    }
  }
}

void cpu_scan_direct(const cpu_scan *scan, const uint32_t *index, uint32_t first, uint32_t nq, const float *base,
                     uint64_t location, const uint32_t *positions, uint64_t n) {
  places rows = {base, NULL, NULL};
  scan_direct(scan, index, first, nq, &rows, location, positions, n);
}

void cpu_scan_codes(const cpu_scan *scan, const uint32_t *index, uint32_t first, uint32_t nq, const uint8_t *codes,
                    const float *centroid, uint64_t location, const uint32_t *positions, uint64_t n) {
  places rows = {NULL, codes, centroid};
  scan_direct(scan, index, first, nq, &rows, location, positions, n);
}

void cpu_scan_pairs(const cpu_scan *scan, const uint32_t *index, uint32_t first, uint32_t nq, const float *base,
                    uint64_t location, const uint32_t *positions, uint64_t n) {
  uint32_t d = scan->source.d, metric = scan->source.metric;
  bool similarity = cpu_is_similarity(metric);
  for (uint32_t q = 0; q < nq; q++) {
    uint64_t number = query_number(index, first, q);
    for (uint64_t i = 0; i < n; i++) {
      uint64_t offset = positions ? positions[i] : i;
      double value = scan->kernels->pair(metric, scan->source.metric_arg, scan->queries + number * d,
                                         base + offset * d, d);
      float key = (float)(similarity ? -value : value);
      if (isnan(key) || key > load_bound(&scan->collectors[number])) continue;
      cpu_candidate found = {key, key, location + offset};
      cpu_collector_push(scan, number, &found, 1);
    }
  }
}
