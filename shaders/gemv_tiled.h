// A tiled matrix product asked for one row: MLX's tile settings, with all rows of the tile but one idle.
#pragma once
#include <metal_simdgroup_matrix>
#include "gemv.h"

// BM × BN sums a group of 128 threads in simdgroup matrices, K in tiles of BK; ceil(n / BN) × batch groups.
// TW: W is n × k. A simdgroup has BM / WM × BN / (4 / WM) of the sums.
template <uint BM, uint BN, uint BK, uint WM, bool TW>
[[kernel, max_total_threads_per_threadgroup(128)]] void gemv_tiled(
    device const half* w [[buffer(0)]],
    device const half* x [[buffer(1)]],
    device const half* bias [[buffer(2)]],
    device const half* c [[buffer(3)]],
    device half* y [[buffer(4)]],
    constant GemvParams& params [[buffer(5)]],
    uint2 group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  constexpr uint WN = 4 / WM;
  constexpr ushort ACROSS = BN / WN / 8;
  constexpr ushort DOWN = BM / WM / 8;
  // Eight halves more a line, against bank conflicts. The tile of W lies as W does.
  constexpr uint LINE_A = BK + 8;
  constexpr uint LINE_B = (TW ? BK : BN) + 8;
  constexpr uint HALVES = BM * LINE_A + (TW ? BN : BK) * LINE_B;
  // As fours: it is read 16 bytes at a time.
  threadgroup float4 fours[((HALVES / 2 > BM * BN ? HALVES / 2 : BM * BN) + 3) / 4];
  threadgroup float* memory = (threadgroup float*)fours;
  threadgroup half* tile_a = (threadgroup half*)memory;
  threadgroup half* tile_b = tile_a + BM * LINE_A;
  uint first = group.x * BN;
  uint columns = min(params.n - first, BN);
  bool aligned = params.flags & GEMV_ALIGNED;
  w += ulong(group.y) * (TW ? params.n : params.k) * params.line;
  x += ulong(group.y) * params.k;
  uint simdgroup = thread_index / 32;
  uint own_row = simdgroup / WN * (BM / WM);
  uint own_column = simdgroup % WN * (BN / WN);

  simdgroup_float8x8 sums[DOWN][ACROSS];
#pragma unroll
  for (ushort i = 0; i < DOWN; i++) {
#pragma unroll
    for (ushort j = 0; j < ACROSS; j++) sums[i][j] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
  }
  for (uint from = 0; from < params.k; from += BK) {
    uint depth = min(params.k - from, BK);
    for (uint at = thread_index; at < BM * BK; at += 128) {
      // One row of the tile is there.
      tile_a[at / BK * LINE_A + at % BK] = at < depth ? x[from + at] : half(0.0f);
    }
    constexpr uint INNER = TW ? BK : BN;
    constexpr uint OUTER = TW ? BN : BK;
    uint outer = TW ? columns : depth;
    uint inner = TW ? depth : columns;
    device const half* start = TW ? w + ulong(first) * params.line + from : w + ulong(from) * params.line + first;
    for (uint at = thread_index * 8; at < OUTER * INNER; at += 128 * 8) {
      uint o = at / INNER;
      uint i = at % INNER;
      threadgroup half* to = tile_b + o * LINE_B + i;
      device const half* weights = start + ulong(o) * params.line + i;
      if (aligned && o < outer && i + 8 <= inner) {
        *(threadgroup uint4*)to = *(device const uint4*)weights;
      } else {
        for (uint j = 0; j < 8; j++) to[j] = o < outer && i + j < inner ? weights[j] : half(0.0f);
      }
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
#pragma unroll(2)
    for (uint l = 0; l < BK; l += 8) {
      simdgroup_half8x8 left[DOWN];
#pragma unroll
      for (ushort i = 0; i < DOWN; i++) simdgroup_load(left[i], tile_a + (own_row + i * 8) * LINE_A + l, LINE_A);
#pragma unroll
      for (ushort j = 0; j < ACROSS; j++) {
        simdgroup_half8x8 right;
        uint column = own_column + j * 8;
        if (TW) {
          simdgroup_load(right, tile_b + column * LINE_B + l, LINE_B, ulong2(0, 0), true);
        } else {
          simdgroup_load(right, tile_b + l * LINE_B + column, LINE_B);
        }
#pragma unroll
        for (ushort i = 0; i < DOWN; i++) simdgroup_multiply_accumulate(sums[i][j], left[i], right, sums[i][j]);
      }
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }
#pragma unroll
  for (ushort i = 0; i < DOWN; i++) {
#pragma unroll
    for (ushort j = 0; j < ACROSS; j++) {
      simdgroup_store(sums[i][j], memory + (own_row + i * 8) * BN + own_column + j * 8, BN);
    }
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  for (uint column = thread_index; column < columns; column += 128) {
    GemvEnd<half> end(bias, c, params, group.y, first + column, true);
    y[ulong(group.y) * params.n + first + column] = end.of(memory[column]);
  }
}
