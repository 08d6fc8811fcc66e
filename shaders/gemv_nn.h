// Columns of W by x: LANES lanes beside each other load 16 bytes each of a row of W, the others of other rows.
#pragma once
#include "gemv.h"

// bn = LANES · 16 / sizeof(T) columns a group of TG threads; ceil(n / bn) × batch groups. LANES is at most 32.
template <typename T, typename X, uint LANES, uint LOADS, uint TG>
[[kernel, max_total_threads_per_threadgroup(TG)]] void gemv_nn(
    device const T* w [[buffer(0)]],
    device const X* x [[buffer(1)]],
    device const X* bias [[buffer(2)]],
    device const X* c [[buffer(3)]],
    device X* y [[buffer(4)]],
    constant GemvParams& params [[buffer(5)]],
    uint2 group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  constexpr uint N = in_sixteen<T>();
  constexpr uint BN = LANES * N;
  constexpr uint STEP = TG / LANES;
  constexpr uint SIMDGROUPS = TG / 32;
  // A line is one longer than the columns: a simdgroup reads down a column.
  threadgroup float parts[SIMDGROUPS * (BN + 1)];
  uint lane = thread_index % 32;
  uint simdgroup = thread_index / 32;
  uint first = group.x * BN;
  uint column = first + thread_index % LANES * N;
  w += ulong(group.y) * params.k * params.line;
  x += ulong(group.y) * params.k;
  // Simdgroups add up a column each where there are enough of them, else threads do.
  constexpr bool WIDE = SIMDGROUPS >= BN;
  uint stored = WIDE ? simdgroup : thread_index;
  bool stores = WIDE ? lane == 0 && stored < BN : stored < BN;
  GemvEnd<X> end(bias, c, params, group.y, first + stored, stores);

  float sums[N];
#pragma unroll
  for (uint j = 0; j < N; j++) sums[j] = 0.0f;
  uint own = thread_index / LANES;
  if ((params.flags & GEMV_ALIGNED) && column + N <= params.n) {
    device const T* from = w + column;
    for (uint at = own; at < params.k; at += STEP * LOADS) {
      Numbers<T, N> weights[LOADS];
      X numbers[LOADS];
#pragma unroll
      for (uint i = 0; i < LOADS; i++) {
        uint row = at + i * STEP;
        bool there = row < params.k;
        weights[i].load(from + ulong(row) * params.line, there);
        numbers[i] = there ? x[row] : X(0.0f);
      }
#pragma unroll
      for (uint i = 0; i < LOADS; i++) {
#pragma unroll
        for (uint j = 0; j < N; j++) sums[j] = fma(weights[i][j], float(numbers[i]), sums[j]);
      }
    }
  } else {
    uint columns = column < params.n ? min(params.n - column, N) : 0;
    for (uint row = own; row < params.k; row += STEP) {
      device const T* from = w + ulong(row) * params.line + column;
      float number = float(x[row]);
#pragma unroll
      for (uint j = 0; j < N; j++) {
        if (j < columns) sums[j] = fma(float(from[j]), number, sums[j]);
      }
    }
  }

#pragma unroll
  for (uint j = 0; j < N; j++) {
#pragma unroll
    for (ushort step = LANES; step < 32; step *= 2) sums[j] += simd_shuffle_xor(sums[j], step);
    if (lane < LANES) parts[simdgroup * (BN + 1) + lane * N + j] = sums[j];
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  float sum = 0.0f;
  if (WIDE) {
    if (simdgroup >= BN) return;
    sum = simd_sum(lane < SIMDGROUPS ? parts[lane * (BN + 1) + stored] : 0.0f);
  } else if (stored < BN) {
    for (uint s = 0; s < SIMDGROUPS; s++) sum += parts[s * (BN + 1) + stored];
  }
  if (stores && first + stored < params.n) y[ulong(group.y) * params.n + first + stored] = end.of(sum);
}
