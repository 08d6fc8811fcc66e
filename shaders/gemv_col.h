// The probes' kernels for one row: threads own columns of op(W), that is rows of an n × k W, and walk K in tiles.
#pragma once
#include "gemv.h"

// How a thread gets numbers of its column, and of x.
enum GemvColumn {
  GEMV_SCALAR,     // col: one number of W a load, x from device memory
  GEMV_VEC4,       // col_vec4: four numbers a load, x from device memory
  GEMV_VEC8,       // col_vec8: eight (16 bytes) a load, x from device memory
  GEMV_STAGED,     // col_bt: the tile of W passes through threadgroup memory, transposed
  GEMV_BROADCAST,  // sgbr: four a load; each lane holds four of x and broadcasts them in its simdgroup
  GEMV_SHARED,     // tgread: four a load, x's tile in threadgroup memory, copied number by number
  GEMV_SHARED_A,   // tgread_vA: the same, copied by fours
  GEMV_UNROLLED,   // unroll16: as tgread, sixteen loads unrolled
};

// V numbers at `at`, loaded at once where they are aligned.
template <uint V>
inline void load_halves(device const half* at, bool aligned, thread half4 (&to)[(V + 3) / 4]) {
  if (V == 8 && aligned) {
    uint4 raw = *(device const uint4*)at;
    to[0] = half4(as_type<half2>(raw.x), as_type<half2>(raw.y));
    to[V / 4 - (V == 8)] = half4(as_type<half2>(raw.z), as_type<half2>(raw.w));
    return;
  }
#pragma unroll
  for (uint i = 0; i < V; i += 4) {
    if (aligned) {
      to[i / 4] = *(device const half4*)(at + i);
    } else {
      for (uint j = 0; j < 4; j++) to[i / 4][j] = at[i + j];
    }
  }
}

inline float dot_halves(half4 a, float4 b, float sum) {
  float4 wide = float4(a);
  sum = fma(wide.x, b.x, sum);
  sum = fma(wide.y, b.y, sum);
  sum = fma(wide.z, b.z, sum);
  return fma(wide.w, b.w, sum);
}

// BN columns a group of TG threads, K in tiles of BK; ceil(n / BN) × batch groups. With more columns than
// threads a thread owns BN / TG of them; with fewer, TG / BN threads share one and each tile.
template <GemvColumn HOW, uint BN, uint BK, uint TG>
[[kernel, max_total_threads_per_threadgroup(TG)]] void gemv_col(
    device const half* w [[buffer(0)]],
    device const half* x [[buffer(1)]],
    device const half* bias [[buffer(2)]],
    device const half* c [[buffer(3)]],
    device half* y [[buffer(4)]],
    constant GemvParams& params [[buffer(5)]],
    uint2 group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  constexpr bool IS_STAGED = HOW == GEMV_STAGED;
  constexpr bool IS_SHARED = HOW == GEMV_SHARED || HOW == GEMV_SHARED_A || HOW == GEMV_UNROLLED;
  constexpr uint OWN = BN > TG ? BN / TG : 1;
  constexpr uint SHARE = TG > BN ? TG / BN : 1;
  constexpr uint PART = BK / SHARE;
  constexpr uint V = HOW == GEMV_SCALAR || IS_STAGED ? 1 : HOW == GEMV_VEC8 ? 8 : 4;
  // A tile of W, or of x; then the parts of sums.
  constexpr uint TILE = IS_STAGED ? BN * BK / 2 : IS_SHARED ? BK / 2 : 1;
  // As fours: halves are read from it four at a time.
  threadgroup float4 fours[((TILE > TG ? TILE : TG) + 3) / 4];
  threadgroup float* memory = (threadgroup float*)fours;
  threadgroup half* tile = (threadgroup half*)memory;
  uint first = group.x * BN;
  uint share = thread_index / BN;
  uint own = thread_index % BN;
  bool aligned = params.flags & GEMV_ALIGNED;
  w += ulong(group.y) * params.n * params.line;
  x += ulong(group.y) * params.k;

  float sums[OWN];
  device const half* rows[OWN];
#pragma unroll
  for (uint i = 0; i < OWN; i++) {
    sums[i] = 0.0f;
    rows[i] = w + ulong(min(first + own + i * TG, params.n - 1)) * params.line;
  }
  for (uint from = 0; from < params.k; from += BK) {
    uint depth = min(params.k - from, BK);
    if (IS_STAGED) {
      threadgroup_barrier(mem_flags::mem_threadgroup);
      for (uint at = thread_index; at < BN * BK; at += TG) {
        uint column = at / BK;
        uint l = at % BK;
        bool there = l < depth && first + column < params.n;
        // Columns are rotated by l, so that neither side's accesses pile up on a bank.
        tile[l * BN + (column + 2 * l) % BN] = there ? w[ulong(first + column) * params.line + from + l] : half(0.0f);
      }
      threadgroup_barrier(mem_flags::mem_threadgroup);
    }
    if (IS_SHARED) {
      threadgroup_barrier(mem_flags::mem_threadgroup);
      if (HOW == GEMV_SHARED_A && aligned && depth == BK) {
        for (uint l = thread_index * 4; l < BK; l += TG * 4) {
          *(threadgroup half4*)(tile + l) = *(device const half4*)(x + from + l);
        }
      } else {
        for (uint l = thread_index; l < BK; l += TG) tile[l] = l < depth ? x[from + l] : half(0.0f);
      }
      threadgroup_barrier(mem_flags::mem_threadgroup);
    }
    // This thread's part of the tile, V numbers at a time while there are as many.
    uint begin = min(share * PART, depth);
    uint end = min(begin + PART, depth);
    uint whole = begin + (end - begin) / V * V;
    if (HOW == GEMV_BROADCAST) {
      // All lanes of a simdgroup have the same part: BN is a multiple of 32.
      for (uint round = begin; round < end; round += 128) {
        uint lane = round + thread_index % 32 * 4;
        float4 held = float4(0.0f);
        for (uint j = 0; j < 4; j++) held[j] = lane + j < end ? float(x[from + lane + j]) : 0.0f;
        uint last = min(round + 128, whole);
        for (uint l = round; l < last; l += 4) {
          float4 numbers = simd_broadcast(held, ushort((l - round) / 4));
#pragma unroll
          for (uint i = 0; i < OWN; i++) {
            half4 weights[1];
            load_halves<4>(rows[i] + from + l, aligned, weights);
            sums[i] = dot_halves(weights[0], numbers, sums[i]);
          }
        }
      }
    } else if (V > 1) {
#pragma unroll(HOW == GEMV_UNROLLED ? 16 : 4)
      for (uint l = begin; l < whole; l += V) {
        half4 numbers[(V + 3) / 4];
        if (IS_SHARED) {
          numbers[0] = *(threadgroup half4*)(tile + l);
        } else {
          load_halves<V>(x + from + l, aligned, numbers);
        }
#pragma unroll
        for (uint i = 0; i < OWN; i++) {
          half4 weights[(V + 3) / 4];
          load_halves<V>(rows[i] + from + l, aligned, weights);
#pragma unroll
          for (uint v = 0; v < (V + 3) / 4; v++) sums[i] = dot_halves(weights[v], float4(numbers[v]), sums[i]);
        }
      }
    } else {
#pragma unroll(4)
      for (uint l = begin; l < end; l++) {
        float number = float(x[from + l]);
#pragma unroll
        for (uint i = 0; i < OWN; i++) {
          half weight = IS_STAGED ? tile[l * BN + (own + i * TG + 2 * l) % BN] : rows[i][from + l];
          sums[i] = fma(float(weight), number, sums[i]);
        }
      }
    }
    for (uint l = V > 1 ? whole : end; l < end; l++) {
      float number = float(x[from + l]);
      for (uint i = 0; i < OWN; i++) sums[i] = fma(float(rows[i][from + l]), number, sums[i]);
    }
  }

  if (SHARE > 1) {
    threadgroup_barrier(mem_flags::mem_threadgroup);
    memory[thread_index] = sums[0];
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (share > 0) return;
#pragma unroll
    for (uint s = 1; s < SHARE; s++) sums[0] += memory[s * BN + own];
  }
#pragma unroll
  for (uint i = 0; i < OWN; i++) {
    uint column = first + own + i * TG;
    if (column >= params.n) return;
    GemvEnd<half> after(bias, c, params, group.y, column, true);
    y[ulong(group.y) * params.n + column] = after.of(sums[i]);
  }
}

// tiny: a group of BN threads with a column each, which walks K from end to end; x from device memory.
template <uint BN>
[[kernel, max_total_threads_per_threadgroup(BN)]] void gemv_tiny(
    device const half* w [[buffer(0)]],
    device const half* x [[buffer(1)]],
    device const half* bias [[buffer(2)]],
    device const half* c [[buffer(3)]],
    device half* y [[buffer(4)]],
    constant GemvParams& params [[buffer(5)]],
    uint2 group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  uint column = group.x * BN + thread_index;
  if (column >= params.n) return;
  bool aligned = params.flags & GEMV_ALIGNED;
  device const half* row = w + (ulong(group.y) * params.n + column) * params.line;
  x += ulong(group.y) * params.k;
  float sum = 0.0f;
  uint whole = params.k / 4 * 4;
#pragma unroll(8)
  for (uint l = 0; l < whole; l += 4) {
    half4 weights[1];
    half4 numbers[1];
    load_halves<4>(row + l, aligned, weights);
    load_halves<4>(x + l, aligned, numbers);
    sum = dot_halves(weights[0], float4(numbers[0]), sum);
  }
  for (uint l = whole; l < params.k; l++) sum = fma(float(row[l]), float(x[l]), sum);
  GemvEnd<half> after(bias, c, params, group.y, column, true);
  y[ulong(group.y) * params.n + column] = after.of(sum);
}

// largek_smalln: BN columns a group of TG threads, of which TG / BN share a column: they take four numbers each
// in turns, and their sums meet in threadgroup memory.
template <uint BN, uint TG>
[[kernel, max_total_threads_per_threadgroup(TG)]] void gemv_largek(
    device const half* w [[buffer(0)]],
    device const half* x [[buffer(1)]],
    device const half* bias [[buffer(2)]],
    device const half* c [[buffer(3)]],
    device half* y [[buffer(4)]],
    constant GemvParams& params [[buffer(5)]],
    uint2 group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  constexpr uint SHARE = TG / BN;
  threadgroup float parts[TG];
  uint share = thread_index % SHARE;
  uint column = group.x * BN + thread_index / SHARE;
  bool aligned = params.flags & GEMV_ALIGNED;
  device const half* row = w + (ulong(group.y) * params.n + min(column, params.n - 1)) * params.line;
  x += ulong(group.y) * params.k;
  float sum = 0.0f;
  uint whole = params.k / 4 * 4;
#pragma unroll(4)
  for (uint l = share * 4; l < whole; l += SHARE * 4) {
    half4 weights[1];
    half4 numbers[1];
    load_halves<4>(row + l, aligned, weights);
    load_halves<4>(x + l, aligned, numbers);
    sum = dot_halves(weights[0], float4(numbers[0]), sum);
  }
  for (uint l = whole + share; l < params.k; l += SHARE) sum = fma(float(row[l]), float(x[l]), sum);
  parts[thread_index] = sum;
#pragma unroll
  for (uint step = SHARE / 2; step > 0; step /= 2) {
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (share < step) parts[thread_index] += parts[thread_index + step];
  }
  if (share != 0 || column >= params.n) return;
  GemvEnd<half> after(bias, c, params, group.y, column, true);
  y[ulong(group.y) * params.n + column] = after.of(parts[thread_index]);
}
