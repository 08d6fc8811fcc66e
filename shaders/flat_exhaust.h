// Every pair of a query and a row, computed exactly: for metrics without a faster way, and for data that defeats it.
#pragma once
#include <metal_stdlib>
#include "metrics.h"
using namespace metal;

struct ExhaustParams {
  uint nq;
  uint rows;      // to look at: of the list where there is one; of parts: unused
  uint d;
  uint width;     // numbers from a row to the next, of queries too
  uint stride;    // numbers a query in the result, or pairs that a query may find
  float arg;      // p of Lp
  float radius;   // of searches within one
  uint largest;   // 1: larger is nearer
  uint listed;    // 1: rows are those of the list
  uint filtered;  // 1: of parts, rows without their bit in the bitmap are left out
};

// Rows that a query looks at, begin … end − 1, and where the first one's result goes.
struct ExhaustPart {
  uint query;
  uint begin;
  uint end;
  uint at;
};

// Queries that a thread compares a row with.
constant constexpr uint EXHAUST_QUERIES = 4;

// Distances of a row from up to N queries, rounded once; NaN where there is none.
template <typename M, uint N>
struct ExactRow {
  float distances[N];

  ExactRow(device const float* queries, uint count, device const float* row, constant ExhaustParams& params) {
    M pairs[N];
    for (uint c = 0; c < params.d; c++) {
      float value = row[c];
      for (uint q = 0; q < N; q++) pairs[q].add(queries[min(q, count - 1) * params.width + c], value, params.arg);
    }
    MetricContext context = {float(params.d), params.arg, 1.0f};
    for (uint q = 0; q < N; q++) distances[q] = pairs[q].result(context);
  }
};

// What brings a row's numbers near 1.
inline UnitScale exhaust_scale(device const float* row, uint d) {
  float largest = 0.0f;
  for (uint c = 0; c < d; c++) largest = max(largest, fabs(row[c]));
  return unit_scale(largest);
}

// Where terms or partial sums are out of range, both sides are brought near 1.
template <uint N>
struct ExactRow<InnerProduct, N> {
  float distances[N];

  ExactRow(device const float* queries, uint count, device const float* row, constant ExhaustParams& params) {
    two_float sums[N];
    for (uint q = 0; q < N; q++) sums[q] = {0.0f, 0.0f};
    for (uint c = 0; c < params.d; c++) {
      float value = row[c];
      for (uint q = 0; q < N; q++) accumulate_product(sums[q], queries[min(q, count - 1) * params.width + c], value);
    }
    for (uint q = 0; q < N; q++) {
      distances[q] = sums[q].hi + sums[q].lo;
      if (isfinite(distances[q])) continue;
      device const float* query = queries + min(q, count - 1) * params.width;
      UnitScale query_scale = exhaust_scale(query, params.d);
      UnitScale row_scale = exhaust_scale(row, params.d);
      two_float sum = {0.0f, 0.0f};
      for (uint c = 0; c < params.d; c++) accumulate_product(sum, query[c] * query_scale.down, row[c] * row_scale.down);
      distances[q] = unscaled(sum, query_scale, row_scale);
    }
  }
};

// Both sides are brought near 1 first, so that their squares stay in range.
template <uint N>
struct ExactRow<Cosine, N> {
  float distances[N];

  ExactRow(device const float* queries, uint count, device const float* row, constant ExhaustParams& params) {
    float row_scale = exhaust_scale(row, params.d).down;
    for (uint q = 0; q < N; q++) {
      device const float* query = queries + min(q, count - 1) * params.width;
      float scale = exhaust_scale(query, params.d).down;
      two_float product = {0.0f, 0.0f};
      two_float query_square = {0.0f, 0.0f};
      two_float row_square = {0.0f, 0.0f};
      for (uint c = 0; c < params.d; c++) {
        float a = query[c] * scale;
        float b = row[c] * row_scale;
        accumulate_product(product, a, b);
        accumulate_product(query_square, a, a);
        accumulate_product(row_square, b, b);
      }
      two_float lengths = multiply(square_root(query_square), square_root(row_square));
      two_float cosine = lengths.hi > 0.0f ? divide(product, lengths) : two_float{0.0f, 0.0f};
      distances[q] = cosine.hi + cosine.lo;
    }
  }
};

// Appends a pair that lies strictly within the radius; the count goes on past the capacity.
inline void append_within(
    device atomic_uint* counts, device uint2* found, uint query, float distance, uint row,
    constant ExhaustParams& params) {
  bool within = params.largest != 0 ? distance > params.radius : distance < params.radius;
  if (!within) return;
  uint at = atomic_fetch_add_explicit(&counts[query], 1, memory_order_relaxed);
  if (at < params.stride) found[ulong(query) * params.stride + at] = uint2(as_type<uint>(distance), row);
}

// out[query, i] = distance of the i-th row. 256 threads a group; groups: ceil(rows / 256) × ceil(nq / 4).
template <typename M>
[[kernel, max_total_threads_per_threadgroup(256)]] void exhaust(
    device const float* queries [[buffer(0)]],
    device const float* x [[buffer(1)]],
    device const uint* list [[buffer(2)]],
    device float* out [[buffer(3)]],
    constant ExhaustParams& params [[buffer(4)]],
    uint2 group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  uint at = group.x * 256 + thread_index;
  if (at >= params.rows) return;
  uint first = group.y * EXHAUST_QUERIES;
  uint count = min(params.nq - first, EXHAUST_QUERIES);
  uint row = params.listed != 0 ? list[at] : at;
  ExactRow<M, EXHAUST_QUERIES> exact(queries + ulong(first) * params.width, count, x + ulong(row) * params.width, params);
  for (uint q = 0; q < count; q++) out[ulong(first + q) * params.stride + at] = exact.distances[q];
}

// found[query, …] = (distance, row) within the radius, in any order. Counts start from zero. 256 threads a group;
// groups: ceil(rows / 256) × ceil(nq / 4).
template <typename M>
[[kernel, max_total_threads_per_threadgroup(256)]] void within(
    device const float* queries [[buffer(0)]],
    device const float* x [[buffer(1)]],
    device const uint* list [[buffer(2)]],
    device atomic_uint* counts [[buffer(3)]],
    device uint2* found [[buffer(4)]],
    constant ExhaustParams& params [[buffer(5)]],
    uint2 group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  uint at = group.x * 256 + thread_index;
  if (at >= params.rows) return;
  uint first = group.y * EXHAUST_QUERIES;
  uint count = min(params.nq - first, EXHAUST_QUERIES);
  uint row = params.listed != 0 ? list[at] : at;
  ExactRow<M, EXHAUST_QUERIES> exact(queries + ulong(first) * params.width, count, x + ulong(row) * params.width, params);
  for (uint q = 0; q < count; q++) append_within(counts, found, first + q, exact.distances[q], row, params);
}

inline bool is_selected(device const uchar* bitmap, uint row, constant ExhaustParams& params) {
  return params.filtered == 0 || (bitmap[row / 8] >> (row % 8) & 1) != 0;
}

// out[query, …] and labels[query, …] = distances and ids of the rows of parts; what is left out stays as it was.
// 256 threads a group, a group a part.
template <typename M>
[[kernel, max_total_threads_per_threadgroup(256)]] void exhaust_parts(
    device const float* queries [[buffer(0)]],
    device const float* x [[buffer(1)]],
    device const long* ids [[buffer(2)]],
    device const uchar* bitmap [[buffer(3)]],
    device const ExhaustPart* parts [[buffer(4)]],
    device float* out [[buffer(5)]],
    device long* labels [[buffer(6)]],
    constant ExhaustParams& params [[buffer(7)]],
    uint group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  ExhaustPart part = parts[group];
  ulong to = ulong(part.query) * params.stride + part.at;
  for (uint row = part.begin + thread_index; row < part.end; row += 256) {
    if (!is_selected(bitmap, row, params)) continue;
    ExactRow<M, 1> exact(queries + ulong(part.query) * params.width, 1, x + ulong(row) * params.width, params);
    out[to + row - part.begin] = exact.distances[0];
    labels[to + row - part.begin] = ids[row];
  }
}

// found[query, …] = (distance, row) of the rows of parts within the radius. 256 threads a group, a group a part.
template <typename M>
[[kernel, max_total_threads_per_threadgroup(256)]] void within_parts(
    device const float* queries [[buffer(0)]],
    device const float* x [[buffer(1)]],
    device const uchar* bitmap [[buffer(2)]],
    device const ExhaustPart* parts [[buffer(3)]],
    device atomic_uint* counts [[buffer(4)]],
    device uint2* found [[buffer(5)]],
    constant ExhaustParams& params [[buffer(6)]],
    uint group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  ExhaustPart part = parts[group];
  for (uint row = part.begin + thread_index; row < part.end; row += 256) {
    if (!is_selected(bitmap, row, params)) continue;
    ExactRow<M, 1> exact(queries + ulong(part.query) * params.width, 1, x + ulong(row) * params.width, params);
    append_within(counts, found, part.query, exact.distances[0], row, params);
  }
}
