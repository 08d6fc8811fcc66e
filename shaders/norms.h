// Lengths of rows, rows of length 1, the mean row, and checks of what rows hold.
#pragma once
#include <metal_stdlib>
#include "sums.h"
using namespace metal;

struct RowsParams {
  uint n;
  uint d;
  uint allow_nan;  // of find_not_finite: NaN is no fault
};

// Rows that a group of max_deviation and find_not_finite looks at, 32 a simdgroup.
constant constexpr uint CHECKED_ROWS = 256;
// Rows in each partial sum of column_sums.
constant constexpr uint SUMMED_ROWS = 1024;

template <typename T>
inline float largest_of(device const T* row, uint d, ushort lane) {
  float largest = 0.0f;
  for (uint i = lane; i < d; i += 32) largest = max(largest, fabs(float(row[i])));
  return simd_max(largest);
}

template <typename T>
inline two_float squares_of(device const T* row, uint d, float scale, ushort lane) {
  two_float sum = {0.0f, 0.0f};
  for (uint i = lane; i < d; i += 32) {
    float value = float(row[i]) * scale;
    accumulate_product(sum, value, value);
  }
  return simd_total(sum);
}

// out[i] = ‖x_i‖². 256 threads a group, 8 rows a group.
template <typename T>
[[kernel, max_total_threads_per_threadgroup(256)]] void row_squared_norms(
    device const T* x [[buffer(0)]],
    device float* out [[buffer(1)]],
    constant RowsParams& params [[buffer(2)]],
    uint group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  uint row = group * 8 + thread_index / 32;
  ushort lane = thread_index % 32;
  if (row >= params.n) return;
  two_float square = squares_of(x + ulong(row) * params.d, params.d, 1.0f, lane);
  if (lane == 0) out[row] = rounded(square);
}

// out[i] = ‖x_i‖, also where its square is out of range. 256 threads a group, 8 rows a group.
template <typename T>
[[kernel, max_total_threads_per_threadgroup(256)]] void row_norms(
    device const T* x [[buffer(0)]],
    device float* out [[buffer(1)]],
    constant RowsParams& params [[buffer(2)]],
    uint group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  uint row = group * 8 + thread_index / 32;
  ushort lane = thread_index % 32;
  if (row >= params.n) return;
  device const T* from = x + ulong(row) * params.d;
  UnitScale scale = unit_scale(largest_of(from, params.d, lane));
  two_float length = square_root(squares_of(from, params.d, scale.down, lane));
  if (lane == 0) out[row] = (length.hi + length.lo) * scale.up;
}

// out_i = x_i / ‖x_i‖; a zero row stays. out may be x. 256 threads a group, 8 rows a group.
template <typename T>
[[kernel, max_total_threads_per_threadgroup(256)]] void normalize_rows(
    device const T* x [[buffer(0)]],
    device T* out [[buffer(1)]],
    constant RowsParams& params [[buffer(2)]],
    uint group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  uint row = group * 8 + thread_index / 32;
  ushort lane = thread_index % 32;
  if (row >= params.n) return;
  ulong at = ulong(row) * params.d;
  float scale = unit_scale(largest_of(x + at, params.d, lane)).down;
  two_float length = square_root(squares_of(x + at, params.d, scale, lane));
  for (uint i = lane; i < params.d; i += 32) {
    T value = x[at + i];
    if (length.hi > 0.0f) {
      two_float unit = divide({float(value) * scale, 0.0f}, length);
      value = T(unit.hi + unit.lo);
    }
    out[at + i] = value;
  }
}

// partial[chunk, j] = Σ x[i, j] over the 1,024 rows of a chunk, in two floats and a fixed order.
// 256 threads a group; ceil(n / 1,024) · ceil(d / 32) groups.
template <typename T>
[[kernel, max_total_threads_per_threadgroup(256)]] void column_sums(
    device const T* x [[buffer(0)]],
    device float2* partial [[buffer(1)]],
    constant RowsParams& params [[buffer(2)]],
    uint group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  threadgroup float2 sums[256];
  uint blocks = (params.d + 31) / 32;
  uint chunk = group / blocks;
  uint column = group % blocks * 32 + thread_index % 32;
  uint first = chunk * SUMMED_ROWS;
  uint rows = min(params.n - first, SUMMED_ROWS);
  two_float sum = {0.0f, 0.0f};
  if (column < params.d) {
    for (uint i = thread_index / 32; i < rows; i += 8) {
      accumulate(sum, float(x[ulong(first + i) * params.d + column]));
    }
  }
  sums[thread_index] = float2(sum.hi, sum.lo);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (thread_index >= 32 || column >= params.d) return;
  for (uint i = 1; i < 8; i++) {
    float2 other = sums[i * 32 + thread_index];
    accumulate(sum, other.x);
    sum.lo += other.y;
  }
  partial[ulong(chunk) * params.d + column] = float2(sum.hi, sum.lo);
}

// mean[j] = what column_sums left, added in order, / n. Zero without rows. A thread a column, 256 a group.
[[kernel]] void column_means(
    device const float2* partial [[buffer(0)]],
    device float* mean [[buffer(1)]],
    constant RowsParams& params [[buffer(2)]],
    uint column [[thread_position_in_grid]]) {
  if (column >= params.d) return;
  two_float sum = {0.0f, 0.0f};
  uint chunks = params.n / SUMMED_ROWS + (params.n % SUMMED_ROWS != 0);
  for (uint chunk = 0; chunk < chunks; chunk++) {
    float2 part = partial[ulong(chunk) * params.d + column];
    accumulate(sum, part.x);
    sum.lo += part.y;
  }
  two_float result = divide(two_sum(sum.hi, sum.lo), {float(max(params.n, 1u)), 0.0f});
  mean[column] = result.hi + result.lo;
}

// largest = max(largest, |x[i, j] − center[j]|) over all numbers, as bits; NaN is passed over. Starts from what is
// there. 256 threads a group, 256 rows a group.
template <typename T>
[[kernel, max_total_threads_per_threadgroup(256)]] void max_deviation(
    device const T* x [[buffer(0)]],
    device const float* center [[buffer(1)]],
    device atomic_uint* largest [[buffer(2)]],
    constant RowsParams& params [[buffer(3)]],
    uint group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  uint end = min(params.n - group * CHECKED_ROWS, CHECKED_ROWS);
  float most = 0.0f;
  for (uint i = thread_index / 32; i < end; i += 8) {
    device const T* row = x + ulong(group * CHECKED_ROWS + i) * params.d;
    for (uint j = thread_index % 32; j < params.d; j += 32) most = max(most, fabs(float(row[j]) - center[j]));
  }
  most = simd_max(most);
  // Floats that are not negative are in the order of their bits.
  if (thread_index % 32 == 0) atomic_fetch_max_explicit(largest, as_type<uint>(most), memory_order_relaxed);
}

// first = min(first, the first row with a NaN or an infinity). Starts from what is there: 2³² − 1 for none.
// 256 threads a group, 256 rows a group.
template <typename T>
[[kernel, max_total_threads_per_threadgroup(256)]] void find_not_finite(
    device const T* x [[buffer(0)]],
    device atomic_uint* first [[buffer(1)]],
    constant RowsParams& params [[buffer(2)]],
    uint group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  uint end = min(params.n - group * CHECKED_ROWS, CHECKED_ROWS);
  uint found = 0xffffffffu;
  for (uint i = thread_index / 32; i < end && found == 0xffffffffu; i += 8) {
    uint at = group * CHECKED_ROWS + i;
    device const T* row = x + ulong(at) * params.d;
    for (uint j = thread_index % 32; j < params.d; j += 32) {
      float value = float(row[j]);
      if (isinf(value) || (isnan(value) && params.allow_nan == 0)) found = at;
    }
  }
  found = simd_min(found);
  if (thread_index % 32 == 0 && found != 0xffffffffu) {
    atomic_fetch_min_explicit(first, found, memory_order_relaxed);
  }
}
