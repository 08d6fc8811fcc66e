// Metal's standard library for emitted text: what both targets share. In this order:
//   emulator: hooks.h emulator.h, cuda: cuda.h, then for both: common.h float16.h vector.h packed.h limits.h
//   overload.h math.h integer.h relational.h geometric.h matrix.h pack.h atomic.h simdgroup.h
//   quadgroup.h simdgroup_matrix.h entry.h
// and after the program MTL_END. Before: MTL_CHECKS (emulator), MTL_FAST_MATH.
static_assert(sizeof(long) == 8, "long has 64 bits in Metal");

#define MTL_SCALARS \
  typedef unsigned char uchar; \
  typedef unsigned short ushort; \
  typedef unsigned int uint; \
  typedef unsigned long ulong; \
  typedef char int8_t; \
  typedef unsigned char uint8_t; \
  typedef short int16_t; \
  typedef unsigned short uint16_t; \
  typedef int int32_t; \
  typedef unsigned int uint32_t; \
  typedef long int64_t; \
  typedef unsigned long uint64_t; \
  typedef unsigned long size_t; \
  typedef long ptrdiff_t; \
  typedef long intptr_t; \
  typedef unsigned long uintptr_t;
MTL_SCALARS
namespace metal {
MTL_SCALARS

// ---- traits
template <typename T, T v>
struct integral_constant {
  static constexpr T value = v;
  using value_type = T;
  using type = integral_constant;
  constexpr operator T() const { return v; }
  constexpr T operator()() const { return v; }
};
template <bool v>
using bool_constant = integral_constant<bool, v>;
using true_type = bool_constant<true>;
using false_type = bool_constant<false>;

template <bool condition, typename T = void>
struct enable_if {};
template <typename T>
struct enable_if<true, T> {
  using type = T;
};
template <bool condition, typename T = void>
using enable_if_t = typename enable_if<condition, T>::type;
template <bool condition, typename T, typename F>
struct conditional {
  using type = T;
};
template <typename T, typename F>
struct conditional<false, T, F> {
  using type = F;
};
template <bool condition, typename T, typename F>
using conditional_t = typename conditional<condition, T, F>::type;
template <typename...>
using void_t = void;

template <typename T, typename U>
inline constexpr bool is_same_v = false;
template <typename T>
inline constexpr bool is_same_v<T, T> = true;
template <typename T, typename U>
struct is_same : bool_constant<is_same_v<T, U>> {};

template <typename T>
struct remove_reference {
  using type = T;
};
template <typename T>
struct remove_reference<T &> {
  using type = T;
};
template <typename T>
struct remove_reference<T &&> {
  using type = T;
};
template <typename T>
using remove_reference_t = typename remove_reference<T>::type;
template <typename T>
struct remove_const {
  using type = T;
};
template <typename T>
struct remove_const<const T> {
  using type = T;
};
template <typename T>
using remove_const_t = typename remove_const<T>::type;
template <typename T>
struct remove_volatile {
  using type = T;
};
template <typename T>
struct remove_volatile<volatile T> {
  using type = T;
};
template <typename T>
using remove_volatile_t = typename remove_volatile<T>::type;
template <typename T>
struct remove_cv {
  using type = remove_const_t<remove_volatile_t<T>>;
};
template <typename T>
using remove_cv_t = typename remove_cv<T>::type;
template <typename T>
struct remove_pointer {
  using type = T;
};
template <typename T>
struct remove_pointer<T *> {
  using type = T;
};
template <typename T>
using remove_pointer_t = typename remove_pointer<T>::type;

// What a scalar is. The prelude's own functions accept sets of these.
enum { mtl_bool = 1, mtl_signed = 2, mtl_unsigned = 4, mtl_real = 8, mtl_brain = 16, mtl_alien = 32 };
constexpr int mtl_integer = mtl_signed | mtl_unsigned, mtl_number = mtl_integer | mtl_real;
template <typename T>
inline constexpr int mtl_kind = 0;
#define MTL_KIND(type, kind) \
  template <> \
  inline constexpr int mtl_kind<type> = kind;
MTL_KIND(bool, mtl_bool)
MTL_KIND(char, mtl_signed)
MTL_KIND(short, mtl_signed)
MTL_KIND(int, mtl_signed)
MTL_KIND(long, mtl_signed)
MTL_KIND(uchar, mtl_unsigned)
MTL_KIND(ushort, mtl_unsigned)
MTL_KIND(uint, mtl_unsigned)
MTL_KIND(ulong, mtl_unsigned)
MTL_KIND(float, mtl_real)
// Not Metal's: known only to be refused.
MTL_KIND(signed char, mtl_alien)
MTL_KIND(double, mtl_alien)
MTL_KIND(long long, mtl_alien)
MTL_KIND(unsigned long long, mtl_alien)

template <bool condition>
using mtl_if = enable_if_t<condition, int>;
template <typename T>
inline constexpr bool mtl_is_integral = (mtl_kind<T> & (mtl_bool | mtl_integer)) != 0;
template <typename T>
inline constexpr bool mtl_is_floating = (mtl_kind<T> & (mtl_real | mtl_brain)) != 0;
template <typename T>
inline constexpr bool mtl_is_scalar = (mtl_kind<T> & (mtl_bool | mtl_number | mtl_brain)) != 0;
// Whether a scalar S beside a vector of T becomes such a vector by itself.
template <typename T, typename S>
inline constexpr bool mtl_splats = mtl_is_integral<S> || (mtl_is_floating<T> && mtl_is_floating<S>);

#define MTL_TRAIT(name, expression) \
  template <typename T> \
  inline constexpr bool name##_v = expression; \
  template <typename T> \
  struct name : bool_constant<expression> {};
MTL_TRAIT(is_integral, mtl_is_integral<remove_cv_t<T>>)
MTL_TRAIT(is_floating_point, mtl_is_floating<remove_cv_t<T>>)
MTL_TRAIT(is_arithmetic, mtl_is_scalar<remove_cv_t<T>>)
MTL_TRAIT(is_scalar, mtl_is_scalar<remove_cv_t<T>> || !(is_same_v<remove_pointer_t<remove_cv_t<T>>, remove_cv_t<T>>))
MTL_TRAIT(is_pointer, !(is_same_v<remove_pointer_t<remove_cv_t<T>>, remove_cv_t<T>>))
MTL_TRAIT(is_signed, (mtl_kind<remove_cv_t<T>> & (mtl_signed | mtl_real | mtl_brain)) != 0)
MTL_TRAIT(is_unsigned, (mtl_kind<remove_cv_t<T>> & (mtl_unsigned | mtl_bool)) != 0)
MTL_TRAIT(is_const, !(is_same_v<remove_const_t<T>, T>))
MTL_TRAIT(is_volatile, !(is_same_v<remove_volatile_t<T>, T>))
MTL_TRAIT(is_void, (is_same_v<remove_cv_t<T>, void>))
MTL_TRAIT(is_reference, !(is_same_v<remove_reference_t<T>, T>))
#undef MTL_TRAIT

template <typename T>
struct mtl_signs {};
#define MTL_SIGNS(s, u) \
  template <> \
  struct mtl_signs<s> { \
    using with = s; \
    using without = u; \
  }; \
  template <> \
  struct mtl_signs<u> : mtl_signs<s> {};
MTL_SIGNS(char, uchar)
MTL_SIGNS(short, ushort)
MTL_SIGNS(int, uint)
MTL_SIGNS(long, ulong)
#undef MTL_SIGNS
template <typename T>
struct make_signed {
  using type = typename mtl_signs<T>::with;
};
template <typename T>
using make_signed_t = typename make_signed<T>::type;
template <typename T>
struct make_unsigned {
  using type = typename mtl_signs<T>::without;
};
template <typename T>
using make_unsigned_t = typename make_unsigned<T>::type;

template <typename T>
MTL_INLINE constexpr remove_reference_t<T> &&move(T &&value) {
  return static_cast<remove_reference_t<T> &&>(value);
}
template <typename T>
MTL_INLINE constexpr T &&forward(remove_reference_t<T> &value) {
  return static_cast<T &&>(value);
}
template <typename T>
MTL_INLINE constexpr T &&forward(remove_reference_t<T> &&value) {
  return static_cast<T &&>(value);
}
template <typename T>
T &&declval();
template <typename T>
MTL_INLINE constexpr T *addressof(T &value) {
  return __builtin_addressof(value);
}

template <typename T, size_t N>
struct array {
  T mtl_items[N];
  MTL_INLINE constexpr T &operator[](size_t i) { return mtl_items[i]; }
  MTL_INLINE constexpr const T &operator[](size_t i) const { return mtl_items[i]; }
  MTL_INLINE constexpr size_t size() const { return N; }
  MTL_INLINE constexpr bool empty() const { return false; }
  MTL_INLINE constexpr T *data() { return mtl_items; }
  MTL_INLINE constexpr const T *data() const { return mtl_items; }
  MTL_INLINE constexpr T *begin() { return mtl_items; }
  MTL_INLINE constexpr const T *begin() const { return mtl_items; }
  MTL_INLINE constexpr T *end() { return mtl_items + N; }
  MTL_INLINE constexpr const T *end() const { return mtl_items + N; }
};
}  // namespace metal

// The same bits as another type.
template <typename T, typename U>
MTL_INLINE constexpr T as_type(const U &value) {
  static_assert(sizeof(T) == sizeof(U), "as_type is for types of equal size");
  return __builtin_bit_cast(T, value);
}
namespace metal {
#if defined(MTL_EMULATOR)
using ::as_type;
#else
using mtl_program::as_type;
#endif
}
