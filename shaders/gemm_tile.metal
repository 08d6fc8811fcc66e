// One tile of gemm_tile.h for A·V and one for Aᵀ·B, as macros ask; sides, buffers, loads, padding, guards, type.
#ifndef GEMM_TYPE
#define GEMM_TYPE float
#define GEMM_NAME "f32"
#endif
#ifndef GEMM_AV_TM
#define GEMM_AV_TM 16
#define GEMM_AV_TN 16
#define GEMM_ATB_TN 16
#define GEMM_ATB_TK 16
#endif
#ifndef GEMM_DB
#define GEMM_DB 0
#define GEMM_V4 0
#define GEMM_PAD 0
#define GEMM_GUARDS 1
#endif
#include "gemm_tile.h"
#include "instantiate.h"

#define text_of(value) #value
#define name_of(value) text_of(value)

#if GEMM_DB
#define GEMM_DB_NAME "_db"
#else
#define GEMM_DB_NAME ""
#endif
#if GEMM_V4
#define GEMM_V4_NAME "_v4"
#define GEMM_PAD_FLOATS 4
#else
#define GEMM_V4_NAME ""
#define GEMM_PAD_FLOATS 1
#endif
#if GEMM_PAD
#define GEMM_PAD_NAME "_pad"
#else
#define GEMM_PAD_NAME ""
#undef GEMM_PAD_FLOATS
#define GEMM_PAD_FLOATS 0
#endif
#if GEMM_GUARDS
#define GEMM_GUARDS_NAME ""
#else
#define GEMM_GUARDS_NAME "_unguarded"
#endif

instantiate_kernel(
    "gemm_av_" GEMM_NAME "_tm" name_of(GEMM_AV_TM) "_tn" name_of(GEMM_AV_TN) GEMM_DB_NAME GEMM_V4_NAME GEMM_GUARDS_NAME,
    gemm_av_tile, GEMM_TYPE, GEMM_AV_TM, GEMM_AV_TN, GEMM_DB, GEMM_V4, GEMM_GUARDS)
instantiate_kernel(
    "gemm_at_b_" GEMM_NAME "_tn" name_of(GEMM_ATB_TN) "_tk" name_of(GEMM_ATB_TK) GEMM_DB_NAME GEMM_V4_NAME GEMM_PAD_NAME
    GEMM_GUARDS_NAME,
    gemm_at_b_tile, GEMM_TYPE, GEMM_ATB_TN, GEMM_ATB_TK, GEMM_PAD_FLOATS, GEMM_DB, GEMM_V4, GEMM_GUARDS)
