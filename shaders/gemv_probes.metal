// Probes of part D by threads that own columns: gemv_nt_f16_<family>_bn<columns>_bk<tile of K>_tg<threads>.
#include "gemv_col.h"
#include "instantiate.h"

#define instantiate_col(name, how, bn, bk, tg) \
  instantiate_kernel("gemv_nt_f16_" name "_bn" #bn "_bk" #bk "_tg" #tg, gemv_col, how, bn, bk, tg)

#define instantiate_v2(name, how, bn)  \
  instantiate_col(name, how, bn, 64, 64) \
  instantiate_col(name, how, bn, 64, 128) \
  instantiate_col(name, how, bn, 128, 64) \
  instantiate_col(name, how, bn, 128, 128)

instantiate_v2("col", GEMV_SCALAR, 64)
instantiate_v2("col", GEMV_SCALAR, 128)
instantiate_v2("col_vec4", GEMV_VEC4, 64)
instantiate_v2("col_vec4", GEMV_VEC4, 128)
instantiate_v2("col_bt", GEMV_STAGED, 64)
instantiate_v2("col_bt", GEMV_STAGED, 128)

// v3.
instantiate_col("col_vec4_sgbr", GEMV_BROADCAST, 64, 128, 128)
instantiate_col("col_vec4_sgbr", GEMV_BROADCAST, 128, 128, 128)
instantiate_col("col_vec4_tgread", GEMV_SHARED, 64, 64, 128)
instantiate_col("col_vec4_tgread", GEMV_SHARED, 64, 128, 64)
instantiate_col("col_vec4_tgread", GEMV_SHARED, 64, 128, 128)
instantiate_col("col_vec4_tgread", GEMV_SHARED, 128, 64, 128)
instantiate_col("col_vec4_tgread", GEMV_SHARED, 128, 128, 128)
instantiate_col("col_vec4_tgread_vA", GEMV_SHARED_A, 64, 128, 128)
instantiate_col("col_vec4_tgread_vA", GEMV_SHARED_A, 128, 128, 128)
instantiate_col("col_vec4_unroll16", GEMV_UNROLLED, 64, 128, 128)
instantiate_col("col_vec4_unroll16", GEMV_UNROLLED, 128, 128, 128)

// v4 and v5.
instantiate_col("col_vec4_tgread", GEMV_SHARED, 256, 128, 128)
instantiate_kernel("gemv_nt_f16_tiny_bn64_tg64", gemv_tiny, 64)
instantiate_kernel("gemv_nt_f16_ultra_tiny_bn32_tg32", gemv_tiny, 32)

#define instantiate_largek(bn) \
  instantiate_kernel("gemv_nt_f16_largek_smalln_bn" #bn "_tg128", gemv_largek, bn, 128) \
  instantiate_kernel("gemv_nt_f16_largek_smalln_bn" #bn "_tg256", gemv_largek, bn, 256) \
  instantiate_kernel("gemv_nt_f16_largek_smalln_bn" #bn "_tg512", gemv_largek, bn, 512)
instantiate_largek(4)
instantiate_largek(8)
instantiate_largek(16)

// What the author wanted next: loads of eight, 96 and 160 columns, groups of 32 threads.
instantiate_col("col_vec8", GEMV_VEC8, 64, 128, 128)
instantiate_col("col_vec8", GEMV_VEC8, 128, 128, 128)
instantiate_col("col_vec4_tgread", GEMV_SHARED, 96, 128, 96)
instantiate_col("col_vec4_tgread", GEMV_SHARED, 160, 128, 160)
instantiate_col("col_vec4_tgread", GEMV_SHARED, 64, 128, 32)
