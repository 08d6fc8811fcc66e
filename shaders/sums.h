// Sums that keep what rounding loses: of two floats where the result is compared with double precision's, of
// three where rows come in no fixed order.
#pragma once
#include <metal_stdlib>
#include "two_float.h"
using namespace metal;

// sum += x.
inline void accumulate(thread two_float& sum, float x) {
  two_float next = two_sum(sum.hi, x);
  sum.hi = next.hi;
  sum.lo += next.lo;
}

// sum += |a − b|, exact where a − b is no float.
inline void accumulate_apart(thread two_float& sum, float a, float b) {
  two_float apart = two_sum(a, -b);
  accumulate(sum, fabs(apart.hi));
  sum.lo += apart.hi < 0.0f ? -apart.lo : apart.lo;
}

// The sum over a simdgroup, in every lane. Unlike lanes_sum it keeps an infinity.
inline two_float simd_total(two_float sum) {
  for (ushort step = 16; step > 0; step /= 2) {
    two_float next = two_sum(sum.hi, simd_shuffle_xor(sum.hi, step));
    sum.lo = (sum.lo + simd_shuffle_xor(sum.lo, step)) + next.lo;
    sum.hi = next.hi;
  }
  return sum;
}

// One float; infinite where a partial sum overflowed, as a plain sum would be.
inline float rounded(two_float sum) { return isfinite(sum.hi) ? sum.hi + sum.lo : sum.hi; }

// About 72 bits: whatever the order of 2^20 terms, their sum rounds to the same float.
struct three_float {
  float hi;
  float mid;
  float lo;
};

inline void accumulate_low(thread three_float& sum, float x) {
  two_float next = two_sum(sum.mid, x);
  sum.mid = next.hi;
  sum.lo += next.lo;
}

inline void accumulate(thread three_float& sum, float x) {
  two_float next = two_sum(sum.hi, x);
  sum.hi = next.hi;
  accumulate_low(sum, next.lo);
}

inline void accumulate_product(thread three_float& sum, float a, float b) {
  two_float product = two_product(a, b);
  accumulate(sum, product.hi);
  accumulate_low(sum, product.lo);
}

inline void accumulate(thread three_float& sum, three_float other) {
  accumulate(sum, other.hi);
  accumulate_low(sum, other.mid);
  sum.lo += other.lo;
}

// The two floats nearest to the sum: the same for every order of its terms.
inline two_float shortened(three_float sum) {
  two_float high = two_sum(sum.hi, sum.mid);
  return fast_two_sum(high.hi, high.lo + sum.lo);
}

// Powers of two that bring numbers up to `largest` near 1, and back: their squares stay in range.
struct UnitScale {
  float down;
  float up;
};

inline UnitScale unit_scale(float largest) {
  uint exponent = clamp(as_type<uint>(largest) >> 23, 1u, 253u);
  return {as_type<float>((254u - exponent) << 23), as_type<float>(exponent << 23)};
}

// The sum of products of two rows that were scaled down; the larger factor last, so that no step overflows alone.
inline float unscaled(two_float sum, UnitScale a, UnitScale b) {
  return (sum.hi + sum.lo) * min(a.up, b.up) * max(a.up, b.up);
}
