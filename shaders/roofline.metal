// What a GPU can do at best: copies of memory, and multiply-adds that depend on nothing but themselves.
#include <metal_stdlib>
#include "instantiate.h"
using namespace metal;

// Sixteen bytes four times a thread; loads first, so that many are under way. 256 threads a group, 16 KiB a group;
// n is a multiple of 1,024.
[[kernel, max_total_threads_per_threadgroup(256)]] void copy_b128(
    device const uint4* from [[buffer(0)]],
    device uint4* to [[buffer(1)]],
    constant uint& n [[buffer(2)]],
    uint group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  ulong at = ulong(group) * 1024 + thread_index;
  if (at >= n) return;
  uint4 values[4];
#pragma unroll
  for (ushort i = 0; i < 4; i++) values[i] = from[at + i * 256];
#pragma unroll
  for (ushort i = 0; i < 4; i++) to[at + i * 256] = values[i];
}

// CHAINS of x ← x · by + plus, as often as rounds × 16; out[i] is their sum. Each chain waits for itself only.
template <typename T, ushort CHAINS>
[[kernel, max_total_threads_per_threadgroup(256)]] void multiply_add(
    device T* out [[buffer(0)]],
    constant uint& rounds [[buffer(1)]],
    constant float2& numbers [[buffer(2)]],
    uint i [[thread_position_in_grid]]) {
  T by = T(numbers.x);
  T plus = T(numbers.y);
  T values[CHAINS];
#pragma unroll
  for (ushort c = 0; c < CHAINS; c++) values[c] = T(float(c));
  for (uint round = 0; round < rounds; round++) {
#pragma unroll
    for (ushort step = 0; step < 16; step++) {
#pragma unroll
      for (ushort c = 0; c < CHAINS; c++) values[c] = fma(values[c], by, plus);
    }
  }
  T sum = values[0];
#pragma unroll
  for (ushort c = 1; c < CHAINS; c++) sum += values[c];
  out[i] = sum;
}

instantiate_kernel("multiply_add_f32", multiply_add, float, 16)
instantiate_kernel("multiply_add_f16x4", multiply_add, half4, 8)
