// Sizes of products with few columns.
#pragma once
#include <metal_stdlib>
using namespace metal;

// A is m × n; V is n × k, B m × k. A line is the elements from a row, as it lies, to the next.
struct TallParams {
  uint m;
  uint n;
  uint k;
  uint line_a;
  uint line_b;  // of V or B
  uint line_c;
  float alpha;
  float beta;      // 0: C is not read
  uint by_fours;   // bit 0: rows of A start at multiples of four elements, also in memory; bit 1: those of V or B
  uint rows;       // of a chunk of Aᵀ·B; chunk i writes `apart` floats · i behind C
  uint apart;
  uint chunks;     // of tall_sum: how many it adds up
};
