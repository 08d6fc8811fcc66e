// Codecs: rows to codes of a few bytes and back, a kernel an instruction set.
#ifndef CPU_CODEC_H
#define CPU_CODEC_H

#include <stddef.h>
#include <stdint.h>

typedef enum cpu_codec_kind {  // as mf_codec_kind
  CPU_CODEC_SCALAR = 0,
  CPU_CODEC_PRODUCT = 1,
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

typedef struct cpu_codec {
  uint32_t kind;  // cpu_codec_kind
  uint32_t d;
  size_t code_size;
  uint32_t type;        // of scalar ones
  const float *least;   // of scalar ones with ranges: d of each
  const float *range;
  const float *step;    // what a code of 1 is worth, and what one of 0 stands for: d of each
  const float *start;
  uint32_t m;           // of product ones
  uint32_t nbits;
  const float *centroids;  // m × 2^nbits × d / m
} cpu_codec;

struct cpu_kernels;

// What n codes stand for, n × d, each plus `centroid` (d floats) unless that is NULL. The same for every number of
// codes and on every instruction set.
void cpu_codec_decode(const struct cpu_kernels *kernels, const cpu_codec *codec, const uint8_t *codes, uint64_t n,
                      const float *centroid, float *x);
// Codes of n rows.
void cpu_codec_encode(const struct cpu_kernels *kernels, const cpu_codec *codec, const float *x, uint64_t n,
                      uint8_t *codes);

// Kernels of scalar codecs, for one row.
typedef struct cpu_scalar_kernels {
  void (*decode)(const cpu_codec *codec, const uint8_t *code, const float *centroid, float *x);
  void (*encode)(const cpu_codec *codec, const float *x, uint8_t *code);
} cpu_scalar_kernels;

const cpu_scalar_kernels *cpu_scalar_table(const struct cpu_kernels *kernels);

#endif
