// A row of W by x: LANES lanes of SPLIT simdgroups a row, 16 bytes a load, several loads in flight.
#pragma once
#include "gemv.h"

// Sum over the LANES lanes that share a row; every one of them gets it.
template <uint LANES>
inline float sum_lanes(float sum) {
  if (LANES == 32) return simd_sum(sum);
#pragma unroll
  for (ushort step = LANES / 2; step > 0; step /= 2) sum += simd_shuffle_xor(sum, step);
  return sum;
}

// What a lane loads at once: LOADS times 16 bytes of each of ROWS rows, STEP apart, and x beside them.
template <typename T, typename X, uint ROWS, uint LOADS, uint STEP>
struct RowLoads {
  static constant constexpr uint N = in_sixteen<T>();
  Numbers<T, N> weights[LOADS][ROWS];
  Numbers<X, N> numbers[LOADS];

  // Zeros past the rows' end.
  void load(device const T* const thread (&rows)[ROWS], device const X* x, uint at, uint chunks) {
#pragma unroll
    for (uint i = 0; i < LOADS; i++) {
      uint own = at + i * STEP;
#pragma unroll
      for (uint r = 0; r < ROWS; r++) weights[i][r].load(rows[r] + own * N, own < chunks);
    }
#pragma unroll
    for (uint i = 0; i < LOADS; i++) numbers[i].load(x + (at + i * STEP) * N, at + i * STEP < chunks);
  }

  void add(thread float (&sums)[ROWS]) const {
#pragma unroll
    for (uint i = 0; i < LOADS; i++) {
#pragma unroll
      for (uint j = 0; j < N; j++) {
        float number = numbers[i][j];
#pragma unroll
        for (uint r = 0; r < ROWS; r++) sums[r] = fma(weights[i][r][j], number, sums[r]);
      }
    }
  }
};

// bn = TG / 32 / SPLIT · 32 / LANES · ROWS rows of W a group of TG threads; ceil(n / bn) × batch groups.
// PIPELINED: loads of the next turn are under way while this one is computed with.
template <typename T, typename X, uint LANES, uint ROWS, uint SPLIT, uint LOADS, uint TG, bool PIPELINED>
[[kernel, max_total_threads_per_threadgroup(TG)]] void gemv_nt(
    device const T* w [[buffer(0)]],
    device const X* x [[buffer(1)]],
    device const X* bias [[buffer(2)]],
    device const X* c [[buffer(3)]],
    device X* y [[buffer(4)]],
    constant GemvParams& params [[buffer(5)]],
    uint2 group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  constexpr uint N = in_sixteen<T>();
  constexpr uint STEP = LANES * SPLIT;
  constexpr uint BN = TG / STEP * ROWS;
  threadgroup float parts[SPLIT * BN];
  uint lane = thread_index % LANES;
  uint part = SPLIT == 1 ? 0 : thread_index / 32 % SPLIT;
  // Rows of the group that this lane works on.
  uint own = (thread_index / (32 * SPLIT) * (32 / LANES) + thread_index % 32 / LANES) * ROWS;
  uint first = group.x * BN;
  w += ulong(group.y) * params.n * params.line;
  x += ulong(group.y) * params.k;
  // With one part, a row's own lanes store it; else the group's first threads do.
  uint stored = SPLIT == 1 ? own + lane : thread_index;
  bool stores = SPLIT == 1 ? lane < ROWS : thread_index < BN;
  GemvEnd<X> end(bias, c, params, group.y, first + stored, stores);

  float sums[ROWS];
  device const T* rows[ROWS];
#pragma unroll
  for (uint r = 0; r < ROWS; r++) {
    sums[r] = 0.0f;
    rows[r] = w + ulong(min(first + own + r, params.n - 1)) * params.line;
  }
  uint rest = 0;
  if (params.flags & GEMV_ALIGNED) {
    uint chunks = params.k / N;
    uint at = part * LANES + lane;
    RowLoads<T, X, ROWS, LOADS, STEP> loads;
    if (PIPELINED) loads.load(rows, x, at, chunks);
    for (uint turn = 0; turn < chunks; turn += STEP * LOADS) {
      if (PIPELINED) {
        RowLoads<T, X, ROWS, LOADS, STEP> next;
        next.load(rows, x, turn + at + STEP * LOADS, chunks);
        loads.add(sums);
        loads = next;
      } else {
        loads.load(rows, x, turn + at, chunks);
        // Keeps a compiler that saves registers from waiting for the first load before it starts the last.
        simdgroup_barrier(mem_flags::mem_none);
        loads.add(sums);
      }
    }
    rest = chunks * N;
  }
  for (uint at = rest + part * LANES + lane; at < params.k; at += STEP) {
    float number = float(x[at]);
#pragma unroll
    for (uint r = 0; r < ROWS; r++) sums[r] = fma(float(rows[r][at]), number, sums[r]);
  }

  float sum = 0.0f;
#pragma unroll
  for (uint r = 0; r < ROWS; r++) {
    float total = sum_lanes<LANES>(sums[r]);
    if (lane == r) sum = total;
  }
  if (SPLIT > 1) {
    if (lane < ROWS) parts[part * BN + own + lane] = sum;
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (!stores) return;
    sum = 0.0f;
#pragma unroll
    for (uint p = 0; p < SPLIT; p++) sum += parts[p * BN + stored];
  }
  if (stores && first + stored < params.n) y[ulong(group.y) * params.n + first + stored] = end.of(sum);
}
