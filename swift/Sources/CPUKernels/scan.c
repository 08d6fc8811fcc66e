// Scans: blocks of rows against blocks of queries, into collectors.
#include "cpu_kernels.h"

#include <float.h>
#include <math.h>

// Half an ulp of a float, with room for the second-order terms.
#define HALF_ULP 6.1e-8f
// Room for the rounding of a measured length.
#define MEASURED 1.001f

enum { inner_product = 0, l2 = 1, cosine = 100 };

static uint32_t panel_queries(const cpu_kernels *kernels, uint32_t left) {
  if (left <= 4) return 4;
  return left <= 8 && kernels->tile > 8 ? 8 : kernels->tile;
}

static size_t pair_words(uint32_t variant, uint32_t d) { return variant == CPU_TILE_BF16 ? (d + 1) / 2 : d; }

// A panel's stores run past its end by less than a vector.
#define SLACK 64

size_t cpu_queries_bytes(const cpu_kernels *kernels, uint32_t variant, uint64_t n, uint32_t d) {
  uint64_t padded = (n / kernels->tile + 1) * kernels->tile;
  return padded * pair_words(variant, d) * 4 + SLACK;
}

size_t cpu_rows_bytes(const cpu_kernels *kernels, uint32_t variant, uint64_t n, uint32_t d) {
  uint64_t padded = (n + kernels->panel - 1) / kernels->panel * kernels->panel;
  return padded * pair_words(variant, d) * 4 + SLACK;
}

static float inverse_length(const cpu_kernels *kernels, const float *x, uint32_t d) {
  double square = kernels->pair(inner_product, 0, x, x, d);
  return square > 0 ? (float)(1 / sqrt(square)) : 0;
}

static inline uint64_t query_number(const uint32_t *index, uint32_t first, uint32_t i) {
  return index ? index[i] : (uint64_t)first + i;
}

void cpu_pack_queries(const cpu_scan *scan, const float *center, cpu_queries *out, uint32_t *scratch) {
  const cpu_kernels *kernels = scan->kernels;
  uint32_t d = scan->source.d, metric = scan->source.metric;
  unsigned char *panel = out->panels;
  out->center = center && metric != l2 ? (float)sqrt(kernels->pair(inner_product, 0, center, center, d)) : 0;
  for (uint32_t start = 0; start < out->n;) {
    uint32_t left = out->n - start;
    uint32_t width = panel_queries(kernels, left), n = left < width ? left : width;
    const float *rows[CPU_MAX_QUERIES];
    float scale[CPU_MAX_QUERIES], squares[CPU_MAX_QUERIES], errors[CPU_MAX_QUERIES] = {0};
    for (uint32_t i = 0; i < n; i++) {
      rows[i] = scan->queries + query_number(out->index, out->first, start + i) * d;
      if (metric == cosine) scale[i] = inverse_length(kernels, rows[i], d);
    }
    // ⟨x, y⟩ = ⟨x − c, y − c⟩ + ⟨c, y − c⟩ + ⟨x, c⟩: a tile computes the first, its rows start
    // at the second, and the third is the query's own.
    const float *scales = metric == cosine ? scale : NULL;
    float factor = metric == l2 ? -2 : -1;
    if (out->variant == CPU_TILE_BF16)
      kernels->pack_bf16(rows, n, width, d, 0, scales, center, factor, width, (uint32_t *)panel, squares, NULL, errors,
                         scratch);
    else
      kernels->pack(rows, n, width, d, 0, scales, center, factor, width, (float *)panel, squares, NULL);
    for (uint32_t i = 0; i < n; i++) {
      out->norms[start + i] = sqrtf(squares[i]);
      out->errors[start + i] = sqrtf(errors[i]);
      if (metric == l2)
        out->bias[start + i] = squares[i];
      else if (center)
        out->bias[start + i] = (float)(-kernels->pair(inner_product, 0, rows[i], center, d) *
                                       (metric == cosine ? (double)scale[i] : 1));
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
      if (metric == cosine) scale[i] = inverse_length(kernels, rows[i], d);
    }
    float errors[CPU_MAX_PANEL] = {0}, *products = metric != l2 && center ? init : NULL;
    const float *scales = metric == cosine ? scale : NULL;
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
      if (metric == l2)
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
  float slope[CPU_MAX_QUERIES], rough[CPU_MAX_QUERIES], rest[CPU_MAX_QUERIES], square;
} margins;

static void set_margins(const cpu_scan *scan, const cpu_queries *queries, uint32_t start, uint32_t n, margins *m) {
  uint32_t d = scan->source.d;
  float rounding = ((float)d + 12) * HALF_ULP;
  bool is_l2 = scan->source.metric == l2;
  float factor = is_l2 ? 2 : 1;
  m->square = is_l2 ? rounding : 0;
  for (uint32_t i = 0; i < n; i++) {
    float x = queries->norms[start + i], error = queries->errors[start + i], bias = fabsf(queries->bias[start + i]);
    m->slope[i] = factor * (x * rounding + error * MEASURED) + rounding * queries->center;
    m->rough[i] = factor * (x + error) * MEASURED;
    // Cosine rounds its unit rows before centring them.
    m->rest[i] = (is_l2 ? rounding * x * x : 0) + 4 * HALF_ULP * bias + 4 * ((float)d + 1) * FLT_MIN +
                 (scan->source.metric == cosine ? 8 * HALF_ULP : 0);
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

void cpu_scan_tiles(const cpu_scan *scan, const cpu_queries *queries, const cpu_rows *rows) {
  const cpu_kernels *kernels = scan->kernels;
  uint32_t d = scan->source.d, width = kernels->panel;
  size_t words = pair_words(rows->variant, d);
  bool bf16 = rows->variant == CPU_TILE_BF16;
  const unsigned char *query_panel = queries->panels;
  cpu_hit hits[CPU_MAX_QUERIES * CPU_MAX_PANEL];
  for (uint32_t start = 0; start < queries->n;) {
    uint32_t left = queries->n - start;
    uint32_t tile = panel_queries(kernels, left), n = left < tile ? left : tile;
    margins m = {0};
    set_margins(scan, queries, start, n, &m);
    float base[CPU_MAX_QUERIES];
    for (uint32_t i = 0; i < CPU_MAX_QUERIES; i++) base[i] = -INFINITY;
    uint64_t number[CPU_MAX_QUERIES];
    for (uint32_t i = 0; i < n; i++) number[i] = query_number(queries->index, queries->first, start + i);
    cpu_candidate pending[CPU_MAX_QUERIES][PENDING];
    uint32_t held_back[CPU_MAX_QUERIES] = {0};
    float bound[CPU_MAX_QUERIES];
    for (uint32_t i = 0; i < n; i++) {
      bound[i] = load_bound(&scan->collectors[number[i]]);
      base[i] = tile_limit(bound[i], queries->bias[start + i], m.rest[i]);
    }
    bool nearest = scan->collectors[number[0]].k == 1;
    for (uint32_t p = 0, row = 0; row < rows->n; p++, row += width) {
      float square = rows->longest[p], longest = sqrtf(square), roughest = sqrtf(rows->roughest[p]);
      float error[CPU_MAX_QUERIES], limits[CPU_MAX_QUERIES];
      for (uint32_t i = 0; i < CPU_MAX_QUERIES; i++) {
        error[i] = m.slope[i] * longest + m.rough[i] * roughest + m.square * square;
        limits[i] = base[i] + error[i];
      }
      uint32_t held = rows->n - row < width ? rows->n - row : width;
      uint64_t valid = held == 64 ? ~0ull : (1ull << held) - 1;
      const unsigned char *row_panel = rows->panels + p * width * words * 4;
      uint32_t count =
          bf16 ? kernels->tile_bf16(tile, (const uint32_t *)query_panel, (const uint32_t *)row_panel, d,
                                    rows->init + row, limits, valid, hits)
               : kernels->tile_f32(tile, (const float *)query_panel, (const float *)row_panel, d, rows->init + row,
                                   limits, valid, hits);
      for (uint32_t h = 0; h < count;) {
        uint32_t i = hits[h].query;
        if (i >= n) break;  // padding
        float bias = queries->bias[start + i];
        float margin = error[i] + m.rest[i];
        for (; h < count && hits[h].query == i; h++) {
          float key = hits[h].key + bias, half = margin + 2 * HALF_ULP * fabsf(key);
          if (key - half > bound[i]) continue;
          if (nearest && key + half < bound[i]) {
            // One find is all it takes to know better.
            bound[i] = key + half;
            base[i] = tile_limit(bound[i], bias, m.rest[i]);
          }
          if (held_back[i] == PENDING) {
            cpu_collector_push(scan, number[i], pending[i], PENDING);
            held_back[i] = 0;
            if (!nearest) {
              bound[i] = load_bound(&scan->collectors[number[i]]);
              base[i] = tile_limit(bound[i], bias, m.rest[i]);
            }
          }
          uint32_t offset = row + hits[h].row;
          if (rows->positions) offset = rows->positions[offset];
          pending[i][held_back[i]++] = (cpu_candidate){key - half, key + half, rows->first + offset};
        }
      }
    }
    for (uint32_t i = 0; i < n; i++)
      if (held_back[i]) cpu_collector_push(scan, number[i], pending[i], held_back[i]);
    query_panel += tile * words * 4;
    start += n;
  }
}

void cpu_scan_direct(const cpu_scan *scan, const uint32_t *index, uint32_t first, uint32_t nq, const float *base,
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
      if (metric != l2) norm[q] = (float)sqrt(kernels->pair(inner_product, 0, queries[q], queries[q], d));
      bound[q] = load_bound(&scan->collectors[number[q]]);
    }
    for (uint64_t from = 0; from < n; from += CPU_DIRECT_ROWS) {
      uint32_t held = n - from < CPU_DIRECT_ROWS ? (uint32_t)(n - from) : CPU_DIRECT_ROWS;
      const float *rows = positions ? base : base + from * d;
      const uint32_t *chosen = positions ? positions + from : NULL;
      if (metric == l2)
        kernels->direct_l2(rows, chosen, held, queries, nq4, d, sums);
      else
        kernels->direct_dot(rows, chosen, held, queries, nq4, d, sums, squares);
      for (uint32_t q = 0; q < nq4; q++) {
        // Most blocks hold nothing near enough: keys and errors first, over whole vectors.
        float lower[CPU_DIRECT_ROWS], upper[CPU_DIRECT_ROWS];
        const float *sum = sums + q * CPU_DIRECT_ROWS;
        for (uint32_t r = 0; r < held; r++) {
          float key = sum[r], error = rounding * key + tiny;
          if (metric != l2) {
            float lengths = norm[q] * sqrtf(squares[r]);
            key = metric == cosine ? (lengths > 0 ? -sum[r] / lengths : 0) : -sum[r];
            error = (metric == cosine ? rounding : rounding * lengths) + tiny;
          }
          lower[r] = key - error;
          upper[r] = key + error;
        }
        if (kernels->count_within(lower, held, bound[q]) == 0) continue;
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

void cpu_scan_pairs(const cpu_scan *scan, const uint32_t *index, uint32_t first, uint32_t nq, const float *base,
                    uint64_t location, const uint32_t *positions, uint64_t n) {
  uint32_t d = scan->source.d, metric = scan->source.metric;
  bool similarity = metric == inner_product || metric == 23 || metric == cosine;
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
