// y = alpha · x W + beta · c + bias for one row x a matrix: parameters, loads and the end that all kernels share.
#pragma once
#include <metal_stdlib>
using namespace metal;

// W is n × k in NT kernels, k × n in NN kernels. Matrices of a batch, and their vectors, follow one another.
struct GemvParams {
  uint n;
  uint k;
  uint line;       // elements from a row of W to the next
  uint bias_line;  // from a bias to the next of the batch: n, or 0
  uint flags;      // GEMV_…
  float alpha;
  float beta;  // 0: c is not read
};

// There is a bias; without it, it is not read.
constant constexpr uint GEMV_BIAS = 1;
// Rows of W, and every x, start at multiples of 16 bytes in memory.
constant constexpr uint GEMV_ALIGNED = 2;

// What goes onto a sum. It is loaded early, to arrive while W does, and used late.
template <typename X>
struct GemvEnd {
  X bias = X(0.0f);
  X c = X(0.0f);
  float alpha;
  float beta;

  GemvEnd(
      device const X* biases, device const X* cs, constant GemvParams& params, uint matrix, uint column, bool wanted) {
    alpha = params.alpha;
    beta = params.beta;
    wanted = wanted && column < params.n;
    if (wanted && beta != 0.0f) c = cs[ulong(matrix) * params.n + column];
    if (wanted && (params.flags & GEMV_BIAS)) bias = biases[ulong(matrix) * params.bias_line + column];
  }
  X of(float sum) const { return X(fma(alpha, sum, fma(beta, float(c), float(bias)))); }
};

// Elements of T in 16 bytes.
template <typename T>
constexpr uint in_sixteen() {
  return 16 / sizeof(T);
}

// The i-th number of those packed in words.
template <uint WORDS>
inline float widened(const thread uint (&raw)[WORDS], uint i, half) {
  return float(as_type<half2>(raw[i / 2])[i % 2]);
}
template <uint WORDS>
inline float widened(const thread uint (&raw)[WORDS], uint i, bfloat) {
  return as_type<float>(i % 2 == 0 ? raw[i / 2] << 16 : raw[i / 2] & 0xffff0000u);
}
template <uint WORDS>
inline float widened(const thread uint (&raw)[WORDS], uint i, float) {
  return as_type<float>(raw[i]);
}

// N numbers of x as they lie, from an aligned place: loaded at once, widened later.
template <typename X, uint N>
struct Numbers {
  uint raw[N * sizeof(X) / 4];

  void load(device const X* from, bool there) {
    constexpr uint WORDS = N * sizeof(X) / 4;
    if (WORDS == 2) {
      uint2 two = there ? *(device const uint2*)from : uint2(0);
      raw[0] = two.x;
      raw[1] = two.y;
    } else {
#pragma unroll
      for (uint first = 0; first < WORDS; first += 4) {
        uint4 four = there ? ((device const uint4*)from)[first / 4] : uint4(0);
#pragma unroll
        for (uint i = 0; i < 4; i++) raw[first + i] = four[i];
      }
    }
  }
  float operator[](uint i) const { return widened(raw, i, X()); }
};
