// MLX's tiles at one row: gemv_<layout of W>_f16_tiled_bm<rows>_bn<columns>_bk<tile of K>.
#include "gemv_tiled.h"
#include "instantiate.h"

#define instantiate_tiled(bm, bn, bk, wm) \
  instantiate_kernel("gemv_nt_f16_tiled_bm" #bm "_bn" #bn "_bk" #bk, gemv_tiled, bm, bn, bk, wm, true) \
  instantiate_kernel("gemv_nn_f16_tiled_bm" #bm "_bn" #bn "_bk" #bk, gemv_tiled, bm, bn, bk, wm, false)

instantiate_tiled(32, 32, 16, 2)
instantiate_tiled(8, 128, 64, 1)
instantiate_tiled(32, 32, 64, 2)
instantiate_tiled(32, 64, 32, 2)
instantiate_tiled(16, 128, 32, 1)
