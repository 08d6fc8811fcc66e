// A·V and Aᵀ·B in tiles of any size: a thread a number, slabs of both operands in threadgroup memory.
#pragma once
#include "tall_params.h"

// Elements of one load.
template <bool V4>
constexpr uint load_width() {
  return V4 ? 4 : 1;
}

// ROWS × COLUMNS elements into lines of LINE floats. Without GUARDS all are there; else `rows` × `columns` are, and
// zeros take the place of others.
template <typename T, uint ROWS, uint COLUMNS, uint LINE, uint THREADS, bool V4, bool GUARDS>
inline void load_tile(
    device const T* from, uint line, uint rows, uint columns, bool by_fours, threadgroup float* to,
    uint thread_index) {
  constexpr uint WIDTH = load_width<V4>();
  for (uint at = thread_index * WIDTH; at < ROWS * COLUMNS; at += THREADS * WIDTH) {
    uint o = at / COLUMNS;
    uint i = at % COLUMNS;
    device const T* start = from + ulong(o) * line + i;
    threadgroup float* place = to + o * LINE + i;
    if (V4 && by_fours && (!GUARDS || (o < rows && i + 4 <= columns))) {
      *(threadgroup float4*)place = float4(*(device const vec<T, 4>*)start);
    } else {
#pragma unroll
      for (uint j = 0; j < WIDTH; j++) place[j] = !GUARDS || (o < rows && i + j < columns) ? float(start[j]) : 0.0f;
    }
  }
}

inline void store_number(device float* at, float sum, constant TallParams& params) {
  *at = params.beta == 0.0f ? params.alpha * sum : fma(params.beta, *at, params.alpha * sum);
}

// C = alpha · A·V + beta · C: tiles of TM × TN, slabs of TN columns of A. With DB one slab is filled while the other
// is used. TM · TN threads a group; ceil(m / TM) · ceil(k / TN) groups.
template <typename T, uint TM, uint TN, bool DB, bool V4, bool GUARDS>
[[kernel, max_total_threads_per_threadgroup(1024)]] void gemm_av_tile(
    device const T* a [[buffer(0)]],
    device const T* v [[buffer(1)]],
    device float* c [[buffer(2)]],
    constant TallParams& params [[buffer(3)]],
    uint group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  constexpr uint SLABS = DB ? 2 : 1;
  constexpr uint SIZE_A = (TM * TN + 3) / 4 * 4;
  constexpr uint SIZE_V = (TN * TN + 3) / 4 * 4;
  threadgroup float4 slabs_a[SLABS * SIZE_A / 4];
  threadgroup float4 slabs_v[SLABS * SIZE_V / 4];
  uint across = (params.k + TN - 1) / TN;
  uint row = group / across * TM;
  uint column = group % across * TN;
  uint own_row = thread_index / TN;
  uint own_column = thread_index % TN;
  uint slab = 0;
  float sum = 0.0f;
  for (uint first = 0; first < params.n + (DB ? TN : 0); first += TN) {
    threadgroup float* to_a = (threadgroup float*)slabs_a + slab * SIZE_A;
    threadgroup float* to_v = (threadgroup float*)slabs_v + slab * SIZE_V;
    if (first < params.n) {
      load_tile<T, TM, TN, TN, TM * TN, V4, GUARDS>(
          a + ulong(row) * params.line_a + first, params.line_a, params.m - row, params.n - first,
          (params.by_fours & 1) != 0, to_a, thread_index);
      load_tile<T, TN, TN, TN, TM * TN, V4, GUARDS>(
          v + ulong(first) * params.line_b + column, params.line_b, params.n - first, params.k - column,
          (params.by_fours & 2) != 0, to_v, thread_index);
    }
    if (DB) {
      slab ^= 1;
      to_a = (threadgroup float*)slabs_a + slab * SIZE_A;
      to_v = (threadgroup float*)slabs_v + slab * SIZE_V;
    } else {
      threadgroup_barrier(mem_flags::mem_threadgroup);
    }
    if (!DB || first > 0) {
#pragma unroll
      for (uint depth = 0; depth < TN; depth++) {
        sum = fma(to_a[own_row * TN + depth], to_v[depth * TN + own_column], sum);
      }
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }
  if (GUARDS && (row + own_row >= params.m || column + own_column >= params.k)) return;
  store_number(c + ulong(row + own_row) * params.line_c + column + own_column, sum, params);
}

// Rows of A and B in a slab of Aᵀ·B.
constant constexpr uint ATB_DEPTH = 16;

// Z = alpha · Aᵀ·B + beta · Z: tiles of TN × TK, lines of slabs PAD floats longer.
// TN · TK threads a group; ceil(n / TN) · ceil(k / TK) groups.
template <typename T, uint TN, uint TK, uint PAD, bool DB, bool V4, bool GUARDS>
[[kernel, max_total_threads_per_threadgroup(1024)]] void gemm_at_b_tile(
    device const T* a [[buffer(0)]],
    device const T* b [[buffer(1)]],
    device float* z [[buffer(2)]],
    constant TallParams& params [[buffer(3)]],
    uint group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  constexpr uint SLABS = DB ? 2 : 1;
  constexpr uint LINE_A = TN + PAD;
  constexpr uint LINE_B = TK + PAD;
  constexpr uint SIZE_A = ATB_DEPTH * LINE_A;
  constexpr uint SIZE_B = ATB_DEPTH * LINE_B;
  threadgroup float4 slabs_a[SLABS * SIZE_A / 4];
  threadgroup float4 slabs_b[SLABS * SIZE_B / 4];
  uint across = (params.k + TK - 1) / TK;
  uint row = group / across * TN;
  uint column = group % across * TK;
  uint own_row = thread_index / TK;
  uint own_column = thread_index % TK;
  uint slab = 0;
  float sum = 0.0f;
  for (uint first = 0; first < params.m + (DB ? ATB_DEPTH : 0); first += ATB_DEPTH) {
    threadgroup float* to_a = (threadgroup float*)slabs_a + slab * SIZE_A;
    threadgroup float* to_b = (threadgroup float*)slabs_b + slab * SIZE_B;
    if (first < params.m) {
      load_tile<T, ATB_DEPTH, TN, LINE_A, TN * TK, V4, GUARDS>(
          a + ulong(first) * params.line_a + row, params.line_a, params.m - first, params.n - row,
          (params.by_fours & 1) != 0, to_a, thread_index);
      load_tile<T, ATB_DEPTH, TK, LINE_B, TN * TK, V4, GUARDS>(
          b + ulong(first) * params.line_b + column, params.line_b, params.m - first, params.k - column,
          (params.by_fours & 2) != 0, to_b, thread_index);
    }
    if (DB) {
      slab ^= 1;
      to_a = (threadgroup float*)slabs_a + slab * SIZE_A;
      to_b = (threadgroup float*)slabs_b + slab * SIZE_B;
    } else {
      threadgroup_barrier(mem_flags::mem_threadgroup);
    }
    if (!DB || first > 0) {
#pragma unroll
      for (uint depth = 0; depth < ATB_DEPTH; depth++) {
        sum = fma(to_a[depth * LINE_A + own_row], to_b[depth * LINE_B + own_column], sum);
      }
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }
  if (GUARDS && (row + own_row >= params.n || column + own_column >= params.k)) return;
  store_number(z + ulong(row + own_row) * params.line_c + column + own_column, sum, params);
}
