// <metal_simdgroup>: values between the active lanes of 32, and what quadgroup.h makes of 4.
namespace metal {
struct mtl_sum {
  template <typename T>
  static MTL_INLINE T apply(const T &a, const T &b) {
    return T(a + b);
  }
};
struct mtl_product {
  template <typename T>
  static MTL_INLINE T apply(const T &a, const T &b) {
    return T(a * b);
  }
};
struct mtl_minimum {
  template <typename T>
  static MTL_INLINE T apply(const T &a, const T &b) {
    return metal::min(a, b);
  }
};
struct mtl_maximum {
  template <typename T>
  static MTL_INLINE T apply(const T &a, const T &b) {
    return metal::max(a, b);
  }
};
struct mtl_and {
  template <typename T>
  static MTL_INLINE T apply(const T &a, const T &b) {
    return T(a & b);
  }
};
struct mtl_or {
  template <typename T>
  static MTL_INLINE T apply(const T &a, const T &b) {
    return T(a | b);
  }
};
struct mtl_xor {
  template <typename T>
  static MTL_INLINE T apply(const T &a, const T &b) {
    return T(a ^ b);
  }
};

// Scalars and vectors of these kinds pass between lanes.
template <typename T, int kinds>
using mtl_passed = mtl_if<(mtl_operand<T>::kind & kinds) != 0 && is_same_v<mtl_value_of<T>, T>>;
constexpr int mtl_any = mtl_bool | mtl_number | mtl_brain, mtl_computed = mtl_number | mtl_brain;

// A bit a lane.
#define MTL_VOTE(name, width) \
  class name { \
   public: \
    using vote_t = uint64_t; \
    name() = default; \
    MTL_INLINE explicit constexpr name(vote_t bits) : mtl_bits(bits) {} \
    MTL_INLINE explicit constexpr operator vote_t() const { return mtl_bits; } \
    MTL_INLINE constexpr bool all() const { return mtl_bits == mtl_group_bits(width); } \
    MTL_INLINE constexpr bool any() const { return mtl_bits != 0; } \
\
   private: \
    vote_t mtl_bits; \
  };
MTL_INLINE constexpr uint mtl_group_bits(int width) { return width == 32 ? ~0u : (1u << width) - 1; }
MTL_VOTE(simd_vote, 32)
MTL_VOTE(quad_vote, 4)
#undef MTL_VOTE
// The votes of this lane's group; of a quad, its lanes come as bits 0 to 3.
template <int width>
MTL_INLINE uint mtl_ballot_of(bool vote MTL_SITE) {
  uint bits = mtl_ballot(vote MTL_PASS);
  if constexpr (width == 32) return bits;
  return bits >> (mtl_lane() & ~(width - 1u)) & mtl_group_bits(width);
}

#define MTL_REDUCE(prefix, width, name, op, kinds) \
  template <typename T, mtl_passed<T, kinds> = 0> \
  MTL_INLINE T prefix##name(T data MTL_SITE) { \
    return mtl_reduce<op, width>(data MTL_PASS); \
  }
#define MTL_SCAN(prefix, width, name, op, start) \
  template <typename T, mtl_passed<T, mtl_computed> = 0> \
  MTL_INLINE T prefix##prefix_inclusive_##name(T data MTL_SITE) { \
    return mtl_scan<op, width, true>(data, T(start) MTL_PASS); \
  } \
  template <typename T, mtl_passed<T, mtl_computed> = 0> \
  MTL_INLINE T prefix##prefix_exclusive_##name(T data MTL_SITE) { \
    return mtl_scan<op, width, false>(data, T(start) MTL_PASS); \
  }
// `place` is the lane asked for, of the simdgroup; `own` and `first` (of the group) are in its scope.
#define MTL_SHUFFLE(prefix, width, name, argument, place) \
  template <typename T, mtl_passed<T, mtl_any> = 0> \
  MTL_INLINE T prefix##name(T data, ushort argument MTL_SITE) { \
    mtl_lanes<T> lanes(data MTL_PASS); \
    uint own = lanes.own(), first = own & ~(width - 1u); \
    (void)first; \
    return lanes.get(place); \
  }
// The lanes in vectors of `modulo`: `at` is this lane's place in its own, `start` that one's first lane. What a
// vector has not comes from `fill`.
#define MTL_FILL(prefix, width, name, missing, from, spare) \
  template <typename T, mtl_passed<T, mtl_any> = 0> \
  MTL_INLINE T prefix##shuffle_and_fill_##name(T data, T fill, ushort delta, ushort modulo MTL_SITE) { \
    mtl_lanes<T> fills(fill MTL_PASS); \
    uint own = fills.own(), at = own % modulo, start = own - at; \
    bool lacks = missing; \
    T filled = fills.get(lacks ? start + spare : own); \
    mtl_lanes<T> lanes(data MTL_PASS); \
    T shifted = lanes.get(lacks ? own : start + from); \
    return lacks ? filled : shifted; \
  } \
  template <typename T, mtl_passed<T, mtl_any> = 0> \
  MTL_INLINE T prefix##shuffle_and_fill_##name(T data, T fill, ushort delta MTL_SITE) { \
    return prefix##shuffle_and_fill_##name(data, fill, delta, ushort(width) MTL_PASS); \
  }

#define MTL_GROUP_OPERATIONS(prefix, width) \
  MTL_REDUCE(prefix, width, sum, mtl_sum, mtl_computed) \
  MTL_REDUCE(prefix, width, product, mtl_product, mtl_computed) \
  MTL_REDUCE(prefix, width, min, mtl_minimum, mtl_number) \
  MTL_REDUCE(prefix, width, max, mtl_maximum, mtl_number) \
  MTL_REDUCE(prefix, width, and, mtl_and, mtl_integer) \
  MTL_REDUCE(prefix, width, or, mtl_or, mtl_integer) \
  MTL_REDUCE(prefix, width, xor, mtl_xor, mtl_integer) \
  MTL_SCAN(prefix, width, sum, mtl_sum, 0) \
  MTL_SCAN(prefix, width, product, mtl_product, 1) \
  MTL_SHUFFLE(prefix, width, shuffle, lane, first + lane) \
  MTL_SHUFFLE(prefix, width, broadcast, lane, first + lane) \
  MTL_SHUFFLE(prefix, width, shuffle_xor, mask, own ^ mask) \
  MTL_SHUFFLE(prefix, width, shuffle_up, delta, own - first >= delta ? own - delta : own) \
  MTL_SHUFFLE(prefix, width, shuffle_down, delta, own - first + delta < width ? own + delta : own) \
  MTL_SHUFFLE(prefix, width, shuffle_rotate_up, delta, first + (own - delta) % width) \
  MTL_SHUFFLE(prefix, width, shuffle_rotate_down, delta, first + (own + delta) % width) \
  MTL_FILL(prefix, width, up, at < delta, at - delta, at + modulo - delta) \
  MTL_FILL(prefix, width, down, at + delta >= modulo, at + delta, at + delta - modulo) \
  template <typename T, mtl_passed<T, mtl_any> = 0> \
  MTL_INLINE T prefix##broadcast_first(T data MTL_SITE) { \
    mtl_lanes<T> lanes(data MTL_PASS); \
    uint first = lanes.own() & ~(width - 1u); \
    return lanes.get(mtl_trailing_zeros(lanes.mask() & mtl_group_bits(width) << first)); \
  } \
  MTL_INLINE bool prefix##is_first(MTL_ONLY_SITE) { \
    uint own = mtl_lane() % width; \
    return mtl_trailing_zeros(mtl_ballot_of<width>(true MTL_PASS)) == own; \
  } \
  MTL_INLINE prefix##vote prefix##ballot(bool vote MTL_SITE) { \
    return prefix##vote(mtl_ballot_of<width>(vote MTL_PASS)); \
  } \
  MTL_INLINE prefix##vote prefix##active_threads_mask(MTL_ONLY_SITE) { \
    return prefix##vote(mtl_ballot_of<width>(true MTL_PASS)); \
  } \
  MTL_INLINE bool prefix##any(bool vote MTL_SITE) { return mtl_ballot_of<width>(vote MTL_PASS) != 0; } \
  MTL_INLINE bool prefix##all(bool vote MTL_SITE) { return mtl_ballot_of<width>(!vote MTL_PASS) == 0; }
MTL_GROUP_OPERATIONS(simd_, 32)
}  // namespace metal
