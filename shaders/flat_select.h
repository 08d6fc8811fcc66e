// From keys to results: the exact end of a search.
#pragma once
#include "flat.h"
#include "sums.h"

// CROWDED: no bound helps. The bits from 8 on count the rows computed exactly.
enum FlatStatus { FOUND, LOST, UNPROVEN, CROWDED };

struct FlatSelect {
  uint k;
  uint width4;
  uint capacity;  // candidates a query, or keys a query where they are dense
  uint dense;     // nonzero: keys of all rows (of the list), in order, in place of candidates
  uint listed;    // nonzero: dense keys belong to rows of the list
  float relative; // error of a key in proportion to it
  float absolute; // error of a key from numbers too small
};

// A key's interval around the exact key.
struct FlatInterval {
  device const float* terms;
  QueryTerms query;
  float relative;
  float absolute;

  float lower(float key) const { return key - fma(relative, abs(key), query.apart + absolute); }
  float upper(float key, uint row) const {
    float end = key + fma(query.margin, terms[row], fma(relative, abs(key), query.apart + absolute));
    return key == UNKNOWN_KEY || isnan(end) ? INFINITY : end;
  }
};

// A query's candidates, however they are kept.
struct FlatCandidates {
  device const uint2* found;
  device const float* keys;
  device const uint* list;
  bool dense;
  bool listed;

  float key(uint i) const { return dense ? keys[i] : as_type<float>(found[i].x); }
  uint row(uint i) const { return !dense ? found[i].y : listed ? list[i] : i; }
};

struct OrderedUppers {
  FlatCandidates from;
  FlatInterval interval;
  uint operator()(uint i) const { return ordered(interval.upper(from.key(i), from.row(i))); }
};

struct StagedUppers {
  threadgroup const uint* uppers;
  uint operator()(uint i) const { return uppers[i]; }
};

// What brings a row's numbers near 1, so that their squares stay in range. Eight lanes a row.
template <typename T>
inline UnitScale scale_of(device const vec<T, 4>* row, uint width4, ushort part) {
  float largest = 0.0f;
  for (uint i = part; i < width4; i += 8) {
    float4 four = abs(float4(row[i]));
    largest = max(largest, max(max(four.x, four.y), max(four.z, four.w)));
  }
  for (ushort step = 4; step > 0; step /= 2) largest = max(largest, simd_shuffle_xor(largest, step));
  return unit_scale(largest);
}

// A dot product whose terms or partial sums are out of range: infinite only where it is so itself. Eight lanes a pair.
template <typename T>
inline float far_product(device const float4* query, device const vec<T, 4>* row, uint width4, ushort part) {
  UnitScale query_scale = scale_of<float>(query, width4, part);
  UnitScale row_scale = scale_of<T>(row, width4, part);
  two_float sum = {0.0f, 0.0f};
  for (uint i = part; i < width4; i += 8) {
    float4 a = query[i] * query_scale.down;
    float4 b = float4(row[i]) * row_scale.down;
    for (ushort j = 0; j < 4; j++) accumulate_product(sum, a[j], b[j]);
  }
  return unscaled(lanes_sum<8>(sum), query_scale, row_scale);
}

// Ascends with the exact distance, rounded once; INFINITY where there is none. Eight lanes a pair, all of a simdgroup.
template <typename T, int METRIC>
inline float exact_key(device const float4* query, device const vec<T, 4>* row, uint width4, ushort part) {
  two_float sum = {0.0f, 0.0f};
  two_float query_square = {0.0f, 0.0f};
  two_float row_square = {0.0f, 0.0f};
  float query_scale = METRIC == COSINE ? scale_of<float>(query, width4, part).down : 1.0f;
  float row_scale = METRIC == COSINE ? scale_of<T>(row, width4, part).down : 1.0f;
#pragma unroll 4
  for (uint i = part; i < width4; i += 8) {
    float4 four_a = query[i];
    float4 four_b = float4(row[i]);
    if (METRIC == COSINE) {
      four_a *= query_scale;
      four_b *= row_scale;
    }
#pragma unroll
    for (ushort j = 0; j < 4; j++) {
      float a = four_a[j];
      float b = four_b[j];
      if (METRIC == L2) {
        accumulate_square(sum, a, b);
      } else {
        accumulate_product(sum, a, b);
      }
      if (METRIC == COSINE) {
        accumulate_product(query_square, a, a);
        accumulate_product(row_square, b, b);
      }
    }
  }
  sum = lanes_sum<8>(sum);
  if (METRIC == COSINE) {
    two_float norms = multiply(square_root(lanes_sum<8>(query_square)), square_root(lanes_sum<8>(row_square)));
    sum = norms.hi > 0.0f ? divide(sum, norms) : two_float{0.0f, 0.0f};
  }
  float value = METRIC == L2 ? sum.hi + sum.lo : -(sum.hi + sum.lo);
  if (METRIC == INNER_PRODUCT && simd_any(!isfinite(value))) {
    float far = -far_product(query, row, width4, part);
    if (!isfinite(value)) value = far;
  }
  return isnan(value) ? INFINITY : value;
}

struct ResultBefore {
  threadgroup const float* keys;
  threadgroup const uint* rows;
  device const long* ids;
  bool numbered;

  bool operator()(uint i, uint j) const {
    if (keys[i] != keys[j]) return keys[i] < keys[j];
    return numbered ? ids[rows[i]] < ids[rows[j]] : rows[i] < rows[j];
  }
};

struct ResultExchange {
  threadgroup float* keys;
  threadgroup uint* rows;

  void operator()(uint i, uint j) const {
    float key = keys[i];
    keys[i] = keys[j];
    keys[j] = key;
    uint row = rows[i];
    rows[i] = rows[j];
    rows[j] = row;
  }
};

// The nearest k of each query among its candidates: those whose interval reaches below the k-th smallest upper
// end are computed again exactly. statuses tells whether that proves the answer; if not, bounds may be used in
// another try. numbered: ids[row] is the label, else the row. Up to 1,024 threads a group, a group a query.
template <typename T, int METRIC>
[[kernel]] void flat_select(
    device const float4* queries [[buffer(0)]],
    device QueryTerms* query_terms [[buffer(1)]],
    device const vec<T, 4>* x [[buffer(2)]],
    device const float* terms [[buffer(3)]],
    device const uint* list [[buffer(4)]],
    device const uint* counts [[buffer(5)]],
    device const uint2* found [[buffer(6)]],
    device const float* keys [[buffer(7)]],
    device const long* ids [[buffer(8)]],
    device float* distances [[buffer(9)]],
    device long* labels [[buffer(10)]],
    device uint* statuses [[buffer(11)]],
    constant FlatSelect& params [[buffer(12)]],
    constant uint& numbered [[buffer(13)]],
    uint query [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]],
    uint threads [[threads_per_threadgroup]]) {
  constexpr uint MOST = 3072;
  threadgroup RadixSelect memory;
  threadgroup atomic_uint chosen;
  threadgroup uint uppers[MOST];  // later the exact keys
  threadgroup uint rows[MOST];
  threadgroup float* exact = (threadgroup float*)uppers;
  ulong base = ulong(query) * params.capacity;
  FlatCandidates from = {found + base, keys + base, list, params.dense != 0, params.listed != 0};
  QueryTerms known = query_terms[query];
  FlatInterval interval = {terms, known, params.relative, params.absolute};
  uint arrived = params.dense ? params.capacity : counts[query];
  uint n = min(arrived, params.capacity);
  uint k = min(params.k, n);

  float most = INFINITY;
  if (k > 0 && k == params.k) {
    OrderedUppers ordered_uppers = {from, interval};
    uint order;
    if (n <= MOST) {
      for (uint i = thread_index; i < n; i += threads) uppers[i] = ordered_uppers(i);
      threadgroup_barrier(mem_flags::mem_threadgroup);
      StagedUppers staged = {uppers};
      order = radix_select(memory, staged, n, k, thread_index, threads);
    } else {
      order = radix_select(memory, ordered_uppers, n, k, thread_index, threads);
    }
    most = unordered(order);
  }
  if (thread_index == 0) atomic_store_explicit(&chosen, 0, memory_order_relaxed);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  for (uint i = thread_index; i < n; i += threads) {
    // Of what overflowed, nothing is known.
    if (interval.lower(from.key(i)) > most) continue;
    uint at = atomic_fetch_add_explicit(&chosen, 1, memory_order_relaxed);
    if (at < MOST) rows[at] = from.row(i);
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  uint wanted = atomic_load_explicit(&chosen, memory_order_relaxed);
  uint count = min(wanted, MOST);

  device const float4* here = queries + ulong(query) * params.width4;
  for (uint start = 0; start < count; start += threads / 8) {
    uint at = start + thread_index / 8;
    uint row = rows[min(at, count - 1)];
    float key = exact_key<T, METRIC>(here, x + ulong(row) * params.width4, params.width4, thread_index % 8);
    if (at < count && thread_index % 8 == 0) exact[at] = key;
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  ResultBefore before = {exact, rows, ids, numbered != 0};
  ResultExchange exchange = {exact, rows};
  bitonic_sort(count, before, exchange, thread_index, threads);

  for (uint i = thread_index; i < params.k; i += threads) {
    ulong to = ulong(query) * params.k + i;
    bool there = i < count && exact[i] < INFINITY;
    float value = there ? exact[i] : FLT_MAX;
    distances[to] = METRIC == L2 ? value : -value;
    labels[to] = !there ? -1 : numbered ? ids[rows[i]] : long(rows[i]);
  }
  if (thread_index == 0) {
    bool open = known.bound < INFINITY;  // rows above the bound were not looked at
    bool enough = k > 0 && k == params.k;
    float needed = most + known.apart + params.absolute + params.relative * abs(most);
    uint status = FOUND;
    if (arrived > params.capacity) {
      status = LOST;
    } else if (wanted > MOST) {
      status = CROWDED;
    } else if (open && !(enough && needed <= known.bound)) {
      status = UNPROVEN;
    }
    if (status == LOST || status == UNPROVEN) {
      if (enough && needed < INFINITY) query_terms[query].bound = needed;
      else status = CROWDED;
    }
    statuses[query] = status | count << 8;
  }
}
