// Exact top-k of rows of numbers and of sorted lists, in any order of the data.
#pragma once
#include <metal_stdlib>
#include "select.h"
using namespace metal;

constant constexpr uint TOPK_LIMIT = 2048;
constant constexpr uint TOPK_THREADS = 256;

// No place, and no label: −1.
constant constexpr uint NO_KEY = 0xffffffffu;

struct TopkParams {
  uint rows;
  uint columns;    // numbers a row; of merges: parts × length of a part
  uint stride;     // numbers from a row to the next
  uint k;          // 1 … 2,048
  uint parts;      // pieces that a row is cut into, each with a result of its own; 1 for merges
  uint largest;    // 1: largest first
  uint relabeled;  // 1: results are labels[i] in place of i
};

// Keys ascend from the best. NaN and the worst infinity have none: they are no distances.
inline uint topk_key(float value, bool largest) {
  if (isnan(value) || value == (largest ? -INFINITY : INFINITY)) return NO_KEY;
  uint order = ordered(value == 0.0f ? 0.0f : value);
  return largest ? ~order : order;
}

inline float topk_value(uint key, bool largest) {
  if (key == NO_KEY) return largest ? -INFINITY : INFINITY;
  return unordered(largest ? ~key : key);
}

// A piece of a row. Ties go to the lower column.
struct TopkColumns {
  typedef uint Tie;
  device const float* values;
  uint first;
  bool largest;
  uint key(uint i) const { return topk_key(values[i], largest); }
  Tie tie(uint i) const { return first + i; }
};

// Lists one after the other. Ties go to the lower label; a label of −1 is none.
template <typename L>
struct TopkLists {
  typedef L Tie;
  device const float* values;
  device const L* labels;
  bool largest;
  uint key(uint i) const { return labels[i] == L(-1) ? NO_KEY : topk_key(values[i], largest); }
  Tie tie(uint i) const { return labels[i]; }
};

// What radix_select reads: the keys; then, of those equal to `key`, a word of the tie; then the one below.
template <typename Source>
struct KeyAt {
  Source source;
  uint operator()(uint i) const { return source.key(i); }
};

inline uint tie_word(uint tie, bool) { return tie; }
// Signed labels in their order.
inline uint tie_word(long tie, bool high) { return high ? uint(ulong(tie) >> 32) ^ 0x80000000u : uint(tie); }

inline void join_tie(uint, uint low, thread uint& tie) { tie = low; }
inline void join_tie(uint high, uint low, thread long& tie) { tie = long(ulong(high ^ 0x80000000u) << 32 | low); }

template <typename Source>
struct TieAt {
  Source source;
  uint key;
  bool high;
  uint above;  // the high word, where the low one is read
  uint operator()(uint i) const {
    if (source.key(i) != key) return NO_KEY;
    typename Source::Tie tie = source.tie(i);
    return high || tie_word(tie, true) == above ? tie_word(tie, high) : NO_KEY;
  }
};

// The winners, in threadgroup memory.
template <typename Tie>
struct Winners {
  uint keys[TOPK_LIMIT];
  Tie ties[TOPK_LIMIT];
};

template <typename Tie>
struct WinnerBefore {
  threadgroup Winners<Tie>* winners;
  bool operator()(uint i, uint j) const {
    uint key_i = winners->keys[i];
    uint key_j = winners->keys[j];
    return key_i < key_j || (key_i == key_j && winners->ties[i] < winners->ties[j]);
  }
};

template <typename Tie>
struct ExchangeWinners {
  threadgroup Winners<Tie>* winners;
  void operator()(uint i, uint j) const {
    uint key = winners->keys[i];
    Tie tie = winners->ties[i];
    winners->keys[i] = winners->keys[j];
    winners->ties[i] = winners->ties[j];
    winners->keys[j] = key;
    winners->ties[j] = tie;
  }
};

// The best k of n, sorted; returns how many there are. Every thread calls it.
template <typename Source>
inline uint topk(
    Source source, uint n, uint k, threadgroup Winners<typename Source::Tie>& winners,
    threadgroup RadixSelect& radix, threadgroup atomic_uint& count, uint thread_index) {
  typedef typename Source::Tie Tie;
  // Few fit in whole; of many, what is before the k-th does: by key, then by tie.
  uint last = NO_KEY - 1;
  Tie last_tie = 0;
  bool tied = false;
  if (n > TOPK_LIMIT) {
    last = radix_select(radix, KeyAt<Source>{source}, n, k, thread_index, TOPK_THREADS);
    uint left = radix.left;
    uint equal = atomic_load_explicit(&radix.counts[last & 255], memory_order_relaxed);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    tied = last != NO_KEY && left < equal;
    if (tied) {
      bool wide = sizeof(Tie) == 8;
      uint high = 0;
      if (wide) {
        high = radix_select(radix, TieAt<Source>{source, last, true, 0}, n, left, thread_index, TOPK_THREADS);
        left = radix.left;
      }
      TieAt<Source> at = {source, last, !wide, high};
      join_tie(high, radix_select(radix, at, n, left, thread_index, TOPK_THREADS), last_tie);
    }
  }

  if (thread_index == 0) atomic_store_explicit(&count, 0, memory_order_relaxed);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  for (uint i = thread_index; i < n; i += TOPK_THREADS) {
    uint key = source.key(i);
    if (key == NO_KEY || key > last) continue;
    Tie tie = source.tie(i);
    if (tied && key == last && !(tie < last_tie)) continue;
    uint at = atomic_fetch_add_explicit(&count, 1, memory_order_relaxed);
    winners.keys[at] = key;
    winners.ties[at] = tie;
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  uint found = atomic_load_explicit(&count, memory_order_relaxed);
  if (tied) {
    // The k-th itself, as often as a list repeats it.
    for (uint i = found + thread_index; i < k; i += TOPK_THREADS) {
      winners.keys[i] = last;
      winners.ties[i] = last_tie;
    }
    found = k;
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }
  bitonic_sort(found, WinnerBefore<Tie>{&winners}, ExchangeWinners<Tie>{&winners}, thread_index, TOPK_THREADS);
  return min(found, k);
}

// Sorted winners to device memory, with what is missing as (worst infinity, −1).
template <typename Tie, typename L>
inline void store_winners(
    threadgroup const Winners<Tie>& winners, uint found, device float* values, device L* labels,
    device const L* relabel, constant TopkParams& params, uint thread_index) {
  for (uint i = thread_index; i < params.k; i += TOPK_THREADS) {
    bool there = i < found;
    values[i] = topk_value(there ? winners.keys[i] : NO_KEY, params.largest != 0);
    L label = L(-1);
    if (there) label = params.relabeled != 0 ? relabel[winners.ties[i]] : L(winners.ties[i]);
    labels[i] = label;
  }
}

// Best k of each piece of each row: out[row, part, 0 … k − 1]. 256 threads a group; rows · parts groups.
template <typename L>
[[kernel, max_total_threads_per_threadgroup(256)]] void topk_rows(
    device const float* values [[buffer(0)]],
    device const L* relabel [[buffer(1)]],
    device float* out_values [[buffer(2)]],
    device L* out_labels [[buffer(3)]],
    constant TopkParams& params [[buffer(4)]],
    uint group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  threadgroup Winners<uint> winners;
  threadgroup RadixSelect radix;
  threadgroup atomic_uint count;
  uint row = group / params.parts;
  uint length = (params.columns + params.parts - 1) / params.parts;
  uint first = min(group % params.parts * length, params.columns);
  bool largest = params.largest != 0;
  TopkColumns source = {values + ulong(row) * params.stride + first, first, largest};
  uint n = min(length, params.columns - first);
  uint found = topk(source, n, params.k, winners, radix, count, thread_index);
  ulong at = ulong(group) * params.k;
  store_winners(winners, found, out_values + at, out_labels + at, relabel, params, thread_index);
}

// Best k of the lists of each row: out[row, 0 … k − 1]. Lists may hold anything in any order; a label of −1
// is skipped. 256 threads a group; `rows` groups.
template <typename In, typename L>
[[kernel, max_total_threads_per_threadgroup(256)]] void topk_merge(
    device const float* values [[buffer(0)]],
    device const In* labels [[buffer(1)]],
    device const L* relabel [[buffer(2)]],
    device float* out_values [[buffer(3)]],
    device L* out_labels [[buffer(4)]],
    constant TopkParams& params [[buffer(5)]],
    uint group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  threadgroup Winners<In> winners;
  threadgroup RadixSelect radix;
  threadgroup atomic_uint count;
  ulong first = ulong(group) * params.stride;
  TopkLists<In> source = {values + first, labels + first, params.largest != 0};
  uint found = topk(source, params.columns, params.k, winners, radix, count, thread_index);
  ulong at = ulong(group) * params.k;
  store_winners(winners, found, out_values + at, out_labels + at, relabel, params, thread_index);
}
