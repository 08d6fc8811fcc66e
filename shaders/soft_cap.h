// cap · tanh(x / cap), and a tanh whose error is known on every device.
#pragma once
#include <metal_stdlib>
using namespace metal;

// tanh to 1.5 units in the last place: odd, monotone, 1 from 9.011 on; a NaN stays.
// Below 0.625 an odd polynomial; above, 1 − 2 / (1 + exp 2x) with exp 2x = 2^k (1 + p): every step of it is monotone.
inline float known_tanh(float x) {
  float a = fabs(x);
  float value;
  if (a < 0.625f) {
    float square = a * a;
    float odd = fma(-5.70498872745e-3f, square, 2.06390887954e-2f);
    odd = fma(odd, square, -5.37397155531e-2f);
    odd = fma(odd, square, 1.33314422036e-1f);
    odd = fma(odd, square, -3.33332819422e-1f);
    value = fma(a * square, odd, a);
  } else {
    float y = a > 10.0f ? 20.0f : a + a;
    float k = rint(y * 1.44269504f);
    float r = fma(k, -0.693359375f, y);
    r = fma(k, 2.12194440e-4f, r);
    float q = fma(1.9875691500e-4f, r, 1.3981999507e-3f);
    q = fma(q, r, 8.3334519073e-3f);
    q = fma(q, r, 4.1665795894e-2f);
    q = fma(q, r, 1.6666665459e-1f);
    q = fma(q, r, 5.0000001201e-1f);
    float p = fma(r * r, q, r);
    // A NaN has no k; it goes on in p.
    float power = as_type<float>(uint(clamp(k, 0.0f, 30.0f) + 127.0f) << 23);
    value = 1.0f - 2.0f / fma(power, p, power + 1.0f);
  }
  return copysign(value, x);
}

struct SoftCapParams {
  uint n;
  float cap;
};

constant constexpr uint CAPPED = 1024;

// 256 threads a group, 1,024 numbers.
template <typename T>
[[kernel, max_total_threads_per_threadgroup(256)]] void soft_cap(
    device const T* x [[buffer(0)]],
    device T* out [[buffer(1)]],
    constant SoftCapParams& params [[buffer(2)]],
    uint group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  ulong first = ulong(group) * CAPPED + thread_index;
#pragma unroll
  for (uint i = 0; i < CAPPED; i += 256) {
    if (first + i < params.n) out[first + i] = T(params.cap * known_tanh(float(x[first + i]) / params.cap));
  }
}
