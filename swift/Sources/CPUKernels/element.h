// One element of a matrix, widened by hand: compilers of old processors call a library for half, which may
// not be there.
#ifndef ELEMENT_H
#define ELEMENT_H

#include <string.h>

#include "cpu_linalg.h"

static inline float cpu_float_of(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static inline float cpu_widen_f16(uint16_t half) {
  uint32_t sign = (uint32_t)(half & 0x8000) << 16, rest = half & 0x7fff, bits;
  if (rest >= 0x7c00) {
    bits = 0x7f800000 | (rest & 0x3ff) << 13;
    if (rest > 0x7c00) bits |= 0x00400000;  // quiet, as the processor's own does
  } else {
    float value = cpu_float_of(rest << 13) * 0x1p112f;  // its exponent is 112 too low
    memcpy(&bits, &value, sizeof bits);
  }
  return cpu_float_of(sign | bits);
}

static inline float cpu_widen_bf16(uint16_t bits) { return cpu_float_of((uint32_t)bits << 16); }

static inline uint32_t cpu_bits_of(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

// To nearest, ties to even.
static inline uint16_t cpu_narrow_f16(float value) {
  uint32_t bits = cpu_bits_of(value), sign = bits >> 16 & 0x8000, rest = bits & 0x7fffffff;
  if (rest > 0x7f800000) return (uint16_t)(sign | 0x7e00);
  if (rest >= 0x477ff000) return (uint16_t)(sign | 0x7c00);
  if (rest < 0x38800000)  // below the normal ones: the sum rounds to their step
    return (uint16_t)(sign | (cpu_bits_of(cpu_float_of(rest) + 0.5f) - 0x3f000000));
  return (uint16_t)(sign | (rest - 0x38000000 + 0xfff + (rest >> 13 & 1)) >> 13);
}

static inline uint16_t cpu_narrow_bf16(float value) {
  uint32_t bits = cpu_bits_of(value);
  if ((bits & 0x7fffffff) > 0x7f800000) return (uint16_t)(bits >> 16 | 0x40);
  return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static inline uint32_t cpu_type_bytes(uint32_t type) { return type == CPU_F32 ? 4 : 2; }

// Where the element (row, column) of op(x) lies.
static inline const void *cpu_element_at(const cpu_matrix *x, uint64_t row, uint64_t column) {
  uint64_t i = x->transposed ? column * x->line + row : row * x->line + column;
  return (const char *)x->data + i * cpu_type_bytes(x->type);
}

static inline float cpu_widen(uint32_t type, const void *data, uint64_t i) {
  if (type == CPU_F32) return ((const float *)data)[i];
  uint16_t bits = ((const uint16_t *)data)[i];
  return type == CPU_F16 ? cpu_widen_f16(bits) : cpu_widen_bf16(bits);
}

#endif
