// y[b, h] = W[h] x[b, h]: a matrix for each head, sums in float.
#pragma once
#include <metal_stdlib>
using namespace metal;

struct HeadLinearParams {
  uint batch;
  uint heads;
  uint d;
  uint outputs;
};

constant constexpr uint HEAD_TILE = 16;
constant constexpr uint HEAD_SLAB = 32;

// 16 inputs by 16 outputs of a head; 256 threads a group, a sum each. Groups: heads · ceil(batch / 16) ·
// ceil(outputs / 16).
template <typename T>
[[kernel, max_total_threads_per_threadgroup(256)]] void head_linear(
    device const T* x [[buffer(0)]],
    device const T* w [[buffer(1)]],
    device T* out [[buffer(2)]],
    constant HeadLinearParams& params [[buffer(3)]],
    uint group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  // A number more a line: threads that go down a column meet different banks.
  threadgroup float inputs[HEAD_TILE * (HEAD_SLAB + 1)];
  threadgroup float weights[HEAD_TILE * (HEAD_SLAB + 1)];
  uint across = (params.outputs + HEAD_TILE - 1) / HEAD_TILE;
  uint down = (params.batch + HEAD_TILE - 1) / HEAD_TILE;
  uint head = group / (across * down);
  uint first_row = group / across % down * HEAD_TILE;
  uint first_output = group % across * HEAD_TILE;
  uint own_row = thread_index / HEAD_TILE;
  uint own_output = thread_index % HEAD_TILE;
  float sum = 0.0f;
  for (uint first = 0; first < params.d; first += HEAD_SLAB) {
    for (uint at = thread_index; at < HEAD_TILE * HEAD_SLAB; at += 256) {
      uint line = at / HEAD_SLAB;
      uint k = at % HEAD_SLAB;
      uint to = line * (HEAD_SLAB + 1) + k;
      bool inside = first + k < params.d;
      uint row = first_row + line;
      uint output = first_output + line;
      inputs[to] = inside && row < params.batch
                       ? float(x[(ulong(row) * params.heads + head) * params.d + first + k])
                       : 0.0f;
      weights[to] = inside && output < params.outputs
                        ? float(w[(ulong(head) * params.outputs + output) * params.d + first + k])
                        : 0.0f;
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
#pragma unroll
    for (uint k = 0; k < HEAD_SLAB; k++) {
      sum = fma(inputs[own_row * (HEAD_SLAB + 1) + k], weights[own_output * (HEAD_SLAB + 1) + k], sum);
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }
  uint row = first_row + own_row;
  uint output = first_output + own_output;
  if (row < params.batch && output < params.outputs) {
    out[(ulong(row) * params.heads + head) * params.outputs + output] = T(sum);
  }
}
