// Products of a row and a matrix: gemv_<layout of W>_<dtype of W>[_<dtype of x and y, where another>]_bn<rows of W, or
// columns>_tg<threads>_l<lanes a row, or beside each other>[_r<rows a lane>][_s<simdgroups a row>]_u<loads in flight>.
#include "gemv_nt.h"
#include "gemv_nn.h"
#include "instantiate.h"

#define instantiate_nt(name, bn, tg, lanes, loads, ...) \
  instantiate_kernel(                                  \
      "gemv_nt_" name "_bn" #bn "_tg" #tg "_l" #lanes "_u" #loads, gemv_nt, __VA_ARGS__, lanes, 1, 1, loads, tg, false)
// Large-K hybrid: a row's K is split over simdgroups of the threadgroup.
#define instantiate_split(name, bn, tg, split, loads, ...) \
  instantiate_kernel(                                      \
      "gemv_nt_" name "_bn" #bn "_tg" #tg "_l32_s" #split "_u" #loads, gemv_nt, __VA_ARGS__, 32, 1, split, loads, tg, \
      false)
#define instantiate_nn(name, bn, tg, lanes, loads, ...) \
  instantiate_kernel(                                  \
      "gemv_nn_" name "_bn" #bn "_tg" #tg "_l" #lanes "_u" #loads, gemv_nn, __VA_ARGS__, lanes, loads, tg)

#define instantiate_gemv(name, ...)              \
  instantiate_nt(name, 8, 128, 16, 7, __VA_ARGS__) \
  instantiate_nt(name, 16, 128, 8, 7, __VA_ARGS__) \
  instantiate_split(name, 4, 256, 2, 2, __VA_ARGS__) \
  instantiate_split(name, 1, 160, 5, 4, __VA_ARGS__)

instantiate_gemv("f16", half, half)
instantiate_gemv("bf16", bfloat, bfloat)
instantiate_gemv("f32", float, float)
instantiate_gemv("f16_f32", half, float)
instantiate_gemv("bf16_f32", bfloat, float)

instantiate_nn("f16", 32, 512, 4, 7, half, half)
instantiate_nn("bf16", 32, 512, 4, 7, bfloat, bfloat)
instantiate_nn("f32", 32, 512, 8, 7, float, float)
instantiate_nn("f16_f32", 32, 512, 4, 7, half, float)
instantiate_nn("bf16_f32", 32, 512, 4, 7, bfloat, float)
instantiate_nn("f16", 64, 256, 8, 4, half, half)
instantiate_nn("bf16", 64, 256, 8, 4, bfloat, bfloat)
instantiate_nn("f32", 64, 256, 16, 4, float, float)
instantiate_nn("f16_f32", 64, 256, 8, 4, half, float)
instantiate_nn("bf16_f32", 64, 256, 8, 4, bfloat, float)

// More in f16: fewer and more lanes and rows, other splits, pipelining.
instantiate_nt("f16", 16, 256, 16, 7, half, half)
instantiate_nt("f16", 4, 128, 32, 4, half, half)
instantiate_kernel("gemv_nt_f16_bn8_tg128_l32_r2_u4", gemv_nt, half, half, 32, 2, 1, 4, 128, false)
instantiate_split("f16", 2, 128, 2, 5, half, half)
instantiate_split("f16", 1, 128, 4, 5, half, half)
instantiate_kernel("gemv_nt_f16_bn8_tg128_l32_r2_u2_pipelined", gemv_nt, half, half, 32, 2, 1, 2, 128, true)
instantiate_nn("f16", 32, 256, 4, 7, half, half)

// y ← alpha · y + beta · c + bias, where a product left its sums: what fusing that saves.
[[host_name("gemv_epilogue_f16")]] [[kernel]] void gemv_epilogue(
    device const half* bias [[buffer(0)]],
    device const half* c [[buffer(1)]],
    device half* y [[buffer(2)]],
    constant GemvParams& params [[buffer(3)]],
    uint2 at [[thread_position_in_grid]]) {
  GemvEnd<half> end(bias, c, params, at.y, at.x, true);
  ulong place = ulong(at.y) * params.n + at.x;
  y[place] = end.of(float(y[place]));
}
