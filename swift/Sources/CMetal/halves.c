// Results in 16 bits.
#ifdef __linux__
#include <string.h>

#include "include/CMetal.h"

// By hand: compilers of old processors call a library for half, which may not be there.
static float widen(uint16_t half) {
  uint32_t sign = (uint32_t)(half & 0x8000) << 16, rest = half & 0x7fff, bits;
  float value;
  if (rest >= 0x7c00) {
    bits = 0x7f800000 | (rest & 0x3ff) << 13;
  } else {
    bits = rest << 13;  // its exponent is 112 too low
    memcpy(&value, &bits, sizeof value);
    value *= 0x1p112f;
    memcpy(&bits, &value, sizeof bits);
  }
  bits |= sign;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static uint16_t narrow(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  uint32_t sign = bits >> 16 & 0x8000, rest = bits & 0x7fffffff;
  if (rest > 0x7f800000) return (uint16_t)(sign | 0x7e00);
  if (rest >= 0x477ff000) return (uint16_t)(sign | 0x7c00);
  if (rest < 0x38800000) {  // below the normal ones: the sum rounds to their step
    float tiny;
    memcpy(&tiny, &rest, sizeof tiny);
    tiny += 0.5f;
    memcpy(&rest, &tiny, sizeof rest);
    return (uint16_t)(sign | (rest - 0x3f000000));
  }
  return (uint16_t)(sign | (rest - 0x38000000 + 0xfff + (rest >> 13 & 1)) >> 13);
}

void mtl_store_halves(const float *sums, uint16_t *halves, uint64_t count, float beta) {
  // What was there may be NaN when it does not count.
  for (uint64_t i = 0; i < count; i++) halves[i] = narrow(beta == 0 ? sums[i] : sums[i] + beta * widen(halves[i]));
}
#endif
