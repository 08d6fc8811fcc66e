// <metal_geometric>: of vectors of float and half.
namespace metal {
template <typename A, typename B = A>
using mtl_geometric = enable_if_t<(mtl_operand<mtl_common<mtl_real, A, B>>::size > 1), mtl_common<mtl_real, A, B>>;
template <typename V>
using mtl_element_of = typename V::mtl_element;

template <typename A, typename B, typename V = mtl_geometric<A, B>>
MTL_INLINE mtl_element_of<V> dot(const A &a, const B &b) {
  V p(a), q(b);
  mtl_element_of<V> sum = p[0] * q[0];
  MTL_UNROLL for (int i = 1; i < V::mtl_size; i++) sum = sum + p[i] * q[i];
  return sum;
}
template <typename A, typename V = mtl_geometric<A>>
MTL_INLINE mtl_element_of<V> length_squared(const A &a) {
  return dot(a, a);
}
template <typename A, typename B, typename V = mtl_geometric<A, B>>
MTL_INLINE mtl_element_of<V> distance_squared(const A &a, const B &b) {
  return length_squared(V(a) - V(b));
}
template <typename A, typename B, typename V = mtl_geometric<A, B>, mtl_if<V::mtl_size == 3> = 0>
MTL_INLINE V cross(const A &a, const B &b) {
  V p(a), q(b);
  return V(p.y * q.z - p.z * q.y, p.z * q.x - p.x * q.z, p.x * q.y - p.y * q.x);
}
template <typename A, typename B, typename C, typename V = mtl_geometric<A, B>>
MTL_INLINE V faceforward(const A &normal, const B &incident, const C &reference) {
  return dot(V(incident), V(reference)) < 0 ? V(normal) : -V(normal);
}
template <typename A, typename B, typename V = mtl_geometric<A, B>>
MTL_INLINE V reflect(const A &incident, const B &normal) {
  V i(incident), n(normal);
  return i - n * (2 * dot(n, i));
}
template <typename A, typename B, typename V = mtl_geometric<A, B>>
MTL_INLINE V refract(const A &incident, const B &normal, mtl_element_of<V> eta) {
  using T = mtl_element_of<V>;
  V i(incident), n(normal);
  T along = dot(n, i), k = T(1 - eta * eta * (1 - along * along));
  return k < 0 ? V(T(0)) : i * eta - n * T(eta * along + sqrt(k));
}
#define MTL_LENGTHS(scope) \
  template <typename A, typename V = mtl_geometric<A>> \
  MTL_INLINE mtl_element_of<V> length(const A &a) { \
    return scope::sqrt(length_squared(a)); \
  } \
  template <typename A, typename B, typename V = mtl_geometric<A, B>> \
  MTL_INLINE mtl_element_of<V> distance(const A &a, const B &b) { \
    return scope::sqrt(distance_squared(a, b)); \
  } \
  template <typename A, typename V = mtl_geometric<A>> \
  MTL_INLINE V normalize(const A &a) { \
    return V(a) * scope::rsqrt(length_squared(a)); \
  }
MTL_LENGTHS(metal)
namespace fast {
MTL_LENGTHS(metal::fast)
}
namespace precise {
MTL_LENGTHS(metal::precise)
}
#undef MTL_LENGTHS
}  // namespace metal
