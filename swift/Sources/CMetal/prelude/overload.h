// Which arguments a function of the library takes, as overload resolution over Metal's own list would find:
// scalars of one type, vectors of one type with scalars beside them, and what is ambiguous there is refused.
namespace metal {
// size: components, 1 for a scalar, 0 for anything else.
template <typename A, typename = void>
struct mtl_operand {
  using value = A;
  using element = A;
  static constexpr int kind = mtl_kind<A>, size = kind ? 1 : 0;
};
template <typename A>
struct mtl_operand<A, void_t<typename A::mtl_vec>> {
  using value = typename A::mtl_vec;
  using element = typename A::mtl_element;
  static constexpr int kind = mtl_kind<element>, size = A::mtl_size;
};
// As Metal sees it: swizzles and packed vectors are vectors.
template <typename A>
using mtl_value_of = typename mtl_operand<A>::value;

// The first vector of some arguments, else the first floating one, else the first.
template <typename A, typename... Rest>
struct mtl_leader {
  using rest = typename mtl_leader<Rest...>::type;
  static constexpr int size = mtl_operand<A>::size, other = mtl_operand<rest>::size;
  using type = conditional_t<
      (size > 1) || (size == 1 && other == 1 && (mtl_is_floating<A> || !mtl_is_floating<rest>)), mtl_value_of<A>, rest>;
};
template <typename A>
struct mtl_leader<A> {
  using type = mtl_value_of<A>;
};

// Whether A goes where the others want a V.
template <int kinds, typename V, typename A>
inline constexpr bool mtl_fits =
    is_same_v<mtl_value_of<A>, V> ||
    (mtl_operand<A>::size == 1 &&
     (mtl_operand<V>::size > 1 ? mtl_splats<typename mtl_operand<V>::element, A>
                               : kinds == mtl_real && mtl_is_floating<V> && mtl_is_integral<A>));

template <int kinds, typename... A>
struct mtl_overload {
  using V = typename mtl_leader<A...>::type;
  static constexpr bool found = (mtl_operand<V>::kind & kinds) != 0 && (mtl_fits<kinds, V, A> && ...);
  static constexpr bool scalars = ((mtl_operand<A>::size == 1) && ...);
};
// The type that arguments A are computed in.
template <int kinds, typename... A>
using mtl_common = enable_if_t<mtl_overload<kinds, A...>::found, typename mtl_overload<kinds, A...>::V>;
// Only scalars, but of no one type.
template <int kinds, typename... A>
using mtl_refused = mtl_if<mtl_overload<kinds, A...>::scalars && !mtl_overload<kinds, A...>::found>;

// `name` for vectors by component, and for scalars that convert. What it does with one scalar type comes before.
#define MTL_MAP1(scope, name, kinds) \
  template <typename A, typename V = mtl_common<kinds, A>, mtl_if<(mtl_operand<A>::size > 1)> = 0> \
  MTL_INLINE V name(const A &a) { \
    V p(a), r; \
    MTL_UNROLL for (int i = 0; i < V::mtl_size; i++) r[i] = scope::name(p[i]); \
    return r; \
  } \
  template <typename A, mtl_refused<kinds, A> = 0> \
  void name(const A &) = delete;
#define MTL_MAP2(scope, name, kinds) \
  template <typename A, typename B, typename V = mtl_common<kinds, A, B>, mtl_if<(mtl_operand<V>::size > 1)> = 0> \
  MTL_INLINE V name(const A &a, const B &b) { \
    V p(a), q(b), r; \
    MTL_UNROLL for (int i = 0; i < V::mtl_size; i++) r[i] = scope::name(p[i], q[i]); \
    return r; \
  } \
  template <typename A, typename B, typename V = mtl_common<kinds, A, B>, \
            mtl_if<mtl_operand<V>::size == 1 && !is_same_v<A, B>> = 0> \
  MTL_INLINE V name(A a, B b) { \
    return scope::name(V(a), V(b)); \
  } \
  template <typename A, typename B, mtl_refused<kinds, A, B> = 0> \
  void name(const A &, const B &) = delete;
#define MTL_MAP3(scope, name, kinds) \
  template <typename A, typename B, typename C, typename V = mtl_common<kinds, A, B, C>, \
            mtl_if<(mtl_operand<V>::size > 1)> = 0> \
  MTL_INLINE V name(const A &a, const B &b, const C &c) { \
    V p(a), q(b), s(c), r; \
    MTL_UNROLL for (int i = 0; i < V::mtl_size; i++) \
      r[i] = scope::name(p[i], q[i], s[i]); \
    return r; \
  } \
  template <typename A, typename B, typename C, typename V = mtl_common<kinds, A, B, C>, \
            mtl_if<mtl_operand<V>::size == 1 && !(is_same_v<A, B> && is_same_v<A, C>)> = 0> \
  MTL_INLINE V name(A a, B b, C c) { \
    return scope::name(V(a), V(b), V(c)); \
  } \
  template <typename A, typename B, typename C, mtl_refused<kinds, A, B, C> = 0> \
  void name(const A &, const B &, const C &) = delete;
}  // namespace metal
