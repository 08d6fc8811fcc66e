// All distances between two sets of rows.
#pragma once
#include <metal_stdlib>
#include "metrics.h"
using namespace metal;

struct PairwiseParams {
  uint nx;
  uint ny;
  uint d;
  uint out_stride;  // floats from a row of the result to the next
  float arg;        // p of Lp
};

// 64 threads compute 32 × 32 pairs, 4 × 4 each, from slabs of 16 columns. A column is padded by one, so that
// the transposing stores fall into different banks.
constant constexpr uint PAIR_TILE = 32;
constant constexpr uint PAIR_SLAB = 16;
constant constexpr uint PAIR_LINE = PAIR_TILE + 1;

// Columns first … first + 15 of 32 rows, times each row's scale, zero where there are none.
template <typename T>
inline void load_slab(
    device const T* rows, uint n, uint d, uint first, threadgroup const float* scales, threadgroup float* slab,
    uint thread_index) {
  for (uint i = thread_index; i < PAIR_TILE * PAIR_SLAB; i += 64) {
    uint row = i / PAIR_SLAB;
    uint column = i % PAIR_SLAB;
    bool inside = row < n && column < d - first;
    float value = inside ? float(rows[ulong(row) * d + first + column]) : 0.0f;
    slab[column * PAIR_LINE + row] = value * scales[row];
  }
}

// out[i, j] = distance of row i of x and row j of y. 64 threads a group; ceil(nx / 32) · ceil(ny / 32) groups.
template <typename T, typename M>
[[kernel, max_total_threads_per_threadgroup(64)]] void pairwise(
    device const T* x [[buffer(0)]],
    device const T* y [[buffer(1)]],
    device float* out [[buffer(2)]],
    constant PairwiseParams& params [[buffer(3)]],
    uint group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  threadgroup float left[PAIR_SLAB * PAIR_LINE];
  threadgroup float right[PAIR_SLAB * PAIR_LINE];
  threadgroup float scales[2 * PAIR_TILE];
  threadgroup float norms[2 * PAIR_TILE];
  uint across = (params.ny + PAIR_TILE - 1) / PAIR_TILE;
  uint first_x = group / across * PAIR_TILE;
  uint first_y = group % across * PAIR_TILE;
  uint nx = min(params.nx - first_x, PAIR_TILE);
  uint ny = min(params.ny - first_y, PAIR_TILE);
  device const T* rows_x = x + ulong(first_x) * params.d;
  device const T* rows_y = y + ulong(first_y) * params.d;
  // This thread's row of the 64, for scales and norms.
  threadgroup const float* own = thread_index < PAIR_TILE ? left + thread_index : right + (thread_index - PAIR_TILE);
  scales[thread_index] = 1.0f;
  threadgroup_barrier(mem_flags::mem_threadgroup);

  if (M::normed()) {
    float largest = 0.0f;
    for (uint first = 0; first < params.d; first += PAIR_SLAB) {
      load_slab(rows_x, nx, params.d, first, scales, left, thread_index);
      load_slab(rows_y, ny, params.d, first, scales + PAIR_TILE, right, thread_index);
      threadgroup_barrier(mem_flags::mem_threadgroup);
      for (uint c = 0; c < PAIR_SLAB; c++) largest = max(largest, fabs(own[c * PAIR_LINE]));
      threadgroup_barrier(mem_flags::mem_threadgroup);
    }
    scales[thread_index] = unit_scale(largest).down;
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }

  M pairs[4][4];
  two_float square = {0.0f, 0.0f};
  uint row = thread_index / 8;
  uint column = thread_index % 8;
  for (uint first = 0; first < params.d; first += PAIR_SLAB) {
    load_slab(rows_x, nx, params.d, first, scales, left, thread_index);
    load_slab(rows_y, ny, params.d, first, scales + PAIR_TILE, right, thread_index);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    uint columns = min(PAIR_SLAB, params.d - first);
    for (uint c = 0; c < columns; c++) {
      float b[4];
#pragma unroll
      for (ushort j = 0; j < 4; j++) b[j] = right[c * PAIR_LINE + column + 8 * j];
#pragma unroll
      for (ushort i = 0; i < 4; i++) {
        float a = left[c * PAIR_LINE + row + 8 * i];
#pragma unroll
        for (ushort j = 0; j < 4; j++) pairs[i][j].add(a, b[j], params.arg);
      }
      if (M::normed()) accumulate_product(square, own[c * PAIR_LINE], own[c * PAIR_LINE]);
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }

  norms[thread_index] = sqrt(rounded(square));
  threadgroup_barrier(mem_flags::mem_threadgroup);
#pragma unroll
  for (ushort i = 0; i < 4; i++) {
#pragma unroll
    for (ushort j = 0; j < 4; j++) {
      uint at_x = row + 8 * i;
      uint at_y = column + 8 * j;
      if (at_x >= nx || at_y >= ny) continue;
      MetricContext context = {float(params.d), params.arg, norms[at_x] * norms[PAIR_TILE + at_y]};
      out[ulong(first_x + at_x) * params.out_stride + first_y + at_y] = pairs[i][j].result(context);
    }
  }
}
