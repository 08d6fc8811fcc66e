// Products without tiles, a thread a number: what the tiled kernels are compared with, in tests and experiments.
#pragma once
#include "tall_params.h"

// C = alpha · op(A)·B + beta · C. A is m × n as it lies; with TRANSPOSE C is n × k, else m × k. A thread a number.
template <typename T, bool TRANSPOSE>
[[kernel]] void gemm_naive(
    device const T* a [[buffer(0)]],
    device const T* b [[buffer(1)]],
    device float* c [[buffer(2)]],
    constant TallParams& params [[buffer(3)]],
    uint at [[thread_position_in_grid]]) {
  uint rows = TRANSPOSE ? params.n : params.m;
  uint depth = TRANSPOSE ? params.m : params.n;
  uint row = at / params.k;
  uint column = at % params.k;
  if (row >= rows) return;
  float sum = 0.0f;
  for (uint i = 0; i < depth; i++) {
    ulong place = TRANSPOSE ? ulong(i) * params.line_a + row : ulong(row) * params.line_a + i;
    sum = fma(float(a[place]), float(b[ulong(i) * params.line_b + column]), sum);
  }
  device float* to = c + ulong(row) * params.line_c + column;
  *to = params.beta == 0.0f ? params.alpha * sum : fma(params.beta, *to, params.alpha * sum);
}

// Z = Aᵀ(AV) in one kernel: each number of Z computes all of the A·V that it needs. n · k threads.
template <typename T>
[[kernel]] void z_naive(
    device const T* a [[buffer(0)]],
    device const T* v [[buffer(1)]],
    device float* z [[buffer(2)]],
    constant TallParams& params [[buffer(3)]],
    uint at [[thread_position_in_grid]]) {
  uint row = at / params.k;
  uint column = at % params.k;
  if (row >= params.n) return;
  float sum = 0.0f;
  for (uint i = 0; i < params.m; i++) {
    device const T* line = a + ulong(i) * params.line_a;
    float product = 0.0f;
    for (uint j = 0; j < params.n; j++) {
      product = fma(float(line[j]), float(v[ulong(j) * params.line_b + column]), product);
    }
    sum = fma(float(line[row]), product, sum);
  }
  z[ulong(row) * params.line_c + column] = sum;
}
