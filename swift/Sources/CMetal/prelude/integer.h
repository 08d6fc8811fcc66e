// <metal_integer>, besides what math.h has for numbers of every kind.
namespace metal {
// A scalar integer of at most 32 bits, or of 64, as the instructions want it.
template <typename T>
using mtl_bits_of = conditional_t<sizeof(T) == 8, ulong, uint>;
template <typename T>
inline constexpr uint mtl_width = 8 * sizeof(T);
template <typename T>
inline constexpr uint mtl_unused = 8 * sizeof(mtl_bits_of<T>) - mtl_width<T>;
template <typename T>
MTL_INLINE mtl_bits_of<T> mtl_unsigned_bits(T x) {
  return make_unsigned_t<T>(x);
}

#define MTL_FUNCTION template <typename T, mtl_if<(mtl_kind<T> & mtl_integer) != 0> = 0> MTL_INLINE
MTL_FUNCTION T popcount(T x) { return T(mtl_popcount(mtl_unsigned_bits(x))); }
MTL_FUNCTION T clz(T x) { return T(mtl_leading_zeros(mtl_unsigned_bits(x)) - mtl_unused<T>); }
MTL_FUNCTION T ctz(T x) { return x == 0 ? T(mtl_width<T>) : T(mtl_trailing_zeros(mtl_unsigned_bits(x))); }
MTL_FUNCTION T reverse_bits(T x) { return T(mtl_reverse(mtl_unsigned_bits(x)) >> mtl_unused<T>); }
// By how many bits: modulo the width.
MTL_FUNCTION T rotate(T x, T by) {
  uint n = uint(by) % mtl_width<T>;
  auto bits = mtl_unsigned_bits(x);
  return n == 0 ? x : T(bits << n | bits >> (mtl_width<T> - n));
}
MTL_FUNCTION make_unsigned_t<T> absdiff(T x, T y) {
  using U = make_unsigned_t<T>;
  return x < y ? U(U(y) - U(x)) : U(U(x) - U(y));
}
MTL_FUNCTION T addsat(T x, T y) {
  T sum = T(mtl_unsigned_bits(x) + mtl_unsigned_bits(y));
  if constexpr (mtl_kind<T> == mtl_unsigned) return sum < x ? T(~T(0)) : sum;
  else return y < 0 ? (sum > x ? numeric_limits<T>::min() : sum) : (sum < x ? numeric_limits<T>::max() : sum);
}
MTL_FUNCTION T subsat(T x, T y) {
  T difference = T(mtl_unsigned_bits(x) - mtl_unsigned_bits(y));
  if constexpr (mtl_kind<T> == mtl_unsigned) return y > x ? T(0) : difference;
  else return y < 0 ? (difference < x ? numeric_limits<T>::max() : difference)
                    : (difference > x ? numeric_limits<T>::min() : difference);
}
// (x + y) / 2 without overflow, down and up.
MTL_FUNCTION T hadd(T x, T y) { return T((x & y) + ((x ^ y) >> 1)); }
MTL_FUNCTION T rhadd(T x, T y) { return T((x | y) - ((x ^ y) >> 1)); }
// The upper half of the product.
MTL_FUNCTION T mulhi(T x, T y) {
  if constexpr (sizeof(T) == 8) return mtl_high(x, y);
  else if constexpr (mtl_kind<T> == mtl_unsigned) return T(ulong(x) * y >> mtl_width<T>);
  else return T(long(x) * y >> mtl_width<T>);
}
MTL_FUNCTION T madhi(T x, T y, T z) { return T(mtl_unsigned_bits(mulhi(x, y)) + mtl_unsigned_bits(z)); }
// x * y + z, held within T.
MTL_FUNCTION T madsat(T x, T y, T z) {
  if constexpr (sizeof(T) < 8) {
    using W = conditional_t<mtl_kind<T> == mtl_unsigned, ulong, long>;
    W wide = W(x) * W(y) + W(z), low = W(numeric_limits<T>::min()), high = W(numeric_limits<T>::max());
    return T(wide < low ? low : wide > high ? high : wide);
  } else {
    ulong product = ulong(x) * ulong(y), sum = product + ulong(z);
    if constexpr (mtl_kind<T> == mtl_unsigned) return mtl_high(x, y) + (sum < product) == 0 ? sum : ~0ul;
    else {
      long upper = mtl_high(x, y) + (z < 0 ? -1 : 0) + (sum < product);
      if (upper == (long(sum) < 0 ? -1 : 0)) return long(sum);
      return upper < 0 ? numeric_limits<long>::min() : numeric_limits<long>::max();
    }
  }
}
MTL_FUNCTION T extract_bits(T x, uint offset, uint bits) {
  if (bits == 0) return T(0);
  uint left = mtl_width<T> - offset - bits;
  T aligned = T(mtl_unsigned_bits(x) << left);
  return T(aligned >> (left + offset));
}
MTL_FUNCTION T insert_bits(T base, T insert, uint offset, uint bits) {
  if (bits == 0) return base;
  auto mask = mtl_bits_of<T>(~0ul >> (64 - bits)) << offset;
  return T((mtl_unsigned_bits(base) & ~mask) | (mtl_unsigned_bits(insert) << offset & mask));
}
#undef MTL_FUNCTION
// Of the lower 24 bits.
MTL_INLINE int mtl_low24(int x) { return int(uint(x) << 8) >> 8; }
MTL_INLINE int mul24(int x, int y) { return int(uint(mtl_low24(x)) * uint(mtl_low24(y))); }
MTL_INLINE uint mul24(uint x, uint y) { return (x & 0xffffff) * (y & 0xffffff); }
MTL_INLINE int mad24(int x, int y, int z) { return int(uint(mul24(x, y)) + uint(z)); }
MTL_INLINE uint mad24(uint x, uint y, uint z) { return mul24(x, y) + z; }

#define MTL_INTEGER1(name) MTL_MAP1(metal, name, mtl_integer)
#define MTL_INTEGER2(name) MTL_MAP2(metal, name, mtl_integer)
#define MTL_INTEGER3(name) MTL_MAP3(metal, name, mtl_integer)
MTL_INTEGER1(popcount)
MTL_INTEGER1(clz)
MTL_INTEGER1(ctz)
MTL_INTEGER1(reverse_bits)
MTL_INTEGER2(rotate)
MTL_INTEGER2(addsat)
MTL_INTEGER2(subsat)
MTL_INTEGER2(hadd)
MTL_INTEGER2(rhadd)
MTL_INTEGER2(mulhi)
MTL_INTEGER2(mul24)
MTL_INTEGER3(madhi)
MTL_INTEGER3(madsat)
MTL_INTEGER3(mad24)
template <typename A, typename B, typename V = mtl_common<mtl_integer, A, B>, mtl_if<(mtl_operand<V>::size > 1)> = 0>
MTL_INLINE vec<make_unsigned_t<typename V::mtl_element>, V::mtl_size> absdiff(const A &a, const B &b) {
  V p(a), q(b);
  vec<make_unsigned_t<typename V::mtl_element>, V::mtl_size> r;
  MTL_UNROLL for (int i = 0; i < V::mtl_size; i++) r[i] = metal::absdiff(p[i], q[i]);
  return r;
}
template <typename A, typename V = mtl_common<mtl_integer, A>, mtl_if<(mtl_operand<A>::size > 1)> = 0>
MTL_INLINE V extract_bits(const A &a, uint offset, uint bits) {
  V p(a), r;
  MTL_UNROLL for (int i = 0; i < V::mtl_size; i++) r[i] = metal::extract_bits(p[i], offset, bits);
  return r;
}
template <typename A, typename B, typename V = mtl_common<mtl_integer, A, B>, mtl_if<(mtl_operand<V>::size > 1)> = 0>
MTL_INLINE V insert_bits(const A &a, const B &b, uint offset, uint bits) {
  V p(a), q(b), r;
  MTL_UNROLL for (int i = 0; i < V::mtl_size; i++) r[i] = metal::insert_bits(p[i], q[i], offset, bits);
  return r;
}
}  // namespace metal
