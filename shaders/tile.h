// Dot products of a tile of queries with a tile of rows, in registers.
#pragma once
#include <metal_stdlib>
using namespace metal;

// 256 threads compute TM × TN dot products, MM × MN each. Both sides pass through threadgroup memory in
// slabs of 8 numbers a row, two slabs deep: one is computed with while the next arrives.
template <typename T, int TM, int TN, int MM, int MN>
struct DotTile {
  static constant constexpr int THREADS = 256;
  static constant constexpr int SLAB = 8;
  // Four floats more a line, so that the transposing stores of a simdgroup fall into different banks.
  static constant constexpr int LINE_A = TM + 4;
  static constant constexpr int LINE_B = TN + 4;
  static constant constexpr int FLOATS = 2 * SLAB * (LINE_A + LINE_B);
  static constant constexpr int LOADS_A = (TM * 2 + THREADS - 1) / THREADS;
  static constant constexpr int LOADS_B = (TN * 2 + THREADS - 1) / THREADS;
  static constant constexpr int ACROSS = TN / MN;

  threadgroup float* slabs;
  ushort thread_index;
  ushort across;
  ushort down;

  DotTile(threadgroup float* memory, ushort index) {
    slabs = memory;
    thread_index = index;
    // A simdgroup is 8 threads wide and 4 high: its loads from threadgroup memory overlap most.
    ushort lane = index % 32;
    ushort group = index / 32;
    across = (group % (ACROSS / 8)) * 8 + lane % 8;
    down = (group / (ACROSS / 8)) * 4 + lane / 8;
  }

  // Row of the tile that accumulator m, or column that accumulator n, belongs to.
  ushort row_of(ushort m) const { return (m / 4) * (TM / (MM / 4)) + down * 4 + m % 4; }
  ushort column_of(ushort n) const { return (n / 4) * (TN / (MN / 4)) + across * 4 + n % 4; }

  threadgroup float* side_a(ushort slab) const { return slabs + slab * SLAB * (LINE_A + LINE_B); }
  threadgroup float* side_b(ushort slab) const { return side_a(slab) + SLAB * LINE_A; }

  template <int LINE>
  static void store_slab(threadgroup float* side, ushort item, float4 value) {
    ushort row = item / 2;
    ushort at = (item % 2) * 4;
    side[(at + 0) * LINE + row] = value.x;
    side[(at + 1) * LINE + row] = value.y;
    side[(at + 2) * LINE + row] = value.z;
    side[(at + 3) * LINE + row] = value.w;
  }

  // Where this thread's loads of each slab begin: of its i-th row, moved by its half of the slab.
  struct Sources {
    device const float4* a[LOADS_A];
    device const vec<T, 4>* b[LOADS_B];
  };

  // Row that the thread's i-th load belongs to.
  ushort source_row(ushort i) const { return (i * THREADS + thread_index) / 2; }
  ushort half_slab() const { return thread_index % 2; }

  // width4: groups of four numbers a row. center: subtracted from the rows of b.
  void compute(thread float (&sums)[MM][MN], thread const Sources& from, device const float4* center, uint width4) const {
    for (ushort m = 0; m < MM; m++) {
      for (ushort n = 0; n < MN; n++) sums[m][n] = 0.0f;
    }
    float4 next_a[LOADS_A];
    float4 next_b[LOADS_B];
    uint steps = (width4 + 1) / 2;
    for (uint step = 0; step <= steps; step++) {
      if (step < steps) {
        uint at = step * 2;
        bool inside = at + half_slab() < width4;
        float4 middle = inside ? center[at + half_slab()] : float4(0.0f);
        for (ushort i = 0; i < LOADS_A; i++) next_a[i] = inside ? from.a[i][at] : float4(0.0f);
        for (ushort i = 0; i < LOADS_B; i++) next_b[i] = inside ? float4(from.b[i][at]) - middle : float4(0.0f);
      }
      if (step > 0) multiply(sums, (step - 1) % 2);
      if (step < steps) {
        threadgroup float* to_a = side_a(step % 2);
        threadgroup float* to_b = side_b(step % 2);
        for (ushort i = 0; i < LOADS_A; i++) {
          ushort item = i * THREADS + thread_index;
          if (TM * 2 % THREADS == 0 || item < TM * 2) store_slab<LINE_A>(to_a, item, next_a[i]);
        }
        for (ushort i = 0; i < LOADS_B; i++) {
          ushort item = i * THREADS + thread_index;
          if (TN * 2 % THREADS == 0 || item < TN * 2) store_slab<LINE_B>(to_b, item, next_b[i]);
        }
      }
      threadgroup_barrier(mem_flags::mem_threadgroup);
    }
  }

  void multiply(thread float (&sums)[MM][MN], ushort slab) const {
    threadgroup const float* from_a = side_a(slab);
    threadgroup const float* from_b = side_b(slab);
#pragma unroll
    for (ushort k = 0; k < SLAB; k++) {
      float left[MM];
      float right[MN];
#pragma unroll
      for (ushort m = 0; m < MM; m += 4) {
        float4 four = *(threadgroup const float4*)(from_a + k * LINE_A + row_of(m));
        left[m] = four.x, left[m + 1] = four.y, left[m + 2] = four.z, left[m + 3] = four.w;
      }
#pragma unroll
      for (ushort n = 0; n < MN; n += 4) {
        float4 four = *(threadgroup const float4*)(from_b + k * LINE_B + column_of(n));
        right[n] = four.x, right[n + 1] = four.y, right[n + 2] = four.z, right[n + 3] = four.w;
      }
#pragma unroll
      for (ushort m = 0; m < MM; m++) {
#pragma unroll
        for (ushort n = 0; n < MN; n++) sums[m][n] = fma(left[m], right[n], sums[m][n]);
      }
    }
  }
};
