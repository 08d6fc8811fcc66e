// Centroids of a part of rows as the kernels take them.
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "cpu_kernels.h"
#include "cpu_train.h"

static uint32_t padded(uint32_t k) { return (k + 15) / 16 * 16; }

uint64_t cpu_part_floats(uint32_t dsub, uint32_t k) { return (uint64_t)(dsub + 1) * padded(k) + dsub; }

void cpu_part_prepare(cpu_part *part, const float *centroids, uint32_t dsub, uint32_t k, float *room) {
  uint32_t stride = padded(k);
  float *columns = room, *halves = columns + (size_t)dsub * stride, *mean = halves + stride;
  // About their mean, so that products lose no digits far from the origin.
  for (uint32_t c = 0; c < dsub; c++) {
    double sum = 0;
    for (uint32_t j = 0; j < k; j++) sum += centroids[(size_t)j * dsub + c];
    mean[c] = (float)(sum / k);
    for (uint32_t j = 0; j < stride; j++)
      columns[(size_t)c * stride + j] = j < k ? centroids[(size_t)j * dsub + c] - mean[c] : 0;
  }
  for (uint32_t j = 0; j < stride; j++) {
    double square = 0;
    for (uint32_t c = 0; c < dsub; c++) square += (double)columns[(size_t)c * stride + j] * columns[(size_t)c * stride + j];
    halves[j] = j < k ? (float)(square / 2) : INFINITY;
  }
  *part = (cpu_part){.dsub = dsub, .k = k, .stride = stride, .columns = columns, .halves = halves, .mean = mean};
}
