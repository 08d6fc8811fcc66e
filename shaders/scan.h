// Prefix sums by one threadgroup.
#pragma once
#include <metal_stdlib>
using namespace metal;

// The sum of the values of the threads before this one, and that of all. Every thread calls it; `threads` is a
// multiple of 32, at most 1,024; `memory` holds 33.
inline uint prefix_sum(
    uint value, threadgroup uint* memory, uint thread_index, uint threads, thread uint& total) {
  uint before = simd_prefix_exclusive_sum(value);
  if (thread_index % 32 == 31) memory[thread_index / 32] = before + value;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (thread_index < 32) {
    uint part = thread_index < threads / 32 ? memory[thread_index] : 0;
    uint start = simd_prefix_exclusive_sum(part);
    memory[thread_index] = start;
    if (thread_index == 31) memory[32] = start + part;
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  before += memory[thread_index / 32];
  total = memory[32];
  threadgroup_barrier(mem_flags::mem_threadgroup);
  return before;
}
