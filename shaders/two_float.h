// Numbers of about 48 bits as sums of two floats: exact distances where there is no double.
#pragma once
#include <metal_stdlib>
// A product that is fused with a sum counts its rounding twice.
#pragma METAL fp contract(off)
using namespace metal;

#ifdef __FAST_MATH__
#error "Cannot compile compensated sums with fast math: it removes them. Set mathMode to safe"
#endif

struct two_float {
  float hi;
  float lo;
};

inline two_float two_sum(float a, float b) {
  float sum = a + b;
  float part = sum - a;
  return {sum, (a - (sum - part)) + (b - part)};
}

// |a| >= |b|.
inline two_float fast_two_sum(float a, float b) {
  float sum = a + b;
  return {sum, b - (sum - a)};
}

inline two_float two_product(float a, float b) {
  float product = a * b;
  return {product, fma(a, b, -product)};
}

inline two_float add(two_float a, two_float b) {
  two_float sum = two_sum(a.hi, b.hi);
  return fast_two_sum(sum.hi, sum.lo + (a.lo + b.lo));
}

inline two_float multiply(two_float a, two_float b) {
  two_float product = two_product(a.hi, b.hi);
  return fast_two_sum(product.hi, fma(a.hi, b.lo, fma(a.lo, b.hi, product.lo)));
}

inline two_float divide(two_float a, two_float b) {
  float first = a.hi / b.hi;
  two_float product = two_product(first, b.hi);
  float rest = ((a.hi - product.hi) - product.lo) + fma(-first, b.lo, a.lo);
  return fast_two_sum(first, rest / b.hi);
}

inline two_float square_root(two_float a) {
  if (!(a.hi > 0.0f)) return {sqrt(a.hi), 0.0f};
  float root = sqrt(a.hi);
  two_float square = two_product(root, root);
  return fast_two_sum(root, ((a.hi - square.hi) - square.lo + a.lo) / (2.0f * root));
}

// sum += a * b, with both errors kept.
inline void accumulate_product(thread two_float& sum, float a, float b) {
  two_float product = two_product(a, b);
  two_float next = two_sum(sum.hi, product.hi);
  sum.hi = next.hi;
  sum.lo += next.lo + product.lo;
}

// sum += (a - b)^2, with every error kept.
inline void accumulate_square(thread two_float& sum, float a, float b) {
  two_float apart = two_sum(a, -b);
  two_float square = two_product(apart.hi, apart.hi);
  two_float next = two_sum(sum.hi, square.hi);
  sum.hi = next.hi;
  sum.lo += next.lo + fma(2.0f * apart.hi, apart.lo, square.lo);
}

// The sum over groups of WIDTH lanes, in every lane of them.
template <ushort WIDTH>
inline two_float lanes_sum(two_float value) {
  for (ushort step = WIDTH / 2; step > 0; step /= 2) {
    two_float other = {simd_shuffle_xor(value.hi, step), simd_shuffle_xor(value.lo, step)};
    value = add(value, other);
  }
  return value;
}
