// Exact search of rows as they arrived, in two steps: dot products find what may be among the nearest k,
// an interval for each; the select kernel computes those few again in two floats and sorts them.
#pragma once
#include <metal_stdlib>
#include "select.h"
#include "tile.h"
#include "two_float.h"
using namespace metal;

enum Metric { L2, INNER_PRODUCT, COSINE };

// What is known of a query. A row's key ascends with its distance, up to a constant of the query:
// exact key in [key - apart, key + apart + margin * terms[row]].
struct QueryTerms {
  float scale;   // of the row's term in the key
  float apart;
  float margin;
  float bound;   // rows whose key is above it are of no interest
};

struct FlatScan {
  uint nq;
  uint rows;       // to look at: of the list where there is one
  uint width4;     // groups of four numbers a row
  uint strip;      // rows that a threadgroup looks at
  uint capacity;   // candidates a query
};

// A key that overflowed says nothing of its row, which is then within every bound.
constant constexpr float UNKNOWN_KEY = -FLT_MAX;

inline float known_key(float key) { return isfinite(key) ? key : UNKNOWN_KEY; }

// Key of a row for a dot product, never above the exact key + apart.
// L2: terms are squared norms, less the rounding they may carry. INNER_PRODUCT: norms. COSINE: 1 / norm.
template <int METRIC>
inline float flat_key(float dot, float term, float scale) {
  if (METRIC == L2) return known_key(fma(-2.0f, dot, term));
  if (METRIC == INNER_PRODUCT) return known_key(fma(scale, term, -dot));
  return known_key(-dot * term);
}

// Appends a candidate; the count goes on past the capacity, so that the host sees what was lost.
inline void append(
    device atomic_uint* counts, device uint2* found, uint capacity, uint query, float key, uint row) {
  uint at = atomic_fetch_add_explicit(&counts[query], 1, memory_order_relaxed);
  if (at < capacity) found[ulong(query) * capacity + at] = uint2(as_type<uint>(key), row);
}

// Rows within each query's bound, as (key, row). 256 threads a group; groups: query tiles × strips.
template <typename T, int METRIC, bool LIST, int TM, int TN, int MM, int MN>
[[kernel, max_total_threads_per_threadgroup(256)]] void flat_scan(
    device const float4* queries [[buffer(0)]],
    device const QueryTerms* query_terms [[buffer(1)]],
    device const vec<T, 4>* x [[buffer(2)]],
    device const float* terms [[buffer(3)]],
    device const float4* center [[buffer(4)]],
    device const uint* list [[buffer(5)]],
    device atomic_uint* counts [[buffer(6)]],
    device uint2* found [[buffer(7)]],
    constant FlatScan& params [[buffer(8)]],
    uint2 group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  using Tile = DotTile<T, TM, TN, MM, MN>;
  threadgroup float memory[Tile::FLOATS];
  Tile tile(memory, thread_index);
  uint first_query = group.x * TM;
  float bounds[MM];
  float scales[MM];
  for (ushort m = 0; m < MM; m++) {
    uint query = first_query + tile.row_of(m);
    bounds[m] = query < params.nq ? query_terms[query].bound : -INFINITY;
    scales[m] = query < params.nq ? query_terms[query].scale : 0.0f;
  }
  typename Tile::Sources from;
  for (ushort i = 0; i < Tile::LOADS_A; i++) {
    uint query = min(first_query + tile.source_row(i), params.nq - 1);
    from.a[i] = queries + ulong(query) * params.width4 + tile.half_slab();
  }
  uint end = min(params.rows, (group.y + 1) * params.strip);
  for (uint start = group.y * params.strip; start < end; start += TN) {
    for (ushort i = 0; i < Tile::LOADS_B; i++) {
      uint at = min(start + tile.source_row(i), end - 1);
      ulong row = LIST ? list[at] : at;
      from.b[i] = x + row * params.width4 + tile.half_slab();
    }
    float sums[MM][MN];
    tile.compute(sums, from, center, params.width4);
    for (ushort n = 0; n < MN; n++) {
      uint at = start + tile.column_of(n);
      if (at >= end) continue;
      uint row = LIST ? list[at] : at;
      float term = terms[row];
      for (ushort m = 0; m < MM; m++) {
        float key = flat_key<METRIC>(sums[m][n], term, scales[m]);
        if (key <= bounds[m]) append(counts, found, params.capacity, first_query + tile.row_of(m), key, row);
      }
    }
  }
}

// Every key, nq × rows. 256 threads a group; groups: query tiles × row tiles.
template <typename T, int METRIC, bool LIST, int TM, int TN, int MM, int MN>
[[kernel, max_total_threads_per_threadgroup(256)]] void flat_keys(
    device const float4* queries [[buffer(0)]],
    device const QueryTerms* query_terms [[buffer(1)]],
    device const vec<T, 4>* x [[buffer(2)]],
    device const float* terms [[buffer(3)]],
    device const float4* center [[buffer(4)]],
    device const uint* list [[buffer(5)]],
    device float* keys [[buffer(6)]],
    constant FlatScan& params [[buffer(7)]],
    uint2 group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  using Tile = DotTile<T, TM, TN, MM, MN>;
  threadgroup float memory[Tile::FLOATS];
  Tile tile(memory, thread_index);
  uint first_query = group.x * TM;
  uint start = group.y * TN;
  typename Tile::Sources from;
  for (ushort i = 0; i < Tile::LOADS_A; i++) {
    uint query = min(first_query + tile.source_row(i), params.nq - 1);
    from.a[i] = queries + ulong(query) * params.width4 + tile.half_slab();
  }
  for (ushort i = 0; i < Tile::LOADS_B; i++) {
    uint at = min(start + tile.source_row(i), params.rows - 1);
    ulong row = LIST ? list[at] : at;
    from.b[i] = x + row * params.width4 + tile.half_slab();
  }
  float sums[MM][MN];
  tile.compute(sums, from, center, params.width4);
  for (ushort n = 0; n < MN; n++) {
    uint at = start + tile.column_of(n);
    if (at >= params.rows) continue;
    float term = terms[LIST ? list[at] : at];
    for (ushort m = 0; m < MM; m++) {
      uint query = first_query + tile.row_of(m);
      if (query >= params.nq) continue;
      keys[ulong(query) * params.rows + at] = flat_key<METRIC>(sums[m][n], term, query_terms[query].scale);
    }
  }
}

// Adds up a row's pair of four numbers: their squared difference, or their product.
template <bool DIFFERENCES>
inline float accumulate(float sum, float4 query, float4 row) {
  if (DIFFERENCES) {
    float4 apart = query - row;
    return fma(apart.x, apart.x, fma(apart.y, apart.y, fma(apart.z, apart.z, fma(apart.w, apart.w, sum))));
  }
  return fma(query.x, row.x, fma(query.y, row.y, fma(query.z, row.z, fma(query.w, row.w, sum))));
}

// Sums of N values over eight lanes, spread over them: halves go to the other side at each step. Returns how many
// are left in values[0 …]; theirs are the numbers from first on. Lanes that end with the same ones get repeated.
template <ushort N>
inline ushort lanes_scatter_sum(thread float (&values)[N], ushort part, thread ushort& first, thread bool& repeated) {
  ushort left = N;
  first = 0;
  repeated = false;
#pragma unroll
  for (ushort step = 4; step > 0; step /= 2) {
    bool high = (part & step) != 0;
    if (left == 1) {
      values[0] += simd_shuffle_xor(values[0], step);
      repeated = repeated || high;
    } else {
      left /= 2;
      first += high ? left : 0;
#pragma unroll
      for (ushort i = 0; i < N / 2; i++) {
        if (i >= left) continue;
        float sent = high ? values[i] : values[i + left];
        float kept = high ? values[i + left] : values[i];
        values[i] = kept + simd_shuffle_xor(sent, step);
      }
    }
  }
  return left;
}

// NQ queries at a time: eight lanes a row, four rows a lane, so that many loads are under way at once. emit(query
// of these, at, key) gets every pair. L2 by DIFFERENCES: keys are the distances themselves, of rows as they are.
template <typename T, int METRIC, bool LIST, int NQ, bool DIFFERENCES, typename Emit>
inline void direct_rows(
    threadgroup const float4* queries, device const vec<T, 4>* x, device const float* terms, device const float4* center,
    device const uint* list, uint width4, thread const Emit& emit, uint from, uint end, uint thread_index,
    uint threads = 256) {
  constexpr ushort ROWS = 4;
  ushort part = thread_index % 8;
  ushort line = thread_index % 32 / 8;
  for (uint start = from + thread_index / 32 * (4 * ROWS); start < end; start += threads / 32 * (4 * ROWS)) {
    device const vec<T, 4>* rows[ROWS];
    for (ushort r = 0; r < ROWS; r++) {
      uint at = min(start + r * 4 + line, end - 1);
      rows[r] = x + ulong(LIST ? list[at] : at) * width4;
    }
    float sums[NQ * ROWS];
    for (ushort i = 0; i < NQ * ROWS; i++) sums[i] = 0.0f;
#pragma unroll(NQ > 2 ? 1 : 4)
    for (uint i = part; i < width4; i += 8) {
      float4 values[ROWS];
      for (ushort r = 0; r < ROWS; r++) values[r] = float4(rows[r][i]);
      if (!DIFFERENCES) {
        float4 middle = center[i];
        for (ushort r = 0; r < ROWS; r++) values[r] -= middle;
      }
#pragma unroll
      for (ushort q = 0; q < NQ; q++) {
        float4 query = queries[q * width4 + i];
        for (ushort r = 0; r < ROWS; r++) {
          sums[q * ROWS + r] = accumulate<DIFFERENCES>(sums[q * ROWS + r], query, values[r]);
        }
      }
    }
    ushort first;
    bool repeated;
    ushort count = lanes_scatter_sum<NQ * ROWS>(sums, part, first, repeated);
    if (repeated) continue;
    for (ushort i = 0; i < count; i++) {
      uint at = start + (first + i) % ROWS * 4 + line;
      if (at >= end) continue;
      uint row = LIST ? list[at] : at;
      float term = DIFFERENCES ? 0.0f : terms[row];
      emit((first + i) / ROWS, at, row, sums[i], term);
    }
  }
}

template <int METRIC, bool DIFFERENCES>
struct EmitWithin {
  threadgroup const QueryTerms* query_terms;
  device atomic_uint* counts;
  device uint2* found;
  uint capacity;
  uint first_query;

  void operator()(ushort query, uint, uint row, float sum, float term) const {
    float key = DIFFERENCES ? known_key(sum) : flat_key<METRIC>(sum, term, query_terms[query].scale);
    if (key <= query_terms[query].bound) append(counts, found, capacity, first_query + query, key, row);
  }
};

template <int METRIC, bool DIFFERENCES>
struct EmitAll {
  device float* keys;
  uint rows;
  uint first_query;
  uint nq;

  void operator()(ushort query, uint at, uint, float sum, float term) const {
    if (first_query + query >= nq) return;
    keys[ulong(first_query + query) * rows + at] = DIFFERENCES ? known_key(sum) : flat_key<METRIC>(sum, term, 0.0f);
  }
};

// NQ queries in threadgroup memory; those past the end repeat the last.
template <int NQ>
inline void stage_queries(
    device const float4* queries, threadgroup float4* staged, uint first_query, uint nq, uint width4, uint thread_index,
    uint threads = 256) {
  for (uint i = thread_index; i < NQ * width4; i += threads) {
    uint query = min(first_query + i / width4, nq - 1);
    staged[i] = queries[ulong(query) * width4 + i % width4];
  }
}

// As flat_scan, for few queries: rows are read where they lie. 256 threads a group; groups: query groups × strips.
// Threadgroup memory 0: NQ × width4 float4. queries: as they are where DIFFERENCES, else less the center.
template <typename T, int METRIC, bool LIST, int NQ, bool DIFFERENCES>
[[kernel, max_total_threads_per_threadgroup(256)]] void flat_direct_scan(
    device const float4* queries [[buffer(0)]],
    device const QueryTerms* query_terms [[buffer(1)]],
    device const vec<T, 4>* x [[buffer(2)]],
    device const float* terms [[buffer(3)]],
    device const float4* center [[buffer(4)]],
    device const uint* list [[buffer(5)]],
    device atomic_uint* counts [[buffer(6)]],
    device uint2* found [[buffer(7)]],
    constant FlatScan& params [[buffer(8)]],
    threadgroup float4* staged [[threadgroup(0)]],
    uint2 group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  threadgroup QueryTerms known[NQ];
  uint first_query = group.x * NQ;
  stage_queries<NQ>(queries, staged, first_query, params.nq, params.width4, thread_index);
  if (thread_index < NQ) {
    known[thread_index] = query_terms[min(first_query + thread_index, params.nq - 1)];
    if (first_query + thread_index >= params.nq) known[thread_index].bound = -INFINITY;
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  EmitWithin<METRIC, DIFFERENCES> emit = {known, counts, found, params.capacity, first_query};
  uint from = group.y * params.strip;
  uint end = min(params.rows, from + params.strip);
  direct_rows<T, METRIC, LIST, NQ, DIFFERENCES>(staged, x, terms, center, list, params.width4, emit, from, end, thread_index);
}

// As flat_keys, for few queries, and with a scale of 0.
template <typename T, int METRIC, bool LIST, int NQ, bool DIFFERENCES>
[[kernel, max_total_threads_per_threadgroup(256)]] void flat_direct_keys(
    device const float4* queries [[buffer(0)]],
    device const vec<T, 4>* x [[buffer(1)]],
    device const float* terms [[buffer(2)]],
    device const float4* center [[buffer(3)]],
    device const uint* list [[buffer(4)]],
    device float* keys [[buffer(5)]],
    constant FlatScan& params [[buffer(6)]],
    threadgroup float4* staged [[threadgroup(0)]],
    uint2 group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  uint first_query = group.x * NQ;
  stage_queries<NQ>(queries, staged, first_query, params.nq, params.width4, thread_index);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  EmitAll<METRIC, DIFFERENCES> emit = {keys, params.rows, first_query, params.nq};
  uint from = group.y * params.strip;
  uint end = min(params.rows, from + params.strip);
  direct_rows<T, METRIC, LIST, NQ, DIFFERENCES>(staged, x, terms, center, list, params.width4, emit, from, end, thread_index);
}
