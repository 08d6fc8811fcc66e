// Row numbers from a bitmap, and rows by number.
#pragma once
#include <metal_stdlib>
#include "scan.h"
using namespace metal;

struct FilterParams {
  uint n;  // bits
};

struct MoveParams {
  uint count;  // rows to move
  uint n;      // rows there are on the indexed side; an index ≥ n is none
  uint d;      // elements a row
};

// Bits that a group looks at, 32 a thread.
constant constexpr uint FILTER_BLOCK = 8192;

// Bits first … first + 31 of the bitmap (bit i % 8 of byte i / 8), those past the end off.
inline uint filter_word(device const uchar* bitmap, uint n, uint first) {
  if (first >= n) return 0;
  uint word = 0;
  for (uint i = 0; i < 4; i++) {
    if (i * 8 < n - first) word |= uint(bitmap[first / 8 + i]) << (i * 8);
  }
  return n - first < 32 ? word & ((1u << (n - first)) - 1) : word;
}

// counts[group] = bits that are set in a block of 8,192. 256 threads a group; ceil(n / 8,192) groups.
[[kernel, max_total_threads_per_threadgroup(256)]] void filter_count(
    device const uchar* bitmap [[buffer(0)]],
    device uint* counts [[buffer(1)]],
    constant FilterParams& params [[buffer(2)]],
    uint group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  threadgroup uint memory[33];
  uint word = filter_word(bitmap, params.n, group * FILTER_BLOCK + thread_index * 32);
  uint total;
  prefix_sum(popcount(word), memory, thread_index, 256, total);
  if (thread_index == 0) counts[group] = total;
}

// counts[block] becomes the sum of those before, *selected that of all. 1,024 threads, one group.
[[kernel, max_total_threads_per_threadgroup(1024)]] void filter_offsets(
    device uint* counts [[buffer(0)]],
    device uint* selected [[buffer(1)]],
    constant FilterParams& params [[buffer(2)]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  threadgroup uint memory[33];
  uint blocks = params.n / FILTER_BLOCK + (params.n % FILTER_BLOCK != 0);
  uint start = 0;
  for (uint first = 0; first < blocks; first += 1024) {
    uint block = first + thread_index;
    uint count = block < blocks ? counts[block] : 0;
    uint total;
    uint before = prefix_sum(count, memory, thread_index, 1024, total);
    if (block < blocks) counts[block] = start + before;
    start += total;
  }
  if (thread_index == 0) *selected = start;
}

// rows = the numbers of the bits that are set, ascending. 256 threads a group; ceil(n / 8,192) groups.
[[kernel, max_total_threads_per_threadgroup(256)]] void filter_rows(
    device const uchar* bitmap [[buffer(0)]],
    device const uint* offsets [[buffer(1)]],
    device uint* rows [[buffer(2)]],
    constant FilterParams& params [[buffer(3)]],
    uint group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  threadgroup uint memory[33];
  uint first = group * FILTER_BLOCK + thread_index * 32;
  uint word = filter_word(bitmap, params.n, first);
  uint total;
  uint at = offsets[group] + prefix_sum(popcount(word), memory, thread_index, 256, total);
  for (; word != 0; word &= word - 1) rows[at++] = first + ctz(word);
}

// out[i] = x[indices[i]], zeros where the index is none. 256 threads a group, 8 rows a group.
template <typename T>
[[kernel, max_total_threads_per_threadgroup(256)]] void gather_rows(
    device const T* x [[buffer(0)]],
    device const uint* indices [[buffer(1)]],
    device T* out [[buffer(2)]],
    constant MoveParams& params [[buffer(3)]],
    uint group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  uint row = group * 8 + thread_index / 32;
  if (row >= params.count) return;
  uint index = indices[row];
  for (uint i = thread_index % 32; i < params.d; i += 32) {
    out[ulong(row) * params.d + i] = index < params.n ? x[ulong(index) * params.d + i] : T(0);
  }
}

// out[indices[i]] = x[i], for distinct indices; rows whose index is none are left out. 256 threads a group, 8 rows
// a group.
template <typename T>
[[kernel, max_total_threads_per_threadgroup(256)]] void scatter_rows(
    device const T* x [[buffer(0)]],
    device const uint* indices [[buffer(1)]],
    device T* out [[buffer(2)]],
    constant MoveParams& params [[buffer(3)]],
    uint group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  uint row = group * 8 + thread_index / 32;
  if (row >= params.count) return;
  uint index = indices[row];
  if (index >= params.n) return;
  for (uint i = thread_index % 32; i < params.d; i += 32) {
    out[ulong(index) * params.d + i] = x[ulong(row) * params.d + i];
  }
}
