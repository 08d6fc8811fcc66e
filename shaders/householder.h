// QR by Householder reflections, a column at a time: what Gram–Schmidt is compared with.
#pragma once
#include "qr.h"

// v (m numbers: 0 before row `column`, then 1) and taus[column] with (I − tau vvᵀ) work[:, column] zero below
// row `column`. One group of whole simdgroups.
[[kernel, max_total_threads_per_threadgroup(1024)]] void qr_house_vector(
    device const float* work [[buffer(0)]],
    device float* vectors [[buffer(1)]],
    device float* taus [[buffer(2)]],
    constant QrParams& params [[buffer(3)]],
    uint thread_index [[thread_index_in_threadgroup]],
    uint threads [[threads_per_threadgroup]]) {
  threadgroup float parts[32];
  device float* v = vectors + ulong(params.column) * params.m;
  float most = 0.0f;
  for (uint i = params.column + thread_index; i < params.m; i += threads) {
    most = max(most, fabs(work[ulong(i) * params.line + params.column]));
  }
  most = threadgroup_largest(most, parts, thread_index, threads);
  UnitScale scale = unit_scale(most);
  float square = 0.0f;
  for (uint i = params.column + thread_index; i < params.m; i += threads) {
    float value = work[ulong(i) * params.line + params.column] * scale.down;
    square = fma(value, value, square);
  }
  float length = sqrt(threadgroup_total(square, parts, thread_index, threads));
  float head = work[ulong(params.column) * params.line + params.column] * scale.down;
  // Away from the head's sign: nothing cancels.
  float pivot = head + (head < 0.0f ? -length : length);
  for (uint i = thread_index; i < params.m; i += threads) {
    float value = 0.0f;
    if (i == params.column) value = 1.0f;
    if (i > params.column && pivot != 0.0f) value = work[ulong(i) * params.line + params.column] * scale.down / pivot;
    v[i] = value;
  }
  if (thread_index == 0) taus[params.column] = pivot == 0.0f ? 0.0f : fabs(pivot) / length;
}

// work[:, j] −= tau v (vᵀ work[:, j]) for j from `column` on: 32 columns and 1,024 threads a group.
[[kernel, max_total_threads_per_threadgroup(1024)]] void qr_house_apply(
    device float* work [[buffer(0)]],
    device const float* vectors [[buffer(1)]],
    device const float* taus [[buffer(2)]],
    constant QrParams& params [[buffer(3)]],
    uint group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]],
    uint threads [[threads_per_threadgroup]]) {
  threadgroup float parts[1024];
  device const float* v = vectors + ulong(params.column) * params.m;
  uint lane = thread_index % 32;
  uint column = params.column + group * 32 + lane;
  bool inside = column < params.n;
  uint start = params.column + thread_index / 32;
  float sum = 0.0f;
  for (uint i = start; i < params.m && inside; i += threads / 32) {
    sum = fma(v[i], work[ulong(i) * params.line + column], sum);
  }
  parts[thread_index] = sum;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  sum = 0.0f;
  for (uint i = lane; i < threads; i += 32) sum += parts[i];
  sum *= taus[params.column];
  for (uint i = start; i < params.m && inside; i += threads / 32) {
    work[ulong(i) * params.line + column] -= sum * v[i];
  }
}

// q = the first n columns of an identity. m · n threads, 256 a group.
[[kernel]] void qr_identity(
    device float* q [[buffer(0)]],
    constant QrParams& params [[buffer(1)]],
    uint at [[thread_position_in_grid]]) {
  if (at / params.n < params.m) q[at] = at / params.n == at % params.n ? 1.0f : 0.0f;
}

// R out of `work`, with rows, and columns of q, negated where its diagonal is negative. m · n threads, 256 a group.
[[kernel]] void qr_house_store(
    device const float* work [[buffer(0)]],
    device const uint* largest [[buffer(1)]],
    device float* q [[buffer(2)]],
    device float* r [[buffer(3)]],
    constant QrParams& params [[buffer(4)]],
    uint at [[thread_position_in_grid]]) {
  uint row = at / params.n;
  uint column = at % params.n;
  if (row >= params.m) return;
  if (work[column * params.line + column] < 0.0f) q[at] = -q[at];
  if (row >= params.n) return;
  float value = work[row * params.line + column] * column_scale(largest, column).up;
  bool negative = work[row * params.line + row] < 0.0f;
  r[at] = row > column ? 0.0f : negative ? -value : value;
}
