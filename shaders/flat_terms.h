// What flat.h needs to know of rows and queries beforehand.
#pragma once
#include "flat.h"
#include "sums.h"

struct FlatTerms {
  uint n;
  uint d;
  uint width4;
  float rounding;  // bound on the relative error of a dot product in float
};

// Squared length of a row less a center, by one simdgroup.
template <typename T>
inline float squared_length(device const T* row, device const float* center, uint d, ushort lane) {
  two_float sum = {0.0f, 0.0f};
  for (uint i = lane; i < d; i += 32) {
    float value = float(row[i]) - center[i];
    accumulate_product(sum, value, value);
  }
  sum = lanes_sum<32>(sum);
  return sum.hi + sum.lo;
}

// Length of a row, also where its square is out of range, by one simdgroup.
template <typename T>
inline float row_length(device const T* row, uint d, ushort lane) {
  float largest = 0.0f;
  for (uint i = lane; i < d; i += 32) largest = max(largest, abs(float(row[i])));
  UnitScale scale = unit_scale(simd_max(largest));
  two_float sum = {0.0f, 0.0f};
  for (uint i = lane; i < d; i += 32) {
    float value = float(row[i]) * scale.down;
    accumulate_product(sum, value, value);
  }
  sum = lanes_sum<32>(sum);
  return sqrt(sum.hi + sum.lo) * scale.up;
}

// terms[row] as flat_key wants them. 256 threads a group, eight rows a group.
template <typename T, int METRIC>
[[kernel, max_total_threads_per_threadgroup(256)]] void flat_row_terms(
    device const T* x [[buffer(0)]],
    device const float* center [[buffer(1)]],
    device float* terms [[buffer(2)]],
    constant FlatTerms& params [[buffer(3)]],
    uint group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  uint row = group * 8 + thread_index / 32;
  if (row >= params.n) return;
  device const T* from = x + ulong(row) * params.width4 * 4;
  ushort lane = thread_index % 32;
  float term;
  if (METRIC == L2) {
    term = squared_length(from, center, params.d, lane) * (1.0f - params.rounding);
  } else {
    float length = row_length(from, params.d, lane);
    // Past these lengths, dot products may overflow, or lose what underflows; the key is then unknown.
    bool in_range = length > 0x1p-60f && length < 0x1p60f;
    term = METRIC == INNER_PRODUCT ? length : length == 0.0f ? 0.0f : in_range ? 1.0f / length : NAN;
  }
  if (lane == 0) terms[row] = term;
}

// Queries less the center, and their terms; every row is within the bound. 256 threads a group, eight queries a group.
template <int METRIC>
[[kernel, max_total_threads_per_threadgroup(256)]] void flat_query_terms(
    device const float* queries [[buffer(0)]],
    device const float* center [[buffer(1)]],
    device float* centered [[buffer(2)]],
    device QueryTerms* query_terms [[buffer(3)]],
    constant FlatTerms& params [[buffer(4)]],
    uint group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  uint query = group * 8 + thread_index / 32;
  ushort lane = thread_index % 32;
  if (query >= params.n) return;
  ulong base = ulong(query) * params.width4 * 4;
  for (uint i = lane; i < params.width4 * 4; i += 32) {
    centered[base + i] = i < params.d ? queries[base + i] - center[i] : 0.0f;
  }
  float square = METRIC == L2 ? squared_length(queries + base, center, params.d, lane) : 0.0f;
  float length = METRIC == L2 ? 0.0f : row_length(queries + base, params.d, lane) * (1.0f + params.rounding);
  if (lane != 0) return;
  QueryTerms terms = {1.0f, 0.0f, 0.0f, INFINITY};
  if (METRIC == L2) {
    terms.apart = params.rounding > 0.0f ? params.rounding * square * (1.0f + params.rounding) : 0.0f;
    terms.margin = 2.25f * params.rounding;
  } else if (METRIC == INNER_PRODUCT) {
    terms.scale = -params.rounding * length;
    terms.margin = 2.0f * params.rounding * length;
  } else {
    terms.apart = params.rounding * length;
  }
  query_terms[query] = terms;
}
