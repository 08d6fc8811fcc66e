// A plain matrix product, in blocks that stay in the cache.
#ifdef __linux__
#include <stdlib.h>
#include <string.h>

#include "include/CMetal.h"

enum { INTERIOR = 128, COLUMNS = 512 };

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

static float element(const mtl_matrix *matrix, uint64_t row, uint64_t column) {
  uint64_t r = matrix->transposed ? column : row, c = matrix->transposed ? row : column;
  const unsigned char *at = (const unsigned char *)matrix->rows + r * matrix->row_bytes;
  return matrix->half ? widen(((const uint16_t *)at)[c]) : ((const float *)at)[c];
}

static uint64_t least(uint64_t a, uint64_t b) { return a < b ? a : b; }

static void multiply_add(const float *left, const float *right, float *sums, uint64_t rows, uint64_t interior,
                         uint64_t columns) {
  for (uint64_t i = 0; i < rows; i++) {
    float *out = sums + i * COLUMNS;
    for (uint64_t p = 0; p < interior; p++) {
      float factor = left[i * INTERIOR + p];
      const float *row = right + p * COLUMNS;
      for (uint64_t j = 0; j < columns; j++) out[j] += factor * row[j];
    }
  }
}

static void store(const mtl_multiply *m, const float *sums, uint64_t row, uint64_t rows, uint64_t column, uint64_t columns) {
  for (uint64_t i = 0; i < rows; i++) {
    unsigned char *at = (unsigned char *)m->result.rows + (row + i) * m->result.row_bytes;
    for (uint64_t j = 0; j < columns; j++) {
      float value = m->alpha * sums[i * COLUMNS + j];
      // What was there may be NaN when it does not count.
      if (m->beta != 0) value += m->beta * element(&m->result, row + i, column + j);
      if (m->result.half) {
        ((uint16_t *)at)[column + j] = narrow(value);
      } else {
        ((float *)at)[column + j] = value;
      }
    }
  }
}

bool mtl_multiply_rows(const mtl_multiply *m, uint64_t block) {
  float *memory = malloc(sizeof(float) * (MTL_MULTIPLY_ROWS * (INTERIOR + COLUMNS) + INTERIOR * COLUMNS));
  if (!memory) return false;
  float *left = memory, *right = left + MTL_MULTIPLY_ROWS * INTERIOR, *sums = right + INTERIOR * COLUMNS;
  uint64_t row = block * MTL_MULTIPLY_ROWS, rows = least(MTL_MULTIPLY_ROWS, m->rows - row);
  for (uint64_t column = 0; column < m->columns; column += COLUMNS) {
    uint64_t columns = least(COLUMNS, m->columns - column);
    memset(sums, 0, sizeof(float) * MTL_MULTIPLY_ROWS * COLUMNS);
    for (uint64_t at = 0; at < m->interior; at += INTERIOR) {
      uint64_t interior = least(INTERIOR, m->interior - at);
      for (uint64_t i = 0; i < rows; i++) {
        for (uint64_t p = 0; p < interior; p++) left[i * INTERIOR + p] = element(&m->left, row + i, at + p);
      }
      for (uint64_t p = 0; p < interior; p++) {
        for (uint64_t j = 0; j < columns; j++) right[p * COLUMNS + j] = element(&m->right, at + p, column + j);
      }
      multiply_add(left, right, sums, rows, interior, columns);
    }
    store(m, sums, row, rows, column, columns);
  }
  free(memory);
  return true;
}
#endif
