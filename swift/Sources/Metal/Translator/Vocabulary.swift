/// Names that the translator knows.
enum Vocabulary {
  /// Macros of metal_stdlib, which the prelude defines: `#ifdef` must find them.
  static let libraryMacros: Set<String> = [
    "INFINITY", "NAN", "MAXFLOAT", "HUGE_VALF", "HUGE_VALH", "FLT_MAX", "FLT_MIN", "FLT_EPSILON", "FLT_DIG", "HALF_MAX",
    "HALF_MIN", "HALF_EPSILON", "CHAR_BIT", "INT_MAX", "INT_MIN", "UINT_MAX", "SHRT_MAX", "SHRT_MIN", "USHRT_MAX",
    "LONG_MAX", "LONG_MIN", "ULONG_MAX", "CHAR_MAX", "CHAR_MIN", "SCHAR_MAX", "SCHAR_MIN", "UCHAR_MAX", "M_E_F",
    "M_LOG2E_F", "M_LOG10E_F", "M_LN2_F", "M_LN10_F", "M_PI_F", "M_PI_2_F", "M_PI_4_F", "M_1_PI_F", "M_2_PI_F",
    "M_2_SQRTPI_F", "M_SQRT2_F", "M_SQRT1_2_F", "M_E_H", "M_PI_H", "M_PI_2_H", "M_PI_4_H", "M_1_PI_H", "M_2_PI_H",
    "M_SQRT2_H", "M_SQRT1_2_H", "M_LOG2E_H", "M_LOG10E_H", "M_LN2_H", "M_LN10_H", "M_2_SQRTPI_H",
  ]
}

extension Vocabulary {
  /// Attributes that say something to Metal alone.
  static let metalAttributes: Set<String> = KernelReader.scalarBuiltins.union(KernelReader.vectorBuiltins).union([
    "kernel", "host_name", "max_total_threads_per_threadgroup", "buffer", "threadgroup", "function_constant",
  ])
  /// Those of C++ that go on to the compiler.
  static let keptAttributes: Set<String> = [
    "maybe_unused", "nodiscard", "likely", "unlikely", "fallthrough", "noreturn", "deprecated",
  ]
  /// Keywords of C++ that Metal's dialect does not have yet.
  static let laterKeywords: Set<String> = [
    "concept", "requires", "consteval", "constinit", "char8_t", "co_await", "co_return", "co_yield",
  ]
  /// Behind these a `::` starts a name.
  static let wordsBeforeNames: Set<String> = [
    "return", "const", "typename", "static", "constexpr", "inline", "device", "constant", "thread", "threadgroup", "case",
    "else", "using", "volatile", "kernel", "new", "do", "in", "sizeof",
  ]

  /// `simd_float4` and `vector_float4` are `float4`, `matrix_float4x4` is `float4x4`.
  static func plainVector(_ name: String) -> String? {
    for prefix in ["simd_", "vector_", "matrix_"] where name.hasPrefix(prefix) {
      let rest = name.dropFirst(prefix.count)
      for element in ["float", "half", "int", "uint", "short", "ushort", "char", "uchar", "long", "ulong", "bool"]
      where rest.hasPrefix(element) {
        let size = rest.dropFirst(element.count)
        let parts = size.split(separator: "x", omittingEmptySubsequences: false)
        let isSize = parts.count <= 2 && parts.allSatisfy { ["2", "3", "4"].contains($0) }
        if isSize { return "metal::\(rest)" }
      }
    }
    return nil
  }
}

extension Vocabulary {
  /// Functions of metal_stdlib that programs overload.
  static let functions: Set<String> = Set(
    """
    abs absdiff acos acosh addsat all any as_type asin asinh atan atan2 atanh atomic_compare_exchange_weak_explicit
    atomic_exchange_explicit atomic_fetch_add_explicit atomic_fetch_and_explicit atomic_fetch_max_explicit
    atomic_fetch_min_explicit atomic_fetch_or_explicit atomic_fetch_sub_explicit atomic_fetch_xor_explicit
    atomic_load_explicit atomic_store_explicit ceil clamp clz copysign cos cosh cospi cross ctz determinant
    distance distance_squared divide dot exp exp10 exp2 extract_bits fabs faceforward fdim floor fma fmax fmax3
    fmedian3 fmin fmin3 fmod fract frexp hadd ilogb insert_bits isfinite isinf isnan isnormal isordered isunordered ldexp
    length length_squared log log10 log2 mad24 madhi madsat max max3 median3 min min3 mix modf mul24 mulhi nextafter
    normalize popcount pow powr quad_all quad_any quad_ballot quad_broadcast quad_max quad_min quad_product
    quad_shuffle quad_shuffle_down quad_shuffle_up quad_shuffle_xor quad_sum reflect refract reverse_bits rhadd
    rint rotate round rsqrt saturate select sign signbit simd_active_threads_mask simd_all simd_and simd_any simd_ballot
    simd_broadcast simd_broadcast_first simd_is_first simd_max simd_min simd_or simd_prefix_exclusive_product
    simd_prefix_exclusive_sum simd_prefix_inclusive_product simd_prefix_inclusive_sum simd_product simd_shuffle
    simd_shuffle_and_fill_down simd_shuffle_and_fill_up simd_shuffle_down simd_shuffle_rotate_down
    simd_shuffle_rotate_up simd_shuffle_up simd_shuffle_xor simd_sum simd_xor sin sincos sinh sinpi smoothstep sqrt step
    subsat tan tanh tanpi transpose trunc
    """.split { $0 == " " || $0 == "\n" }.map(String.init))
}
