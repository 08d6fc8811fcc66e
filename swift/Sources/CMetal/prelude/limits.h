// Named numbers, and <metal_limits>.
#undef INFINITY
#undef NAN
#undef HUGE_VALF
#define INFINITY __builtin_bit_cast(float, 0x7f800000)
#define NAN __builtin_bit_cast(float, 0x7fc00000)
#define HUGE_VALF INFINITY
#define HUGE_VALH metal::half(INFINITY)
#define MAXFLOAT 0x1.fffffep127f
#define MAXHALF metal::half(65504.0f)
#undef FLT_MAX
#undef FLT_MIN
#undef FLT_EPSILON
#define FLT_DIG 6
#define FLT_MANT_DIG 24
#define FLT_MAX_10_EXP 38
#define FLT_MAX_EXP 128
#define FLT_MIN_10_EXP -37
#define FLT_MIN_EXP -125
#define FLT_RADIX 2
#define FLT_MAX 0x1.fffffep127f
#define FLT_MIN 0x1.0p-126f
#define FLT_EPSILON 0x1.0p-23f
#define FLT_DECIMAL_DIG 9
#define FP_ILOGB0 (-2147483647 - 1)
#define FP_ILOGBNAN 2147483647
#define HALF_DIG 3
#define HALF_MANT_DIG 11
#define HALF_MAX_10_EXP 4
#define HALF_MAX_EXP 16
#define HALF_MIN_10_EXP -4
#define HALF_MIN_EXP -13
#define HALF_RADIX 2
#define HALF_MAX metal::half(0x1.ffcp15f)
#define HALF_MIN metal::half(0x1.0p-14f)
#define HALF_EPSILON metal::half(0x1.0p-10f)
#define HALF_DECIMAL_DIG 5
#define CHAR_BIT 8
#define SCHAR_MAX 127
#define SCHAR_MIN (-128)
#define UCHAR_MAX 255
#define CHAR_MAX 127
#define CHAR_MIN (-128)
#define USHRT_MAX 65535
#define SHRT_MAX 32767
#define SHRT_MIN (-32768)
#undef INT_MAX
#undef INT_MIN
#undef UINT_MAX
#define INT_MAX 2147483647
#define INT_MIN (-2147483647 - 1)
#define UINT_MAX 0xffffffffu
#define LONG_MAX 0x7fffffffffffffffl
#define LONG_MIN (-0x7fffffffffffffffl - 1)
#define ULONG_MAX 0xfffffffffffffffful

#define M_E_F 2.71828182845904523536f
#define M_LOG2E_F 1.44269504088896340736f
#define M_LOG10E_F 0.43429448190325182765f
#define M_LN2_F 0.69314718055994530942f
#define M_LN10_F 2.30258509299404568402f
#define M_PI_F 3.14159265358979323846f
#define M_PI_2_F 1.57079632679489661923f
#define M_PI_4_F 0.78539816339744830962f
#define M_1_PI_F 0.31830988618379067154f
#define M_2_PI_F 0.63661977236758134308f
#define M_2_SQRTPI_F 1.12837916709551257390f
#define M_SQRT2_F 1.41421356237309504880f
#define M_SQRT1_2_F 0.70710678118654752440f
#define M_E_H metal::half(M_E_F)
#define M_LOG2E_H metal::half(M_LOG2E_F)
#define M_LOG10E_H metal::half(M_LOG10E_F)
#define M_LN2_H metal::half(M_LN2_F)
#define M_LN10_H metal::half(M_LN10_F)
#define M_PI_H metal::half(M_PI_F)
#define M_PI_2_H metal::half(M_PI_2_F)
#define M_PI_4_H metal::half(M_PI_4_F)
#define M_1_PI_H metal::half(M_1_PI_F)
#define M_2_PI_H metal::half(M_2_PI_F)
#define M_2_SQRTPI_H metal::half(M_2_SQRTPI_F)
#define M_SQRT2_H metal::half(M_SQRT2_F)
#define M_SQRT1_2_H metal::half(M_SQRT1_2_F)

namespace metal {
enum float_round_style {
  round_indeterminate = -1,
  round_toward_zero,
  round_to_nearest,
  round_toward_infinity,
  round_toward_neg_infinity
};

template <typename T, typename = void>
struct numeric_limits {
  static constexpr bool is_specialized = false;
};
template <typename T>
struct numeric_limits<const T> : numeric_limits<T> {};
template <typename T>
struct numeric_limits<T, enable_if_t<mtl_is_integral<T>>> {
  static constexpr bool is_specialized = true, is_signed = mtl_kind<T> == mtl_signed, is_integer = true,
                        is_exact = true, has_infinity = false, has_quiet_NaN = false, has_signaling_NaN = false,
                        is_iec559 = false, is_bounded = true, is_modulo = !is_signed;
  static constexpr int digits = is_same_v<T, bool> ? 1 : int(8 * sizeof(T)) - is_signed,
                       digits10 = digits * 30103 / 100000, max_digits10 = 0, radix = 2, min_exponent = 0,
                       max_exponent = 0;
  static constexpr float_round_style round_style = round_toward_zero;
  static constexpr T max() { return T(~0ul >> (64 - digits)); }
  static constexpr T min() { return is_signed ? T(-long(max()) - 1) : T(0); }
  static constexpr T lowest() { return min(); }
  static constexpr T epsilon() { return T(0); }
  static constexpr T round_error() { return T(0); }
  static constexpr T infinity() { return T(0); }
  static constexpr T quiet_NaN() { return T(0); }
  static constexpr T denorm_min() { return T(0); }
};
// mantissa: bits with the hidden one; top: the largest exponent plus one.
template <typename T, int mantissa, int top, typename Bits>
struct mtl_floating_limits {
  static constexpr bool is_specialized = true, is_signed = true, is_integer = false, is_exact = false,
                        has_infinity = true, has_quiet_NaN = true, has_signaling_NaN = true, is_iec559 = true,
                        is_bounded = true, is_modulo = false;
  static constexpr int digits = mantissa, digits10 = (mantissa - 1) * 30103 / 100000,
                       max_digits10 = mantissa * 30103 / 100000 + 2, radix = 2, min_exponent = 3 - top,
                       max_exponent = top;
  static constexpr float_round_style round_style = round_to_nearest;
  // The bits of 2 to the power e.
  static constexpr Bits power(int e) { return Bits(Bits(e + top - 1) << (mantissa - 1)); }
  static constexpr T max() { return as_type<T>(Bits(power(top) - 1)); }
  static constexpr T lowest() { return -max(); }
  static constexpr T min() { return as_type<T>(power(2 - top)); }
  static constexpr T epsilon() { return as_type<T>(power(1 - mantissa)); }
  static constexpr T round_error() { return T(0.5f); }
  static constexpr T infinity() { return as_type<T>(power(top)); }
  static constexpr T quiet_NaN() { return as_type<T>(Bits(power(top) | Bits(1) << (mantissa - 2))); }
  static constexpr T signaling_NaN() { return as_type<T>(Bits(power(top) | Bits(1) << (mantissa - 3))); }
  static constexpr T denorm_min() { return as_type<T>(Bits(1)); }
};
template <>
struct numeric_limits<float> : mtl_floating_limits<float, 24, 128, uint> {};
template <>
struct numeric_limits<half> : mtl_floating_limits<half, 11, 16, ushort> {};
template <>
struct numeric_limits<bfloat> : mtl_floating_limits<bfloat, 8, 128, ushort> {};
}  // namespace metal
