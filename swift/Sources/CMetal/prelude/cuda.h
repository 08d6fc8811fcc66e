// CUDA, before common.h: what NVRTC is asked for (12.x, 13.x; C++17 or 20; -default-device; sm_70 and later).
// All that follows lies in a namespace, so that CUDA's own global names (min, float4 ..) are never met. The last
// line of the text, after the entry, must be MTL_END.
namespace mtl_program {
namespace metal {}
}
namespace metal = mtl_program::metal;
namespace mtl_program {

#define MTL_CUDA 1
#define MTL_END }
#define MTL_INLINE __forceinline__
#define MTL_CONSTANT static __constant__ const
#define MTL_THREADGROUP __shared__
#define MTL_UNROLL _Pragma("unroll")
#define MTL_ONLY_SITE
#define MTL_SITE
#define MTL_PASS

struct mtl_uint3 {
  unsigned x, y, z;
};

// ---- float
struct mtl_precise {
#define MTL_LIBM(name) \
  static MTL_INLINE float name(float x) { return ::name##f(x); }
  MTL_LIBM(acos) MTL_LIBM(acosh) MTL_LIBM(asin) MTL_LIBM(asinh) MTL_LIBM(atan) MTL_LIBM(atanh) MTL_LIBM(ceil)
  MTL_LIBM(cos) MTL_LIBM(cosh) MTL_LIBM(exp) MTL_LIBM(exp2) MTL_LIBM(exp10) MTL_LIBM(fabs) MTL_LIBM(floor)
  MTL_LIBM(log) MTL_LIBM(log2) MTL_LIBM(log10) MTL_LIBM(rint) MTL_LIBM(round) MTL_LIBM(rsqrt) MTL_LIBM(sin)
  MTL_LIBM(sinh) MTL_LIBM(sinpi) MTL_LIBM(cospi) MTL_LIBM(tan) MTL_LIBM(tanh) MTL_LIBM(trunc)
#undef MTL_LIBM
  // By name, so that no option of the compiler makes them approximate.
  static MTL_INLINE float sqrt(float x) { return ::__fsqrt_rn(x); }
  static MTL_INLINE float divide(float x, float y) { return ::__fdiv_rn(x, y); }
  // Quarter turns are exact: tan(pi n) = 0.
  static MTL_INLINE float tanpi(float x) {
    float r = x - ::rintf(x);
    return r == 0 ? ::copysignf(0.0f, x) : ::sinpif(r) / ::cospif(r);
  }
  static MTL_INLINE float atan2(float y, float x) { return ::atan2f(y, x); }
  static MTL_INLINE float copysign(float x, float y) { return ::copysignf(x, y); }
  static MTL_INLINE float fmod(float x, float y) { return ::fmodf(x, y); }
  static MTL_INLINE float nextafter(float x, float y) { return ::nextafterf(x, y); }
  static MTL_INLINE float pow(float x, float y) { return ::powf(x, y); }
  static MTL_INLINE float powr(float x, float y) { return ::powf(x, y); }
  static MTL_INLINE float ldexp(float x, int e) { return ::ldexpf(x, e); }
  static MTL_INLINE float fma(float x, float y, float z) { return ::fmaf(x, y, z); }
  static MTL_INLINE float fmin(float x, float y) { return ::fminf(x, y); }
  static MTL_INLINE float fmax(float x, float y) { return ::fmaxf(x, y); }
};

struct mtl_fast : mtl_precise {
  static MTL_INLINE float cos(float x) { return ::__cosf(x); }
  static MTL_INLINE float exp(float x) { return ::__expf(x); }
  static MTL_INLINE float exp10(float x) { return ::__exp10f(x); }
  static MTL_INLINE float log(float x) { return ::__logf(x); }
  static MTL_INLINE float log2(float x) { return ::__log2f(x); }
  static MTL_INLINE float log10(float x) { return ::__log10f(x); }
  static MTL_INLINE float sin(float x) { return ::__sinf(x); }
  static MTL_INLINE float tan(float x) { return ::__tanf(x); }
  static MTL_INLINE float divide(float x, float y) { return ::__fdividef(x, y); }
  static MTL_INLINE float powr(float x, float y) { return ::__powf(x, y); }
  static MTL_INLINE float exp2(float x) {
    float y;
    asm("ex2.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
  }
  static MTL_INLINE float sqrt(float x) {
    float y;
    asm("sqrt.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
  }
};

// ---- half and bfloat, as bits
MTL_INLINE unsigned short mtl_half_round(float x) {
  unsigned short bits;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(x));
  return bits;
}
MTL_INLINE float mtl_half_widen(unsigned short bits) {
  float x;
  asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(bits));
  return x;
}
#define MTL_HALF2(name) \
  MTL_INLINE unsigned short mtl_half_##name(unsigned short x, unsigned short y) { \
    unsigned short z; \
    asm(#name ".rn.f16 %0, %1, %2;" : "=h"(z) : "h"(x), "h"(y)); \
    return z; \
  }
MTL_HALF2(add)
MTL_HALF2(sub)
MTL_HALF2(mul)
#undef MTL_HALF2
MTL_INLINE unsigned short mtl_half_fma(unsigned short x, unsigned short y, unsigned short z) {
  unsigned short w;
  asm("fma.rn.f16 %0, %1, %2, %3;" : "=h"(w) : "h"(x), "h"(y), "h"(z));
  return w;
}
MTL_INLINE unsigned short mtl_bfloat_round(float x) {
#if __CUDA_ARCH__ >= 800
  unsigned short bits;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(x));
  return bits;
#else
  unsigned bits = __float_as_uint(x);
  if ((bits & 0x7fffffff) > 0x7f800000) return bits >> 16 | 0x40;
  return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
#endif
}

// ---- integers
MTL_INLINE unsigned mtl_popcount(unsigned x) { return ::__popc(x); }
MTL_INLINE unsigned mtl_popcount(unsigned long x) { return ::__popcll(x); }
MTL_INLINE unsigned mtl_leading_zeros(unsigned x) { return ::__clz(int(x)); }
MTL_INLINE unsigned mtl_leading_zeros(unsigned long x) { return ::__clzll((long long)x); }
MTL_INLINE unsigned mtl_trailing_zeros(unsigned x) { return ::__clz(int(::__brev(x))); }
MTL_INLINE unsigned mtl_trailing_zeros(unsigned long x) { return ::__clzll((long long)::__brevll(x)); }
MTL_INLINE unsigned mtl_reverse(unsigned x) { return ::__brev(x); }
MTL_INLINE unsigned long mtl_reverse(unsigned long x) { return ::__brevll(x); }
MTL_INLINE long mtl_high(long x, long y) { return ::__mul64hi(x, y); }
MTL_INLINE unsigned long mtl_high(unsigned long x, unsigned long y) { return ::__umul64hi(x, y); }

// ---- atomics
template <typename T>
MTL_INLINE T mtl_atomic_load(const volatile T *p) {
  return *p;
}
template <typename T>
MTL_INLINE void mtl_atomic_store(volatile T *p, T value) {
  *p = value;
}
#define MTL_WIDE(p) reinterpret_cast<unsigned long long *>(const_cast<unsigned long *>(p))
#define MTL_FETCH(name, function) \
  MTL_INLINE int mtl_atomic_##name(volatile int *p, int value) { return ::function(const_cast<int *>(p), value); } \
  MTL_INLINE unsigned mtl_atomic_##name(volatile unsigned *p, unsigned value) { \
    return ::function(const_cast<unsigned *>(p), value); \
  } \
  MTL_INLINE unsigned long mtl_atomic_##name(volatile unsigned long *p, unsigned long value) { \
    return ::function(MTL_WIDE(p), (unsigned long long)value); \
  }
MTL_FETCH(exchange, atomicExch)
MTL_FETCH(add, atomicAdd)
MTL_FETCH(and, atomicAnd)
MTL_FETCH(or, atomicOr)
MTL_FETCH(xor, atomicXor)
MTL_FETCH(min, atomicMin)
MTL_FETCH(max, atomicMax)
#undef MTL_FETCH
MTL_INLINE float mtl_atomic_add(volatile unsigned *p, float value) {
  return ::atomicAdd(reinterpret_cast<float *>(const_cast<unsigned *>(p)), value);
}
template <typename T>
MTL_INLINE T mtl_atomic_compare(volatile T *p, T expected, T desired) {
  using Wide = unsigned long long;
  if constexpr (sizeof(T) == 8) return ::atomicCAS(MTL_WIDE(p), Wide(expected), Wide(desired));
  else return ::atomicCAS(const_cast<T *>(p), expected, desired);
}
#undef MTL_WIDE
MTL_INLINE void mtl_fence() { ::__threadfence(); }

// ---- lanes
MTL_INLINE void mtl_barrier(unsigned scope) {
  if (scope) ::__syncthreads();
  else ::__syncwarp();
}
MTL_INLINE unsigned mtl_lane() {
  unsigned lane;
  asm("mov.u32 %0, %%laneid;" : "=r"(lane));
  return lane;
}

// A value as 32-bit words, each through f.
template <typename T, typename F>
MTL_INLINE T mtl_by_words(const T &value, F f) {
  unsigned words[(sizeof(T) + 3) / 4] = {};
  ::memcpy(words, &value, sizeof(T));
  MTL_UNROLL for (unsigned i = 0; i < (sizeof(T) + 3) / 4; i++) words[i] = f(words[i]);
  T result;
  ::memcpy(&result, words, sizeof(T));
  return result;
}
template <typename T>
MTL_INLINE T mtl_from_lane(unsigned mask, const T &value, unsigned lane) {
  return mtl_by_words(value, [=](unsigned word) { return ::__shfl_sync(mask, word, lane); });
}

template <typename T>
struct mtl_lanes {
  T value;
  unsigned active;
  MTL_INLINE mtl_lanes(const T &v) : value(v), active(::__activemask()) {}
  MTL_INLINE unsigned own() const { return mtl_lane(); }
  MTL_INLINE unsigned mask() const { return active; }
  // All active lanes ask together, each for a lane of its own.
  MTL_INLINE T get(unsigned lane) const { return mtl_from_lane(active, value, lane); }
  template <typename M, typename C>
  MTL_INLINE M get(unsigned lane, M C::*member) const {
    return mtl_from_lane(active, value.*member, lane);
  }
};

// The active lanes of this lane's group of `width`.
template <int width>
MTL_INLINE unsigned mtl_group() {
  unsigned active = ::__activemask();
  return width == 32 ? active : active & ((1u << width % 32) - 1) << (mtl_lane() & ~(width - 1u));
}
template <int width>
MTL_INLINE bool mtl_is_full(unsigned mask) {
  return width == 32 ? mask == ~0u : ::__popc(mask) == width;
}

// 32-bit integers in one instruction, whatever lanes are active.
template <typename Op>
struct mtl_redux {
  static constexpr bool exists = false;
};
#if __CUDA_ARCH__ >= 800
#define MTL_REDUX(op, function) \
  template <> \
  struct mtl_redux<metal::op> { \
    static constexpr bool exists = true; \
    template <typename T> \
    static MTL_INLINE T reduce(unsigned mask, T value) { \
      return ::function(mask, value); \
    } \
  };
#else
#define MTL_REDUX(op, function)
#endif
namespace metal {
struct mtl_sum;
struct mtl_minimum;
struct mtl_maximum;
struct mtl_and;
struct mtl_or;
struct mtl_xor;
}  // namespace metal
MTL_REDUX(mtl_sum, __reduce_add_sync)
MTL_REDUX(mtl_minimum, __reduce_min_sync)
MTL_REDUX(mtl_maximum, __reduce_max_sync)
MTL_REDUX(mtl_and, __reduce_and_sync)
MTL_REDUX(mtl_or, __reduce_or_sync)
MTL_REDUX(mtl_xor, __reduce_xor_sync)
#undef MTL_REDUX
template <typename T>
inline constexpr bool mtl_is_word = false;
template <>
inline constexpr bool mtl_is_word<int> = true;
template <>
inline constexpr bool mtl_is_word<unsigned> = true;

// All lanes: as a butterfly over lane ^ width / 2 .. lane ^ 1. Some: by lane.
template <typename Op, int width, typename T>
MTL_INLINE T mtl_reduce(const T &value) {
  unsigned mask = mtl_group<width>();
  if constexpr (mtl_redux<Op>::exists && mtl_is_word<T>) return mtl_redux<Op>::reduce(mask, value);
  T result = value;
  if (mtl_is_full<width>(mask)) {
    MTL_UNROLL for (int step = width / 2; step; step /= 2) result = Op::apply(
        result, mtl_by_words(result, [=](unsigned word) { return ::__shfl_xor_sync(mask, word, step); }));
    return result;
  }
  result = mtl_from_lane(mask, value, ::__ffs(mask) - 1);
#pragma unroll 1
  for (unsigned rest = mask & (mask - 1); rest; rest &= rest - 1)
    result = Op::apply(result, mtl_from_lane(mask, value, ::__ffs(rest) - 1));
  return result;
}

// All lanes: steps of 1, 2, 4 .. Some: by lane.
template <typename Op, int width, bool inclusive, typename T>
MTL_INLINE T mtl_scan(const T &value, const T &identity) {
  unsigned mask = mtl_group<width>(), lane = mtl_lane(), own = lane % width;
  T result = value;
  if (mtl_is_full<width>(mask)) {
    MTL_UNROLL for (unsigned step = 1; step < width; step *= 2) {
      T other = mtl_by_words(result, [=](unsigned word) { return ::__shfl_up_sync(mask, word, step, width); });
      if (own >= step) result = Op::apply(other, result);
    }
    if (inclusive) return result;
    result = mtl_by_words(result, [=](unsigned word) { return ::__shfl_up_sync(mask, word, 1, width); });
    return own ? result : identity;
  }
  result = identity;
#pragma unroll 1
  for (unsigned rest = mask; rest; rest &= rest - 1) {
    unsigned from = ::__ffs(rest) - 1;
    T other = mtl_from_lane(mask, value, from);
    if (from < lane + inclusive) result = rest == mask ? other : Op::apply(result, other);
  }
  return result;
}

MTL_INLINE unsigned mtl_ballot(bool vote) { return ::__ballot_sync(::__activemask(), vote); }

// ---- entry
// What a dispatch is, in threads.
struct mtl_grid {
  unsigned threads[3];
  unsigned threadgroup[3];
  unsigned groups[3];  // threadgroups, where they are more in y or z than CUDA has: all lie in x then; else 0
};

template <typename P>
struct mtl_referred {
  using type = P;
};
template <typename P>
struct mtl_referred<P &> {
  using type = P;
};
template <typename P>
struct mtl_referred<const P &> {
  using type = P;
};
template <typename P>
struct mtl_referred<P *> {
  using type = P;
};
// What a reference parameter refers to.
template <typename P>
using mtl_value = typename mtl_referred<P>::type;

extern __shared__ __align__(16) unsigned char mtl_threadgroup_memory[];
template <typename P>
struct mtl_placed {
  static MTL_INLINE P at(unsigned offset) { return reinterpret_cast<P>(mtl_threadgroup_memory + offset); }
};
template <typename P>
struct mtl_placed<P &> {
  static MTL_INLINE P &at(unsigned offset) { return *reinterpret_cast<P *>(mtl_threadgroup_memory + offset); }
};
// A threadgroup argument.
template <typename P>
MTL_INLINE P mtl_dynamic(unsigned offset) {
  return mtl_placed<P>::at(offset);
}

MTL_INLINE unsigned mtl_smaller(unsigned x, unsigned y) { return x < y ? x : y; }
MTL_INLINE mtl_uint3 mtl_threadgroup_position_in_grid(const mtl_grid &t) {
  if (t.groups[0] == 0) return {blockIdx.x, blockIdx.y, blockIdx.z};
  unsigned row = blockIdx.x / t.groups[0];
  return {blockIdx.x % t.groups[0], row % t.groups[1], row / t.groups[1]};
}
MTL_INLINE mtl_uint3 mtl_threadgroups_per_grid(const mtl_grid &t) {
  if (t.groups[0] == 0) return {gridDim.x, gridDim.y, gridDim.z};
  return {t.groups[0], t.groups[1], t.groups[2]};
}
MTL_INLINE mtl_uint3 mtl_threads_per_grid(const mtl_grid &t) { return {t.threads[0], t.threads[1], t.threads[2]}; }
MTL_INLINE mtl_uint3 mtl_grid_size(const mtl_grid &t) { return mtl_threads_per_grid(t); }
MTL_INLINE mtl_uint3 mtl_grid_origin(const mtl_grid &) { return {0, 0, 0}; }
MTL_INLINE mtl_uint3 mtl_dispatch_threads_per_threadgroup(const mtl_grid &t) {
  return {t.threadgroup[0], t.threadgroup[1], t.threadgroup[2]};
}
// Partial at the edges of the grid.
MTL_INLINE mtl_uint3 mtl_threads_per_threadgroup(const mtl_grid &t) {
  mtl_uint3 at = mtl_threadgroup_position_in_grid(t);
  return {mtl_smaller(t.threadgroup[0], t.threads[0] - at.x * t.threadgroup[0]),
          mtl_smaller(t.threadgroup[1], t.threads[1] - at.y * t.threadgroup[1]),
          mtl_smaller(t.threadgroup[2], t.threads[2] - at.z * t.threadgroup[2])};
}
// A partial threadgroup runs on the first threads of a whole block, so that its simdgroups are as Metal makes them.
MTL_INLINE unsigned mtl_thread_index_in_threadgroup(const mtl_grid &t) {
  return threadIdx.x + t.threadgroup[0] * (threadIdx.y + t.threadgroup[1] * threadIdx.z);
}
MTL_INLINE unsigned mtl_threads(const mtl_uint3 &size) { return size.x * size.y * size.z; }
// Lets the next kernel be set up, then waits until the one before is done and what it wrote is there. All threads
// come here before they touch memory.
MTL_INLINE void mtl_start() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;");
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
MTL_INLINE bool mtl_outside(const mtl_grid &t) {
  return mtl_thread_index_in_threadgroup(t) >= mtl_threads(mtl_threads_per_threadgroup(t));
}
MTL_INLINE mtl_uint3 mtl_thread_position_in_threadgroup(const mtl_grid &t) {
  mtl_uint3 size = mtl_threads_per_threadgroup(t);
  if (size.x == t.threadgroup[0] && size.y == t.threadgroup[1]) return {threadIdx.x, threadIdx.y, threadIdx.z};
  unsigned index = mtl_thread_index_in_threadgroup(t), row = index / size.x;
  return {index % size.x, row % size.y, row / size.y};
}
MTL_INLINE mtl_uint3 mtl_thread_position_in_grid(const mtl_grid &t) {
  mtl_uint3 p = mtl_thread_position_in_threadgroup(t);
  mtl_uint3 at = mtl_threadgroup_position_in_grid(t);
  return {at.x * t.threadgroup[0] + p.x, at.y * t.threadgroup[1] + p.y, at.z * t.threadgroup[2] + p.z};
}
#define MTL_BUILTIN(name, expression) \
  MTL_INLINE unsigned mtl_##name(const mtl_grid &t) { return expression; }
MTL_BUILTIN(thread_index_in_simdgroup, mtl_thread_index_in_threadgroup(t) % 32)
MTL_BUILTIN(simdgroup_index_in_threadgroup, mtl_thread_index_in_threadgroup(t) / 32)
MTL_BUILTIN(simdgroups_per_threadgroup, (mtl_threads(mtl_threads_per_threadgroup(t)) + 31) / 32)
MTL_BUILTIN(dispatch_simdgroups_per_threadgroup, (mtl_threads(mtl_dispatch_threads_per_threadgroup(t)) + 31) / 32)
MTL_BUILTIN(threads_per_simdgroup, (void(t), 32))
MTL_BUILTIN(thread_execution_width, (void(t), 32))
MTL_BUILTIN(thread_index_in_quadgroup, mtl_thread_index_in_threadgroup(t) % 4)
MTL_BUILTIN(quadgroup_index_in_threadgroup, mtl_thread_index_in_threadgroup(t) / 4)
MTL_BUILTIN(quadgroups_per_threadgroup, (mtl_threads(mtl_threads_per_threadgroup(t)) + 3) / 4)
MTL_BUILTIN(dispatch_quadgroups_per_threadgroup, (mtl_threads(mtl_dispatch_threads_per_threadgroup(t)) + 3) / 4)
#undef MTL_BUILTIN
