// How the entry function calls a kernel.
template <typename F, int i>
struct mtl_parameters;
template <int i, typename P, typename... Rest>
struct mtl_parameters<void (*)(P, Rest...), i> : mtl_parameters<void (*)(Rest...), i - 1> {};
template <typename P, typename... Rest>
struct mtl_parameters<void (*)(P, Rest...), 0> {
  using type = P;
};
// The type of a kernel's parameter.
template <typename F, int i>
using mtl_parameter = typename mtl_parameters<F, i>::type;

// Bytes that must lie behind a reference; a pointer does not say. The alignment's logarithm in the top four bits.
constexpr unsigned mtl_logarithm(unsigned value) { return value > 1 ? 1 + mtl_logarithm(value / 2) : 0; }
template <typename P>
struct mtl_size_of {
  static constexpr unsigned value = 0;
};
template <typename P>
struct mtl_size_of<P *> {
  static constexpr unsigned value = mtl_logarithm(alignof(P)) << 28;
};
template <>
struct mtl_size_of<void *> : mtl_size_of<void> {};
template <>
struct mtl_size_of<const void *> : mtl_size_of<void> {};
template <typename P>
struct mtl_size_of<P &> {
  static constexpr unsigned value = sizeof(P) | mtl_logarithm(alignof(P)) << 28;
};
template <typename P>
constexpr unsigned mtl_bytes() {
  return mtl_size_of<P>::value;
}

// A built-in value as the type that the kernel wants it in.
template <typename P>
MTL_INLINE P mtl_builtin(unsigned value) {
  static_assert(metal::mtl_is_integral<P>, "this built-in value is one integer");
  return P(value);
}
template <typename P>
MTL_INLINE P mtl_builtin(const mtl_uint3 &value) {
  using T = typename metal::mtl_operand<P>::element;
  static_assert(metal::mtl_is_integral<T>, "built-in values are integers");
  if constexpr (metal::mtl_operand<P>::size == 1) return P(value.x);
  else if constexpr (metal::mtl_operand<P>::size == 2) return P(T(value.x), T(value.y));
  else return P(T(value.x), T(value.y), T(value.z));
}
