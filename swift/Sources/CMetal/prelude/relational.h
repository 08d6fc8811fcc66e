// <metal_relational>, and the functions of <metal_math> that have more than one result.
namespace metal {
// By bits, so that they tell the truth under every option of the compiler.
MTL_INLINE uint mtl_magnitude(float x) { return as_type<uint>(x) & 0x7fffffff; }
MTL_INLINE uint mtl_magnitude(half x) { return as_type<ushort>(x) & 0x7fff; }
template <typename T>
inline constexpr uint mtl_infinite = sizeof(T) == 4 ? 0x7f800000 : 0x7c00;
template <typename T>
inline constexpr uint mtl_normal = sizeof(T) == 4 ? 0x00800000 : 0x0400;

#define MTL_IS(name, expression) \
  MTL_INLINE bool name(float x) { \
    using T = float; \
    uint m = mtl_magnitude(x); \
    return expression; \
  } \
  MTL_INLINE bool name(half x) { \
    using T = half; \
    uint m = mtl_magnitude(x); \
    return expression; \
  } \
  template <typename A, typename V = mtl_common<mtl_real, A>, mtl_if<(mtl_operand<A>::size > 1)> = 0> \
  MTL_INLINE vec<bool, V::mtl_size> name(const A &a) { \
    V p(a); \
    vec<bool, V::mtl_size> r; \
    MTL_UNROLL for (int i = 0; i < V::mtl_size; i++) r[i] = metal::name(p[i]); \
    return r; \
  } \
  template <typename A, mtl_refused<mtl_real, A> = 0> \
  void name(const A &) = delete;
MTL_IS(isnan, m > mtl_infinite<T>)
MTL_IS(isinf, m == mtl_infinite<T>)
MTL_IS(isfinite, m < mtl_infinite<T>)
MTL_IS(isnormal, m >= mtl_normal<T> && m < mtl_infinite<T>)
#undef MTL_IS
MTL_INLINE bool signbit(float x) { return as_type<uint>(x) >> 31; }
MTL_INLINE bool signbit(half x) { return as_type<ushort>(x) >> 15; }
template <typename A, typename V = mtl_common<mtl_real, A>, mtl_if<(mtl_operand<A>::size > 1)> = 0>
MTL_INLINE vec<bool, V::mtl_size> signbit(const A &a) {
  V p(a);
  vec<bool, V::mtl_size> r;
  MTL_UNROLL for (int i = 0; i < V::mtl_size; i++) r[i] = metal::signbit(p[i]);
  return r;
}
template <typename A, mtl_refused<mtl_real, A> = 0>
void signbit(const A &) = delete;
template <typename A, typename B, typename V = mtl_common<mtl_real, A, B>>
MTL_INLINE auto isunordered(const A &a, const B &b) {
  return isnan(V(a)) || isnan(V(b));
}
template <typename A, typename B, typename V = mtl_common<mtl_real, A, B>>
MTL_INLINE auto isordered(const A &a, const B &b) {
  return !isunordered(a, b);
}

MTL_INLINE bool any(bool x) { return x; }
MTL_INLINE bool all(bool x) { return x; }
MTL_INLINE bool any(bool2 v) { return v.x || v.y; }
MTL_INLINE bool any(bool3 v) { return v.x || v.y || v.z; }
MTL_INLINE bool any(bool4 v) { return v.x || v.y || v.z || v.w; }
MTL_INLINE bool all(bool2 v) { return v.x && v.y; }
MTL_INLINE bool all(bool3 v) { return v.x && v.y && v.z; }
MTL_INLINE bool all(bool4 v) { return v.x && v.y && v.z && v.w; }

constexpr int mtl_every = mtl_bool | mtl_number | mtl_brain;
// c ? b : a, by component.
template <typename T, mtl_if<mtl_is_scalar<T>> = 0>
MTL_INLINE T select(T a, T b, bool c) {
  return c ? b : a;
}
template <typename A, typename B, typename V = mtl_common<mtl_every, A, B>, mtl_if<(mtl_operand<V>::size > 1)> = 0>
MTL_INLINE V select(const A &a, const B &b, vec<bool, V::mtl_size> c) {
  V p(a), q(b), r;
  MTL_UNROLL for (int i = 0; i < V::mtl_size; i++) r[i] = c[i] ? q[i] : p[i];
  return r;
}

// ---- more than one result
MTL_INLINE int ilogb(float x) {
  uint m = mtl_magnitude(x);
  if (m == 0) return FP_ILOGB0;
  if (m >= mtl_infinite<float>) return FP_ILOGBNAN;
  return m >= mtl_normal<float> ? int(m >> 23) - 127 : -118 - int(mtl_leading_zeros(m));
}
MTL_INLINE int ilogb(half x) { return ilogb(float(x)); }
MTL_INLINE float ldexp(float x, int e) { return mtl_precise::ldexp(x, e); }
MTL_INLINE half ldexp(half x, int e) { return half(mtl_precise::ldexp(float(x), e)); }
// x = mantissa * 2^e, the mantissa in [0.5, 1).
MTL_INLINE float frexp(float x, int &e) {
  uint m = mtl_magnitude(x);
  e = 0;
  if (m == 0 || m >= mtl_infinite<float>) return x;
  e = ilogb(x) + 1;
  return ldexp(x, -e);
}
MTL_INLINE half frexp(half x, int &e) { return half(frexp(float(x), e)); }
MTL_INLINE float modf(float x, float &whole) {
  whole = trunc(x);
  return copysign(isinf(x) ? 0.0f : x - whole, x);
}
MTL_INLINE half modf(half x, half &whole) {
  whole = trunc(x);
  return copysign(isinf(x) ? half(0) : half(x - whole), x);
}
#define MTL_SINCOS(scope) \
  MTL_INLINE float sincos(float x, float &cosine) { \
    cosine = scope::cos(x); \
    return scope::sin(x); \
  } \
  MTL_INLINE half sincos(half x, half &cosine) { \
    cosine = scope::cos(x); \
    return scope::sin(x); \
  } \
  template <typename T, int N, mtl_if<mtl_kind<T> == mtl_real> = 0> \
  MTL_INLINE vec<T, N> sincos(vec<T, N> x, vec<T, N> &cosine) { \
    cosine = scope::cos(x); \
    return scope::sin(x); \
  }
MTL_SINCOS(metal)
namespace fast {
MTL_SINCOS(metal::fast)
}
namespace precise {
MTL_SINCOS(metal::precise)
}
#undef MTL_SINCOS
template <typename T, int N, mtl_if<mtl_kind<T> == mtl_real> = 0>
MTL_INLINE vec<int, N> ilogb(vec<T, N> x) {
  vec<int, N> r;
  MTL_UNROLL for (int i = 0; i < N; i++) r[i] = metal::ilogb(x[i]);
  return r;
}
template <typename T, int N, mtl_if<mtl_kind<T> == mtl_real> = 0>
MTL_INLINE vec<T, N> ldexp(vec<T, N> x, vec<int, N> e) {
  vec<T, N> r;
  MTL_UNROLL for (int i = 0; i < N; i++) r[i] = metal::ldexp(x[i], e[i]);
  return r;
}
template <typename T, int N, mtl_if<mtl_kind<T> == mtl_real> = 0>
MTL_INLINE vec<T, N> frexp(vec<T, N> x, vec<int, N> &e) {
  vec<T, N> r;
  MTL_UNROLL for (int i = 0; i < N; i++) r[i] = metal::frexp(x[i], e[i]);
  return r;
}
template <typename T, int N, mtl_if<mtl_kind<T> == mtl_real> = 0>
MTL_INLINE vec<T, N> modf(vec<T, N> x, vec<T, N> &whole) {
  vec<T, N> r;
  MTL_UNROLL for (int i = 0; i < N; i++) r[i] = metal::modf(x[i], whole[i]);
  return r;
}
}  // namespace metal
