// QR a column at a time: projections c = Qᵀv, updates v ← v − Qc, lengths, scaling. Matrices in rows, in float.
#pragma once
#include <metal_stdlib>
#include "sums.h"
using namespace metal;

struct QrParams {
  uint m;
  uint n;          // columns that are meant
  uint line;       // elements from row to row
  uint column;     // the one at work
  uint next;       // the one after it, or ~0
  float tolerance; // of its length: a column that is left shorter is dependent
};

// Powers of two that bring a column near 1: no square overflows or vanishes.
inline UnitScale column_scale(device const uint* largest, uint column) {
  return unit_scale(as_type<float>(largest[column]));
}

// largest[j] = max |a[i, j]| as bits, from 0; first = the first row with NaN or infinity, from ~0.
// 256 threads a group; ceil(m / 256) · ceil(n / 32) groups.
template <typename T>
[[kernel, max_total_threads_per_threadgroup(256)]] void qr_inspect(
    device const T* a [[buffer(0)]],
    device atomic_uint* largest [[buffer(1)]],
    device atomic_uint* first [[buffer(2)]],
    constant QrParams& params [[buffer(3)]],
    uint group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  uint across = (params.n + 31) / 32;
  uint column = group % across * 32 + thread_index % 32;
  if (column >= params.n) return;
  uint start = group / across * 256;
  uint end = min(params.m - start, 256u);
  float most = 0.0f;
  uint found = 0xffffffffu;
  for (uint i = thread_index / 32; i < end; i += 8) {
    float value = fabs(float(a[ulong(start + i) * params.line + column]));
    if (!isfinite(value)) found = min(found, start + i);
    most = max(most, value);
  }
  atomic_fetch_max_explicit(largest + column, as_type<uint>(most), memory_order_relaxed);
  if (found != 0xffffffffu) atomic_fetch_min_explicit(first, found, memory_order_relaxed);
}

// work = a with each column scaled; work has lines of n. m · n threads, 256 a group.
template <typename T>
[[kernel]] void qr_load(
    device const T* a [[buffer(0)]],
    device const uint* largest [[buffer(1)]],
    device float* work [[buffer(2)]],
    constant QrParams& params [[buffer(3)]],
    uint at [[thread_position_in_grid]]) {
  uint row = at / params.n;
  uint column = at % params.n;
  if (row >= params.m) return;
  work[at] = float(a[ulong(row) * params.line + column]) * column_scale(largest, column).down;
}

// work = a · scale, as floats with lines of n. m · n threads, 256 a group.
template <typename T>
[[kernel]] void qr_scale(
    device const T* a [[buffer(0)]],
    device float* work [[buffer(1)]],
    constant float& scale [[buffer(2)]],
    constant QrParams& params [[buffer(3)]],
    uint at [[thread_position_in_grid]]) {
  if (at / params.n >= params.m) return;
  work[at] = float(a[ulong(at / params.n) * params.line + at % params.n]) * scale;
}

// lengths[j] of the columns of `work`. 1,024 threads a group, 32 columns a group.
[[kernel, max_total_threads_per_threadgroup(1024)]] void qr_lengths(
    device const float* work [[buffer(0)]],
    device float* lengths [[buffer(1)]],
    constant QrParams& params [[buffer(2)]],
    uint group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]],
    uint threads [[threads_per_threadgroup]]) {
  threadgroup float parts[1024];
  uint lane = thread_index % 32;
  uint column = group * 32 + lane;
  float sum = 0.0f;
  if (column < params.n) {
    for (uint i = thread_index / 32; i < params.m; i += threads / 32) {
      float value = work[ulong(i) * params.line + column];
      sum = fma(value, value, sum);
    }
  }
  parts[thread_index] = sum;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (thread_index >= 32 || column >= params.n) return;
  for (uint i = 1; i < threads / 32; i++) sum += parts[i * 32 + lane];
  lengths[column] = sqrt(sum);
}

// c = Qᵀv, a thread a column. n threads, 256 a group.
template <typename T>
[[kernel]] void qr_dot_simple(
    device const T* q [[buffer(0)]],
    device const float* v [[buffer(1)]],
    device float* c [[buffer(2)]],
    constant QrParams& params [[buffer(3)]],
    uint column [[thread_position_in_grid]]) {
  if (column >= params.n) return;
  float sum = 0.0f;
#pragma unroll(32)
  for (uint i = 0; i < params.m; i++) sum = fma(float(q[ulong(i) * params.line + column]), v[i], sum);
  c[column] = sum;
}

// c = Qᵀv, a simdgroup a column. 256 threads a group, 8 columns a group.
template <typename T>
[[kernel, max_total_threads_per_threadgroup(256)]] void qr_dot_simd(
    device const T* q [[buffer(0)]],
    device const float* v [[buffer(1)]],
    device float* c [[buffer(2)]],
    constant QrParams& params [[buffer(3)]],
    uint group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  uint column = group * 8 + thread_index / 32;
  if (column >= params.n) return;
  float sum = 0.0f;
  for (uint i = thread_index % 32; i < params.m; i += 32 * 16) {
    // Rows lie far apart: sixteen loads are under way at once.
    float products[16];
#pragma unroll
    for (uint j = 0; j < 16; j++) {
      uint row = i + j * 32;
      products[j] = row < params.m ? float(q[ulong(row) * params.line + column]) * v[row] : 0.0f;
    }
#pragma unroll
    for (uint j = 0; j < 16; j++) sum += products[j];
  }
  sum = simd_sum(sum);
  if (thread_index % 32 == 0) c[column] = sum;
}

// v ← v − Qc, a simdgroup a row. 256 threads a group, 8 rows a group.
template <typename T>
[[kernel, max_total_threads_per_threadgroup(256)]] void qr_update(
    device const T* q [[buffer(0)]],
    device const float* c [[buffer(1)]],
    device float* v [[buffer(2)]],
    constant QrParams& params [[buffer(3)]],
    uint group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  uint row = group * 8 + thread_index / 32;
  if (row >= params.m) return;
  device const T* from = q + ulong(row) * params.line;
  float sum = 0.0f;
  for (uint j = thread_index % 32; j < params.n; j += 32) sum = fma(float(from[j]), c[j], sum);
  sum = simd_sum(sum);
  if (thread_index % 32 == 0) v[row] -= sum;
}

// The total of a value of every thread; `parts` has room for 32. All threads have to call it.
inline float threadgroup_total(float value, threadgroup float* parts, uint thread_index, uint threads) {
  value = simd_sum(value);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (thread_index % 32 == 0) parts[thread_index / 32] = value;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  float total = 0.0f;
  for (uint i = 0; i < threads / 32; i++) total += parts[i];
  return total;
}

inline float threadgroup_largest(float value, threadgroup float* parts, uint thread_index, uint threads) {
  value = simd_max(value);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (thread_index % 32 == 0) parts[thread_index / 32] = value;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  float most = 0.0f;
  for (uint i = 0; i < threads / 32; i++) most = max(most, parts[i]);
  return most;
}

// Ends a column: q[column] = v / ‖v‖ and diagonal[column] = ‖v‖, or zeros where v is shorter than `tolerance` of what
// the column was. Then v = q[next]. One group of whole simdgroups.
[[kernel, max_total_threads_per_threadgroup(1024)]] void qr_mgs_step(
    device float* q [[buffer(0)]],
    device float* v [[buffer(1)]],
    device float* diagonal [[buffer(2)]],
    device const float* lengths [[buffer(3)]],
    constant QrParams& params [[buffer(4)]],
    uint thread_index [[thread_index_in_threadgroup]],
    uint threads [[threads_per_threadgroup]]) {
  threadgroup float parts[32];
  if (params.column != 0xffffffffu) {
    float most = 0.0f;
    for (uint i = thread_index; i < params.m; i += threads) most = max(most, fabs(v[i]));
    most = threadgroup_largest(most, parts, thread_index, threads);
    UnitScale scale = unit_scale(most);
    float square = 0.0f;
    for (uint i = thread_index; i < params.m; i += threads) {
      float value = v[i] * scale.down;
      square = fma(value, value, square);
    }
    float length = sqrt(threadgroup_total(square, parts, thread_index, threads));
    bool dependent = !(length * scale.up > params.tolerance * lengths[params.column]);
    for (uint i = thread_index; i < params.m; i += threads) {
      q[ulong(i) * params.line + params.column] = dependent ? 0.0f : v[i] * scale.down / length;
    }
    if (thread_index == 0) diagonal[params.column] = dependent ? 0.0f : length * scale.up;
  }
  if (params.next == 0xffffffffu) return;
  // A thread reads and writes the same numbers of v before and now.
  for (uint i = thread_index; i < params.m; i += threads) v[i] = q[ulong(i) * params.line + params.next];
}

// v = numbers that look random, by row and column: what completes a basis starts from. m threads, 256 a group.
[[kernel]] void qr_random(
    device float* v [[buffer(0)]],
    constant QrParams& params [[buffer(1)]],
    uint row [[thread_position_in_grid]]) {
  if (row >= params.m) return;
  uint bits = row * 2654435761u ^ (params.column + 1) * 2246822519u;
  for (uint round = 0; round < 3; round++) {
    bits = (bits ^ bits >> 16) * 2246822507u;
    bits = (bits ^ bits >> 13) * 3266489909u;
  }
  v[row] = float(int(bits)) * 0x1p-31f;
}

// R of qr_mgs_step's columns: projections of both passes (row j: of column j), the diagonal, zeros. n · n threads.
[[kernel]] void qr_mgs_r(
    device const float* first [[buffer(0)]],
    device const float* second [[buffer(1)]],
    device const float* diagonal [[buffer(2)]],
    device const uint* largest [[buffer(3)]],
    device float* r [[buffer(4)]],
    constant QrParams& params [[buffer(5)]],
    uint at [[thread_position_in_grid]]) {
  uint row = at / params.n;
  uint column = at % params.n;
  if (row >= params.n) return;
  float value = 0.0f;
  if (row < column) value = first[column * params.n + row] + second[column * params.n + row];
  if (row == column) value = diagonal[row];
  r[at] = value * column_scale(largest, column).up;
}
