// Rows by chance.
#pragma once
#include <metal_stdlib>
using namespace metal;

struct SampleParams {
  uint rows;     // to choose among: of the list where there is one
  uint samples;  // at most as many
  uint listed;   // 1: rows are those of the list
};

// out[i] = a row of the i-th of `samples` equal parts of the rows. A thread a sample.
[[kernel]] void sample_rows(
    device const uint* list [[buffer(0)]],
    device uint* out [[buffer(1)]],
    constant SampleParams& params [[buffer(2)]],
    uint i [[thread_position_in_grid]]) {
  if (i >= params.samples) return;
  uint begin = uint(ulong(i) * params.rows / params.samples);
  uint end = uint(ulong(i + 1) * params.rows / params.samples);
  uint hash = i * 0x9e3779b9u;
  hash = (hash ^ hash >> 16) * 0x85ebca6bu;
  hash = (hash ^ hash >> 13) * 0xc2b2ae35u;
  uint at = begin + (hash ^ hash >> 16) % (end - begin);
  out[i] = params.listed != 0 ? list[at] : at;
}
