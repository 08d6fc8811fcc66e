// Every group of functions of Metal's standard library, for tests that know what must come out. A kernel
// writes one row of results a thread: out[i * COLUMNS + k], where k follows the text.
#include <metal_stdlib>
#include <metal_simdgroup>
#include <metal_simdgroup_matrix>
using namespace metal;

// ---- metal_math, metal_common: float
kernel void math_one(device const float *in [[buffer(0)]], device float *out [[buffer(1)]],
                     uint i [[thread_position_in_grid]]) {
  float x = in[i];
  float r[] = {acos(x),  acosh(x), asin(x), asinh(x), atan(x),  atanh(x),    ceil(x),  cos(x),   cosh(x),
               cospi(x), exp(x),   exp2(x), exp10(x), fabs(x),  abs(x),      floor(x), fract(x), log(x),
               log2(x),  log10(x), rint(x), round(x), rsqrt(x), saturate(x), sign(x),  sin(x),   sinh(x),
               sinpi(x), sqrt(x),  tan(x),  tanh(x),  tanpi(x), trunc(x)};
  for (int k = 0; k < 33; k++) out[i * 33 + k] = r[k];
}

kernel void math_two(device const float *a [[buffer(0)]], device const float *b [[buffer(1)]],
                     device float *out [[buffer(2)]], uint i [[thread_position_in_grid]]) {
  float x = a[i], y = b[i];
  float r[] = {atan2(x, y), copysign(x, y), divide(x, y),    fdim(x, y), fmax(x, y),       fmin(x, y), max(x, y),
               min(x, y),   fmod(x, y),     nextafter(x, y), pow(x, y),  powr(fabs(x), y), step(x, y), x / y};
  for (int k = 0; k < 14; k++) out[i * 14 + k] = r[k];
}

kernel void math_three(device const float *a [[buffer(0)]], device const float *b [[buffer(1)]],
                       device const float *c [[buffer(2)]], device float *out [[buffer(3)]],
                       uint i [[thread_position_in_grid]]) {
  float x = a[i], y = b[i], z = c[i];
  float r[] = {fma(x, y, z),  clamp(x, y, z),   mix(x, y, z),   smoothstep(x, y, z), max3(x, y, z),
               min3(x, y, z), median3(x, y, z), fmax3(x, y, z), fmin3(x, y, z),      fmedian3(x, y, z)};
  for (int k = 0; k < 10; k++) out[i * 10 + k] = r[k];
}

kernel void math_parts(device const float *in [[buffer(0)]], device float *out [[buffer(1)]],
                       device int *whole [[buffer(2)]], uint i [[thread_position_in_grid]]) {
  float x = in[i], integral, cosine, wide[2];
  int exponent;
  out[i * 8 + 0] = frexp(x, exponent);
  out[i * 8 + 1] = modf(x, integral);
  out[i * 8 + 2] = integral;
  out[i * 8 + 3] = sincos(x, cosine);
  out[i * 8 + 4] = cosine;
  out[i * 8 + 5] = ldexp(x, 3);
  out[i * 8 + 6] = ldexp(x, -130);
  whole[i * 2 + 0] = exponent;
  whole[i * 2 + 1] = ilogb(x);
  // Vectors give what scalars give.
  int2 exponents;
  float2 v = frexp(float2(x, 2 * x), exponents), parts;
  wide[0] = v.y, wide[1] = float(exponents.y);
  v = modf(float2(x, x), parts) + sincos(float2(x), v) + ldexp(float2(1, 2), int2(1, 2));
  out[i * 8 + 7] = wide[0] * exp2(wide[1]) + 0 * v.x;
}

kernel void math_namespaces(device const float *in [[buffer(0)]], device float *out [[buffer(1)]],
                            uint i [[thread_position_in_grid]]) {
  float x = in[i];
  float r[] = {
      fast::cos(x), precise::cos(x), fast::exp(x), precise::exp(x), fast::exp2(x), precise::exp2(x), fast::exp10(x),
      precise::exp10(x), fast::log(x), precise::log(x), fast::log2(x), precise::log2(x), fast::log10(x),
      precise::log10(x), fast::sin(x), precise::sin(x), fast::tan(x), precise::tan(x), fast::sqrt(x), precise::sqrt(x),
      fast::rsqrt(x), precise::rsqrt(x), fast::divide(1, x), precise::divide(1, x), fast::powr(x, 1.5f),
      precise::powr(x, 1.5f), fast::length(float2(x, 1)), precise::length(float2(x, 1))};
  for (int k = 0; k < 28; k++) out[i * 28 + k] = r[k];
}

// ---- the same by vectors: the sum of what must be equal to the scalars' results is compared, so zeros come out
kernel void math_vectors(device const float *in [[buffer(0)]], device float *out [[buffer(1)]],
                         uint i [[thread_position_in_grid]]) {
  float x = in[i];
  float4 v = float4(x, x + 1, x + 2, x + 3);
  float4 wrong = 0;
  wrong += sin(v) - float4(sin(v.x), sin(v.y), sin(v.z), sin(v.w));
  wrong += exp2(v) - float4(exp2(v.x), exp2(v.y), exp2(v.z), exp2(v.w));
  wrong += max(v, 0.5f) - float4(max(v.x, 0.5f), max(v.y, 0.5f), max(v.z, 0.5f), max(v.w, 0.5f));
  wrong += clamp(v, 0.0f, 1.0f) - saturate(v);
  wrong += mix(v, float4(1), 0.25f) - (v + (1.0f - v) * 0.25f);
  wrong += fma(v, v, 1.0f) - float4(fma(v.x, v.x, 1.0f), fma(v.y, v.y, 1.0f), fma(v.z, v.z, 1.0f), fma(v.w, v.w, 1.0f));
  wrong += pow(abs(v), 2) - pow(fabs(v), float4(2));
  wrong += step(0.5f, v) - select(float4(0), float4(1), v >= 0.5f);
  wrong.xyz += fast::floor(v.xyz) - precise::floor(v.xyz);
  wrong.xy += float2(half2(fmin(half2(v.xy), half2(1)))) - float2(min(half2(v.xy), 1.0h));
  for (int k = 0; k < 4; k++) out[i * 4 + k] = wrong[k];
}

// ---- half and bfloat
kernel void math_half(device const float *a [[buffer(0)]], device const float *b [[buffer(1)]],
                      device float *out [[buffer(2)]], uint i [[thread_position_in_grid]]) {
  half x = half(a[i]), y = half(b[i]);
  half r[] = {x,           y,        x + y,          x - y,          x * y,
              x / y,       -x,       fma(x, y, x),   sqrt(x),        exp2(x),
              fract(x),    floor(x), min(x, y),      max(x, y),      clamp(x, -y, y),
              sin(x),      x * 2,    x + 1.0h,       half(x * 0.1f), nextafter(x, y),
              ldexp(x, 2), trunc(x), copysign(x, y), abs(x)};
  for (int k = 0; k < 24; k++) out[i * 28 + k] = float(r[k]);
  out[i * 28 + 24] = x * 0.1f;
  out[i * 28 + 25] = float(x < y) + 2 * float(x == y) + 4 * float(x > 1) + 8 * float(isnan(x)) + 16 * float(isinf(x)) +
                     32 * float(isnormal(x)) + 64 * float(signbit(x));
  half4 v = half4(x, y, x, y) * half(2) + 1;
  out[i * 28 + 26] = float(v.x);
  out[i * 28 + 27] = float(as_type<ushort>(x));
}

kernel void brain_floats(device const float *a [[buffer(0)]], device const float *b [[buffer(1)]],
                         device float *out [[buffer(2)]], device const bfloat *stored [[buffer(3)]],
                         uint i [[thread_position_in_grid]]) {
  bfloat x = bfloat(a[i]), y = bfloat(b[i]);
  out[i * 8 + 0] = float(x);
  out[i * 8 + 1] = float(x + y);
  out[i * 8 + 2] = float(x * y);
  out[i * 8 + 3] = float(x / y);
  out[i * 8 + 4] = x * 0.1f;
  out[i * 8 + 5] = float(as_type<ushort>(x));
  out[i * 8 + 6] = float(x < y) + 2 * float(x == y);
  bfloat4 v = bfloat4(x, y, x, y);
  v += bfloat4(stored[i]);
  out[i * 8 + 7] = float(v.y);
}

// ---- metal_integer
template <typename T>
void integers(T x, T y, T z, device long *out) {
  long r[] = {
      long(abs(x)), long(absdiff(x, y)), long(addsat(x, y)), long(subsat(x, y)), long(clz(x)), long(ctz(x)),
      long(popcount(x)), long(hadd(x, y)), long(rhadd(x, y)), long(mulhi(x, y)), long(madhi(x, y, z)),
      long(madsat(x, y, z)), long(reverse_bits(x)), long(rotate(x, T(5))), long(min(x, y)), long(max(x, y)),
      long(clamp(x, min(y, z), max(y, z))), long(median3(x, y, z)), long(min3(x, y, z)), long(max3(x, y, z)),
      long(extract_bits(x, 2, 5)), long(insert_bits(x, y, 1, 6))};
  for (int k = 0; k < 22; k++) out[k] = r[k];
}

template <typename T>
kernel void integer(device const T *a [[buffer(0)]], device const T *b [[buffer(1)]], device const T *c [[buffer(2)]],
                    device long *out [[buffer(3)]], uint i [[thread_position_in_grid]]) {
  integers(a[i], b[i], c[i], out + i * 22);
}
#define INTEGER(T) \
  template [[host_name("integer_" #T)]] \
  kernel void integer<T>(device const T *, device const T *, device const T *, device long *, uint);
INTEGER(char)
INTEGER(uchar)
INTEGER(short)
INTEGER(ushort)
INTEGER(int)
INTEGER(uint)
INTEGER(long)
INTEGER(ulong)

kernel void integer_others(device const int *a [[buffer(0)]], device const int *b [[buffer(1)]],
                           device int *out [[buffer(2)]], uint i [[thread_position_in_grid]]) {
  int x = a[i], y = b[i];
  int4 v = int4(x, y, x + 1, y - 1);
  device int *r = out + i * 12;
  r[0] = mul24(x, y);
  r[1] = mad24(x, y, 7);
  r[2] = int(mul24(uint(x), uint(y)));
  r[3] = dot(float2(1), float2(2)) == 4 ? 1 : 0;
  r[4] = all(popcount(v) == int4(popcount(v.x), popcount(v.y), popcount(v.z), popcount(v.w))) ? 1 : 0;
  r[5] = all(absdiff(v, v.yxwz) == uint4(absdiff(x, y), absdiff(x, y), absdiff(v.z, v.w), absdiff(v.z, v.w))) ? 1 : 0;
  r[6] = all(clamp(v, -5, 5) == min(max(v, -5), 5)) ? 1 : 0;
  r[7] = (v << 2 >> 1 & 0xff | 1).x;
  r[8] = (v % 7).y;
  r[9] = (~v ^ v.yxwz).z;
  r[10] = any(v > 3) ? 1 : 0;
  r[11] = select(v, -v, v < 0).x;
}

// ---- metal_relational
kernel void relations(device const float *a [[buffer(0)]], device const float *b [[buffer(1)]],
                      device uint *out [[buffer(2)]], uint i [[thread_position_in_grid]]) {
  float x = a[i], y = b[i];
  float3 v = float3(x, y, 1), w = float3(y, x, 1);
  uint bits = 0, at = 0;
  bool tests[] = {isnan(x),
                  isinf(x),
                  isfinite(x),
                  isnormal(x),
                  signbit(x),
                  isordered(x, y),
                  isunordered(x, y),
                  x < y,
                  x <= y,
                  x == y,
                  x != y,
                  any(isnan(v)),
                  all(isfinite(v)),
                  any(v < w),
                  all(v == w),
                  all(!(v != w)),
                  any(v <= w && w <= v),
                  all(v > w || v <= w),
                  any(isinf(v)),
                  all(isordered(v, w)),
                  select(1.0f, 2.0f, x > y) == 2.0f,
                  any(signbit(v))};
  for (bool test : tests) bits |= uint(test) << at++;
  out[i] = bits;
}

// ---- metal_geometric
kernel void geometry(device const packed_float3 *a [[buffer(0)]], device const packed_float3 *b [[buffer(1)]],
                     device float *out [[buffer(2)]], uint i [[thread_position_in_grid]]) {
  float3 x = a[i], y = b[i];
  device float *r = out + i * 24;
  r[0] = dot(x, y);
  r[1] = length(x);
  r[2] = length_squared(x);
  r[3] = distance(x, y);
  r[4] = distance_squared(x, y);
  float3 vectors[] = {cross(x, y), normalize(x), reflect(x, normalize(y)), faceforward(x, y, x),
                      refract(normalize(x), normalize(y), 0.7f)};
  for (int k = 0; k < 5; k++)
    for (int c = 0; c < 3; c++) r[5 + 3 * k + c] = vectors[k][c];
  r[20] = dot(x.xy, y.xy);
  r[21] = length(float4(x, 1));
  r[22] = a[i].x * b[i].y + length(a[i] - b[i]);
  r[23] = float(dot(half2(x.xy), half2(y.xy)));
}

// ---- vectors
struct Sizes {
  bool flag;
  float3 vector;
  packed_float3 packed;
  half3 halves;
  bool4 flags;
  float2x3 columns;
};
constant float4 table[] = {float4(1, 2, 3, 4), float4(float2(5, 6), 7, 8), {9, 10, 11, 12}};
constant constexpr float3 point = float3(1, 2, 3) * 2 + 1;

kernel void vectors(device float *out [[buffer(0)]], device uint *sizes [[buffer(1)]],
                    constant packed_float3 &input [[buffer(2)]], device packed_short3 *packed [[buffer(3)]],
                    uint n [[threads_per_grid]]) {
  float4 v = float4(float2(1, 2), 3, 4), w = float4(1, float3(2, 3, 4)), u(1, float2(2, 3), 4);
  uint at = 0;
  for (int k = 0; k < 4; k++) out[at++] = v[k] + w[k] - u[k];  // 1 2 3 4
  float2 s = v.wx;                                             // 4 1
  out[at++] = s.x, out[at++] = s.y;
  v.zx = s + 1;  // v = 2 2 5 4
  v.w *= 2;      // 8
  v.xy += float2(0.5, 0.25);
  for (int k = 0; k < 4; k++) out[at++] = v[k];   // 2.5 2.25 5 8
  out[at++] = v.rgb.b + v.bgr.x + v.a;            // 18
  out[at++] = table[1].y + table[2].w + point.z;  // 6 + 12 + 7
  float3 p = input;
  p += input * 2 - input.zyx;
  out[at++] = p.x, out[at++] = p.y, out[at++] = p.z;
  packed[0] = packed_short3(short3(7, 8, 9));
  packed[1] = packed[0].zyx;
  packed[1].xz += short2(1, 2);
  out[at++] = packed[1].x, out[at++] = packed[1].y, out[at++] = packed[1].z;  // 10 8 9
  uchar4 bytes = uchar4(250, 1, 2, 3) + uchar4(10);
  out[at++] = bytes.x;  // wraps to 4
  out[at++] = as_type<float>(as_type<uint>(1.5f));
  out[at++] = as_type<float2>(as_type<uint2>(float2(3, 4))).y;
  out[at++] = as_type<half2>(uint(0x40003c00)).y;  // 2
  out[at++] = float(as_type<uint>(uchar4(1, 2, 3, 4)) == 0x04030201);
  out[at++] = float3(int3(1, -2, 3)).y + float(uint2(float2(7.9, 8.9)).y);  // -2 + 8
  v = 0.5;
  out[at++] = dot(v, float4(1));  // 2
  float4 old = v++;
  v -= old * 2;
  out[at++] = v.x;
  bool3 flags = bool3(true, false, true);
  out[at++] = float(any(flags)) + 2 * float(all(flags)) + 4 * float(flags.y || flags.z) + 8 * float3(flags).z;
  array<float, 3> list = {1, 2, 3};
  for (float &item : list) item += 1;
  out[at++] = list[2] + list.size();
  out[at++] = float(numeric_limits<int>::max() == INT_MAX && numeric_limits<float>::max() == FLT_MAX &&
                    numeric_limits<half>::max() == HALF_MAX && numeric_limits<uchar>::lowest() == 0 &&
                    numeric_limits<char>::min() == -128 && isinf(numeric_limits<float>::infinity()) &&
                    isnan(numeric_limits<half>::quiet_NaN()) && numeric_limits<float>::epsilon() == FLT_EPSILON &&
                    numeric_limits<ulong>::max() == ULONG_MAX && numeric_limits<long>::min() == LONG_MIN &&
                    INFINITY > FLT_MAX && isnan(NAN) && M_PI_F > 3.14f && MAXFLOAT == FLT_MAX && HUGE_VALF == INFINITY);
  out[at++] = float(is_same_v<float4, vec<float, 4>> && is_floating_point_v<half> && is_integral_v<uchar> &&
                    !is_integral_v<float> && is_unsigned_v<uint> && is_signed<char>::value &&
                    is_same<conditional_t<true, int, uint>, int>::value && is_same_v<make_unsigned_t<short>, ushort> &&
                    is_same_v<remove_cv_t<const int>, int>);
  out[at++] = at;
  uint all[] = {sizeof(bool2),  sizeof(bool3),   sizeof(char3),         sizeof(half3),          sizeof(float2),
                sizeof(float3), alignof(float3), sizeof(packed_float3), alignof(packed_float3), sizeof(packed_half3),
                sizeof(ulong4), sizeof(bfloat4), sizeof(Sizes),         sizeof(float3x3),       sizeof(half2x4),
                sizeof(size_t), sizeof(long),    alignof(uchar4)};
  for (uint k = 0; k < 18; k++) sizes[k] = all[k];
  out[at++] = n;
}

kernel void matrices(device float *out [[buffer(0)]]) {
  float2x3 a = float2x3(float3(1, 2, 3), float3(4, 5, 6));
  float3x2 b = transpose(a);
  float3x3 p = a * b;
  float2x2 q = b * a, id(1);
  float3 v = a * float2(1, 2);
  float2 w = float3(1, 2, 3) * a;
  float3x3 m(2, 0, 1, 1, 3, 2, 1, 1, 4);
  float4x4 big(1, 2, 0, 1, 0, 1, 3, 0, 2, 0, 1, 1, 1, 0, 0, 2);
  uint at = 0;
  for (int i = 0; i < 3; i++)
    for (int j = 0; j < 3; j++) out[at++] = p[i][j];
  out[at++] = q[0][0], out[at++] = q[1][0];
  out[at++] = v.x, out[at++] = v.z, out[at++] = w.x, out[at++] = w.y;
  out[at++] = determinant(m), out[at++] = determinant(big), out[at++] = determinant(q);
  out[at++] = (q * id)[1][1] + (q + q - q * 0.5f)[0][1] + (-q)[0][0];
  out[at++] = float(q == q * id) + 2 * float(q != q);
  half2x2 h(half2(1, 2), half2(3, 4));
  h *= 2.0h;
  out[at++] = float((h * half2(1, 1)).y);
}

// ---- metal_pack
kernel void packing(device const float4 *in [[buffer(0)]], device uint *out [[buffer(1)]],
                    device float4 *back [[buffer(2)]], uint i [[thread_position_in_grid]]) {
  float4 v = in[i];
  uint r[] = {pack_float_to_unorm4x8(v),     pack_float_to_snorm4x8(v),      pack_float_to_srgb_unorm4x8(v),
              pack_float_to_unorm2x16(v.xy), pack_float_to_snorm2x16(v.xy),  pack_float_to_unorm10a2(v),
              pack_float_to_unorm565(v.xyz), pack_half_to_unorm4x8(half4(v))};
  for (int k = 0; k < 8; k++) out[i * 8 + k] = r[k];
  device float4 *b = back + i * 8;
  b[0] = unpack_unorm4x8_to_float(r[0]);
  b[1] = unpack_snorm4x8_to_float(r[1]);
  b[2] = unpack_unorm4x8_srgb_to_float(r[2]);
  b[3] = float4(unpack_unorm2x16_to_float(r[3]), 0, 0);
  b[4] = float4(unpack_snorm2x16_to_float(r[4]), 0, 0);
  b[5] = unpack_unorm10a2_to_float(r[5]);
  b[6] = float4(unpack_unorm565_to_float(ushort(r[6])), 0);
  b[7] = float4(unpack_unorm4x8_to_half(r[7]));
}

// ---- metal_atomic
kernel void atomics(device atomic_int *ints [[buffer(0)]], device atomic_uint *uints [[buffer(1)]],
                    device atomic_float *floats [[buffer(2)]], device atomic_ulong *longs [[buffer(3)]],
                    device atomic<bool> *flag [[buffer(4)]], device uint *out [[buffer(5)]],
                    uint i [[thread_position_in_grid]], uint t [[thread_index_in_threadgroup]],
                    uint size [[threads_per_threadgroup]]) {
  threadgroup atomic_int local[3];
  threadgroup atomic_float sum;
  if (t < 3) atomic_store_explicit(&local[t], 0, memory_order_relaxed);
  if (t == 0) atomic_store_explicit(&sum, 0, memory_order_relaxed);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  int value = int(i) - 100;
  atomic_fetch_add_explicit(&ints[0], value, memory_order_relaxed);
  atomic_fetch_sub_explicit(&ints[1], value, memory_order_relaxed);
  atomic_fetch_min_explicit(&ints[2], value, memory_order_relaxed);
  atomic_fetch_max_explicit(&ints[3], value, memory_order_relaxed);
  atomic_fetch_and_explicit(&uints[0], ~(1u << i % 32), memory_order_relaxed);
  atomic_fetch_or_explicit(&uints[1], 1u << i % 32, memory_order_relaxed);
  atomic_fetch_xor_explicit(&uints[2], i, memory_order_relaxed);
  uint ticket = atomic_fetch_add_explicit(&uints[3], 1, memory_order_relaxed);
  out[ticket] = atomic_exchange_explicit(&uints[4 + i % 8], i, memory_order_relaxed) < 0x80000000 ? 1 : 2;
  atomic_fetch_add_explicit(&floats[0], 0.5f, memory_order_relaxed);
  atomic_fetch_sub_explicit(&floats[1], 0.25f, memory_order_relaxed);
  float seen = atomic_load_explicit(&floats[2], memory_order_relaxed);
  while (seen < float(i) && !atomic_compare_exchange_weak_explicit(&floats[2], &seen, float(i), memory_order_relaxed,
                                                                   memory_order_relaxed)) {
  }
  atomic_min_explicit(&longs[0], ulong(i) << 33, memory_order_relaxed);
  atomic_max_explicit(&longs[1], ulong(i) << 33, memory_order_relaxed);
  if (i == 5) atomic_store_explicit(flag, true, memory_order_relaxed);
  atomic_fetch_add_explicit(&local[0], 1, memory_order_relaxed);
  atomic_fetch_max_explicit(&local[1], int(t), memory_order_relaxed);
  atomic_fetch_add_explicit(&sum, 1.0f, memory_order_relaxed);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (t == 0) {
    bool right = atomic_load_explicit(&local[0], memory_order_relaxed) == int(size) &&
                 atomic_load_explicit(&local[1], memory_order_relaxed) == int(size) - 1 &&
                 atomic_load_explicit(&sum, memory_order_relaxed) == float(size);
    if (!right) atomic_fetch_add_explicit(&uints[12], 1, memory_order_relaxed);
  }
}

// ---- metal_simdgroup: lanes whose bit of `active` is set take part
#define EACH_SUM(T) \
  T(simd_sum(x)), T(simd_product(x)), T(simd_min(x)), T(simd_max(x)), T(simd_prefix_inclusive_sum(x)), \
      T(simd_prefix_exclusive_sum(x)), T(simd_prefix_inclusive_product(x)), T(simd_prefix_exclusive_product(x))
kernel void simd_reductions(device const float *in [[buffer(0)]], device float *floats [[buffer(1)]],
                            device int *ints [[buffer(2)]], constant uint &active [[buffer(3)]],
                            uint i [[thread_position_in_grid]], uint lane [[thread_index_in_simdgroup]]) {
  if (active >> lane & 1) {
    float x = in[i];
    float r[] = {EACH_SUM(float), simd_sum(float4(x, 1, 2, 3)).w, float(simd_max(half(x))), float(simd_sum(half2(x)).y),
                 float(simd_sum(bfloat(1)))};
    for (int k = 0; k < 12; k++) floats[i * 12 + k] = r[k];
    {
      int x = int(in[i] * 8);
      int r[] = {EACH_SUM(int),
                 simd_and(x),
                 simd_or(x),
                 simd_xor(x),
                 int(simd_sum(uint(x))),
                 int(simd_max(char(x))),
                 int(simd_min(ushort(x))),
                 int(simd_sum(long(x)) >> 1),
                 simd_max(int3(x, 1, -x)).z};
      for (int k = 0; k < 16; k++) ints[i * 16 + k] = r[k];
    }
  }
}

kernel void simd_shuffles(device const int *in [[buffer(0)]], device int *out [[buffer(1)]],
                          constant uint &by [[buffer(2)]], uint i [[thread_position_in_grid]],
                          ushort lane [[thread_index_in_simdgroup]]) {
  int x = in[i];
  ushort n = ushort(by);
  int r[] = {simd_broadcast(x, n),
             simd_broadcast_first(x),
             simd_shuffle(x, ushort(31 - lane)),
             simd_shuffle_xor(x, n),
             simd_shuffle_up(x, n),
             simd_shuffle_down(x, n),
             simd_shuffle_rotate_up(x, n),
             simd_shuffle_rotate_down(x, n),
             simd_shuffle_and_fill_up(x, -x, n),
             simd_shuffle_and_fill_down(x, -x, n),
             simd_shuffle_and_fill_up(x, -x, ushort(3), ushort(8)),
             simd_shuffle_and_fill_down(x, -x, ushort(3), ushort(8)),
             int(simd_shuffle(float4(x), ushort(n ^ lane)).w),
             int(simd_shuffle(half2(0, 2), n).y),
             int(simd_shuffle(long(x) << 32, n) >> 32),
             int(simd_shuffle(uchar3(uchar(x)), n).z)};
  for (int k = 0; k < 16; k++) out[i * 16 + k] = r[k];
}

kernel void simd_votes(device const int *in [[buffer(0)]], device uint *out [[buffer(1)]],
                       constant uint &active [[buffer(2)]], uint i [[thread_position_in_grid]],
                       uint lane [[thread_index_in_simdgroup]]) {
  if (active >> lane & 1) {
    bool yes = in[i] % 2;
    uint r[] = {uint(simd_vote::vote_t(simd_ballot(yes))),
                uint(simd_vote::vote_t(simd_active_threads_mask())),
                simd_all(yes),
                simd_any(yes),
                simd_is_first(),
                simd_ballot(yes).all(),
                simd_ballot(yes).any(),
                uint(quad_vote::vote_t(quad_ballot(yes))),
                uint(quad_vote::vote_t(quad_active_threads_mask())),
                quad_all(yes),
                quad_any(yes),
                quad_is_first()};
    for (int k = 0; k < 12; k++) out[i * 12 + k] = r[k];
  }
}

kernel void quads(device const float *in [[buffer(0)]], device float *out [[buffer(1)]],
                  constant uint &active [[buffer(2)]], uint i [[thread_position_in_grid]],
                  uint lane [[thread_index_in_simdgroup]], ushort place [[thread_index_in_quadgroup]]) {
  if (active >> lane & 1) {
    float x = in[i];
    float r[] = {quad_sum(x),
                 quad_product(x),
                 quad_min(x),
                 quad_max(x),
                 quad_prefix_inclusive_sum(x),
                 quad_prefix_exclusive_sum(x),
                 quad_prefix_inclusive_product(x),
                 quad_prefix_exclusive_product(x),
                 float(quad_and(int(x))),
                 float(quad_or(int(x))),
                 float(quad_xor(int(x))),
                 quad_broadcast_first(x)};
    for (int k = 0; k < 12; k++) out[i * 22 + k] = r[k];
  }
  if (active == ~0u) {
    float x = in[i];
    float r[] = {quad_broadcast(x, 2),
                 quad_shuffle(x, ushort(3 - place)),
                 quad_shuffle_xor(x, 1),
                 quad_shuffle_up(x, 1),
                 quad_shuffle_down(x, 2),
                 quad_shuffle_rotate_up(x, 1),
                 quad_shuffle_rotate_down(x, 1),
                 quad_shuffle_and_fill_up(x, -x, 1),
                 quad_shuffle_and_fill_down(x, -x, 1),
                 quad_shuffle(half(x), 0)};
    for (int k = 0; k < 10; k++) out[i * 22 + 12 + k] = r[k];
  }
}

// ---- metal_simdgroup_matrix: D = A B + C; then what the functions besides give
kernel void matrices_8x8(device const float *a [[buffer(0)]], device const float *b [[buffer(1)]],
                         device const float *c [[buffer(2)]], device float *out [[buffer(3)]],
                         uint lane [[thread_index_in_simdgroup]]) {
  simdgroup_float8x8 A, B, C, D;
  simdgroup_load(A, a, 16, ulong2(2, 1));
  simdgroup_load(B, b, 8, ulong2(0), true);
  simdgroup_load(C, c);
  simdgroup_multiply_accumulate(D, A, B, C);
  simdgroup_store(D, out);
  simdgroup_multiply(D, A, B);
  simdgroup_store(D, out + 64, 8, 0, true);
  simdgroup_store(make_filled_simdgroup_matrix<float, 8, 8>(3), out + 128);
  simdgroup_store(simdgroup_float8x8(2), out + 192);
  threadgroup half halves[64];
  for (uint k = lane; k < 64; k += 32) halves[k] = half(a[k]);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  simdgroup_half8x8 H;
  simdgroup_load(H, halves);
  simdgroup_multiply_accumulate(D, H, H, C);
  simdgroup_store(D, out + 256);
  out[320 + lane * 2] = A.thread_elements()[0];
  out[321 + lane * 2] = A.thread_elements()[1];
}

// ---- what a thread knows of itself
kernel void positions(device uint *out [[buffer(0)]], uint3 grid [[thread_position_in_grid]],
                      ushort3 inside [[thread_position_in_threadgroup]], uint3 group [[threadgroup_position_in_grid]],
                      uint3 groups [[threadgroups_per_grid]], uint3 threads [[threads_per_grid]],
                      uint3 size [[threads_per_threadgroup]], uint3 full [[dispatch_threads_per_threadgroup]],
                      uint index [[thread_index_in_threadgroup]], ushort lane [[thread_index_in_simdgroup]],
                      uint simd [[simdgroup_index_in_threadgroup]], uint simds [[simdgroups_per_threadgroup]],
                      uint width [[threads_per_simdgroup]], uint quad [[quadgroup_index_in_threadgroup]],
                      uint all_simds [[dispatch_simdgroups_per_threadgroup]]) {
  uint at = (grid.z * threads.y + grid.y) * threads.x + grid.x;
  uint mask = uint(simd_vote::vote_t(simd_active_threads_mask()));
  uint first = simd_broadcast(index, 0);
  uint r[] = {inside.x, inside.y, inside.z, group.x, group.y, group.z,   groups.x, groups.y,
              groups.z, size.x,   size.y,   size.z,  full.x,  full.y,    full.z,   index,
              lane,     simd,     simds,    width,   quad,    all_simds, mask,     first};
  for (uint k = 0; k < 24; k++) out[at * 24 + k] = r[k];
}

// ---- threadgroup memory of both kinds, and barriers
kernel void reversal(device float4 *data [[buffer(0)]], threadgroup float4 *given [[threadgroup(0)]],
                     uint i [[thread_position_in_grid]], uint t [[thread_index_in_threadgroup]],
                     uint size [[threads_per_threadgroup]]) {
  threadgroup float4 own[256];
  given[t] = data[i];
  threadgroup_barrier(mem_flags::mem_threadgroup);
  own[t] = given[size - 1 - t];
  threadgroup_barrier(mem_flags::mem_threadgroup | mem_flags::mem_device);
  data[i] = own[t ^ 1] + 1;
}
