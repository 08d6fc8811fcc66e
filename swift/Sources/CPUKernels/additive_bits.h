// Indices and norms in codes, from the lowest bit up.
#ifndef ADDITIVE_BITS_H
#define ADDITIVE_BITS_H

#include <math.h>
#include <string.h>

#include "cpu_additive.h"

// Up to 32 bits, as far as there are bytes.
static inline uint32_t read_bits(const uint8_t *code, uint64_t size, uint64_t bit, uint32_t nbits) {
  uint64_t at = bit >> 3, bits = 0;
  if (nbits == 8 && (bit & 7) == 0) return code[at];
  for (uint32_t i = 0; i < 5 && at + i < size; i++) bits |= (uint64_t)code[at + i] << (8 * i);
  return (uint32_t)(bits >> (bit & 7) & ((1ull << nbits) - 1));
}

static inline void write_bits(uint8_t *code, uint64_t bit, uint32_t nbits, uint32_t value) {
  uint64_t bits = (uint64_t)value << (bit & 7), end = (bit & 7) + nbits;
  uint8_t *at = code + (bit >> 3);
  for (uint64_t done = 0; done < end; done += 8, bits >>= 8) *at++ |= (uint8_t)bits;
}

// What is after the indices of a code.
static inline uint32_t read_norm_bits(const cpu_additive *a, const uint8_t *code) {
  uint64_t bit = 0;
  for (uint32_t m = 0; m < a->m; m++) bit += a->nbits[m];
  return read_bits(code, a->code_size, bit, cpu_norm_bits(a->norm));
}

static inline float read_norm(const cpu_additive *a, const uint8_t *code) {
  uint32_t bits = read_norm_bits(a, code);
  if (a->norm != CPU_NORM_FLOAT) return a->norms[bits];
  float norm;
  memcpy(&norm, &bits, sizeof norm);
  // One that is no number is past all others.
  return isfinite(norm) ? norm : INFINITY;
}

#endif
