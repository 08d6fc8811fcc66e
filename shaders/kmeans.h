// New centroids from assigned rows: rows are counted and ordered by centroid, each centroid's are added up in
// chunks. And the distances that k-means++ draws by.
#pragma once
#include <metal_stdlib>
#include "scan.h"
#include "sums.h"
using namespace metal;

struct KMeansParams {
  uint n;
  uint k;
  uint d;
  uint weighted;  // 1: rows have weights
};

// Rows of a centroid that one group adds up. There are at most n / 1,024 + k chunks.
constant constexpr uint CHUNK_ROWS = 1024;

// counts[label]++; labels ≥ k are of no centroid. Starts from zeros. A thread a row, 256 a group.
[[kernel]] void kmeans_count(
    device const uint* labels [[buffer(0)]],
    device atomic_uint* counts [[buffer(1)]],
    constant KMeansParams& params [[buffer(2)]],
    uint row [[thread_position_in_grid]]) {
  if (row >= params.n) return;
  uint label = labels[row];
  if (label < params.k) atomic_fetch_add_explicit(&counts[label], 1, memory_order_relaxed);
}

// chunks[c] = chunks of the centroids before c, chunks[k] = all; ends[c] = rows of the centroids before c, for
// kmeans_order to move on. 1,024 threads, one group.
[[kernel, max_total_threads_per_threadgroup(1024)]] void kmeans_offsets(
    device const uint* counts [[buffer(0)]],
    device uint* ends [[buffer(1)]],
    device uint* chunks [[buffer(2)]],
    constant KMeansParams& params [[buffer(3)]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  threadgroup uint memory[33];
  uint row = 0;
  uint chunk = 0;
  for (uint first = 0; first < params.k; first += 1024) {
    uint c = first + thread_index;
    uint count = c < params.k ? counts[c] : 0;
    uint rows;
    uint more;
    uint before = prefix_sum(count, memory, thread_index, 1024, rows);
    uint full = count / CHUNK_ROWS + (count % CHUNK_ROWS != 0);
    uint chunks_before = prefix_sum(full, memory, thread_index, 1024, more);
    if (c < params.k) {
      ends[c] = row + before;
      chunks[c] = chunk + chunks_before;
    }
    row += rows;
    chunk += more;
  }
  if (thread_index == 0) chunks[params.k] = chunk;
}

// order = rows by centroid, in any order within one; ends[c] becomes the end of centroid c's. A thread a row,
// 256 a group.
[[kernel]] void kmeans_order(
    device const uint* labels [[buffer(0)]],
    device atomic_uint* ends [[buffer(1)]],
    device uint* order [[buffer(2)]],
    constant KMeansParams& params [[buffer(3)]],
    uint row [[thread_position_in_grid]]) {
  if (row >= params.n) return;
  uint label = labels[row];
  if (label < params.k) order[atomic_fetch_add_explicit(&ends[label], 1, memory_order_relaxed)] = row;
}

// partial[chunk] = d sums of weighted rows, then the sum of the weights, as three floats each, in three planes of
// d + 1. 256 threads a group; n / 1,024 + k groups, those past the last chunk do nothing.
template <typename T>
[[kernel, max_total_threads_per_threadgroup(256)]] void kmeans_sum(
    device const T* x [[buffer(0)]],
    device const float* weights [[buffer(1)]],
    device const uint* counts [[buffer(2)]],
    device const uint* ends [[buffer(3)]],
    device const uint* chunks [[buffer(4)]],
    device const uint* order [[buffer(5)]],
    device float* partial [[buffer(6)]],
    constant KMeansParams& params [[buffer(7)]],
    uint chunk [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  threadgroup float parts[3 * 256];
  if (chunk >= chunks[params.k]) return;
  // The last centroid that starts at this chunk or before: those without rows start where the next does.
  uint low = 0;
  uint high = params.k;
  while (high - low > 1) {
    uint middle = low + (high - low) / 2;
    if (chunks[middle] <= chunk) low = middle;
    else high = middle;
  }
  uint skipped = (chunk - chunks[low]) * CHUNK_ROWS;
  uint rows = min(counts[low] - skipped, CHUNK_ROWS);
  device const uint* members = order + (ends[low] - counts[low] + skipped);
  uint part = thread_index / 32;
  for (uint first = 0; first <= params.d; first += 32) {
    uint column = first + thread_index % 32;
    three_float sum = {0.0f, 0.0f, 0.0f};
    if (column <= params.d) {
      for (uint i = part; i < rows; i += 8) {
        uint row = members[i];
        float value = column < params.d ? float(x[ulong(row) * params.d + column]) : 1.0f;
        if (params.weighted != 0) accumulate_product(sum, weights[row], value);
        else accumulate(sum, value);
      }
    }
    parts[thread_index] = sum.hi;
    parts[256 + thread_index] = sum.mid;
    parts[512 + thread_index] = sum.lo;
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (part == 0 && column <= params.d) {
      for (uint i = thread_index + 32; i < 256; i += 32) accumulate(sum, {parts[i], parts[256 + i], parts[512 + i]});
      device float* out = partial + ulong(chunk) * 3 * (params.d + 1) + column;
      out[0] = sum.hi;
      out[params.d + 1] = sum.mid;
      out[2 * (params.d + 1)] = sum.lo;
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }
}

// The sum of a column of a centroid's chunks.
inline two_float sum_chunks(device const float* partial, uint begin, uint end, uint width, uint column) {
  three_float sum = {0.0f, 0.0f, 0.0f};
  for (uint chunk = begin; chunk < end; chunk++) {
    device const float* part = partial + ulong(chunk) * 3 * width + column;
    accumulate(sum, {part[0], part[width], part[2 * width]});
  }
  return shortened(sum);
}

// centroids[c] = sum / weight, and totals[c] = weight; a centroid without weight stays. 256 threads a group, a
// group a centroid.
[[kernel]] void kmeans_mean(
    device const float* partial [[buffer(0)]],
    device const uint* chunks [[buffer(1)]],
    device float* centroids [[buffer(2)]],
    device float* totals [[buffer(3)]],
    constant KMeansParams& params [[buffer(4)]],
    uint c [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]],
    uint threads [[threads_per_threadgroup]]) {
  uint width = params.d + 1;
  two_float total = sum_chunks(partial, chunks[c], chunks[c + 1], width, params.d);
  if (thread_index == 0) totals[c] = total.hi;
  if (!(total.hi > 0.0f)) return;
  for (uint column = thread_index; column < params.d; column += threads) {
    two_float mean = divide(sum_chunks(partial, chunks[c], chunks[c + 1], width, column), total);
    centroids[ulong(c) * params.d + column] = mean.hi + mean.lo;
  }
}

// least[i] = min(least[i], ‖x_i − center‖²). 256 threads a group, 8 rows a group.
template <typename T>
[[kernel, max_total_threads_per_threadgroup(256)]] void kmeans_least(
    device const T* x [[buffer(0)]],
    device const float* center [[buffer(1)]],
    device float* least [[buffer(2)]],
    constant KMeansParams& params [[buffer(3)]],
    uint group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  uint row = group * 8 + thread_index / 32;
  uint lane = thread_index % 32;
  if (row >= params.n) return;
  device const T* from = x + ulong(row) * params.d;
  two_float sum = {0.0f, 0.0f};
  for (uint i = lane; i < params.d; i += 32) accumulate_square(sum, float(from[i]), center[i]);
  float distance = rounded(simd_total(sum));
  if (lane == 0 && distance < least[row]) least[row] = distance;
}
