// <metal_atomic> and barriers.
namespace metal {
enum memory_order {
  memory_order_relaxed,
  memory_order_acquire,
  memory_order_release,
  memory_order_acq_rel,
  memory_order_seq_cst
};
enum thread_scope { thread_scope_thread, thread_scope_simdgroup, thread_scope_threadgroup, thread_scope_device };
enum memory_scope { memory_scope_simdgroup, memory_scope_threadgroup, memory_scope_device };

enum class mem_flags {
  mem_none = 0,
  mem_device = 1,
  mem_threadgroup = 2,
  mem_texture = 4,
  mem_threadgroup_imageblock = 8,
  mem_object_data = 16
};
MTL_INLINE constexpr mem_flags operator|(mem_flags a, mem_flags b) { return mem_flags(int(a) | int(b)); }
MTL_INLINE constexpr mem_flags operator&(mem_flags a, mem_flags b) { return mem_flags(int(a) & int(b)); }

MTL_INLINE void threadgroup_barrier(mem_flags MTL_SITE) { mtl_barrier(1 MTL_PASS); }
MTL_INLINE void threadgroup_barrier(mem_flags, memory_scope MTL_SITE) { mtl_barrier(1 MTL_PASS); }
MTL_INLINE void simdgroup_barrier(mem_flags MTL_SITE) { mtl_barrier(0 MTL_PASS); }
MTL_INLINE void simdgroup_barrier(mem_flags, memory_scope MTL_SITE) { mtl_barrier(0 MTL_PASS); }
MTL_INLINE void atomic_thread_fence(mem_flags, memory_order order, thread_scope = thread_scope_device) {
  if (order != memory_order_relaxed) mtl_fence();
}

// What an atomic T lies in memory as, and what it can do.
template <typename T>
struct mtl_atomic_of;
#define MTL_ATOMIC(type, cell, arithmetic_, extremes_) \
  template <> \
  struct mtl_atomic_of<type> { \
    using stored = cell; \
    static constexpr bool arithmetic = arithmetic_, extremes = extremes_; \
  };
MTL_ATOMIC(int, int, true, false)
MTL_ATOMIC(uint, uint, true, false)
MTL_ATOMIC(bool, uint, false, false)
MTL_ATOMIC(float, uint, false, false)
MTL_ATOMIC(ulong, ulong, false, true)
#undef MTL_ATOMIC

template <typename T>
struct mtl_plain {
  using type = T;
};
template <typename T>
struct atomic {
  using mtl_stored = typename mtl_atomic_of<T>::stored;
  mtl_stored mtl_cell;
  atomic() = default;
  atomic(const atomic &) = delete;
  atomic &operator=(const atomic &) = delete;
  static MTL_INLINE mtl_stored mtl_in(T value) {
    if constexpr (is_same_v<T, float>) return as_type<uint>(value);
    else return mtl_stored(value);
  }
  static MTL_INLINE T mtl_out(mtl_stored value) {
    if constexpr (is_same_v<T, float>) return as_type<float>(value);
    else return T(value);
  }
};
using atomic_int = atomic<int>;
using atomic_uint = atomic<uint>;
using atomic_bool = atomic<bool>;
using atomic_float = atomic<float>;
using atomic_ulong = atomic<ulong>;

// Metal's orders are relaxed; stronger ones get a fence on either side.
MTL_INLINE void mtl_order(memory_order order) {
  if (order != memory_order_relaxed) mtl_fence();
}
template <typename T>
using mtl_value_type = typename mtl_plain<T>::type;

#define MTL_NOT_WIDE \
  static_assert(!is_same_v<T, ulong>, "atomic_ulong has only atomic_min_explicit and atomic_max_explicit")
template <typename T>
MTL_INLINE T atomic_load_explicit(const volatile atomic<T> *object, memory_order order) {
  MTL_NOT_WIDE;
  T value = atomic<T>::mtl_out(mtl_atomic_load(&object->mtl_cell));
  mtl_order(order);
  return value;
}
template <typename T>
MTL_INLINE void atomic_store_explicit(volatile atomic<T> *object, mtl_value_type<T> value, memory_order order) {
  MTL_NOT_WIDE;
  mtl_order(order);
  mtl_atomic_store(&object->mtl_cell, atomic<T>::mtl_in(value));
}
template <typename T>
MTL_INLINE T atomic_exchange_explicit(volatile atomic<T> *object, mtl_value_type<T> value, memory_order order) {
  MTL_NOT_WIDE;
  mtl_order(order);
  T old = atomic<T>::mtl_out(mtl_atomic_exchange(&object->mtl_cell, atomic<T>::mtl_in(value)));
  mtl_order(order);
  return old;
}
template <typename T>
MTL_INLINE bool atomic_compare_exchange_weak_explicit(volatile atomic<T> *object, mtl_value_type<T> *expected,
                                                      mtl_value_type<T> desired, memory_order success,
                                                      memory_order failure) {
  MTL_NOT_WIDE;
  mtl_order(success);
  auto want = atomic<T>::mtl_in(*expected),
       found = mtl_atomic_compare(&object->mtl_cell, want, atomic<T>::mtl_in(desired));
  mtl_order(found == want ? success : failure);
  if (found == want) return true;
  *expected = atomic<T>::mtl_out(found);
  return false;
}
#undef MTL_NOT_WIDE

#define MTL_FETCH(name, condition, why) \
  template <typename T> \
  MTL_INLINE T atomic_fetch_##name##_explicit(volatile atomic<T> *object, mtl_value_type<T> value, \
                                              memory_order order) { \
    static_assert(condition, why); \
    mtl_order(order); \
    T old = mtl_atomic_##name(&object->mtl_cell, value); \
    mtl_order(order); \
    return old; \
  }
MTL_FETCH(and, mtl_atomic_of<T>::arithmetic, "only atomic_int and atomic_uint have atomic_fetch_and_explicit")
MTL_FETCH(or, mtl_atomic_of<T>::arithmetic, "only atomic_int and atomic_uint have atomic_fetch_or_explicit")
MTL_FETCH(xor, mtl_atomic_of<T>::arithmetic, "only atomic_int and atomic_uint have atomic_fetch_xor_explicit")
MTL_FETCH(min, mtl_atomic_of<T>::arithmetic, "only atomic_int and atomic_uint have atomic_fetch_min_explicit")
MTL_FETCH(max, mtl_atomic_of<T>::arithmetic, "only atomic_int and atomic_uint have atomic_fetch_max_explicit")
#undef MTL_FETCH
template <typename T>
MTL_INLINE T atomic_fetch_add_explicit(volatile atomic<T> *object, mtl_value_type<T> value, memory_order order) {
  static_assert(mtl_atomic_of<T>::arithmetic || is_same_v<T, float>,
                "only atomic_int, atomic_uint and atomic_float add");
  mtl_order(order);
  T old = mtl_atomic_add(&object->mtl_cell, value);
  mtl_order(order);
  return old;
}
template <typename T>
MTL_INLINE T atomic_fetch_sub_explicit(volatile atomic<T> *object, mtl_value_type<T> value, memory_order order) {
  if constexpr (is_same_v<T, float>) return atomic_fetch_add_explicit(object, -value, order);
  else return atomic_fetch_add_explicit(object, T(0) - value, order);
}
// 64 bits: no value comes back.
template <typename T>
MTL_INLINE void atomic_min_explicit(volatile atomic<T> *object, mtl_value_type<T> value, memory_order order) {
  static_assert(mtl_atomic_of<T>::extremes, "only atomic_ulong has atomic_min_explicit");
  mtl_order(order);
  mtl_atomic_min(&object->mtl_cell, value);
  mtl_order(order);
}
template <typename T>
MTL_INLINE void atomic_max_explicit(volatile atomic<T> *object, mtl_value_type<T> value, memory_order order) {
  static_assert(mtl_atomic_of<T>::extremes, "only atomic_ulong has atomic_max_explicit");
  mtl_order(order);
  mtl_atomic_max(&object->mtl_cell, value);
  mtl_order(order);
}
}  // namespace metal
// Metal knows these without a namespace, too.
using metal::atomic_bool;
using metal::atomic_float;
using metal::atomic_int;
using metal::atomic_uint;
using metal::atomic_ulong;
