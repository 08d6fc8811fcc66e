// <metal_math> and <metal_common>: float in three namespaces (as asked, fast, precise), half through float.
namespace metal {
template <typename F>
struct mtl_float_math : F {
  // Below 1, also where that is the nearest number to the true value.
  static MTL_INLINE float fract(float x) {
    float part = x - F::floor(x);
    return part >= 1 ? 0x1.fffffep-1f : part;
  }
  static MTL_INLINE float abs(float x) { return F::fabs(x); }
  static MTL_INLINE float min(float x, float y) { return F::fmin(x, y); }
  static MTL_INLINE float max(float x, float y) { return F::fmax(x, y); }
  static MTL_INLINE float fdim(float x, float y) { return x > y ? x - y : x <= y ? 0.0f : x + y; }
  static MTL_INLINE float fmin3(float x, float y, float z) { return F::fmin(F::fmin(x, y), z); }
  static MTL_INLINE float fmax3(float x, float y, float z) { return F::fmax(F::fmax(x, y), z); }
  static MTL_INLINE float fmedian3(float x, float y, float z) {
    return F::fmax(F::fmin(x, y), F::fmin(F::fmax(x, y), z));
  }
  static MTL_INLINE float min3(float x, float y, float z) { return fmin3(x, y, z); }
  static MTL_INLINE float max3(float x, float y, float z) { return fmax3(x, y, z); }
  static MTL_INLINE float median3(float x, float y, float z) { return fmedian3(x, y, z); }
  static MTL_INLINE float clamp(float x, float low, float high) { return F::fmin(F::fmax(x, low), high); }
  static MTL_INLINE float saturate(float x) { return clamp(x, 0.0f, 1.0f); }
  static MTL_INLINE float mix(float x, float y, float a) { return x + (y - x) * a; }
  static MTL_INLINE float sign(float x) { return x > 0 ? 1.0f : x < 0 ? -1.0f : x == 0 ? x : 0.0f; }
  static MTL_INLINE float step(float edge, float x) { return x < edge ? 0.0f : 1.0f; }
  static MTL_INLINE float smoothstep(float low, float high, float x) {
    float t = saturate(F::divide(x - low, high - low));
    return t * t * (3.0f - 2.0f * t);
  }
};
using mtl_precise_math = mtl_float_math<mtl_precise>;
using mtl_fast_math = mtl_float_math<mtl_fast>;
#ifdef MTL_FAST_MATH
using mtl_default_math = mtl_fast_math;
#else
using mtl_default_math = mtl_precise_math;
#endif

#define MTL_MATH1(f) \
  f(acos) f(acosh) f(asin) f(asinh) f(atan) f(atanh) f(ceil) f(cos) f(cosh) f(cospi) f(exp) f(exp2) f(exp10) f(fabs) \
  f(floor) f(log) f(log2) f(log10) f(rint) f(round) f(rsqrt) f(saturate) f(sign) f(sin) f(sinh) f(sinpi) \
  f(sqrt) f(tan) f(tanh) f(tanpi) f(trunc)
#define MTL_MATH2(f) \
  f(atan2) f(copysign) f(divide) f(fdim) f(fmax) f(fmin) f(fmod) f(pow) f(powr) f(step)
#define MTL_MATH3(f) f(fmax3) f(fmin3) f(fmedian3) f(mix) f(smoothstep)
// Those that integers have as well.
#define MTL_BOTH1(f) f(abs)
#define MTL_BOTH2(f) f(max) f(min)
#define MTL_BOTH3(f) f(clamp) f(max3) f(median3) f(min3)

#define MTL_SCALAR1(name) \
  MTL_INLINE float name(float x) { return mtl_math::name(x); } \
  MTL_INLINE half name(half x) { return half(mtl_math::name(float(x))); }
#define MTL_SCALAR2(name) \
  MTL_INLINE float name(float x, float y) { return mtl_math::name(x, y); } \
  MTL_INLINE half name(half x, half y) { return half(mtl_math::name(float(x), float(y))); }
#define MTL_SCALAR3(name) \
  MTL_INLINE float name(float x, float y, float z) { return mtl_math::name(x, y, z); } \
  MTL_INLINE half name(half x, half y, half z) { return half(mtl_math::name(float(x), float(y), float(z))); }
MTL_INLINE half mtl_half_after(half x, half y) {
  ushort bits = as_type<ushort>(x);
  if (x != x || y != y) return half(float(x) + float(y));
  if (x == y) return y;
  if ((bits & 0x7fff) == 0) return as_type<half>(ushort(y > x ? 1 : 0x8001));
  return as_type<half>(ushort((y > x) == (bits < 0x8000) ? bits + 1 : bits - 1));
}
MTL_INLINE float mtl_half_part(float part) { return part > 0x1.ffcp-1f ? 0x1.ffcp-1f : part; }
#define MTL_OPEN_MATH(kind) \
  using mtl_math = kind; \
  MTL_MATH1(MTL_SCALAR1) MTL_MATH2(MTL_SCALAR2) MTL_MATH3(MTL_SCALAR3) \
  MTL_BOTH1(MTL_SCALAR1) MTL_BOTH2(MTL_SCALAR2) MTL_BOTH3(MTL_SCALAR3) \
  MTL_INLINE float fma(float x, float y, float z) { return mtl_math::fma(x, y, z); } \
  MTL_INLINE half fma(half x, half y, half z) { return mtl_half_fma(x, y, z); } \
  MTL_INLINE float fract(float x) { return mtl_math::fract(x); } \
  MTL_INLINE half fract(half x) { return half(mtl_half_part(mtl_math::fract(float(x)))); } \
  MTL_INLINE float nextafter(float x, float y) { return mtl_math::nextafter(x, y); } \
  MTL_INLINE half nextafter(half x, half y) { return mtl_half_after(x, y); }

MTL_OPEN_MATH(mtl_default_math)
namespace fast {
MTL_OPEN_MATH(mtl_fast_math)
}
namespace precise {
MTL_OPEN_MATH(mtl_precise_math)
}

// ---- the same of integers, which have them in metal:: alone
template <typename T, mtl_if<(mtl_kind<T> & mtl_integer) != 0> = 0>
MTL_INLINE T abs(T x) {
  // Short ones as int: ptxas forgets to wrap what abs.s16 makes of the least.
  if constexpr (sizeof(T) < sizeof(int)) {
    int wide = x;
    return T(wide < 0 ? -wide : wide);
  } else {
    return x < 0 ? T(-make_unsigned_t<T>(x)) : x;
  }
}
template <typename T, mtl_if<(mtl_kind<T> & mtl_integer) != 0> = 0>
MTL_INLINE T min(T x, T y) {
  return y < x ? y : x;
}
template <typename T, mtl_if<(mtl_kind<T> & mtl_integer) != 0> = 0>
MTL_INLINE T max(T x, T y) {
  return x < y ? y : x;
}
template <typename T, mtl_if<(mtl_kind<T> & mtl_integer) != 0> = 0>
MTL_INLINE T min3(T x, T y, T z) {
  return min(min(x, y), z);
}
template <typename T, mtl_if<(mtl_kind<T> & mtl_integer) != 0> = 0>
MTL_INLINE T max3(T x, T y, T z) {
  return max(max(x, y), z);
}
template <typename T, mtl_if<(mtl_kind<T> & mtl_integer) != 0> = 0>
MTL_INLINE T median3(T x, T y, T z) {
  return max(min(x, y), min(max(x, y), z));
}
template <typename T, mtl_if<(mtl_kind<T> & mtl_integer) != 0> = 0>
MTL_INLINE T clamp(T x, T low, T high) {
  return min(max(x, low), high);
}

// ---- vectors
#define MTL_HERE1(name) MTL_MAP1(metal, name, mtl_real)
#define MTL_HERE2(name) MTL_MAP2(metal, name, mtl_real)
#define MTL_HERE3(name) MTL_MAP3(metal, name, mtl_real)
#define MTL_NUMBER1(name) MTL_MAP1(metal, name, mtl_number)
#define MTL_NUMBER2(name) MTL_MAP2(metal, name, mtl_number)
#define MTL_NUMBER3(name) MTL_MAP3(metal, name, mtl_number)
MTL_MATH1(MTL_HERE1)
MTL_MATH2(MTL_HERE2)
MTL_MATH3(MTL_HERE3)
MTL_HERE3(fma)
MTL_HERE2(nextafter)
MTL_HERE1(fract)
MTL_BOTH1(MTL_NUMBER1)
MTL_BOTH2(MTL_NUMBER2)
MTL_BOTH3(MTL_NUMBER3)

#define MTL_OPEN_VECTORS(f1, f2, f3) \
  MTL_MATH1(f1) MTL_MATH2(f2) MTL_MATH3(f3) MTL_BOTH1(f1) MTL_BOTH2(f2) MTL_BOTH3(f3) \
  f3(fma) f2(nextafter) f1(fract)
#define MTL_FAST1(name) MTL_MAP1(metal::fast, name, mtl_real)
#define MTL_FAST2(name) MTL_MAP2(metal::fast, name, mtl_real)
#define MTL_FAST3(name) MTL_MAP3(metal::fast, name, mtl_real)
#define MTL_PRECISE1(name) MTL_MAP1(metal::precise, name, mtl_real)
#define MTL_PRECISE2(name) MTL_MAP2(metal::precise, name, mtl_real)
#define MTL_PRECISE3(name) MTL_MAP3(metal::precise, name, mtl_real)
namespace fast {
MTL_OPEN_VECTORS(MTL_FAST1, MTL_FAST2, MTL_FAST3)
}
namespace precise {
MTL_OPEN_VECTORS(MTL_PRECISE1, MTL_PRECISE2, MTL_PRECISE3)
}
}  // namespace metal
