// Emulator, after hooks.h and before common.h: what the compiler is asked for. clang 17, -std=c++20 -O2
// -fno-exceptions -fno-rtti -ffp-contract=on -fno-math-errno -fsigned-char -Xclang
// -ffloat16-excess-precision=none.
// MTL_CHECKS: every access is reported to the executor. Texts need no closing, but may end with MTL_END.
#define MTL_EMULATOR 1
#define MTL_END
#define MTL_INLINE inline __attribute__((always_inline))
#define MTL_CONSTANT static const
#define MTL_THREADGROUP static thread_local
#define MTL_UNROLL _Pragma("clang loop unroll(full)")
// Code of the prelude that reads the executor's memory, which kernels may not.
#ifdef MTL_CHECKS
#define MTL_TRUSTED __attribute__((noinline, unused, no_sanitize("thread"), disable_sanitizer_instrumentation))
#else
#define MTL_TRUSTED __attribute__((unused))
#endif
// Where a kernel calls: line and column of the emitted text. Last parameter of what waits for other lanes.
#define MTL_ONLY_SITE mtl_place mtl_site = mtl_place::here()
#define MTL_SITE , MTL_ONLY_SITE
#define MTL_PASS , mtl_site

static_assert(char(-1) < 0, "compile with -fsigned-char");

extern "C" {
extern mtl_hooks *mtl_runtime;
__attribute__((visibility("default"))) mtl_hooks *mtl_runtime;
MTL_TRUSTED __attribute__((visibility("default"))) void mtl_entry(void *const *, const mtl_thread *);
extern __attribute__((visibility("default"))) const unsigned mtl_argument_bytes[];
}

struct mtl_uint3 {
  unsigned x, y, z;
};
struct mtl_place {
  unsigned site;
  static constexpr mtl_place here(unsigned line = __builtin_LINE(), unsigned column = __builtin_COLUMN()) {
    return {(line & 0xfffff) | column << 20};
  }
};

// ---- what instrumented code calls
#ifdef MTL_CHECKS
extern "C" {
#define MTL_REPORT(name, bytes, kind) \
  MTL_TRUSTED void name(void *address) { mtl_runtime->access(address, bytes, kind); }
#define MTL_REPORTS(bytes) \
  MTL_REPORT(__tsan_read##bytes, bytes, 0) \
  MTL_REPORT(__tsan_write##bytes, bytes, 1) \
  MTL_REPORT(__tsan_unaligned_read##bytes, bytes, 0) \
  MTL_REPORT(__tsan_unaligned_write##bytes, bytes, 1) \
  MTL_REPORT(__tsan_volatile_read##bytes, bytes, 0) \
  MTL_REPORT(__tsan_volatile_write##bytes, bytes, 1) \
  MTL_REPORT(__tsan_unaligned_volatile_read##bytes, bytes, 0) \
  MTL_REPORT(__tsan_unaligned_volatile_write##bytes, bytes, 1) \
  MTL_REPORT(__tsan_read_write##bytes, bytes, 1) \
  MTL_REPORT(__tsan_unaligned_read_write##bytes, bytes, 1)
MTL_REPORTS(1)
MTL_REPORTS(2)
MTL_REPORTS(4)
MTL_REPORTS(8)
MTL_REPORTS(16)
#undef MTL_REPORTS
#undef MTL_REPORT
MTL_TRUSTED void __tsan_init() {}
MTL_TRUSTED void __tsan_func_entry(void *) {}
MTL_TRUSTED void __tsan_func_exit() {}
MTL_TRUSTED void __tsan_vptr_read(void **address) { mtl_runtime->access(address, 8, 0); }
MTL_TRUSTED void __tsan_vptr_update(void **address, void *) { mtl_runtime->access(address, 8, 1); }
MTL_TRUSTED void __tsan_read_range(void *address, unsigned long bytes) { mtl_runtime->access(address, bytes, 0); }
MTL_TRUSTED void __tsan_write_range(void *address, unsigned long bytes) { mtl_runtime->access(address, bytes, 1); }
MTL_TRUSTED void *__tsan_memcpy(void *to, const void *from, unsigned long bytes) {
  if (bytes) mtl_runtime->access(from, bytes, 0), mtl_runtime->access(to, bytes, 1);
  return __builtin_memcpy(to, from, bytes);
}
MTL_TRUSTED void *__tsan_memmove(void *to, const void *from, unsigned long bytes) {
  if (bytes) mtl_runtime->access(from, bytes, 0), mtl_runtime->access(to, bytes, 1);
  return __builtin_memmove(to, from, bytes);
}
MTL_TRUSTED void *__tsan_memset(void *to, int value, unsigned long bytes) {
  if (bytes) mtl_runtime->access(to, bytes, 1);
  return __builtin_memset(to, value, bytes);
}
}
#define MTL_ATOMIC_ACCESS(address) mtl_report_atomic(address, sizeof(*(address)))
MTL_TRUSTED static void mtl_report_atomic(const volatile void *address, unsigned bytes) {
  mtl_runtime->access(const_cast<const void *>(address), bytes, 2);
}
#else
#define MTL_ATOMIC_ACCESS(address) ((void)0)
#endif

// ---- half where the processor cannot convert it: the module brings what libgcc may lack
#if defined(__x86_64__) && !defined(__F16C__)
extern "C" {
__attribute__((weak, visibility("hidden"))) float __extendhfsf2(_Float16 value) {
  unsigned bits = __builtin_bit_cast(unsigned short, value), sign = (bits & 0x8000) << 16, rest = bits & 0x7fff;
  if (rest >= 0x7c00) return __builtin_bit_cast(float, sign | 0x7f800000 | (rest & 0x3ff) << 13);
  if (rest >= 0x400) return __builtin_bit_cast(float, sign | ((rest << 13) + 0x38000000));
  float tiny = float(rest) * 0x1p-24f;
  return __builtin_bit_cast(float, sign | __builtin_bit_cast(unsigned, tiny));
}
__attribute__((weak, visibility("hidden"))) _Float16 __truncsfhf2(float value) {
  unsigned bits = __builtin_bit_cast(unsigned, value), sign = bits >> 16 & 0x8000, rest = bits & 0x7fffffff, half;
  if (rest > 0x7f800000) half = 0x7e00 | (rest >> 13 & 0x1ff);
  else if (rest >= 0x477ff000) half = 0x7c00;
  else if (rest < 0x38800000) half = __builtin_bit_cast(unsigned, __builtin_bit_cast(float, rest) + 0.5f) - 0x3f000000;
  else half = (rest - 0x38000000 + 0xfff + (rest >> 13 & 1)) >> 13;
  return __builtin_bit_cast(_Float16, (unsigned short)(sign | half));
}
}
#endif

// ---- float
struct mtl_precise {
#define MTL_LIBM(name) \
  static MTL_INLINE float name(float x) { return __builtin_##name##f(x); }
  MTL_LIBM(acos) MTL_LIBM(acosh) MTL_LIBM(asin) MTL_LIBM(asinh) MTL_LIBM(atan) MTL_LIBM(atanh) MTL_LIBM(ceil)
  MTL_LIBM(cos) MTL_LIBM(cosh) MTL_LIBM(exp) MTL_LIBM(exp2) MTL_LIBM(fabs) MTL_LIBM(floor) MTL_LIBM(log)
  MTL_LIBM(log2) MTL_LIBM(log10) MTL_LIBM(rint) MTL_LIBM(round) MTL_LIBM(sin) MTL_LIBM(sinh) MTL_LIBM(sqrt)
  MTL_LIBM(tan) MTL_LIBM(tanh) MTL_LIBM(trunc)
#undef MTL_LIBM
  static MTL_INLINE float exp10(float x) { return float(__builtin_pow(10.0, x)); }
  static MTL_INLINE float rsqrt(float x) { return float(1.0 / __builtin_sqrt(double(x))); }
  // Quarter turns are exact: sin(pi n) = 0.
  static MTL_INLINE float sinpi(float x) {
    double r = double(x) - 2 * __builtin_rint(double(x) * 0.5), folded = r > 0.5 ? 1 - r : r < -0.5 ? -1 - r : r;
    return folded == 0 ? __builtin_copysignf(0.0f, x) : float(__builtin_sin(3.141592653589793238 * folded));
  }
  static MTL_INLINE float cospi(float x) {
    double r = __builtin_fabs(double(x) - 2 * __builtin_rint(double(x) * 0.5));
    return float(__builtin_sin(3.141592653589793238 * (0.5 - r)));
  }
  static MTL_INLINE float tanpi(float x) {
    double r = double(x) - __builtin_rint(double(x));
    if (r == 0) return __builtin_copysignf(0.0f, x);
    if (__builtin_fabs(r) == 0.5) return __builtin_copysignf(__builtin_huge_valf(), float(r));
    return float(__builtin_tan(3.141592653589793238 * r));
  }
  static MTL_INLINE float atan2(float y, float x) { return __builtin_atan2f(y, x); }
  static MTL_INLINE float copysign(float x, float y) { return __builtin_copysignf(x, y); }
  static MTL_INLINE float divide(float x, float y) { return x / y; }
  static MTL_INLINE float fmod(float x, float y) { return __builtin_fmodf(x, y); }
  static MTL_INLINE float nextafter(float x, float y) { return __builtin_nextafterf(x, y); }
  static MTL_INLINE float pow(float x, float y) { return __builtin_powf(x, y); }
  static MTL_INLINE float powr(float x, float y) { return __builtin_powf(x, y); }
  static MTL_INLINE float ldexp(float x, int e) { return __builtin_ldexpf(x, e); }
  static MTL_INLINE float fma(float x, float y, float z) { return __builtin_fmaf(x, y, z); }
  // A number wins over NaN.
  static MTL_INLINE float fmin(float x, float y) { return y < x || x != x ? y : x; }
  static MTL_INLINE float fmax(float x, float y) { return y > x || x != x ? y : x; }
};
using mtl_fast = mtl_precise;

namespace metal {
using half = _Float16;
}
// Exact in double, so that only one rounding is left.
static MTL_INLINE _Float16 mtl_half_fma(_Float16 x, _Float16 y, _Float16 z) {
  return _Float16(double(x) * double(y) + double(z));
}
static MTL_INLINE unsigned short mtl_bfloat_round(float x) {
  unsigned bits = __builtin_bit_cast(unsigned, x);
  if ((bits & 0x7fffffff) > 0x7f800000) return bits >> 16 | 0x40;
  return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

// ---- integers
static MTL_INLINE unsigned mtl_popcount(unsigned x) { return __builtin_popcount(x); }
static MTL_INLINE unsigned mtl_popcount(unsigned long x) { return __builtin_popcountl(x); }
static MTL_INLINE unsigned mtl_leading_zeros(unsigned x) { return x ? __builtin_clz(x) : 32; }
static MTL_INLINE unsigned mtl_leading_zeros(unsigned long x) { return x ? __builtin_clzl(x) : 64; }
static MTL_INLINE unsigned mtl_trailing_zeros(unsigned x) { return x ? __builtin_ctz(x) : 32; }
static MTL_INLINE unsigned mtl_trailing_zeros(unsigned long x) { return x ? __builtin_ctzl(x) : 64; }
static MTL_INLINE unsigned mtl_reverse(unsigned x) { return __builtin_bitreverse32(x); }
static MTL_INLINE unsigned long mtl_reverse(unsigned long x) { return __builtin_bitreverse64(x); }
static MTL_INLINE long mtl_high(long x, long y) { return long(__int128(x) * y >> 64); }
static MTL_INLINE unsigned long mtl_high(unsigned long x, unsigned long y) {
  return (unsigned long)((unsigned __int128)x * y >> 64);
}

// ---- atomics: several threads of the host run threadgroups
template <typename T>
static MTL_INLINE T mtl_atomic_load(const volatile T *p) {
  MTL_ATOMIC_ACCESS(p);
  return __atomic_load_n(p, __ATOMIC_RELAXED);
}
template <typename T>
static MTL_INLINE void mtl_atomic_store(volatile T *p, T value) {
  MTL_ATOMIC_ACCESS(p);
  __atomic_store_n(p, value, __ATOMIC_RELAXED);
}
template <typename T>
static MTL_INLINE T mtl_atomic_exchange(volatile T *p, T value) {
  MTL_ATOMIC_ACCESS(p);
  return __atomic_exchange_n(p, value, __ATOMIC_RELAXED);
}
template <typename T>
static MTL_INLINE T mtl_atomic_compare(volatile T *p, T expected, T desired) {
  MTL_ATOMIC_ACCESS(p);
  __atomic_compare_exchange_n(p, &expected, desired, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
  return expected;
}
#define MTL_FETCH(name) \
  template <typename T> \
  static MTL_INLINE T mtl_atomic_##name(volatile T *p, T value) { \
    MTL_ATOMIC_ACCESS(p); \
    return __atomic_fetch_##name(p, value, __ATOMIC_RELAXED); \
  }
MTL_FETCH(add)
MTL_FETCH(and)
MTL_FETCH(or)
MTL_FETCH(xor)
MTL_FETCH(min)
MTL_FETCH(max)
#undef MTL_FETCH
static MTL_INLINE float mtl_atomic_add(volatile unsigned *p, float value) {
  MTL_ATOMIC_ACCESS(p);
  unsigned old = __atomic_load_n(p, __ATOMIC_RELAXED), next;
  do next = __builtin_bit_cast(unsigned, __builtin_bit_cast(float, old) + value);
  while (!__atomic_compare_exchange_n(p, &old, next, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
  return __builtin_bit_cast(float, old);
}
static MTL_INLINE void mtl_fence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

// ---- lanes
MTL_TRUSTED static void mtl_barrier(unsigned scope, mtl_place site) { mtl_runtime->barrier(scope, site.site); }

MTL_TRUSTED static unsigned mtl_lane() { return mtl_runtime->lane(); }

// What the active lanes of the simdgroup published together. Good until the lane's next exchange.
struct mtl_published {
  const uint8_t *slots;
  unsigned mask;
  mtl_place site;
};
MTL_TRUSTED static mtl_published mtl_publish(const void *value, unsigned bytes, mtl_place site) {
  mtl_published all = {nullptr, 0, site};
  all.mask = mtl_runtime->exchange(value, bytes, site.site, &all.slots);
  return all;
}

// Lane `lane` as it is in `value`, which stays what it was when that lane took no part.
MTL_TRUSTED static void mtl_read_lane(void *value, unsigned bytes, const mtl_published &all, unsigned lane) {
  if (lane < 32 && all.mask >> lane & 1) __builtin_memcpy(value, all.slots + 64 * lane, bytes);
  else mtl_runtime->inactive(lane, all.site.site);
}

// Good until the lane's next exchange: never two at once.
template <typename T>
struct mtl_lanes {
  static_assert(sizeof(T) <= 64);
  T value;
  mtl_published all;
  MTL_INLINE mtl_lanes(const T &v, mtl_place site) : value(v), all(mtl_publish(&value, sizeof(T), site)) {}
  MTL_INLINE unsigned own() const { return mtl_lane(); }
  MTL_INLINE unsigned mask() const { return all.mask; }
  MTL_INLINE T get(unsigned lane) const {
    T result = value;
    mtl_read_lane(&result, sizeof(T), all, lane);
    return result;
  }
  template <typename M, typename C>
  MTL_INLINE M get(unsigned lane, M C::*member) const {
    return get(lane).*member;
  }
};

// The lanes of this lane's group of `width`, those that took part.
template <int width, typename T>
MTL_TRUSTED static unsigned mtl_collect(T *lanes, const T &value, mtl_place site, unsigned *own) {
  mtl_published all = mtl_publish(&value, sizeof(T), site);
  unsigned lane = mtl_lane(), base = lane & ~(width - 1u), mask = all.mask >> base & unsigned((1ul << width) - 1);
  for (unsigned rest = mask; rest; rest &= rest - 1)
    __builtin_memcpy(lanes + __builtin_ctz(rest), all.slots + 64 * (base + __builtin_ctz(rest)), sizeof(T));
  *own = lane - base;
  return mask;
}

// All lanes: as a butterfly over lane ^ width / 2 .. lane ^ 1. Some: by lane.
template <typename Op, int width, typename T>
MTL_TRUSTED static T mtl_reduce(const T &value, mtl_place site) {
  T lanes[width];
  unsigned own, mask = mtl_collect<width>(lanes, value, site, &own);
  if (mask == unsigned((1ul << width) - 1)) {
    for (int step = width / 2; step; step /= 2)
      for (int i = 0; i < step; i++) lanes[i] = Op::apply(lanes[i], lanes[i + step]);
    return lanes[0];
  }
  T result = lanes[__builtin_ctz(mask)];
  for (unsigned rest = mask & (mask - 1); rest; rest &= rest - 1)
    result = Op::apply(result, lanes[__builtin_ctz(rest)]);
  return result;
}

// All lanes: steps of 1, 2, 4 .. Some: by lane.
template <typename Op, int width, bool inclusive, typename T>
MTL_TRUSTED static T mtl_scan(const T &value, const T &identity, mtl_place site) {
  T lanes[width];
  unsigned own, mask = mtl_collect<width>(lanes, value, site, &own);
  if (mask == unsigned((1ul << width) - 1)) {
    for (int step = 1; step < width; step *= 2)
      for (int i = width - 1; i >= step; i--) lanes[i] = Op::apply(lanes[i - step], lanes[i]);
    return inclusive ? lanes[own] : own ? lanes[own - 1] : identity;
  }
  T result = identity;
  for (unsigned rest = mask & ((inclusive ? 2u : 1u) << own) - 1, first = rest; rest; rest &= rest - 1)
    result = rest == first ? lanes[__builtin_ctz(rest)] : Op::apply(result, lanes[__builtin_ctz(rest)]);
  return result;
}

MTL_TRUSTED static unsigned mtl_ballot(bool vote, mtl_place site) {
  mtl_published all = mtl_publish(&vote, 1, site);
  unsigned bits = 0;
  for (unsigned rest = all.mask; rest; rest &= rest - 1)
    bits |= unsigned(all.slots[64 * __builtin_ctz(rest)] & 1) << __builtin_ctz(rest);
  return bits;
}
// ---- entry
template <typename P>
MTL_INLINE P mtl_argument(void *memory) {
  if constexpr (__is_pointer(P)) return static_cast<P>(memory);
  else return *static_cast<__remove_reference_t(P) *>(memory);
}
#define MTL_BUILTIN3(name, field) \
  MTL_TRUSTED static mtl_uint3 mtl_##name(const mtl_thread *t) { return {t->field[0], t->field[1], t->field[2]}; }
#define MTL_BUILTIN(name, expression) \
  MTL_TRUSTED static unsigned mtl_##name(const mtl_thread *t) { return expression; }
MTL_BUILTIN3(thread_position_in_grid, thread_position_in_grid)
MTL_BUILTIN3(thread_position_in_threadgroup, thread_position_in_threadgroup)
MTL_BUILTIN3(threadgroup_position_in_grid, threadgroup_position_in_grid)
MTL_BUILTIN3(threadgroups_per_grid, threadgroups_per_grid)
MTL_BUILTIN3(threads_per_grid, threads_per_grid)
MTL_BUILTIN3(grid_size, threads_per_grid)
MTL_BUILTIN3(grid_origin, grid_origin)
MTL_BUILTIN3(threads_per_threadgroup, threads_per_threadgroup)
MTL_BUILTIN3(dispatch_threads_per_threadgroup, dispatch_threads_per_threadgroup)
MTL_BUILTIN(thread_index_in_threadgroup, t->thread_index_in_threadgroup)
MTL_BUILTIN(thread_index_in_simdgroup, t->thread_index_in_simdgroup)
MTL_BUILTIN(simdgroup_index_in_threadgroup, t->simdgroup_index_in_threadgroup)
MTL_BUILTIN(simdgroups_per_threadgroup, t->simdgroups_per_threadgroup)
MTL_BUILTIN(dispatch_simdgroups_per_threadgroup, t->dispatch_simdgroups_per_threadgroup)
MTL_BUILTIN(threads_per_simdgroup, (void(t), 32))
MTL_BUILTIN(thread_execution_width, (void(t), 32))
MTL_BUILTIN(thread_index_in_quadgroup, t->thread_index_in_threadgroup % 4)
MTL_BUILTIN(quadgroup_index_in_threadgroup, t->thread_index_in_threadgroup / 4)
#define MTL_QUADGROUPS(size) (t->size[0] * t->size[1] * t->size[2] + 3) / 4
MTL_BUILTIN(quadgroups_per_threadgroup, MTL_QUADGROUPS(threads_per_threadgroup))
MTL_BUILTIN(dispatch_quadgroups_per_threadgroup, MTL_QUADGROUPS(dispatch_threads_per_threadgroup))
#undef MTL_QUADGROUPS
#undef MTL_BUILTIN
#undef MTL_BUILTIN3
