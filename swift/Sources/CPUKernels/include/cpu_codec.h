// Codecs: rows to codes of a few bytes and back, a kernel an instruction set.
#ifndef CPU_CODEC_H
#define CPU_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cpu_fast.h"

typedef enum cpu_codec_kind {  // as mf_codec_kind
  CPU_CODEC_SCALAR = 0,
  CPU_CODEC_PRODUCT = 1,
  CPU_CODEC_RABITQ = 8,
  CPU_CODEC_SIGNS = 9,
  CPU_CODEC_BINARY = 16,
  CPU_CODEC_ADDITIVE = 2,
} cpu_codec_kind;

typedef enum cpu_scalar_type {  // as faiss's QuantizerType
  CPU_SQ_8BIT = 0,
  CPU_SQ_4BIT = 1,
  CPU_SQ_8BIT_UNIFORM = 2,
  CPU_SQ_4BIT_UNIFORM = 3,
  CPU_SQ_FP16 = 4,
  CPU_SQ_8BIT_DIRECT = 5,
  CPU_SQ_6BIT = 6,
  CPU_SQ_BF16 = 7,
  CPU_SQ_8BIT_DIRECT_SIGNED = 8,
} cpu_scalar_type;

// Numbers of a scalar codec's dimensions, d of each. Those of halves are not used.
typedef struct cpu_scalar {
  uint32_t type;       // cpu_scalar_type
  const float *least;  // a number is encoded as its part of least … least + range
  const float *range;  // 0: every number is encoded as 0
  const float *step;   // and decoded as start + step * code
  const float *start;
} cpu_scalar;

struct cpu_additive;
struct cpu_pq;
struct cpu_rabitq;

typedef struct cpu_codec {
  uint32_t kind;  // cpu_codec_kind
  uint32_t d;
  size_t code_size;
  cpu_scalar scalar;
  const struct cpu_pq *product;
  cpu_fast_layout layout;  // how codes lie in a store
  const struct cpu_rabitq *rabitq;  // of signs too
  const struct cpu_additive *additive;
} cpu_codec;

struct cpu_kernels;

// Bits of a number of a scalar codec; 0 where there is no such type.
uint32_t cpu_scalar_bits(uint32_t type);
// What n codes stand for, n × d, each plus `centroid` (d floats) unless that is NULL. The same for any n and on every
// instruction set.
void cpu_codec_decode(const struct cpu_kernels *kernels, const cpu_codec *codec, const uint8_t *codes, uint64_t n,
                      const float *centroid, float *x);
// What the code at a place of a store stands for, as cpu_codec_decode has it.
void cpu_codec_decode_at(const struct cpu_kernels *kernels, const cpu_codec *codec, const uint8_t *store, uint64_t at,
                         const float *centroid, float *x);
// Codes of n rows. Additive ones are made in several steps elsewhere.
void cpu_codec_encode(const struct cpu_kernels *kernels, const cpu_codec *codec, const float *x, uint64_t n,
                      uint8_t *codes);

// Kernels of scalar codecs.
typedef struct cpu_scalar_kernels {
  void (*decode)(const cpu_scalar *scalar, uint32_t d, size_t code_size, const uint8_t *codes, uint64_t n,
                 const float *centroid, float *x);
  void (*encode)(const cpu_scalar *scalar, uint32_t d, size_t code_size, const float *x, uint64_t n, uint8_t *codes);
  // What direct_l2 and, for products, direct_dot of cpu_kernels find for up to CPU_DIRECT_ROWS rows, which are decoded
  // in registers: those of positions, or consecutive.
  void (*direct)(const cpu_codec *codec, const uint8_t *codes, const uint32_t *positions, uint32_t n,
                 const float *centroid, bool dot, const float *const *queries, uint32_t nq, float *sums,
                 float *squares);
} cpu_scalar_kernels;

const cpu_scalar_kernels *cpu_scalar_table(const struct cpu_kernels *kernels);

#endif
