// Sums of one long vector, of products and of squares: in float, with Kahan's compensation, in two floats, and
// exactly, in limbs. A group leaves a part; the host adds those up.
#pragma once
#include <metal_stdlib>
#include "sums.h"
using namespace metal;

struct SumParams {
  uint n;
  uint groups;
};

// Sums of absolute values go into two: of large terms times 2^-64, of small ones. Neither overflows.
struct Magnitude {
  float large = 0.0f;
  float small = 0.0f;
  void add(float x) {
    float size = fabs(x);
    bool is_large = size > 1e18f;
    large += is_large ? size * 5.421010862427522e-20f : 0.0f;
    small += is_large ? 0.0f : size;
  }
};

// What a group leaves: value + rest; the plain sum; absolute values.
struct SumPart {
  float value;
  float rest;
  float plain;
  float large;
  float small;
};

// A term is hi + lo.
struct TermX {
  static two_float of(device const float* x, device const float*, float, uint i) { return {x[i], 0.0f}; }
};
struct TermProduct {
  static two_float of(device const float* x, device const float* y, float, uint i) {
    return two_product(x[i], y[i]);
  }
};
struct TermSquare {
  static two_float of(device const float* x, device const float*, float scale, uint i) {
    float a = x[i] * scale;
    return two_product(a, a);
  }
};

struct PlainSum {
  two_float sum = {0.0f, 0.0f};
  void add(two_float term) { sum.hi += term.hi; }
};

struct KahanSum {
  two_float sum = {0.0f, 0.0f};
  void add(two_float term) {
    float y = term.hi + (sum.lo + term.lo);
    float next = sum.hi + y;
    sum.lo = y - (next - sum.hi);
    sum.hi = next;
  }
};

struct TwoFloatSum {
  two_float sum = {0.0f, 0.0f};
  void add(two_float term) {
    two_float next = two_sum(sum.hi, term.hi);
    sum = fast_two_sum(next.hi, sum.lo + (next.lo + term.lo));
  }
};

// Bits of the largest |x|; those of a NaN are above infinity's. `largest` starts from 0. 256 threads a group.
[[kernel, max_total_threads_per_threadgroup(256)]] void largest_f32(
    device const float* x [[buffer(0)]],
    device atomic_uint* largest [[buffer(1)]],
    constant SumParams& params [[buffer(2)]],
    uint group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  uint most = 0;
  for (ulong i = group * 256 + thread_index; i < params.n; i += params.groups * 256) {
    most = max(most, as_type<uint>(x[i]) & 0x7fffffffu);
  }
  most = simd_max(most);
  if (thread_index % 32 == 0) atomic_fetch_max_explicit(largest, most, memory_order_relaxed);
}

constant constexpr uint SUM_LOADS = 8;

// parts[group] = the sum of every groups-th 256 terms. Squares are of numbers brought near 1 by the largest.
// 256 threads a group.
template <typename Term, typename Sum>
[[kernel, max_total_threads_per_threadgroup(256)]] void sum_terms(
    device const float* x [[buffer(0)]],
    device const float* y [[buffer(1)]],
    device const uint* largest [[buffer(2)]],
    device SumPart* parts [[buffer(3)]],
    constant SumParams& params [[buffer(4)]],
    uint group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  threadgroup SumPart shares[8];
  float scale = unit_scale(as_type<float>(largest[0])).down;
  Sum sum;
  float plain = 0.0f;
  Magnitude magnitude;
  ulong i = group * 256 + thread_index;
  ulong apart = params.groups * 256;
  // Loads of SUM_LOADS terms are on their way at once.
  for (; i + (SUM_LOADS - 1) * apart < params.n; i += SUM_LOADS * apart) {
    two_float terms[SUM_LOADS];
#pragma unroll
    for (uint k = 0; k < SUM_LOADS; k++) terms[k] = Term::of(x, y, scale, uint(i + k * apart));
#pragma unroll
    for (uint k = 0; k < SUM_LOADS; k++) {
      sum.add(terms[k]);
      plain += terms[k].hi;
      magnitude.add(terms[k].hi);
    }
  }
  for (; i < params.n; i += apart) {
    two_float term = Term::of(x, y, scale, uint(i));
    sum.add(term);
    plain += term.hi;
    magnitude.add(term.hi);
  }
  for (ushort step = 16; step > 0; step /= 2) {
    two_float other = {simd_shuffle_xor(sum.sum.hi, step), simd_shuffle_xor(sum.sum.lo, step)};
    sum.add(other);
  }
  plain = simd_sum(plain);
  float large = simd_sum(magnitude.large);
  float small = simd_sum(magnitude.small);
  if (thread_index % 32 == 0) shares[thread_index / 32] = {sum.sum.hi, sum.sum.lo, plain, large, small};
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (thread_index != 0) return;
  for (ushort i = 1; i < 8; i++) {
    SumPart share = shares[i];
    sum.add({share.value, share.rest});
    plain += share.plain;
    large += share.large;
    small += share.small;
  }
  parts[group] = {sum.sum.hi, sum.sum.lo, plain, large, small};
}

// Limbs of 16 bits in words of 32: 2^15 numbers can be added before a word overflows. Limb i counts 2^(16 i) units of
// 2^-149, of products 2^-298.
constant constexpr uint LIMBS = 40;
// Lanes of a simdgroup add to one of these sets, so that they meet less often.
constant constexpr uint LIMB_WAYS = 4;

constant constexpr uint SUM_NAN = 1;
constant constexpr uint SUM_POSITIVE = 2;
constant constexpr uint SUM_NEGATIVE = 4;

inline void add_special(device atomic_uint* specials, float x) {
  uint kind = isnan(x) ? SUM_NAN : x > 0.0f ? SUM_POSITIVE : SUM_NEGATIVE;
  atomic_fetch_or_explicit(specials, kind, memory_order_relaxed);
}

inline uint significand_of(uint bits) {
  uint fraction = bits & 0x7fffffu;
  return (bits & 0x7f800000u) != 0 ? fraction | 0x800000u : fraction;
}

inline uint place_of(uint bits) {
  uint exponent = (bits >> 23) & 255u;
  return exponent != 0 ? exponent - 1 : 0;
}

inline void add_limb(threadgroup atomic_int* limb, uint value, bool negative) {
  if (value != 0) atomic_fetch_add_explicit(limb, negative ? -int(value) : int(value), memory_order_relaxed);
}

// parts[group] = LIMBS sums. At most 1,000 numbers a thread. specials starts from 0. 256 threads a group.
template <bool PRODUCTS>
[[kernel, max_total_threads_per_threadgroup(256)]] void sum_limbs(
    device const float* x [[buffer(0)]],
    device const float* y [[buffer(1)]],
    device atomic_uint* specials [[buffer(2)]],
    device long* parts [[buffer(3)]],
    constant SumParams& params [[buffer(4)]],
    uint group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  threadgroup atomic_int sums[8 * LIMB_WAYS * LIMBS];
  for (uint i = thread_index; i < 8 * LIMB_WAYS * LIMBS; i += 256) {
    atomic_store_explicit(&sums[i], 0, memory_order_relaxed);
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  threadgroup atomic_int* own = sums + (thread_index / 32 * LIMB_WAYS + thread_index % LIMB_WAYS) * LIMBS;
  for (ulong i = group * 256 + thread_index; i < params.n; i += params.groups * 256) {
    uint a = as_type<uint>(x[i]);
    ulong significand = significand_of(a);
    uint place = place_of(a);
    bool negative = (a >> 31) != 0;
    bool finite = (a & 0x7f800000u) != 0x7f800000u;
    if (PRODUCTS) {
      uint b = as_type<uint>(y[i]);
      significand *= significand_of(b);
      place += place_of(b);
      negative = negative != ((b >> 31) != 0);
      finite = finite && (b & 0x7f800000u) != 0x7f800000u;
    }
    if (!finite) {
      add_special(specials, PRODUCTS ? x[i] * y[i] : x[i]);
      continue;
    }
    ulong value = significand << (place % 16);
    threadgroup atomic_int* limb = own + place / 16;
    add_limb(limb, uint(value) & 0xffffu, negative);
    add_limb(limb + 1, uint(value >> 16) & 0xffffu, negative);
    add_limb(limb + 2, uint(value >> 32) & 0xffffu, negative);
    if (PRODUCTS) add_limb(limb + 3, uint(value >> 48), negative);
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (thread_index >= LIMBS) return;
  long total = 0;
  for (uint way = 0; way < 8 * LIMB_WAYS; way++) {
    total += atomic_load_explicit(&sums[way * LIMBS + thread_index], memory_order_relaxed);
  }
  parts[ulong(group) * LIMBS + thread_index] = total;
}

// total[i] = the sum over groups. A thread a limb, one group.
[[kernel, max_total_threads_per_threadgroup(64)]] void merge_limbs(
    device const long* parts [[buffer(0)]],
    device long* total [[buffer(1)]],
    constant SumParams& params [[buffer(2)]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  if (thread_index >= LIMBS) return;
  long sum = 0;
  for (uint group = 0; group < params.groups; group++) sum += parts[ulong(group) * LIMBS + thread_index];
  total[thread_index] = sum;
}
