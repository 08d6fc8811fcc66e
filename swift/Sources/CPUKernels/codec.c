// What goes with a kind of codec, and with an instruction set.
#include "cpu_codec.h"

#include "cpu_binary.h"
#include "cpu_additive.h"
#include "cpu_kernels.h"
#include "cpu_pq.h"
#include "cpu_rabitq.h"

uint32_t cpu_scalar_bits(uint32_t type) {
  static const uint8_t bits[] = {8, 4, 8, 4, 16, 8, 6, 16, 8};
  return type < sizeof bits ? bits[type] : 0;
}

void cpu_codec_decode(const cpu_kernels *kernels, const cpu_codec *codec, const uint8_t *codes, uint64_t n,
                      const float *centroid, float *x) {
  if (codec->kind == CPU_CODEC_SCALAR)
    cpu_scalar_table(kernels)->decode(&codec->scalar, codec->d, codec->code_size, codes, n, centroid, x);
  else if (codec->rabitq)
    cpu_rabitq_decode(codec->rabitq, codes, n, centroid, x);
  else if (codec->kind == CPU_CODEC_BINARY)
    cpu_binary_decode(codec->d, codes, n, centroid, x);
  else if (codec->kind == CPU_CODEC_ADDITIVE)
    cpu_additive_decode(kernels, codec->additive, codes, n, centroid, x);
  else
    cpu_pq_decode(codec->product, codes, n, centroid, x);
}

void cpu_codec_decode_at(const cpu_kernels *kernels, const cpu_codec *codec, const uint8_t *store, uint64_t at,
                         const float *centroid, float *x) {
  if (codec->layout.parts)
    cpu_fast_decode(codec->product, store, at, centroid, x);
  else
    cpu_codec_decode(kernels, codec, store + at * codec->code_size, 1, centroid, x);
}

void cpu_codec_encode(const cpu_kernels *kernels, const cpu_codec *codec, const float *x, uint64_t n, uint8_t *codes) {
  if (codec->kind == CPU_CODEC_SCALAR)
    cpu_scalar_table(kernels)->encode(&codec->scalar, codec->d, codec->code_size, x, n, codes);
  else if (codec->kind == CPU_CODEC_BINARY)
    cpu_binary_encode(codec->d, x, n, codes);
  else
    cpu_pq_encode(kernels, codec->product, x, n, codes);
}

extern const cpu_scalar_kernels cpu_scalar_scalar;
#if defined(__x86_64__)
extern const cpu_scalar_kernels cpu_scalar_avx2, cpu_scalar_avx512;
#elif defined(__aarch64__)
extern const cpu_scalar_kernels cpu_scalar_neon;
#endif

const cpu_scalar_kernels *cpu_scalar_table(const cpu_kernels *kernels) {
#if defined(__x86_64__)
  if (kernels->lanes == 16) return &cpu_scalar_avx512;
  if (kernels->lanes == 8) return &cpu_scalar_avx2;
#elif defined(__aarch64__)
  if (kernels->lanes == 4) return &cpu_scalar_neon;
#endif
  return &cpu_scalar_scalar;
}
