// C = alpha · op(A) · op(B) + beta · C, matrices in rows, sums and C in float.
#pragma once
#include <metal_stdlib>
#include <metal_simdgroup_matrix>
using namespace metal;

// op(A) is m × k, op(B) k × n. A line is the elements from a row of a matrix, as it lies, to the next.
struct GemmParams {
  uint m;
  uint n;
  uint k;
  uint line_a;
  uint line_b;
  uint line_c;
  float alpha;
  float beta;     // 0: C is not read
  uint by_fours;  // 1: rows of A and B start at multiples of four elements, also in memory
};

// Depth of a slab of A and of B in threadgroup memory.
constant constexpr uint GEMM_SLAB = 16;

// OUTER × INNER elements as they lie, `outer` × `inner` of them there and zeros past those, as floats:
// to[o, i], or with TRANSPOSE to[i, o]. Lines of `to` are LINE floats.
template <typename T, uint OUTER, uint INNER, uint LINE, bool TRANSPOSE, uint THREADS>
inline void load_slab(
    device const T* from, uint line, uint outer, uint inner, bool by_fours, threadgroup float* to,
    uint thread_index) {
#pragma unroll
  for (uint at = thread_index * 4; at < OUTER * INNER; at += THREADS * 4) {
    uint o = at / INNER;
    uint i = at % INNER;
    float4 four = float4(0.0f);
    if (o < outer) {
      device const T* start = from + ulong(o) * line + i;
      if (by_fours && i + 4 <= inner) {
        four = float4(*(device const vec<T, 4>*)start);
      } else {
        for (uint j = 0; j < 4; j++) {
          if (i + j < inner) four[j] = float(start[j]);
        }
      }
    }
    if (TRANSPOSE) {
      for (uint j = 0; j < 4; j++) to[(i + j) * LINE + o] = four[j];
    } else {
      *(threadgroup float4*)(to + o * LINE + i) = four;
    }
  }
}

// Slabs `first` … of the tile's rows of op(A) and columns of op(B): a[k, row], b[k, column].
template <typename T, bool TA, bool TB, uint BM, uint BN, uint THREADS>
inline void load_slabs(
    device const T* a, device const T* b, constant GemmParams& params, uint row, uint column, uint first,
    threadgroup float* to_a, threadgroup float* to_b, uint thread_index) {
  uint rows = min(params.m - row, BM);
  uint columns = min(params.n - column, BN);
  uint depth = min(params.k - first, GEMM_SLAB);
  bool fours = params.by_fours != 0;
  if (TA) {
    device const T* from = a + ulong(first) * params.line_a + row;
    load_slab<T, GEMM_SLAB, BM, BM + 4, false, THREADS>(from, params.line_a, depth, rows, fours, to_a, thread_index);
  } else {
    device const T* from = a + ulong(row) * params.line_a + first;
    load_slab<T, BM, GEMM_SLAB, BM + 4, true, THREADS>(from, params.line_a, rows, depth, fours, to_a, thread_index);
  }
  if (TB) {
    device const T* from = b + ulong(column) * params.line_b + first;
    load_slab<T, BN, GEMM_SLAB, BN + 4, true, THREADS>(from, params.line_b, columns, depth, fours, to_b, thread_index);
  } else {
    device const T* from = b + ulong(first) * params.line_b + column;
    load_slab<T, GEMM_SLAB, BN, BN + 4, false, THREADS>(from, params.line_b, depth, columns, fours, to_b, thread_index);
  }
}

inline void store_sum(device float* c, float sum, uint row, uint column, constant GemmParams& params) {
  if (row >= params.m || column >= params.n) return;
  device float* at = c + ulong(row) * params.line_c + column;
  *at = params.beta == 0.0f ? params.alpha * sum : fma(params.beta, *at, params.alpha * sum);
}

// A tile of BM × BN sums, MM × MN a thread, in registers. 256 threads a group; ceil(m / BM) · ceil(n / BN) groups.
template <typename T, bool TA, bool TB, uint BM, uint BN, uint MM, uint MN>
[[kernel, max_total_threads_per_threadgroup(256)]] void gemm(
    device const T* a [[buffer(0)]],
    device const T* b [[buffer(1)]],
    device float* c [[buffer(2)]],
    constant GemmParams& params [[buffer(3)]],
    uint group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  threadgroup float4 slab_a[GEMM_SLAB * (BM + 4) / 4];
  threadgroup float4 slab_b[GEMM_SLAB * (BN + 4) / 4];
  uint across = (params.n + BN - 1) / BN;
  uint row = group / across * BM;
  uint column = group % across * BN;
  // A thread's rows and columns go by fours, apart by what all threads of the tile take.
  uint own_row = thread_index / (BN / MN) * 4;
  uint own_column = thread_index % (BN / MN) * 4;
  constexpr uint apart_rows = BM / (MM / 4);
  constexpr uint apart_columns = BN / (MN / 4);

  float4 sums[MM][MN / 4];
#pragma unroll
  for (uint i = 0; i < MM; i++) {
#pragma unroll
    for (uint j = 0; j < MN / 4; j++) sums[i][j] = float4(0.0f);
  }
  for (uint first = 0; first < params.k; first += GEMM_SLAB) {
    load_slabs<T, TA, TB, BM, BN, 256>(
        a, b, params, row, column, first, (threadgroup float*)slab_a, (threadgroup float*)slab_b, thread_index);
    threadgroup_barrier(mem_flags::mem_threadgroup);
#pragma unroll(4)
    for (uint k = 0; k < GEMM_SLAB; k++) {
      float4 right[MN / 4];
#pragma unroll
      for (uint j = 0; j < MN / 4; j++) right[j] = slab_b[(k * (BN + 4) + own_column + j * apart_columns) / 4];
#pragma unroll
      for (uint i = 0; i < MM; i += 4) {
        float4 left = slab_a[(k * (BM + 4) + own_row + i / 4 * apart_rows) / 4];
#pragma unroll
        for (uint j = 0; j < MN / 4; j++) {
          sums[i][j] = fma(float4(left.x), right[j], sums[i][j]);
          sums[i + 1][j] = fma(float4(left.y), right[j], sums[i + 1][j]);
          sums[i + 2][j] = fma(float4(left.z), right[j], sums[i + 2][j]);
          sums[i + 3][j] = fma(float4(left.w), right[j], sums[i + 3][j]);
        }
      }
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }
#pragma unroll
  for (uint i = 0; i < MM; i++) {
#pragma unroll
    for (uint j = 0; j < MN; j++) {
      uint at_row = row + own_row + i / 4 * apart_rows + i % 4;
      uint at_column = column + own_column + j / 4 * apart_columns + j % 4;
      store_sum(c, sums[i][j / 4][j % 4], at_row, at_column, params);
    }
  }
}

// A tile of 64 × 64 sums, 32 × 32 a simdgroup, in simdgroup matrices. 128 threads a group;
// ceil(m / 64) · ceil(n / 64) groups.
template <typename T, bool TA, bool TB>
[[kernel, max_total_threads_per_threadgroup(128)]] void gemm_simd(
    device const T* a [[buffer(0)]],
    device const T* b [[buffer(1)]],
    device float* c [[buffer(2)]],
    constant GemmParams& params [[buffer(3)]],
    uint group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  // Slabs of A and B while sums are made, then the sums.
  threadgroup float4 memory[64 * 64 / 4];
  threadgroup float* slab_a = (threadgroup float*)memory;
  threadgroup float* slab_b = slab_a + GEMM_SLAB * 68;
  uint across = (params.n + 63) / 64;
  uint row = group / across * 64;
  uint column = group % across * 64;
  uint own_row = thread_index / 64 * 32;
  uint own_column = thread_index / 32 % 2 * 32;

  simdgroup_float8x8 sums[4][4];
#pragma unroll
  for (ushort i = 0; i < 4; i++) {
#pragma unroll
    for (ushort j = 0; j < 4; j++) sums[i][j] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
  }
  for (uint first = 0; first < params.k; first += GEMM_SLAB) {
    load_slabs<T, TA, TB, 64, 64, 128>(a, b, params, row, column, first, slab_a, slab_b, thread_index);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint k = 0; k < GEMM_SLAB; k += 8) {
      simdgroup_float8x8 left[4];
      simdgroup_float8x8 right[4];
#pragma unroll
      for (ushort i = 0; i < 4; i++) {
        // The slab holds columns of op(A) in its lines.
        simdgroup_load(left[i], slab_a + k * 68 + own_row + i * 8, 68, ulong2(0, 0), true);
        simdgroup_load(right[i], slab_b + k * 68 + own_column + i * 8, 68);
      }
#pragma unroll
      for (ushort i = 0; i < 4; i++) {
#pragma unroll
        for (ushort j = 0; j < 4; j++) simdgroup_multiply_accumulate(sums[i][j], left[i], right[j], sums[i][j]);
      }
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }
  threadgroup float* tile = (threadgroup float*)memory;
#pragma unroll
  for (ushort i = 0; i < 4; i++) {
#pragma unroll
    for (ushort j = 0; j < 4; j++) {
      simdgroup_store(sums[i][j], tile + (own_row + i * 8) * 64 + own_column + j * 8, 64);
    }
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  for (uint at = thread_index; at < 64 * 64; at += 128) {
    store_sum(c, tile[at], row + at / 64, column + at % 64, params);
  }
}
