// Bits that differ between codes.
#pragma once
#include <metal_stdlib>
using namespace metal;

struct HammingParams {
  uint nx;
  uint ny;
  uint words;  // of 32 bits a code
};

// out[i, j] = bits that differ between code i of x and code j of y. A thread a pair; grid: ny × nx.
[[kernel]] void hamming_distances(
    device const uint* x [[buffer(0)]],
    device const uint* y [[buffer(1)]],
    device float* out [[buffer(2)]],
    constant HammingParams& params [[buffer(3)]],
    uint2 at [[thread_position_in_grid]]) {
  if (at.x >= params.ny || at.y >= params.nx) return;
  device const uint* a = x + ulong(at.y) * params.words;
  device const uint* b = y + ulong(at.x) * params.words;
  uint bits = 0;
  for (uint i = 0; i < params.words; i++) bits += popcount(a[i] ^ b[i]);
  out[ulong(at.y) * params.ny + at.x] = float(bits);
}
