// The k-th smallest of many numbers, and sorting of a few, by one threadgroup.
#pragma once
#include <metal_stdlib>
using namespace metal;

// Floats as integers in the same order.
inline uint ordered(float value) {
  uint bits = as_type<uint>(value);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

inline float unordered(uint order) {
  return as_type<float>(order & 0x80000000u ? order & 0x7fffffffu : ~order);
}

// What radix_select keeps in threadgroup memory.
struct RadixSelect {
  atomic_uint counts[256];
  uint prefix;
  uint left;
};

// The rank-th smallest (from 1) of the ordered() numbers that at(0 … n − 1) gives; every thread calls it
// with 1 <= rank <= n and gets it. A digit of eight bits at a time, from the top.
template <typename At>
inline uint radix_select(threadgroup RadixSelect& memory, At at, uint n, uint rank, uint thread_index, uint threads) {
  uint prefix = 0;
  for (int shift = 24; shift >= 0; shift -= 8) {
    for (uint i = thread_index; i < 256; i += threads) {
      atomic_store_explicit(&memory.counts[i], 0, memory_order_relaxed);
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint i = thread_index; i < n; i += threads) {
      uint order = at(i);
      bool inside = shift == 24 || order >> (shift + 8) == prefix >> (shift + 8);
      if (inside) atomic_fetch_add_explicit(&memory.counts[order >> shift & 255], 1, memory_order_relaxed);
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (thread_index < 32) {
      uint mine[8];
      uint sum = 0;
      for (ushort i = 0; i < 8; i++) {
        mine[i] = atomic_load_explicit(&memory.counts[thread_index * 8 + i], memory_order_relaxed);
        sum += mine[i];
      }
      uint before = simd_prefix_exclusive_sum(sum);
      if (before < rank && rank <= before + sum) {
        uint digit = 0;
        for (; before + mine[digit] < rank; digit++) before += mine[digit];
        memory.prefix = prefix | (thread_index * 8 + digit) << shift;
        memory.left = rank - before;
      }
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    prefix = memory.prefix;
    rank = memory.left;
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }
  return prefix;
}

// Sorts 0 … n − 1 by before(i, j), with exchange(i, j); n need be no power of two: a bitonic network whose
// comparators all point one way, so that those past the end have nothing to do.
template <typename Before, typename Exchange>
inline void bitonic_sort(uint n, Before before, Exchange exchange, uint thread_index, uint threads) {
  for (uint size = 2; size < 2 * n; size *= 2) {
    for (uint step = size / 2; step > 0; step /= 2) {
      for (uint pair = thread_index; pair < (n + size - 1) / size * (size / 2); pair += threads) {
        uint block = pair / step;
        uint low = block * step * 2 + pair % step;
        uint high = step == size / 2 ? (block + 1) * step * 2 - 1 - pair % step : low + step;
        if (high < n && before(high, low)) exchange(low, high);
      }
      threadgroup_barrier(mem_flags::mem_threadgroup);
    }
  }
}
