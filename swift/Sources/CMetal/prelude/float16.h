// Floating point in 16 bits where the compiler has none: arithmetic in float, rounded once. Mixes with other
// scalars as Metal's types do: an integer becomes such a number, a float makes the result float.
namespace metal {
// Used in constant expressions, where instructions cannot be.
constexpr ushort mtl_half_constant(float value) {
  uint bits = as_type<uint>(value), sign = bits >> 16 & 0x8000, rest = bits & 0x7fffffff;
  if (rest > 0x7f800000) return ushort(sign | 0x7e00 | (rest >> 13 & 0x1ff));
  if (rest >= 0x477ff000) return ushort(sign | 0x7c00);
  if (rest < 0x38800000) return ushort(sign | (as_type<uint>(as_type<float>(rest) + 0.5f) - 0x3f000000));
  return ushort(sign | (rest - 0x38000000 + 0xfff + (rest >> 13 & 1)) >> 13);
}
constexpr float mtl_half_constant(ushort bits) {
  uint sign = (bits & 0x8000u) << 16, rest = bits & 0x7fffu;
  if (rest >= 0x7c00) return as_type<float>(sign | 0x7f800000 | (rest & 0x3ff) << 13);
  if (rest >= 0x400) return as_type<float>(sign | ((rest << 13) + 0x38000000));
  return as_type<float>(sign | as_type<uint>(float(rest) * 0x1p-24f));
}

struct mtl_bfloat_format {
  static MTL_INLINE constexpr ushort narrow(float x) {
    if (!__builtin_is_constant_evaluated()) return mtl_bfloat_round(x);
    uint bits = as_type<uint>(x);
    if ((bits & 0x7fffffff) > 0x7f800000) return ushort(bits >> 16 | 0x40);
    return ushort((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
  }
  static MTL_INLINE constexpr float widen(ushort bits) { return as_type<float>(uint(bits) << 16); }
  static MTL_INLINE constexpr ushort add(ushort x, ushort y) { return narrow(widen(x) + widen(y)); }
  static MTL_INLINE constexpr ushort sub(ushort x, ushort y) { return narrow(widen(x) - widen(y)); }
  static MTL_INLINE constexpr ushort mul(ushort x, ushort y) { return narrow(widen(x) * widen(y)); }
};

template <typename Format>
struct mtl_float16 {
  ushort bits;
  mtl_float16() = default;
  template <typename S, mtl_if<mtl_kind<S> != 0 && !is_same_v<S, mtl_float16>> = 0>
  MTL_INLINE constexpr mtl_float16(S value) : bits(Format::narrow(float(value))) {}
  MTL_INLINE constexpr operator float() const { return Format::widen(bits); }
  static MTL_INLINE constexpr mtl_float16 of(ushort bits) {
    mtl_float16 value{};
    value.bits = bits;
    return value;
  }
  MTL_INLINE constexpr mtl_float16 operator+() const { return *this; }
  MTL_INLINE constexpr mtl_float16 operator-() const { return of(bits ^ 0x8000); }

  friend MTL_INLINE constexpr mtl_float16 operator+(mtl_float16 a, mtl_float16 b) {
    return of(Format::add(a.bits, b.bits));
  }
  friend MTL_INLINE constexpr mtl_float16 operator-(mtl_float16 a, mtl_float16 b) {
    return of(Format::sub(a.bits, b.bits));
  }
  friend MTL_INLINE constexpr mtl_float16 operator*(mtl_float16 a, mtl_float16 b) {
    return of(Format::mul(a.bits, b.bits));
  }
  friend MTL_INLINE constexpr mtl_float16 operator/(mtl_float16 a, mtl_float16 b) { return float(a) / float(b); }
#define MTL_MIX(op, Same, Other) \
  template <typename S, mtl_if<mtl_is_integral<S>> = 0> \
  friend MTL_INLINE constexpr Same operator op(mtl_float16 a, S b) { \
    return a op mtl_float16(b); \
  } \
  template <typename S, mtl_if<mtl_is_integral<S>> = 0> \
  friend MTL_INLINE constexpr Same operator op(S a, mtl_float16 b) { \
    return mtl_float16(a) op b; \
  } \
  friend MTL_INLINE constexpr Other operator op(mtl_float16 a, float b) { return float(a) op b; } \
  friend MTL_INLINE constexpr Other operator op(float a, mtl_float16 b) { return a op float(b); } \
  template <typename S, mtl_if<mtl_kind<S> == mtl_real && !is_same_v<S, float>> = 0> \
  friend Other operator op(mtl_float16, S) = delete; \
  template <typename S, mtl_if<mtl_kind<S> == mtl_real && !is_same_v<S, float>> = 0> \
  friend Other operator op(S, mtl_float16) = delete;
#define MTL_ARITHMETIC(op) \
  MTL_MIX(op, mtl_float16, float) \
  template <typename S, mtl_if<mtl_is_scalar<S>> = 0> \
  MTL_INLINE constexpr mtl_float16 &operator op##=(S b) { \
    return *this = mtl_float16(*this op b); \
  }
#define MTL_COMPARISON(op) \
  friend MTL_INLINE constexpr bool operator op(mtl_float16 a, mtl_float16 b) { return float(a) op float(b); } \
  MTL_MIX(op, bool, bool)
  MTL_ARITHMETIC(+)
  MTL_ARITHMETIC(-)
  MTL_ARITHMETIC(*)
  MTL_ARITHMETIC(/)
  MTL_COMPARISON(==)
  MTL_COMPARISON(!=)
  MTL_COMPARISON(<)
  MTL_COMPARISON(<=)
  MTL_COMPARISON(>)
  MTL_COMPARISON(>=)
#undef MTL_COMPARISON
#undef MTL_ARITHMETIC
#undef MTL_MIX
  MTL_INLINE constexpr mtl_float16 &operator++() { return *this = *this + 1; }
  MTL_INLINE constexpr mtl_float16 &operator--() { return *this = *this - 1; }
  MTL_INLINE constexpr mtl_float16 operator++(int) {
    mtl_float16 old = *this;
    ++*this;
    return old;
  }
  MTL_INLINE constexpr mtl_float16 operator--(int) {
    mtl_float16 old = *this;
    --*this;
    return old;
  }
};
using bfloat = mtl_float16<mtl_bfloat_format>;
MTL_KIND(bfloat, mtl_brain)

#ifdef MTL_CUDA
struct mtl_half_format {
  static MTL_INLINE constexpr ushort narrow(float x) {
    return __builtin_is_constant_evaluated() ? mtl_half_constant(x) : mtl_half_round(x);
  }
  static MTL_INLINE constexpr float widen(ushort bits) {
    return __builtin_is_constant_evaluated() ? mtl_half_constant(bits) : mtl_half_widen(bits);
  }
#define MTL_HALF(name, op) \
  static MTL_INLINE constexpr ushort name(ushort x, ushort y) { \
    return __builtin_is_constant_evaluated() ? narrow(widen(x) op widen(y)) : mtl_half_##name(x, y); \
  }
  MTL_HALF(add, +)
  MTL_HALF(sub, -)
  MTL_HALF(mul, *)
#undef MTL_HALF
};
using half = mtl_float16<mtl_half_format>;
MTL_KIND(half, mtl_real)
MTL_INLINE half mtl_half_fma(half x, half y, half z) {
  return half::of(mtl_program::mtl_half_fma(x.bits, y.bits, z.bits));
}
#else
MTL_KIND(half, mtl_real)
#endif
}  // namespace metal
using metal::bfloat;
using metal::half;
