// What training and rotating need: k-means over parts of rows, Walsh–Hadamard transforms.
#ifndef CPU_TRAIN_H
#define CPU_TRAIN_H

#include <stdbool.h>
#include <stdint.h>

#define CPU_PARTS_NUMBERS 4096  // most numbers of a part

// Centroids of one part of rows, less their mean, by coordinate; padded to `stride` with ones never taken.
typedef struct cpu_part {
  uint32_t dsub, k, stride;
  const float *columns;  // dsub × stride
  const float *halves;   // stride: half of each one's square
  const float *mean;     // dsub
} cpu_part;

typedef struct cpu_train_kernels {
  // Adds n parts, `apart` floats from one to the next, to the sums (k × dsub) and counts of their nearest centroids.
  // Nearness is by products in float: of two as near but for rounding it may be either.
  void (*part_add)(const cpu_part *part, const float *x, uint64_t apart, uint64_t n, double *sums, uint32_t *counts);
  // Signs and transforms n numbers three times, or back, and scales them; n is a power of two, signs 3 × n.
  void (*hadamard)(float *row, uint32_t n, const float *signs, bool inverse, float factor);
} cpu_train_kernels;

struct cpu_kernels;

// Floats that a part's columns, halves and mean take.
uint64_t cpu_part_floats(uint32_t dsub, uint32_t k);
// Fills a part from k × dsub centroids; what it points to is at `room`.
void cpu_part_prepare(cpu_part *part, const float *centroids, uint32_t dsub, uint32_t k, float *room);

#endif
