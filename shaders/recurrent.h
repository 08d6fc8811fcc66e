// h_t = tanh(W x_t + R h_(t−1) + b), for some sequences of d numbers a step.
#pragma once
#include <metal_stdlib>
#include "soft_cap.h"
using namespace metal;

struct RecurrentParams {
  uint batch;
  uint steps;
  uint d;
  uint from;         // first step
  uint to;           // behind the last
  uint precomputed;  // 1: W x_t lies where the states go
  uint has_initial;  // 1: there are states before the first step
};

// Numbers a state that a scan takes: two states lie in threadgroup memory.
constant constexpr uint MOST_STATE = 2048;

// Where the state before a step lies, or nothing.
inline device const float* state_before(
    device const float* out, device const float* initial, uint sequence, uint step,
    constant RecurrentParams& params) {
  if (step > 0) return out + (ulong(sequence) * params.steps + step - 1) * params.d;
  return params.has_initial != 0 ? initial + ulong(sequence) * params.d : nullptr;
}

// Four vectors that go by a matrix together.
struct FourVectors {
  device const float* at[4];
};

// Products of them with a row, over the lanes of a simdgroup: independent loads, so that many are on their way at once.
inline void add_products(
    device const float* row, thread const FourVectors& vectors, uint d, uint lane, thread float (&sums)[4]) {
#pragma unroll(4)
  for (uint j = lane; j < d; j += 32) {
    float left = row[j];
#pragma unroll
    for (uint q = 0; q < 4; q++) sums[q] = fma(left, vectors.at[q][j], sums[q]);
  }
}

// One step: `from`. A simdgroup a number of the state, for up to 4 sequences. 256 threads a group;
// ceil(d / 8) · ceil(batch / 4) groups.
[[kernel, max_total_threads_per_threadgroup(256)]] void recurrent_step_f32(
    device const float* x [[buffer(0)]],
    device const float* w [[buffer(1)]],
    device const float* r [[buffer(2)]],
    device const float* bias [[buffer(3)]],
    device const float* initial [[buffer(4)]],
    device float* out [[buffer(5)]],
    constant RecurrentParams& params [[buffer(6)]],
    uint group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  uint across = (params.d + 7) / 8;
  uint row = group % across * 8 + thread_index / 32;
  uint lane = thread_index % 32;
  uint sequence = group / across * 4;
  if (row >= params.d) return;
  float sums[4] = {0.0f, 0.0f, 0.0f, 0.0f};
  FourVectors vectors;
  // Past the last sequence, the last one again: its sums are not used.
  if (params.from > 0 || params.has_initial != 0) {
    for (uint q = 0; q < 4; q++) {
      vectors.at[q] = state_before(out, initial, min(sequence + q, params.batch - 1), params.from, params);
    }
    add_products(r + ulong(row) * params.d, vectors, params.d, lane, sums);
  }
  if (params.precomputed == 0) {
    for (uint q = 0; q < 4; q++) {
      vectors.at[q] = x + (ulong(min(sequence + q, params.batch - 1)) * params.steps + params.from) * params.d;
    }
    add_products(w + ulong(row) * params.d, vectors, params.d, lane, sums);
  }
  for (uint q = 0; q < 4; q++) {
    float sum = simd_sum(sums[q]);
    if (lane != 0 || sequence + q >= params.batch) continue;
    device float* to = out + (ulong(sequence + q) * params.steps + params.from) * params.d + row;
    *to = known_tanh(sum + bias[row] + (params.precomputed != 0 ? *to : 0.0f));
  }
}

// Rows of a matrix that a simdgroup multiplies together.
constant constexpr uint SCAN_ROWS = 4;

// sums += rows first … of a matrix by a vector; past the last row, the last one again.
template <typename Vector>
inline void multiply_rows(
    device const float* matrix, uint first, Vector vector, uint d, uint lane, thread float (&sums)[SCAN_ROWS]) {
  device const float* rows[SCAN_ROWS];
  for (uint i = 0; i < SCAN_ROWS; i++) rows[i] = matrix + ulong(min(first + i, d - 1)) * d;
#pragma unroll(4)
  for (uint j = lane; j < d; j += 32) {
    float right = vector[j];
#pragma unroll
    for (uint i = 0; i < SCAN_ROWS; i++) sums[i] = fma(rows[i][j], right, sums[i]);
  }
}

// Steps `from` to `to` in one dispatch: a group a sequence, a simdgroup four numbers of the state at a time; the states
// stay in threadgroup memory. d ≤ 2,048. 1,024 threads a group.
[[kernel, max_total_threads_per_threadgroup(1024)]] void recurrent_scan_f32(
    device const float* x [[buffer(0)]],
    device const float* w [[buffer(1)]],
    device const float* r [[buffer(2)]],
    device const float* bias [[buffer(3)]],
    device const float* initial [[buffer(4)]],
    device float* out [[buffer(5)]],
    constant RecurrentParams& params [[buffer(6)]],
    uint sequence [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  threadgroup float states[2 * MOST_STATE];
  uint lane = thread_index % 32;
  device const float* before = state_before(out, initial, sequence, params.from, params);
  for (uint j = thread_index; j < params.d; j += 1024) states[j] = before ? before[j] : 0.0f;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  for (uint step = params.from; step < params.to; step++) {
    threadgroup const float* state = states + (step - params.from) % 2 * MOST_STATE;
    threadgroup float* next = states + (step - params.from + 1) % 2 * MOST_STATE;
    ulong at = (ulong(sequence) * params.steps + step) * params.d;
    for (uint first = thread_index / 32 * SCAN_ROWS; first < params.d; first += 32 * SCAN_ROWS) {
      float sums[SCAN_ROWS] = {0.0f, 0.0f, 0.0f, 0.0f};
      multiply_rows(r, first, state, params.d, lane, sums);
      if (params.precomputed == 0) multiply_rows(w, first, x + at, params.d, lane, sums);
      float sum = 0.0f;
      for (uint i = 0; i < SCAN_ROWS; i++) {
        float whole = simd_sum(sums[i]);
        if (lane == i) sum = whole;
      }
      uint row = first + lane;
      if (lane < SCAN_ROWS && row < params.d) {
        float value = known_tanh(sum + bias[row] + (params.precomputed != 0 ? out[at + row] : 0.0f));
        next[row] = value;
        out[at + row] = value;
      }
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }
}

// The same for d = 256 and inputs that are multiplied already. Eight threads take four rows of R together, 128 of its
// numbers each: RESIDENT of them stay in registers, the others are read from cache at each step. 512 threads a group.
template <uint RESIDENT>
[[kernel, max_total_threads_per_threadgroup(512)]] void recurrent_scan_256(
    device const float* r [[buffer(0)]],
    device const float* bias [[buffer(1)]],
    device const float* initial [[buffer(2)]],
    device float* out [[buffer(3)]],
    constant RecurrentParams& params [[buffer(4)]],
    uint sequence [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  threadgroup float4 states[2 * 64];
  uint part = thread_index % 8;
  device const float4* own = (device const float4*)(r + thread_index / 8 * 4 * 256) + part;
  float4 resident[4][RESIDENT / 16];
#pragma unroll
  for (uint i = 0; i < 4; i++) {
#pragma unroll
    for (uint k = 0; k < RESIDENT / 16; k++) resident[i][k] = own[i * 64 + k * 8];
  }
  device const float* before = state_before(out, initial, sequence, params.from, params);
  threadgroup float* numbers = (threadgroup float*)states;
  if (thread_index < 256) numbers[thread_index] = before ? before[thread_index] : 0.0f;
  // Each row's sum ends in two threads; the first of them makes the state.
  uint row = thread_index / 2;
  bool makes = part % 2 == 0;
  float own_bias = bias[row];
  device float* at = out + (ulong(sequence) * params.steps + params.from) * 256 + row;
  float input = *at;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  for (uint step = params.from; step < params.to; step++) {
    uint side = (step - params.from) % 2;
    threadgroup const float4* state = states + side * 64 + part;
    // The next step's input is on its way while this one's state is made.
    float next_input = step + 1 < params.to ? at[256] : 0.0f;
    float sums[4] = {0.0f, 0.0f, 0.0f, 0.0f};
#pragma unroll
    for (uint k = 0; k < 8; k++) {
      float4 four = state[k * 8];
#pragma unroll
      for (uint i = 0; i < 4; i++) {
        float4 left = k < RESIDENT / 16 ? resident[i][k % (RESIDENT / 16)] : own[i * 64 + k * 8];
        sums[i] = fma(left.x, four.x, fma(left.y, four.y, fma(left.z, four.z, fma(left.w, four.w, sums[i]))));
      }
    }
    // Four sums over eight lanes: each exchange halves the rows that a lane has to do with.
    bool upper = part >= 4;
    float first = (upper ? sums[2] : sums[0]) + simd_shuffle_xor(upper ? sums[0] : sums[2], 4);
    float second = (upper ? sums[3] : sums[1]) + simd_shuffle_xor(upper ? sums[1] : sums[3], 4);
    bool odd = part % 4 >= 2;
    float sum = (odd ? second : first) + simd_shuffle_xor(odd ? first : second, 2);
    sum += simd_shuffle_xor(sum, 1);
    if (makes) {
      float value = known_tanh(sum + own_bias + input);
      numbers[(1 - side) * 256 + row] = value;
      *at = value;
    }
    at += 256;
    input = next_input;
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }
}
