// Layer norms: (x − mean) / √(variance + eps) of rows, by a weight and plus a bias; a simdgroup a row.
#pragma once
#include <metal_stdlib>
using namespace metal;

struct LayerNormParams {
  uint rows;
  uint columns;
  uint period;  // row r takes row r % period of weight and bias
  uint has_weight;
  uint has_bias;
  float eps;
};

constant constexpr uint NORM_ROWS = 4;

// Sums of x − center and of its square.
struct Moments {
  float sum = 0.0f;
  float squares = 0.0f;
  void add(float apart) {
    sum += apart;
    squares = fma(apart, apart, squares);
  }
};

// What a row is normalised by. The mean is a float and what it lacks: rows far from 0 keep their variance.
struct RowNorm {
  float center;
  float rest;
  float scale;

  RowNorm(float mean, Moments moments, constant LayerNormParams& params) {
    float n = float(params.columns);
    center = mean;
    rest = simd_sum(moments.sum) / n;
    float variance = fma(-rest, rest, simd_sum(moments.squares) / n);
    // A NaN stays, and infinities become one.
    scale = 1.0f / sqrt((variance > 0.0f ? variance : variance * 0.0f) + params.eps);
  }

  float apply(float x, device const float* weight, device const float* bias, ulong at,
              constant LayerNormParams& params) const {
    float value = ((x - center) - rest) * scale;
    if (params.has_weight != 0) value *= weight[at];
    if (params.has_bias != 0) value += bias[at];
    return value;
  }
};

// Rows of up to 32 · VALUES numbers, which stay in registers. 128 threads a group, 4 rows.
template <typename T, uint VALUES>
[[kernel, max_total_threads_per_threadgroup(128)]] void layer_norm(
    device const T* x [[buffer(0)]],
    device const float* weight [[buffer(1)]],
    device const float* bias [[buffer(2)]],
    device T* out [[buffer(3)]],
    constant LayerNormParams& params [[buffer(4)]],
    uint group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  uint row = group * NORM_ROWS + thread_index / 32;
  uint lane = thread_index % 32;
  if (row >= params.rows) return;
  ulong at = ulong(row) * params.columns;
  ulong factors = ulong(row % params.period) * params.columns;
  float values[VALUES];
  float sum = 0.0f;
#pragma unroll
  for (uint i = 0; i < VALUES; i++) {
    uint column = i * 32 + lane;
    values[i] = column < params.columns ? float(x[at + column]) : 0.0f;
    sum += values[i];
  }
  float mean = simd_sum(sum) / float(params.columns);
  Moments moments;
#pragma unroll
  for (uint i = 0; i < VALUES; i++) {
    if (i * 32 + lane < params.columns) moments.add(values[i] - mean);
  }
  RowNorm norm(mean, moments, params);
#pragma unroll
  for (uint i = 0; i < VALUES; i++) {
    uint column = i * 32 + lane;
    if (column < params.columns) {
      out[at + column] = T(norm.apply(values[i], weight, bias, factors + column, params));
    }
  }
}

// Rows of any length, read three times. 128 threads a group, 4 rows.
template <typename T>
[[kernel, max_total_threads_per_threadgroup(128)]] void layer_norm_long(
    device const T* x [[buffer(0)]],
    device const float* weight [[buffer(1)]],
    device const float* bias [[buffer(2)]],
    device T* out [[buffer(3)]],
    constant LayerNormParams& params [[buffer(4)]],
    uint group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  uint row = group * NORM_ROWS + thread_index / 32;
  uint lane = thread_index % 32;
  if (row >= params.rows) return;
  device const T* from = x + ulong(row) * params.columns;
  device T* to = out + ulong(row) * params.columns;
  ulong factors = ulong(row % params.period) * params.columns;
  float sum = 0.0f;
  for (uint i = lane; i < params.columns; i += 32) sum += float(from[i]);
  float mean = simd_sum(sum) / float(params.columns);
  Moments moments;
  for (uint i = lane; i < params.columns; i += 32) moments.add(float(from[i]) - mean);
  RowNorm norm(mean, moments, params);
  for (uint i = lane; i < params.columns; i += 32) {
    to[i] = T(norm.apply(float(from[i]), weight, bias, factors + i, params));
  }
}
