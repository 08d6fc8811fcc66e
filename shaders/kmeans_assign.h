// The nearest centroid of each row, as double precision finds it.
#pragma once
#include <metal_stdlib>
#include "sums.h"
using namespace metal;

struct KMeansAssignParams {
  uint n;
  uint k;
  uint d;
};

constant constexpr uint NO_CENTROID = 0xffffffffu;

// 256 threads compare 64 rows with 64 centroids at a time, 4 × 4 each, from slabs of 16 columns. Lines are padded
// by four floats: they stay aligned, and the transposing stores meet fewer banks twice.
constant constexpr uint ASSIGN_TILE = 64;
constant constexpr uint ASSIGN_SLAB = 16;
constant constexpr uint ASSIGN_LINE = ASSIGN_TILE + 4;

template <typename T>
inline void load_assign_slab(
    device const T* rows, uint n, uint d, uint first, threadgroup float* slab, uint thread_index) {
  for (uint i = thread_index; i < ASSIGN_TILE * ASSIGN_SLAB; i += 256) {
    uint row = i / ASSIGN_SLAB;
    uint column = i % ASSIGN_SLAB;
    bool inside = row < n && column < d - first;
    slab[column * ASSIGN_LINE + row] = inside ? float(rows[ulong(row) * d + first + column]) : 0.0f;
  }
}

// The nearest centroid so far, and the distance of the next one.
struct Nearest {
  float best = INFINITY;
  float second = INFINITY;
  uint label = NO_CENTROID;

  void add(float distance, uint centroid) {
    if (distance < best) {
      second = best;
      best = distance;
      label = centroid;
    } else if (distance < second) {
      second = distance;
    }
  }

  // With what the lane `step` away found, ties to the lower centroid.
  void merge(ushort step) {
    float other_best = simd_shuffle_xor(best, step);
    float other_second = simd_shuffle_xor(second, step);
    uint other_label = simd_shuffle_xor(label, step);
    bool better = other_best < best || (other_best == best && other_label < label);
    second = min(better ? best : other_best, min(second, other_second));
    best = better ? other_best : best;
    label = better ? other_label : label;
  }
};

// Columns lane, lane + lanes … of the squared distance.
template <typename T>
inline two_float exact_square(device const T* row, device const float* centroid, uint d, uint lane, uint lanes) {
  two_float sum = {0.0f, 0.0f};
  for (uint i = lane; i < d; i += lanes) accumulate_square(sum, float(row[i]), centroid[i]);
  return sum;
}

// labels[i], distances[i] = the nearest centroid of x_i by squared L2, the lower one of equals; −1 and ∞ where
// every distance overflows. Rows whose best two are closer than rounding can tell are compared again in two
// floats. 256 threads a group, 64 rows a group.
template <typename T>
[[kernel, max_total_threads_per_threadgroup(256)]] void kmeans_assign(
    device const T* x [[buffer(0)]],
    device const float* centroids [[buffer(1)]],
    device uint* labels [[buffer(2)]],
    device float* distances [[buffer(3)]],
    constant KMeansAssignParams& params [[buffer(4)]],
    uint group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  threadgroup float4 left[ASSIGN_SLAB * ASSIGN_LINE / 4];
  threadgroup float4 right[ASSIGN_SLAB * ASSIGN_LINE / 4];
  threadgroup uint found[ASSIGN_TILE];
  threadgroup bool sure[ASSIGN_TILE];
  uint first_row = group * ASSIGN_TILE;
  uint rows = min(params.n - first_row, ASSIGN_TILE);
  device const T* tile = x + ulong(first_row) * params.d;
  uint row = thread_index / 16;
  uint column = thread_index % 16;

  Nearest nearest[4];
  for (uint start = 0; start < params.k; start += ASSIGN_TILE) {
    uint count = min(params.k - start, ASSIGN_TILE);
    device const float* others = centroids + ulong(start) * params.d;
    float4 sums[4] = {float4(0.0f), float4(0.0f), float4(0.0f), float4(0.0f)};
    for (uint first = 0; first < params.d; first += ASSIGN_SLAB) {
      load_assign_slab(tile, rows, params.d, first, (threadgroup float*)left, thread_index);
      load_assign_slab(others, count, params.d, first, (threadgroup float*)right, thread_index);
      threadgroup_barrier(mem_flags::mem_threadgroup);
#pragma unroll
      for (uint c = 0; c < ASSIGN_SLAB; c++) {
        float4 a = left[c * (ASSIGN_LINE / 4) + row];
        float4 b = right[c * (ASSIGN_LINE / 4) + column];
#pragma unroll
        for (ushort i = 0; i < 4; i++) {
          float4 apart = float4(a[i]) - b;
          sums[i] = fma(apart, apart, sums[i]);
        }
      }
      threadgroup_barrier(mem_flags::mem_threadgroup);
    }
#pragma unroll
    for (ushort i = 0; i < 4; i++) {
#pragma unroll
      for (ushort j = 0; j < 4; j++) {
        if (column * 4 + j < count) nearest[i].add(sums[i][j], start + column * 4 + j);
      }
    }
  }

  // Twice the rounding of both distances, and what may have underflowed.
  float relative = 1.0f + 2.384185791015625e-7f * float(params.d + 4);
  float absolute = 4.70197740328915e-38f * float(params.d);
#pragma unroll
  for (ushort i = 0; i < 4; i++) {
    for (ushort step = 8; step > 0; step /= 2) nearest[i].merge(step);
    if (column == 0) {
      found[row * 4 + i] = nearest[i].label;
      sure[row * 4 + i] = nearest[i].second > fma(nearest[i].best, relative, absolute);
    }
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);

  uint lane = thread_index % 32;
  for (uint i = thread_index / 32; i < rows; i += 8) {
    device const T* from = tile + ulong(i) * params.d;
    uint label = found[i];
    float distance = INFINITY;
    if (sure[i]) {
      device const float* centroid = centroids + ulong(label) * params.d;
      distance = rounded(simd_total(exact_square(from, centroid, params.d, lane, 32)));
    } else {
      Nearest exact;
      for (uint c = lane; c < params.k; c += 32) {
        exact.add(rounded(exact_square(from, centroids + ulong(c) * params.d, params.d, 0, 1)), c);
      }
      for (ushort step = 16; step > 0; step /= 2) exact.merge(step);
      label = exact.label;
      distance = exact.best;
    }
    if (lane == 0) {
      labels[first_row + i] = label;
      distances[first_row + i] = distance;
    }
  }
}
