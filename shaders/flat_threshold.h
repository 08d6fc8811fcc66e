// From keys of a sample to bounds.
#pragma once
#include "flat.h"

struct FlatThreshold {
  uint samples;
  uint rank;  // of the sample's keys, from 1
  uint fresh; // nonzero: keys are distances, and nothing is known of the queries yet
  uint width4;
};

struct OrderedKeys {
  device const float* keys;
  uint operator()(uint i) const { return ordered(keys[i] == UNKNOWN_KEY ? INFINITY : keys[i]); }
};

// bound = the rank-th smallest of a query's sampled keys. Fresh queries are also copied, from where the host wrote
// them to where a scan reads them often. Up to 1,024 threads a group, a group a query.
[[kernel]] void flat_threshold(
    device const float* keys [[buffer(0)]],
    device QueryTerms* query_terms [[buffer(1)]],
    device uint* counts [[buffer(2)]],
    device const float4* queries [[buffer(3)]],
    device float4* copies [[buffer(4)]],
    constant FlatThreshold& params [[buffer(5)]],
    uint query [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]],
    uint threads [[threads_per_threadgroup]]) {
  threadgroup RadixSelect memory;
  OrderedKeys at = {keys + ulong(query) * params.samples};
  uint order = radix_select(memory, at, params.samples, params.rank, thread_index, threads);
  if (params.fresh != 0) {
    ulong base = ulong(query) * params.width4;
    for (uint i = thread_index; i < params.width4; i += threads) copies[base + i] = queries[base + i];
  }
  if (thread_index == 0) {
    if (params.fresh != 0) query_terms[query] = QueryTerms{1.0f, 0.0f, 0.0f, INFINITY};
    query_terms[query].bound = unordered(order);
    counts[query] = 0;
  }
}
