// What each metric adds up over the coordinates of a pair. A pair without a distance has NaN.
#pragma once
#include <metal_stdlib>
#include "sums.h"
using namespace metal;

// d: coordinates. arg: p of Lp. norms: product of the rows' lengths, where normed() asks for them.
struct MetricContext {
  float d;
  float arg;
  float norms;
};

struct InnerProduct {
  two_float sum = {0.0f, 0.0f};
  static constexpr bool normed() { return false; }
  void add(float a, float b, float) { accumulate_product(sum, a, b); }
  float result(MetricContext) const { return rounded(sum); }
};

struct SquaredL2 {
  two_float sum = {0.0f, 0.0f};
  static constexpr bool normed() { return false; }
  void add(float a, float b, float) { accumulate_square(sum, a, b); }
  float result(MetricContext) const { return rounded(sum); }
};

struct L1 {
  two_float sum = {0.0f, 0.0f};
  static constexpr bool normed() { return false; }
  void add(float a, float b, float) { accumulate_apart(sum, a, b); }
  float result(MetricContext) const { return rounded(sum); }
};

// Rounding keeps order: the rounded difference that is largest is the largest one, rounded.
struct Linf {
  float most = 0.0f;
  static constexpr bool normed() { return false; }
  void add(float a, float b, float) {
    float apart = fabs(a - b);
    if (apart > most || isnan(apart)) most = apart;
  }
  float result(MetricContext) const { return most; }
};

struct Lp {
  two_float sum = {0.0f, 0.0f};
  static constexpr bool normed() { return false; }
  void add(float a, float b, float p) { accumulate(sum, precise::pow(fabs(a - b), p)); }
  float result(MetricContext) const { return rounded(sum); }
};

// 0/0 where both have a zero in one place.
struct Canberra {
  two_float sum = {0.0f, 0.0f};
  static constexpr bool normed() { return false; }
  void add(float a, float b, float) { accumulate(sum, fabs(a - b) / (fabs(a) + fabs(b))); }
  float result(MetricContext) const { return rounded(sum); }
};

struct BrayCurtis {
  two_float apart = {0.0f, 0.0f};
  two_float together = {0.0f, 0.0f};
  static constexpr bool normed() { return false; }
  void add(float a, float b, float) {
    accumulate_apart(apart, a, b);
    accumulate_apart(together, a, -b);
  }
  float result(MetricContext) const { return rounded(apart) / rounded(together); }
};

// (a log(a/m) + b log(b/m)) / 2 with m = (a + b) / 2. Near a = b the logarithms cancel: there the series of
// m/2 · ((1 + e) log(1 + e) + (1 − e) log(1 − e)), e = (a − b) / (a + b), keeps the digits.
struct JensenShannon {
  two_float sum = {0.0f, 0.0f};
  static constexpr bool normed() { return false; }
  void add(float a, float b, float) {
    float mean = 0.5f * a + 0.5f * b;
    float e = 0.5f * (a - b) / mean;
    float s = e * e;
    float series = 1.0f / 120.0f;
    series = fma(series, s, 1.0f / 91.0f);
    series = fma(series, s, 1.0f / 66.0f);
    series = fma(series, s, 1.0f / 45.0f);
    series = fma(series, s, 1.0f / 28.0f);
    series = fma(series, s, 1.0f / 15.0f);
    series = fma(series, s, 1.0f / 6.0f);
    series = fma(series, s, 1.0f) * s * mean;
    float logarithms = a * precise::log(a / mean) + b * precise::log(b / mean);
    accumulate(sum, 0.5f * (s < 0.09f ? series : logarithms));
  }
  float result(MetricContext) const { return rounded(sum); }
};

struct Jaccard {
  two_float smaller = {0.0f, 0.0f};
  two_float larger = {0.0f, 0.0f};
  static constexpr bool normed() { return false; }
  void add(float a, float b, float) {
    bool below = a < b || isnan(a);
    accumulate(smaller, below ? a : b);
    accumulate(larger, below && !isnan(a) ? b : a);
  }
  float result(MetricContext) const { return rounded(smaller) / rounded(larger); }
};

// Over the places that hold no NaN, scaled to all.
struct NaNEuclidean {
  two_float sum = {0.0f, 0.0f};
  uint present = 0;
  static constexpr bool normed() { return false; }
  void add(float a, float b, float) {
    if (isnan(a) || isnan(b)) return;
    accumulate_square(sum, a, b);
    present++;
  }
  float result(MetricContext context) const {
    return present == 0 ? NAN : context.d / float(present) * rounded(sum);
  }
};

// 0 where a row is zero.
struct Cosine {
  two_float sum = {0.0f, 0.0f};
  static constexpr bool normed() { return true; }
  void add(float a, float b, float) { accumulate_product(sum, a, b); }
  float result(MetricContext context) const {
    return context.norms == 0.0f ? 0.0f : rounded(sum) / context.norms;
  }
};
