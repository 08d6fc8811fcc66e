// Merging partial sums, and exact sums in limbs.
#include <string.h>

#include "cpu_sequence.h"

static void add_kahan(cpu_sum *total, float x) {
  float y = x + (float)total->rest;
  float sum = (float)total->value + y;
  total->rest = y - (sum - (float)total->value);
  total->value = sum;
}

static void add_double(cpu_sum *total, double x) {
  double sum = total->value + x;
  double part = sum - total->value;
  total->rest += (total->value - (sum - part)) + (x - part);
  total->value = sum;
}

void cpu_sum_merge(uint32_t summation, cpu_sum *total, const cpu_sum *part) {
  total->magnitude += part->magnitude;
  if (summation == CPU_SUM_PLAIN) {
    total->value = (float)total->value + (float)part->value;
  } else if (summation == CPU_SUM_KAHAN) {
    add_kahan(total, (float)part->value);
    add_kahan(total, (float)part->rest);
  } else {
    add_double(total, part->value);
    total->rest += part->rest;
  }
}

// ±significand · 2^place units, or what is not finite.
typedef struct parts {
  uint32_t significand, place;
  bool negative, finite;
} parts;

static inline parts split(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  uint32_t exponent = (bits >> 23) & 255;
  uint32_t fraction = bits & 0x7fffff;
  return (parts){exponent ? fraction | 0x800000 : fraction, exponent ? exponent - 1 : 0, bits >> 31, exponent != 255};
}

static void add_special(cpu_limbs *total, float x) {
  if (isnan(x)) total->has_nan = 1;
  else if (x > 0) total->has_positive = 1;
  else total->has_negative = 1;
}

// Carries go up; limbs but the last end in [0, 2^32).
static void carry(cpu_limbs *total) {
  int64_t over = 0;
  for (uint32_t i = 0; i + 1 < CPU_LIMBS; i++) {
    int64_t value = total->limb[i] + over;
    over = value >> 32;
    total->limb[i] = value - over * ((int64_t)1 << 32);
  }
  total->limb[CPU_LIMBS - 1] += over;
}

// Four accumulators: a limb that was just written is slow to read again.
#define WAYS 4

void cpu_limbs_add(cpu_limbs *total, const float *x, const float *y, uint64_t n) {
  int64_t ways[WAYS][CPU_LIMBS] = {{0}};
  for (uint64_t i = 0; i < n; i++) {
    int64_t *limb = ways[i % WAYS];
    parts a = split(x[i]);
    if (y) {
      parts b = split(y[i]);
      if (!a.finite || !b.finite) {
        add_special(total, x[i] * y[i]);
        continue;
      }
      uint32_t place = a.place + b.place;
      int64_t sign = -(int64_t)(a.negative != b.negative);
      unsigned __int128 value = (unsigned __int128)((uint64_t)a.significand * b.significand) << (place % 32);
      limb += place / 32;
      limb[0] += ((int64_t)(uint32_t)value ^ sign) - sign;
      limb[1] += ((int64_t)(uint32_t)(value >> 32) ^ sign) - sign;
      limb[2] += ((int64_t)(uint32_t)(value >> 64) ^ sign) - sign;
    } else {
      if (!a.finite) {
        add_special(total, x[i]);
        continue;
      }
      int64_t sign = -(int64_t)a.negative;
      uint64_t value = (uint64_t)a.significand << (a.place % 32);
      limb += a.place / 32;
      limb[0] += ((int64_t)(uint32_t)value ^ sign) - sign;
      limb[1] += ((int64_t)(value >> 32) ^ sign) - sign;
    }
  }
  for (uint32_t way = 0; way < WAYS; way++) {
    for (uint32_t i = 0; i < CPU_LIMBS; i++) total->limb[i] += ways[way][i];
  }
  carry(total);
}

void cpu_limbs_merge(cpu_limbs *total, const cpu_limbs *part) {
  for (uint32_t i = 0; i < CPU_LIMBS; i++) total->limb[i] += part->limb[i];
  total->has_nan |= part->has_nan;
  total->has_positive |= part->has_positive;
  total->has_negative |= part->has_negative;
  carry(total);
}
