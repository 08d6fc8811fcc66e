// packed_T2..4: the components without the padding of a vector, which is what they compute as.
namespace metal {
template <typename T, int N>
struct mtl_packed;

#define MTL_MIXED(op) \
  friend MTL_INLINE constexpr auto operator op(const mtl_packed &p, const mtl_packed &q) { \
    return mtl_vec(p) op mtl_vec(q); \
  } \
  friend MTL_INLINE constexpr auto operator op(const mtl_packed &p, const mtl_vec &q) { return mtl_vec(p) op q; } \
  friend MTL_INLINE constexpr auto operator op(const mtl_vec &p, const mtl_packed &q) { return p op mtl_vec(q); } \
  template <typename S, mtl_if<mtl_splats<T, S>> = 0> \
  friend MTL_INLINE constexpr auto operator op(const mtl_packed &p, S q) { \
    return mtl_vec(p) op mtl_vec(q); \
  } \
  template <typename S, mtl_if<mtl_splats<T, S>> = 0> \
  friend MTL_INLINE constexpr auto operator op(S p, const mtl_packed &q) { \
    return mtl_vec(p) op mtl_vec(q); \
  }
#define MTL_CHANGED(op) \
  MTL_MIXED(op) \
  template <typename A> \
  MTL_INLINE constexpr mtl_packed &operator op##=(const A &q) { \
    return *this = mtl_packed(mtl_vec(*this) op q); \
  }
#define MTL_TAKE(c) c(v.c)
#define MTL_SAME(c) c

#define MTL_PACKED(N) \
  using mtl_vec = vec<T, N>; \
  using mtl_element = T; \
  static constexpr int mtl_size = N; \
  mtl_packed() = default; \
  MTL_INLINE constexpr mtl_packed(const mtl_vec &v) : MTL_EACH##N(MTL_TAKE) {} \
  template <typename... A, mtl_if<(sizeof...(A) > 1)> = 0> \
  MTL_INLINE constexpr mtl_packed(const A &...a) : mtl_packed(mtl_vec(a...)) {} \
  template <typename S, mtl_if<mtl_splats<T, S>> = 0> \
  MTL_INLINE constexpr mtl_packed(S s) : mtl_packed(mtl_vec(s)) {} \
  template <typename U, mtl_if<!is_same_v<T, U>> = 0> \
  MTL_INLINE constexpr explicit mtl_packed(const vec<U, N> &v) : mtl_packed(mtl_vec(v)) {} \
  MTL_INLINE constexpr operator mtl_vec() const { return mtl_vec(MTL_EACH##N(MTL_SAME)); } \
  MTL_INLINE constexpr T &operator[](size_t i) { return (&x)[i]; } \
  MTL_INLINE constexpr const T &operator[](size_t i) const { return (&x)[i]; } \
  template <int... I> \
  MTL_INLINE constexpr vec<T, sizeof...(I)> mtl_get() const { \
    return mtl_vec(*this).template mtl_get<I...>(); \
  } \
  template <int... I> \
  MTL_INLINE constexpr mtl_swizzle<mtl_packed, I...> mtl_ref() { \
    static_assert(((I < N) && ...), "the vector has no such component"); \
    return {*this}; \
  } \
  MTL_CHANGED(+) MTL_CHANGED(-) MTL_CHANGED(*) MTL_CHANGED(/) MTL_CHANGED(%) \
  MTL_CHANGED(&) MTL_CHANGED(|) MTL_CHANGED(^) MTL_CHANGED(<<) MTL_CHANGED(>>) \
  MTL_MIXED(==) MTL_MIXED(!=) MTL_MIXED(<) MTL_MIXED(<=) MTL_MIXED(>) MTL_MIXED(>=) MTL_MIXED(&&) MTL_MIXED(||) \
  friend MTL_INLINE constexpr mtl_vec operator+(const mtl_packed &p) { return p; } \
  friend MTL_INLINE constexpr mtl_vec operator-(const mtl_packed &p) { return -mtl_vec(p); } \
  friend MTL_INLINE constexpr mtl_vec operator~(const mtl_packed &p) { return ~mtl_vec(p); } \
  friend MTL_INLINE constexpr vec<bool, N> operator!(const mtl_packed &p) { return !mtl_vec(p); }

template <typename T>
struct mtl_packed<T, 2> {
  MTL_FIELDS2
  MTL_PACKED(2)
};
template <typename T>
struct mtl_packed<T, 3> {
  MTL_FIELDS3
  MTL_PACKED(3)
};
template <typename T>
struct mtl_packed<T, 4> {
  MTL_FIELDS4
  MTL_PACKED(4)
};
#undef MTL_PACKED
#undef MTL_MIXED
#undef MTL_CHANGED
#undef MTL_TAKE
#undef MTL_SAME

template <typename T, int N>
struct mtl_part_of<mtl_packed<T, N>, T, N> {
  static constexpr bool value = true;
};

#define MTL_NAMED(scalar) \
  using packed_##scalar##2 = mtl_packed<scalar, 2>; \
  using packed_##scalar##3 = mtl_packed<scalar, 3>; \
  using packed_##scalar##4 = mtl_packed<scalar, 4>;
MTL_ALL_SCALARS(MTL_NAMED)
}  // namespace metal
#define MTL_SHOWN(scalar) \
  using metal::packed_##scalar##2; \
  using metal::packed_##scalar##3; \
  using metal::packed_##scalar##4;
MTL_ALL_SCALARS(MTL_SHOWN)
#undef MTL_NAMED
#undef MTL_SHOWN
