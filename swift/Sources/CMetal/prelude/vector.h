// vec<T, 2..4>: a class with Metal's size and alignment, trivial to make and to copy.
namespace metal {
template <typename T, int N>
struct vec;

// Components of a vector that are assigned to: v.zx = ..
template <typename V, int... I>
struct mtl_swizzle {
  using T = typename V::mtl_element;
  using W = vec<T, sizeof...(I)>;
  V &of;
  MTL_INLINE constexpr W get() const { return of.template mtl_get<I...>(); }
  MTL_INLINE constexpr W operator=(const W &value) {
    int i = 0;
    ((of[I] = value[i++]), ...);
    return value;
  }
  MTL_INLINE constexpr W operator=(const mtl_swizzle &other) { return *this = other.get(); }
#define MTL_ASSIGN(op) \
  template <typename A> \
  MTL_INLINE constexpr W operator op##=(const A &value) { \
    return *this = get() op value; \
  }
  MTL_ASSIGN(+) MTL_ASSIGN(-) MTL_ASSIGN(*) MTL_ASSIGN(/) MTL_ASSIGN(%)
  MTL_ASSIGN(&) MTL_ASSIGN(|) MTL_ASSIGN(^) MTL_ASSIGN(<<) MTL_ASSIGN(>>)
#undef MTL_ASSIGN
  MTL_INLINE constexpr W operator++() { return *this = get() + W(T(1)); }
  MTL_INLINE constexpr W operator--() { return *this = get() - W(T(1)); }
  MTL_INLINE constexpr W operator++(int) {
    W old = get();
    ++*this;
    return old;
  }
  MTL_INLINE constexpr W operator--(int) {
    W old = get();
    --*this;
    return old;
  }
};

// An argument of a constructor that is a vector of N times T.
template <typename V, typename T, int N>
struct mtl_part_of {
  static constexpr bool value = false;
};
template <typename T, int N>
struct mtl_part_of<vec<T, N>, T, N> {
  static constexpr bool value = true;
};
template <typename V, typename T, int N>
using mtl_part = mtl_if<mtl_part_of<V, T, N>::value>;

// The components under both names. Anonymous structs would give an array as well, but NVRTC 12 has none.
#define MTL_FIELDS2 \
  union { T x, r; }; \
  union { T y, g; };
#define MTL_FIELDS3 \
  MTL_FIELDS2 \
  union { T z, b; };
#define MTL_FIELDS4 \
  MTL_FIELDS3 \
  union { T w, a; };
#define MTL_EACH2(f) f(x), f(y)
#define MTL_EACH3(f) f(x), f(y), f(z)
#define MTL_EACH4(f) f(x), f(y), f(z), f(w)

#define MTL_COMPUTE(N, op) \
  friend MTL_INLINE constexpr vec operator op(vec p, vec q) { \
    static_assert(!is_same_v<T, bool>, "vectors of bool have no arithmetic"); \
    return vec(MTL_PAIRS##N(op)); \
  } \
  MTL_INLINE constexpr vec &operator op##=(vec q) { return *this = *this op q; }
#define MTL_COMBINE(N, op) \
  friend MTL_INLINE constexpr vec operator op(vec p, vec q) { \
    static_assert(mtl_is_integral<T>, "only integers and bool have bits"); \
    return vec(MTL_PAIRS##N(op)); \
  } \
  MTL_INLINE constexpr vec &operator op##=(vec q) { return *this = *this op q; }
#define MTL_COMPARE(N, op) \
  friend MTL_INLINE constexpr vec<bool, N> operator op(vec p, vec q) { \
    return vec<bool, N>(MTL_ORDER##N(op)); \
  }
#define MTL_PAIRS2(op) T(p.x op q.x), T(p.y op q.y)
#define MTL_PAIRS3(op) T(p.x op q.x), T(p.y op q.y), T(p.z op q.z)
#define MTL_PAIRS4(op) T(p.x op q.x), T(p.y op q.y), T(p.z op q.z), T(p.w op q.w)
#define MTL_ORDER2(op) p.x op q.x, p.y op q.y
#define MTL_ORDER3(op) p.x op q.x, p.y op q.y, p.z op q.z
#define MTL_ORDER4(op) p.x op q.x, p.y op q.y, p.z op q.z, p.w op q.w
#define MTL_NEGATE(c) T(-p.c)
#define MTL_FLIP(c) T(~p.c)
#define MTL_NOT(c) !p.c
#define MTL_SPLAT(c) T(s)
#define MTL_CONVERT(c) T(v.c)

#define MTL_VECTOR(N) \
  using mtl_vec = vec; \
  using mtl_element = T; \
  static constexpr int mtl_size = N; \
  vec() = default; \
  template <typename S, mtl_if<mtl_splats<T, S>> = 0> \
  MTL_INLINE constexpr vec(S s) : vec(MTL_EACH##N(MTL_SPLAT)) {} \
  template <typename S, mtl_if<mtl_is_scalar<S> && !mtl_splats<T, S>> = 0> \
  MTL_INLINE constexpr explicit vec(S s) : vec(MTL_EACH##N(MTL_SPLAT)) {} \
  template <typename U> \
  MTL_INLINE constexpr explicit vec(vec<U, N> v) : vec(MTL_EACH##N(MTL_CONVERT)) {} \
  MTL_INLINE constexpr T &operator[](size_t i) { return (&x)[i]; } \
  MTL_INLINE constexpr const T &operator[](size_t i) const { \
    if (__builtin_is_constant_evaluated()) return mtl_constant(i); \
    return (&x)[i]; \
  } \
  template <int... I> \
  MTL_INLINE constexpr vec<T, sizeof...(I)> mtl_get() const { \
    static_assert(((I < N) && ...), "the vector has no such component"); \
    return vec<T, sizeof...(I)>((*this)[I]...); \
  } \
  template <int... I> \
  MTL_INLINE constexpr mtl_swizzle<vec, I...> mtl_ref() { \
    static_assert(((I < N) && ...), "the vector has no such component"); \
    return {*this}; \
  } \
  MTL_COMPUTE(N, +) MTL_COMPUTE(N, -) MTL_COMPUTE(N, *) MTL_COMPUTE(N, /) \
  MTL_COMBINE(N, %) MTL_COMBINE(N, &) MTL_COMBINE(N, |) MTL_COMBINE(N, ^) MTL_COMBINE(N, <<) MTL_COMBINE(N, >>) \
  MTL_COMPARE(N, ==) MTL_COMPARE(N, !=) MTL_COMPARE(N, <) MTL_COMPARE(N, <=) MTL_COMPARE(N, >) MTL_COMPARE(N, >=) \
  MTL_COMPARE(N, &&) MTL_COMPARE(N, ||) \
  friend MTL_INLINE constexpr vec operator+(vec p) { return p; } \
  friend MTL_INLINE constexpr vec operator-(vec p) { return vec(MTL_EACH##N(MTL_NEGATE)); } \
  friend MTL_INLINE constexpr vec operator~(vec p) { return vec(MTL_EACH##N(MTL_FLIP)); } \
  friend MTL_INLINE constexpr vec<bool, N> operator!(vec p) { return vec<bool, N>(MTL_EACH##N(MTL_NOT)); } \
  MTL_INLINE constexpr vec &operator++() { return *this = *this + vec(T(1)); } \
  MTL_INLINE constexpr vec &operator--() { return *this = *this - vec(T(1)); } \
  MTL_INLINE constexpr vec operator++(int) { \
    vec old = *this; \
    ++*this; \
    return old; \
  } \
  MTL_INLINE constexpr vec operator--(int) { \
    vec old = *this; \
    --*this; \
    return old; \
  }

template <typename T>
struct alignas(2 * sizeof(T)) vec<T, 2> {
  MTL_FIELDS2
  MTL_INLINE constexpr vec(T x0, T y0) : x(x0), y(y0) {}
  MTL_VECTOR(2)
  MTL_INLINE constexpr const T &mtl_constant(size_t i) const { return i == 0 ? x : y; }
};

template <typename T>
struct alignas(4 * sizeof(T)) vec<T, 3> {
  MTL_FIELDS3
  MTL_INLINE constexpr vec(T x0, T y0, T z0) : x(x0), y(y0), z(z0) {}
  template <typename V, mtl_part<V, T, 2> = 0>
  MTL_INLINE constexpr vec(const V &v, T s) : vec(v.x, v.y, s) {}
  template <typename V, mtl_part<V, T, 2> = 0>
  MTL_INLINE constexpr vec(T s, const V &v) : vec(s, v.x, v.y) {}
  MTL_VECTOR(3)
  MTL_INLINE constexpr const T &mtl_constant(size_t i) const { return i == 0 ? x : i == 1 ? y : z; }
};

template <typename T>
struct alignas(4 * sizeof(T)) vec<T, 4> {
  MTL_FIELDS4
  MTL_INLINE constexpr vec(T x0, T y0, T z0, T w0) : x(x0), y(y0), z(z0), w(w0) {}
  template <typename V, mtl_part<V, T, 2> = 0>
  MTL_INLINE constexpr vec(const V &v, T s, T t) : vec(v.x, v.y, s, t) {}
  template <typename V, mtl_part<V, T, 2> = 0>
  MTL_INLINE constexpr vec(T s, const V &v, T t) : vec(s, v.x, v.y, t) {}
  template <typename V, mtl_part<V, T, 2> = 0>
  MTL_INLINE constexpr vec(T s, T t, const V &v) : vec(s, t, v.x, v.y) {}
  template <typename V, typename W, mtl_part<V, T, 2> = 0, mtl_part<W, T, 2> = 0>
  MTL_INLINE constexpr vec(const V &v, const W &u) : vec(v.x, v.y, u.x, u.y) {}
  template <typename V, mtl_part<V, T, 3> = 0>
  MTL_INLINE constexpr vec(const V &v, T s) : vec(v.x, v.y, v.z, s) {}
  template <typename V, mtl_part<V, T, 3> = 0>
  MTL_INLINE constexpr vec(T s, const V &v) : vec(s, v.x, v.y, v.z) {}
  MTL_VECTOR(4)
  MTL_INLINE constexpr const T &mtl_constant(size_t i) const { return i == 0 ? x : i == 1 ? y : i == 2 ? z : w; }
};
#undef MTL_VECTOR
#undef MTL_COMPUTE
#undef MTL_COMBINE
#undef MTL_COMPARE
#undef MTL_NEGATE
#undef MTL_FLIP
#undef MTL_NOT
#undef MTL_SPLAT
#undef MTL_CONVERT

#define MTL_NAMED(scalar) \
  using scalar##2 = vec<scalar, 2>; \
  using scalar##3 = vec<scalar, 3>; \
  using scalar##4 = vec<scalar, 4>;
#define MTL_ALL_SCALARS(f) \
  f(bool) f(char) f(uchar) f(short) f(ushort) f(int) f(uint) f(long) f(ulong) f(half) f(bfloat) f(float)
MTL_ALL_SCALARS(MTL_NAMED)
}  // namespace metal
#define MTL_SHOWN(scalar) \
  using metal::scalar##2; \
  using metal::scalar##3; \
  using metal::scalar##4;
MTL_ALL_SCALARS(MTL_SHOWN)
#undef MTL_NAMED
#undef MTL_SHOWN
