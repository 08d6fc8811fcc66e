// Search of inverted lists: rows of a list lie together, list after list. As in flat.h, what may be among the
// nearest k is found by its key and computed again exactly by flat_select; a bound comes from a sample of each
// query's nearest lists. Batches are grouped by list, so that a list is read once for many queries.
#pragma once
#include "flat_select.h"

struct IVFSearch {
  uint nq;
  uint nprobe;
  uint nlist;
  uint width4;
  uint capacity;  // candidates a query
  uint samples;   // rows a query that its bound is taken from, at most 4,096
  uint rank;      // of the sampled keys, from 1
  uint strip;     // rows of a list that a threadgroup looks at
  uint filtered;  // nonzero: only rows in the bitmap
};

inline bool selected(device const uchar* bitmap, uint row, uint filtered) {
  return filtered == 0 || (bitmap[row / 8] >> (row % 8) & 1) != 0;
}

// bound = the rank-th smallest key of rows sampled from a query's nearest lists, of as many lists as hold
// enough rows; INFINITY where all of them hold fewer than rank. 256 threads a group, a group a query.
template <typename T, int METRIC>
[[kernel, max_total_threads_per_threadgroup(256)]] void ivf_bound(
    device const float4* queries [[buffer(0)]],
    device QueryTerms* query_terms [[buffer(1)]],
    device const vec<T, 4>* x [[buffer(2)]],
    device const float* terms [[buffer(3)]],
    device const float4* center [[buffer(4)]],
    device const uint* offsets [[buffer(5)]],
    device const long* probes [[buffer(6)]],
    device const uchar* bitmap [[buffer(7)]],
    device uint* counts [[buffer(8)]],
    constant IVFSearch& params [[buffer(9)]],
    uint query [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  constexpr uint MOST = 4096;
  threadgroup RadixSelect memory;
  threadgroup uint keys[MOST];
  threadgroup uint shared_rows;
  threadgroup uint shared_lists;
  device const long* mine = probes + ulong(query) * params.nprobe;
  if (thread_index == 0) {
    uint rows = 0;
    uint lists = 0;
    for (; lists < params.nprobe && rows < params.samples; lists++) {
      if (mine[lists] >= 0) rows += offsets[mine[lists] + 1] - offsets[mine[lists]];
    }
    shared_rows = rows;
    shared_lists = lists;
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  uint rows = shared_rows;
  uint samples = min(rows, params.samples);
  ushort part = thread_index % 8;
  for (uint start = 0; start < samples; start += 32) {
    uint sample = min(start + thread_index / 8, samples - 1);
    // In 64 bits: both are up to 2^32.
    uint left = uint(ulong(sample) * rows / samples);
    uint row = 0;
    for (uint i = 0; i < shared_lists; i++) {
      if (mine[i] < 0) continue;
      uint first = offsets[mine[i]];
      uint length = offsets[mine[i] + 1] - first;
      if (left < length) {
        row = first + left;
        break;
      }
      left -= length;
    }
    float sum = 0.0f;
#pragma unroll 4
    for (uint i = part; i < params.width4; i += 8) {
      float4 value = float4(x[ulong(row) * params.width4 + i]) - center[i];
      sum = accumulate<false>(sum, queries[ulong(query) * params.width4 + i], value);
    }
    for (ushort step = 4; step > 0; step /= 2) sum += simd_shuffle_xor(sum, step);
    if (part == 0 && start + thread_index / 8 < samples) {
      float key = flat_key<METRIC>(sum, terms[row], query_terms[query].scale);
      keys[sample] = ordered(selected(bitmap, row, params.filtered) && key < INFINITY ? key : INFINITY);
    }
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  float bound = INFINITY;
  if (samples >= params.rank) {
    StagedUppers staged = {keys};
    bound = unordered(radix_select(memory, staged, samples, params.rank, thread_index, 256));
  }
  if (thread_index == 0) {
    query_terms[query].bound = bound;
    counts[query] = 0;
  }
}

struct EmitSelected {
  threadgroup const QueryTerms* query_terms;
  device const uchar* bitmap;
  device atomic_uint* counts;
  device uint2* found;
  uint capacity;
  uint query;
  uint filtered;
};

template <int METRIC>
struct EmitFromList {
  EmitSelected to;

  void operator()(ushort, uint, uint row, float sum, float term) const {
    float key = flat_key<METRIC>(sum, term, to.query_terms[0].scale);
    if (key <= to.query_terms[0].bound && selected(to.bitmap, row, to.filtered)) {
      append(to.counts, to.found, to.capacity, to.query, key, row);
    }
  }
};

// A strip of one probed list of one query, by one threadgroup.
template <typename T, int METRIC>
struct ListScan {
  device const float4* queries;
  device const QueryTerms* query_terms;
  device const vec<T, 4>* x;
  device const float* terms;
  device const float4* center;
  device const uint* offsets;
  device const long* probes;

  // known: where the query's terms go; emit reads them there. probe: of all queries' probes.
  template <typename Emit>
  void run(
      constant IVFSearch& params, threadgroup float4* staged, threadgroup QueryTerms* known, thread const Emit& emit,
      uint probe, uint strip, uint thread_index, uint threads) const {
    long list = probes[probe];
    if (list < 0) return;
    uint from = offsets[list] + strip * params.strip;
    uint end = min(offsets[list + 1], from + params.strip);
    if (from >= end) return;
    uint query = probe / params.nprobe;
    stage_queries<1>(queries, staged, query, params.nq, params.width4, thread_index, threads);
    if (thread_index == 0) known[0] = query_terms[query];
    threadgroup_barrier(mem_flags::mem_threadgroup);
    direct_rows<T, METRIC, false, 1, false>(
        staged, x, terms, center, offsets, params.width4, emit, from, end, thread_index, threads);
  }
};

// Few queries: a strip of one probed list of one query a group. 256 threads a group; groups: strips × (nq · nprobe).
// Threadgroup memory 0: width4 float4.
template <typename T, int METRIC>
[[kernel, max_total_threads_per_threadgroup(256)]] void ivf_scan(
    device const float4* queries [[buffer(0)]],
    device const QueryTerms* query_terms [[buffer(1)]],
    device const vec<T, 4>* x [[buffer(2)]],
    device const float* terms [[buffer(3)]],
    device const float4* center [[buffer(4)]],
    device const uint* offsets [[buffer(5)]],
    device const long* probes [[buffer(6)]],
    device const uchar* bitmap [[buffer(7)]],
    device atomic_uint* counts [[buffer(8)]],
    device uint2* found [[buffer(9)]],
    constant IVFSearch& params [[buffer(10)]],
    threadgroup float4* staged [[threadgroup(0)]],
    uint2 group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  threadgroup QueryTerms known[1];
  uint query = group.y / params.nprobe;
  EmitFromList<METRIC> emit = {{known, bitmap, counts, found, params.capacity, query, params.filtered}};
  ListScan<T, METRIC> scan = {queries, query_terms, x, terms, center, offsets, probes};
  scan.run(params, staged, known, emit, group.y, group.x, thread_index, 256);
}

// As ivf_scan, with any multiple of 32 threads a group: what 256 of them are compared with.
template <typename T, int METRIC>
[[kernel]] void ivf_scan_sized(
    device const float4* queries [[buffer(0)]],
    device const QueryTerms* query_terms [[buffer(1)]],
    device const vec<T, 4>* x [[buffer(2)]],
    device const float* terms [[buffer(3)]],
    device const float4* center [[buffer(4)]],
    device const uint* offsets [[buffer(5)]],
    device const long* probes [[buffer(6)]],
    device const uchar* bitmap [[buffer(7)]],
    device atomic_uint* counts [[buffer(8)]],
    device uint2* found [[buffer(9)]],
    constant IVFSearch& params [[buffer(10)]],
    threadgroup float4* staged [[threadgroup(0)]],
    uint2 group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]],
    uint2 threads [[threads_per_threadgroup]]) {
  threadgroup QueryTerms known[1];
  uint query = group.y / params.nprobe;
  EmitFromList<METRIC> emit = {{known, bitmap, counts, found, params.capacity, query, params.filtered}};
  ListScan<T, METRIC> scan = {queries, query_terms, x, terms, center, offsets, probes};
  scan.run(params, staged, known, emit, group.y, group.x, thread_index, threads.x);
}

// Every row has its place among its query's pairs; where there is a filter, those that pass get the next one.
template <int METRIC>
struct EmitEvery {
  threadgroup const QueryTerms* query_terms;
  device const uchar* bitmap;
  device atomic_uint* counts;
  device uint2* found;
  uint capacity;
  uint query;
  uint filtered;
  uint place;  // of the list's first row
  uint first;  // that row

  void operator()(ushort, uint, uint row, float sum, float term) const {
    float key = flat_key<METRIC>(sum, term, query_terms[0].scale);
    if (filtered == 0) {
      found[ulong(query) * capacity + place + (row - first)] = uint2(as_type<uint>(key), row);
    } else if (selected(bitmap, row, filtered)) {
      append(counts, found, capacity, query, key, row);
    }
  }
};

// Pairwise keys, for a selection of its own: places[probe] is where a probed list's rows begin among the query's
// pairs. 256 threads a group; groups: strips × (nq · nprobe). Threadgroup memory 0: width4 float4.
template <typename T, int METRIC>
[[kernel, max_total_threads_per_threadgroup(256)]] void ivf_keys(
    device const float4* queries [[buffer(0)]],
    device const QueryTerms* query_terms [[buffer(1)]],
    device const vec<T, 4>* x [[buffer(2)]],
    device const float* terms [[buffer(3)]],
    device const float4* center [[buffer(4)]],
    device const uint* offsets [[buffer(5)]],
    device const long* probes [[buffer(6)]],
    device const uchar* bitmap [[buffer(7)]],
    device atomic_uint* counts [[buffer(8)]],
    device uint2* found [[buffer(9)]],
    device const uint* places [[buffer(10)]],
    constant IVFSearch& params [[buffer(11)]],
    threadgroup float4* staged [[threadgroup(0)]],
    uint2 group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  threadgroup QueryTerms known[1];
  uint query = group.y / params.nprobe;
  uint first = probes[group.y] < 0 ? 0 : offsets[probes[group.y]];
  EmitEvery<METRIC> emit = {
      known, bitmap, counts, found, params.capacity, query, params.filtered, places[group.y], first};
  ListScan<T, METRIC> scan = {queries, query_terms, x, terms, center, offsets, probes};
  scan.run(params, staged, known, emit, group.y, group.x, thread_index, 256);
}

// sizes[list] = how many queries probe it. sizes starts as zeros. One thread a probe.
[[kernel]] void ivf_count(
    device const long* probes [[buffer(0)]],
    device atomic_uint* sizes [[buffer(1)]],
    constant uint& n [[buffer(2)]],
    uint i [[thread_position_in_grid]]) {
  if (i < n && probes[i] >= 0) atomic_fetch_add_explicit(&sizes[probes[i]], 1, memory_order_relaxed);
}

// starts[list] = probes of the lists before; tiles[list] = tiles of them, each of one list and up to `height`
// queries. Both have nlist + 1 places; cursors becomes a copy of starts. 1,024 threads, one group.
[[kernel, max_total_threads_per_threadgroup(1024)]] void ivf_group(
    device const uint* sizes [[buffer(0)]],
    device uint* starts [[buffer(1)]],
    device uint* tiles [[buffer(2)]],
    device uint* cursors [[buffer(3)]],
    constant uint& nlist [[buffer(4)]],
    constant uint& height [[buffer(5)]],
    uint thread_index [[thread_index_in_threadgroup]],
    uint threads [[threads_per_threadgroup]],
    uint lane [[thread_index_in_simdgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]]) {
  threadgroup uint2 totals[32];
  uint2 before = uint2(0);
  for (uint base = 0; base < nlist; base += threads) {
    uint list = base + thread_index;
    uint size = list < nlist ? sizes[list] : 0;
    uint2 mine = uint2(size, (size + height - 1) / height);
    uint2 prefix = uint2(simd_prefix_exclusive_sum(mine.x), simd_prefix_exclusive_sum(mine.y));
    if (lane == 31) totals[simdgroup] = prefix + mine;
    threadgroup_barrier(mem_flags::mem_threadgroup);
    uint2 sum = uint2(0);
    for (uint i = 0; i < threads / 32; i++) {
      if (i == simdgroup) prefix += before + sum;
      sum += totals[i];
    }
    if (list < nlist) {
      starts[list] = prefix.x;
      cursors[list] = prefix.x;
      tiles[list] = prefix.y;
    }
    before += sum;
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }
  if (thread_index == 0) {
    starts[nlist] = before.x;
    tiles[nlist] = before.y;
  }
}

// grouped: the queries of each list, list after list. One thread a probe.
[[kernel]] void ivf_scatter(
    device const long* probes [[buffer(0)]],
    device atomic_uint* cursors [[buffer(1)]],
    device uint* grouped [[buffer(2)]],
    constant uint2& shape [[buffer(3)]],  // probes in all, probes a query
    uint i [[thread_position_in_grid]]) {
  if (i >= shape.x || probes[i] < 0) return;
  grouped[atomic_fetch_add_explicit(&cursors[probes[i]], 1, memory_order_relaxed)] = i / shape.y;
}

// Many queries: a tile of the queries that probe a list with a strip of its rows. 256 threads a group; groups: at
// least as many as there are tiles × strips.
template <typename T, int METRIC, int TM, int TN, int MM, int MN>
[[kernel, max_total_threads_per_threadgroup(256)]] void ivf_scan_grouped(
    device const float4* queries [[buffer(0)]],
    device const QueryTerms* query_terms [[buffer(1)]],
    device const vec<T, 4>* x [[buffer(2)]],
    device const float* terms [[buffer(3)]],
    device const float4* center [[buffer(4)]],
    device const uint* offsets [[buffer(5)]],
    device const uint* starts [[buffer(6)]],
    device const uint* tiles [[buffer(7)]],
    device const uint* grouped [[buffer(8)]],
    device const uchar* bitmap [[buffer(9)]],
    device atomic_uint* counts [[buffer(10)]],
    device uint2* found [[buffer(11)]],
    constant IVFSearch& params [[buffer(12)]],
    uint2 group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  using Tile = DotTile<T, TM, TN, MM, MN>;
  threadgroup float memory[Tile::FLOATS];
  Tile tile(memory, thread_index);
  if (group.x >= tiles[params.nlist]) return;
  uint list = 0;  // the last whose tiles begin at or before this one
  for (uint high = params.nlist; high - list > 1;) {
    uint middle = (list + high) / 2;
    if (tiles[middle] <= group.x) {
      list = middle;
    } else {
      high = middle;
    }
  }
  uint begin = offsets[list] + group.y * params.strip;
  uint end = min(offsets[list + 1], begin + params.strip);
  if (begin >= end) return;
  uint first = starts[list] + (group.x - tiles[list]) * TM;
  uint last = starts[list + 1];
  float bounds[MM];
  float scales[MM];
  for (ushort m = 0; m < MM; m++) {
    uint at = first + tile.row_of(m);
    QueryTerms known = query_terms[grouped[min(at, last - 1)]];
    bounds[m] = at < last ? known.bound : -INFINITY;
    scales[m] = known.scale;
  }
  typename Tile::Sources from;
  for (ushort i = 0; i < Tile::LOADS_A; i++) {
    uint query = grouped[min(first + tile.source_row(i), last - 1)];
    from.a[i] = queries + ulong(query) * params.width4 + tile.half_slab();
  }
  for (uint start = begin; start < end; start += TN) {
    for (ushort i = 0; i < Tile::LOADS_B; i++) {
      ulong row = min(start + tile.source_row(i), end - 1);
      from.b[i] = x + row * params.width4 + tile.half_slab();
    }
    float sums[MM][MN];
    tile.compute(sums, from, center, params.width4);
    for (ushort n = 0; n < MN; n++) {
      uint row = start + tile.column_of(n);
      if (row >= end) continue;
      float term = terms[row];
      for (ushort m = 0; m < MM; m++) {
        float key = flat_key<METRIC>(sums[m][n], term, scales[m]);
        if (!(key <= bounds[m]) || !selected(bitmap, row, params.filtered)) continue;
        append(counts, found, params.capacity, grouped[first + tile.row_of(m)], key, row);
      }
    }
  }
}
