// Least squares: a matrix of counts is cut into triangles, and sums of rows go along as rows below it.
#include <math.h>
#include <string.h>

#include "cpu_additive.h"
#include "cpu_kernels.h"

uint64_t cpu_fit_rounded(uint64_t n) { return (n + CPU_FIT_BLOCK - 1) / CPU_FIT_BLOCK * CPU_FIT_BLOCK; }

void cpu_fit_start(cpu_fit *fit, const float *x, const uint32_t *indices, uint64_t n, uint32_t d, uint32_t m,
                   uint32_t ksub, float lambda) {
  double *matrix = fit->matrix;
  uint64_t size = fit->size;
  memset(matrix, 0, (size + fit->depth) * size * sizeof *matrix);
  for (uint64_t i = 0; i < n; i++, indices += m, x += d) {
    for (uint32_t j = 0; j < m; j++) {
      uint64_t row = (uint64_t)j * ksub + indices[j];
      for (uint32_t l = 0; l <= j; l++) matrix[row * size + (uint64_t)l * ksub + indices[l]] += 1;
      double *sums = matrix + size * size + row;
      for (uint32_t c = 0; c < d; c++) sums[c * size] += x[c];
    }
  }
  for (uint64_t i = 0; i < size; i++) matrix[i * size + i] += i < fit->rows ? lambda : 1;
}

bool cpu_fit_square(cpu_fit *fit, uint64_t block) {
  uint64_t size = fit->size, first = block * CPU_FIT_BLOCK;
  double *square = fit->matrix + first * size + first;
  for (uint32_t i = 0; i < CPU_FIT_BLOCK; i++) {
    for (uint32_t j = 0; j <= i; j++) {
      double sum = square[i * size + j];
      for (uint32_t k = 0; k < j; k++) sum -= square[i * size + k] * square[j * size + k];
      if (i == j && !(sum > 0)) return false;
      square[i * size + j] = i == j ? sqrt(sum) : sum / square[j * size + j];
    }
  }
  return true;
}

void cpu_fit_below(cpu_fit *fit, uint64_t block, uint64_t row) {
  uint64_t size = fit->size, first = block * CPU_FIT_BLOCK;
  const double *square = fit->matrix + first * size + first;
  for (uint64_t i = row; i < row + CPU_FIT_BLOCK; i++) {
    double *out = fit->matrix + i * size + first;
    for (uint32_t j = 0; j < CPU_FIT_BLOCK; j++) {
      double sum = out[j];
      for (uint32_t k = 0; k < j; k++) sum -= out[k] * square[j * size + k];
      out[j] = sum / square[j * size + j];
    }
  }
}

void cpu_fit_rest(const cpu_kernels *kernels, cpu_fit *fit, uint64_t block, uint64_t row) {
  uint64_t size = fit->size, first = block * CPU_FIT_BLOCK, next = first + CPU_FIT_BLOCK;
  const double *left = fit->matrix + row * size + first;
  // Of the triangle only what is left of the diagonal.
  uint64_t end = row < size ? row + CPU_FIT_BLOCK : size;
  for (uint64_t column = next; column < end; column += CPU_FIT_BLOCK) {
    const double *right = fit->matrix + column * size + first;
    cpu_additive_table(kernels)->subtract(left, CPU_FIT_BLOCK, right, CPU_FIT_BLOCK, size,
                                          fit->matrix + row * size + column);
  }
}

void cpu_fit_solve(const cpu_kernels *kernels, cpu_fit *fit, uint64_t coordinate) {
  uint64_t size = fit->size;
  double *rows = fit->matrix + (size + coordinate) * size, factors[CPU_FIT_ROWS];
  for (uint64_t i = size; i-- > 0;) {
    const double *row = fit->matrix + i * size;
    for (uint32_t r = 0; r < CPU_FIT_ROWS; r++) factors[r] = rows[r * size + i] /= row[i];
    cpu_additive_table(kernels)->eliminate(row, i, factors, rows, size);
  }
}
