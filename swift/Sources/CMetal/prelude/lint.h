// MSL lint: Metal's address spaces as clang's own, so that what Apple's front end refuses is refused here. Like
// emulator.h it comes before common.h and the rest; nothing is run, so functions have no bodies. Compile with
//   clang -x clcpp -cl-std=clc++2021 -cl-no-stdinc -fsyntax-only -fsigned-char -Wno-everything
// In OpenCL's C++ objects can be copied from and to every space but __constant, since a copy's reference is generic.
// So `device` and `constant` are two parts of __global that do not convert into each other.
#pragma OPENCL EXTENSION __cl_clang_function_pointers : enable
#pragma OPENCL EXTENSION cl_khr_fp16 : enable
// Names that OpenCL has for other things.
#define half mtl_half
#define atomic_int mtl_atomic_int
#define atomic_uint mtl_atomic_uint
#define atomic_long mtl_atomic_long
#define atomic_ulong mtl_atomic_ulong
#define atomic_float mtl_atomic_float
#define atomic_flag mtl_atomic_flag
#define MTL_EMULATOR 1
#define MTL_BEGIN
#define MTL_END
#define MTL_INLINE inline
#define MTL_DEVICE __attribute__((opencl_global_device))
#define MTL_CONSTANT_SPACE __attribute__((opencl_global_host))
#define MTL_CONSTANT static const
#define MTL_UNROLL
#define MTL_TRUSTED
#define MTL_ONLY_SITE mtl_place mtl_site = mtl_place()
#define MTL_SITE , MTL_ONLY_SITE
#define MTL_PASS , mtl_site

struct mtl_place {
  unsigned site = 0;
};
struct mtl_uint3 {
  unsigned x, y, z;
};

// ---- variables
// threadgroup T x[N]; is auto &x = mtl_local<T[N]>();
template <typename T>
__local T &mtl_local();
// An array at namespace scope lies in __global; kernels see it in the constant space.
template <typename T>
struct mtl_space_of;
template <typename T>
struct mtl_space_of<__global T> {
  using type = MTL_CONSTANT_SPACE T;
};
template <typename T, unsigned long N>
struct mtl_space_of<__global T[N]> {
  using type = typename mtl_space_of<__global T>::type[N];
};
template <typename T, unsigned long N, unsigned long M>
struct mtl_space_of<__global T[N][M]> {
  using type = typename mtl_space_of<__global T>::type[N][M];
};
template <typename T>
typename mtl_space_of<T>::type &mtl_in_constant(T &value);
// What is_function_constant_defined says.
extern const __global bool mtl_unknown;

// ---- float
struct mtl_precise {
#define MTL_REAL1(name) static float name(float);
#define MTL_REAL2(name) static float name(float, float);
  MTL_REAL1(acos) MTL_REAL1(acosh) MTL_REAL1(asin) MTL_REAL1(asinh) MTL_REAL1(atan) MTL_REAL1(atanh) MTL_REAL1(ceil)
  MTL_REAL1(cos) MTL_REAL1(cosh) MTL_REAL1(cospi) MTL_REAL1(exp) MTL_REAL1(exp2) MTL_REAL1(exp10) MTL_REAL1(fabs)
  MTL_REAL1(floor) MTL_REAL1(log) MTL_REAL1(log2) MTL_REAL1(log10) MTL_REAL1(rint) MTL_REAL1(round) MTL_REAL1(rsqrt)
  MTL_REAL1(sin) MTL_REAL1(sinh) MTL_REAL1(sinpi) MTL_REAL1(sqrt) MTL_REAL1(tan) MTL_REAL1(tanh) MTL_REAL1(tanpi)
  MTL_REAL1(trunc)
  MTL_REAL2(atan2) MTL_REAL2(copysign) MTL_REAL2(divide) MTL_REAL2(fmod) MTL_REAL2(nextafter) MTL_REAL2(pow)
  MTL_REAL2(powr) MTL_REAL2(fmin) MTL_REAL2(fmax)
#undef MTL_REAL1
#undef MTL_REAL2
  static float ldexp(float, int);
  static float fma(float, float, float);
};
using mtl_fast = mtl_precise;

namespace metal {
using half = _Float16;
}
_Float16 mtl_half_fma(_Float16, _Float16, _Float16);
unsigned short mtl_bfloat_round(float);

// ---- integers
unsigned mtl_popcount(unsigned);
unsigned mtl_popcount(unsigned long);
unsigned mtl_leading_zeros(unsigned);
unsigned mtl_leading_zeros(unsigned long);
unsigned mtl_trailing_zeros(unsigned);
unsigned mtl_trailing_zeros(unsigned long);
unsigned mtl_reverse(unsigned);
unsigned long mtl_reverse(unsigned long);
long mtl_high(long, long);
unsigned long mtl_high(unsigned long, unsigned long);

// ---- atomics. A pointer's own T would have an address space, so a value's is another.
template <typename P>
auto mtl_atomic_load(const volatile P *p) -> decltype(+*p);
template <typename P, typename T>
void mtl_atomic_store(volatile P *, T);
template <typename P, typename T>
T mtl_atomic_exchange(volatile P *, T);
template <typename P, typename T>
T mtl_atomic_compare(volatile P *, T, T);
#define MTL_FETCH(name) \
  template <typename P, typename T> \
  T mtl_atomic_##name(volatile P *, T);
MTL_FETCH(add)
MTL_FETCH(and)
MTL_FETCH(or)
MTL_FETCH(xor)
MTL_FETCH(min)
MTL_FETCH(max)
#undef MTL_FETCH
void mtl_fence();

// ---- lanes
void mtl_barrier(unsigned, mtl_place);
unsigned mtl_lane();
unsigned mtl_ballot(bool, mtl_place);
template <typename T>
struct mtl_lanes {
  static_assert(sizeof(T) <= 64);
  mtl_lanes(T, mtl_place);
  unsigned own() const;
  unsigned mask() const;
  T get(unsigned) const;
  template <typename M, typename C>
  M get(unsigned, M C::*) const;
};
template <typename Op, int width, typename T>
T mtl_reduce(T, mtl_place);
template <typename Op, int width, bool inclusive, typename T>
T mtl_scan(T, T, mtl_place);
