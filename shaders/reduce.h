// One number of each row: sum, mean, smallest, largest, and where they are.
#pragma once
#include <metal_stdlib>
#include "sums.h"
using namespace metal;

struct ReduceParams {
  uint n;
  uint d;
};

// 0 for an empty row.
struct RowSum {
  two_float sum = {0.0f, 0.0f};
  void add(float x, uint) { accumulate(sum, x); }
  void add(RowSum other) {
    accumulate(sum, other.sum.hi);
    sum.lo += other.sum.lo;
  }
  uint2 packed() const { return uint2(as_type<uint>(sum.hi), as_type<uint>(sum.lo)); }
  void unpack(uint2 from) { sum = {as_type<float>(from.x), as_type<float>(from.y)}; }
  float result(uint) const { return rounded(sum); }
};

// NaN for an empty row.
struct RowMean : RowSum {
  float result(uint d) const { return rounded(sum) / float(d); }
};

// The first NaN if there is one; else the first that is smallest or largest; ±∞ and −1 for an empty row.
template <bool LARGEST>
struct RowExtreme {
  float best = LARGEST ? -INFINITY : INFINITY;
  uint at = 0xffffffffu;
  void add(float x, uint i) {
    bool better = LARGEST ? x > best : x < best;
    bool first = i < at;
    if (isnan(best)) {
      better = isnan(x) && first;
    } else {
      better = better || isnan(x) || (x == best && first);
    }
    if (better) {
      best = x;
      at = i;
    }
  }
  void add(RowExtreme other) { add(other.best, other.at); }
  uint2 packed() const { return uint2(as_type<uint>(best), at); }
  void unpack(uint2 from) {
    best = as_type<float>(from.x);
    at = from.y;
  }
};

template <bool LARGEST>
struct RowValue : RowExtreme<LARGEST> {
  float result(uint) const { return this->best; }
};

template <bool LARGEST>
struct RowArg : RowExtreme<LARGEST> {
  uint result(uint) const { return this->at; }
};

// out[i] = Op of row i. 256 threads a group, a group a row.
template <typename T, typename Op, typename Out>
[[kernel, max_total_threads_per_threadgroup(256)]] void reduce_rows(
    device const T* x [[buffer(0)]],
    device Out* out [[buffer(1)]],
    constant ReduceParams& params [[buffer(2)]],
    uint row [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  threadgroup uint2 parts[256];
  device const T* from = x + ulong(row) * params.d;
  Op op;
  for (uint i = thread_index; i < params.d; i += 256) op.add(float(from[i]), i);
  parts[thread_index] = op.packed();
  for (uint half_size = 128; half_size > 0; half_size /= 2) {
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (thread_index >= half_size) continue;
    Op other;
    other.unpack(parts[thread_index + half_size]);
    op.add(other);
    parts[thread_index] = op.packed();
  }
  if (thread_index == 0) out[row] = op.result(params.d);
}
