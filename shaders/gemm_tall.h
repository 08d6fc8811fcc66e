// Products with few columns: C = A·V and Z = Aᵀ·B, the halves of a Z-step. Sums and results in float.
#pragma once
#include <metal_stdlib>
#include "tall_params.h"
using namespace metal;

// ROWS × COLUMNS elements into registers, four a step: `rows` × `columns` of them are there, zeros past those.
template <typename T, uint ROWS, uint COLUMNS, uint THREADS>
inline void fetch_fours(
    device const T* from, uint line, uint rows, uint columns, bool by_fours, thread float4* held, uint thread_index) {
#pragma unroll
  for (uint step = 0; step < (ROWS * COLUMNS + THREADS * 4 - 1) / (THREADS * 4); step++) {
    uint at = (step * THREADS + thread_index) * 4;
    uint o = at / COLUMNS;
    uint i = at % COLUMNS;
    float4 four = float4(0.0f);
    if (o < min(rows, ROWS) && i < columns) {
      device const T* start = from + ulong(o) * line + i;
      if (by_fours && i + 4 <= columns) {
        four = float4(*(device const vec<T, 4>*)start);
      } else {
        for (uint j = 0; j < 4; j++) {
          if (i + j < columns) four[j] = float(start[j]);
        }
      }
    }
    held[step] = four;
  }
}

// What fetch_fours left, in lines of LINE floats.
template <uint ROWS, uint COLUMNS, uint LINE, uint THREADS>
inline void put_fours(thread const float4* held, threadgroup float4* to, uint thread_index) {
#pragma unroll
  for (uint step = 0; step < (ROWS * COLUMNS + THREADS * 4 - 1) / (THREADS * 4); step++) {
    uint at = (step * THREADS + thread_index) * 4;
    if (at < ROWS * COLUMNS) to[(at / COLUMNS * LINE + at % COLUMNS) / 4] = held[step];
  }
}

// float4s of registers that a thread needs for that.
template <uint ROWS, uint COLUMNS, uint THREADS>
constexpr uint held_fours() {
  return (ROWS * COLUMNS + THREADS * 4 - 1) / (THREADS * 4);
}

// ROWS × COLUMNS sums among THREADS threads: SUMS rows × 4 columns each, over its part of the depth.
template <uint ROWS, uint COLUMNS, uint SUMS, uint THREADS>
struct TallTile {
  static constant constexpr uint HIGH = ROWS / SUMS;
  static constant constexpr uint WIDE = COLUMNS / 4;
  static constant constexpr uint PARTS = THREADS / (HIGH * WIDE);
  // A simdgroup is this wide: few lines of both operands are read at once.
  static constant constexpr uint LANES = WIDE < 8 ? WIDE : 8;
  // Floats of threadgroup memory in which parts are added up.
  static constant constexpr uint FLOATS = (PARTS > 2 ? PARTS / 2 : 1) * ROWS * COLUMNS;
  uint part;
  uint row;
  uint column;

  TallTile(uint thread_index) {
    uint inner = thread_index % (HIGH * WIDE);
    uint simdgroup = inner / 32;
    uint lane = inner % 32;
    part = thread_index / (HIGH * WIDE);
    row = simdgroup / (WIDE / LANES) * (32 / LANES) + lane / LANES;
    column = (simdgroup % (WIDE / LANES) * LANES + lane % LANES) * 4;
  }

  // memory[rows[i], column] = the sums of all parts. All threads have to call it.
  void add_parts(thread float4* sums, thread const uint* rows, threadgroup float4* memory) const {
#pragma unroll
    for (uint half_parts = PARTS / 2; half_parts > 0; half_parts /= 2) {
      threadgroup_barrier(mem_flags::mem_threadgroup);
      if (part >= half_parts && part < 2 * half_parts) put(sums, rows, memory, part - half_parts);
      threadgroup_barrier(mem_flags::mem_threadgroup);
      if (part >= half_parts) continue;
#pragma unroll
      for (uint i = 0; i < SUMS; i++) sums[i] += memory[(part * ROWS + rows[i]) * WIDE + column / 4];
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (part == 0) put(sums, rows, memory, 0);
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }

  void put(thread const float4* sums, thread const uint* rows, threadgroup float4* memory, uint to) const {
#pragma unroll
    for (uint i = 0; i < SUMS; i++) memory[(to * ROWS + rows[i]) * WIDE + column / 4] = sums[i];
  }
};

// memory[row, column] of ROWS × COLUMNS goes to C, as far as that reaches.
template <uint ROWS, uint COLUMNS, uint THREADS>
inline void store_tile(
    threadgroup const float4* memory, device float* c, uint rows, uint columns, constant TallParams& params,
    uint thread_index) {
  threadgroup const float* tile = (threadgroup const float*)memory;
  for (uint at = thread_index; at < ROWS * COLUMNS; at += THREADS) {
    uint row = at / COLUMNS;
    uint column = at % COLUMNS;
    if (row >= rows || column >= columns) continue;
    device float* to = c + ulong(row) * params.line_c + column;
    float sum = params.alpha * tile[at];
    *to = params.beta == 0.0f ? sum : fma(params.beta, *to, sum);
  }
}

// A tile of A·V in `memory`: slabs of DEPTH columns of A, whose lines have four floats more, so that rows lie in
// other banks.
template <typename T, uint ROWS, uint COLUMNS, uint SUMS, uint DEPTH, uint STAGES, uint THREADS>
inline void av_tile(
    device const T* a, device const T* v, constant TallParams& params, uint row, uint column,
    threadgroup float4* memory, uint thread_index) {
  using Tile = TallTile<ROWS, COLUMNS, SUMS, THREADS>;
  constexpr uint LINE = DEPTH + 4;
  constexpr uint SHARE = DEPTH / Tile::PARTS;
  threadgroup float4* slab_a = memory;
  threadgroup float4* slab_v = memory + ROWS * LINE / 4;
  bool fours_a = (params.by_fours & 1) != 0;
  bool fours_v = (params.by_fours & 2) != 0;
  device const T* from_a = a + ulong(row) * params.line_a;
  device const T* from_v = v + column;
  float4 held_a[STAGES][held_fours<ROWS, DEPTH, THREADS>()];
  float4 held_v[STAGES][held_fours<DEPTH, COLUMNS, THREADS>()];
  Tile tile(thread_index);
  float4 sums[SUMS];
  uint rows[SUMS];
#pragma unroll
  for (uint i = 0; i < SUMS; i++) {
    sums[i] = float4(0.0f);
    rows[i] = tile.row + i * Tile::HIGH;
  }
  // Slabs to come are under way in registers while one is used.
#pragma unroll
  for (uint stage = 0; stage < STAGES; stage++) {
    uint next = min(stage * DEPTH, params.n);
    fetch_fours<T, ROWS, DEPTH, THREADS>(
        from_a + next, params.line_a, params.m - row, params.n - next, fours_a, held_a[stage], thread_index);
    fetch_fours<T, DEPTH, COLUMNS, THREADS>(
        from_v + ulong(next) * params.line_b, params.line_b, params.n - next, params.k - column, fours_v, held_v[stage],
        thread_index);
  }
  for (uint first = 0; first < params.n; first += STAGES * DEPTH) {
#pragma unroll
    for (uint stage = 0; stage < STAGES; stage++) {
      if (first + stage * DEPTH >= params.n) break;
      threadgroup_barrier(mem_flags::mem_threadgroup);
      put_fours<ROWS, DEPTH, LINE, THREADS>(held_a[stage], slab_a, thread_index);
      put_fours<DEPTH, COLUMNS, COLUMNS, THREADS>(held_v[stage], slab_v, thread_index);
      threadgroup_barrier(mem_flags::mem_threadgroup);
      uint next = first + (stage + STAGES) * DEPTH;
      if (next < params.n) {
        fetch_fours<T, ROWS, DEPTH, THREADS>(
            from_a + next, params.line_a, params.m - row, params.n - next, fours_a, held_a[stage], thread_index);
        fetch_fours<T, DEPTH, COLUMNS, THREADS>(
            from_v + ulong(next) * params.line_b, params.line_b, params.n - next, params.k - column, fours_v,
            held_v[stage], thread_index);
      }
#pragma unroll
      for (uint step = 0; step < SHARE; step += 4) {
        uint depth = tile.part * SHARE + step;
        float4 right[4];
#pragma unroll
        for (uint j = 0; j < 4; j++) right[j] = slab_v[((depth + j) * COLUMNS + tile.column) / 4];
#pragma unroll
        for (uint i = 0; i < SUMS; i++) {
          float4 left = slab_a[(rows[i] * LINE + depth) / 4];
          sums[i] = fma(float4(left.x), right[0], sums[i]);
          sums[i] = fma(float4(left.y), right[1], sums[i]);
          sums[i] = fma(float4(left.z), right[2], sums[i]);
          sums[i] = fma(float4(left.w), right[3], sums[i]);
        }
      }
    }
  }
  tile.add_parts(sums, rows, memory);
}

constexpr uint larger_of(uint a, uint b) { return a > b ? a : b; }

// Floats of threadgroup memory that av_tile needs: slabs, then sums.
template <uint ROWS, uint COLUMNS, uint SUMS, uint DEPTH, uint THREADS>
constexpr uint av_floats() {
  return larger_of(ROWS * (DEPTH + 4) + DEPTH * COLUMNS, TallTile<ROWS, COLUMNS, SUMS, THREADS>::FLOATS);
}

// C = alpha · A·V + beta · C. ceil(m / ROWS) · ceil(k / COLUMNS) groups of THREADS.
template <typename T, uint ROWS, uint COLUMNS, uint SUMS, uint DEPTH, uint STAGES, uint THREADS>
[[kernel, max_total_threads_per_threadgroup(THREADS)]] void gemm_av(
    device const T* a [[buffer(0)]],
    device const T* v [[buffer(1)]],
    device float* c [[buffer(2)]],
    constant TallParams& params [[buffer(3)]],
    uint group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  threadgroup float4 memory[av_floats<ROWS, COLUMNS, SUMS, DEPTH, THREADS>() / 4];
  uint across = (params.k + COLUMNS - 1) / COLUMNS;
  uint row = group / across * ROWS;
  uint column = group % across * COLUMNS;
  av_tile<T, ROWS, COLUMNS, SUMS, DEPTH, STAGES, THREADS>(a, v, params, row, column, memory, thread_index);
  device float* to = c + ulong(row) * params.line_c + column;
  store_tile<ROWS, COLUMNS, THREADS>(memory, to, params.m - row, params.k - column, params, thread_index);
}

// A tile of WIDTH columns of A × COLUMNS of B, rows `first` … of `rows`, in `memory`. DEPTH rows a slab.
template <typename T, uint WIDTH, uint COLUMNS, uint SUMS, uint DEPTH, uint STAGES, uint THREADS>
inline void at_b_tile(
    device const T* a, device const T* b, constant TallParams& params, uint row, uint column, uint first, uint rows,
    threadgroup float4* memory, uint thread_index) {
  using Tile = TallTile<WIDTH, COLUMNS, SUMS, THREADS>;
  constexpr uint SHARE = DEPTH / Tile::PARTS;
  threadgroup float4* slab_a = memory;
  threadgroup float4* slab_b = memory + DEPTH * WIDTH / 4;
  bool fours_a = (params.by_fours & 1) != 0;
  bool fours_b = (params.by_fours & 2) != 0;
  float4 held_a[STAGES][held_fours<DEPTH, WIDTH, THREADS>()];
  float4 held_b[STAGES][held_fours<DEPTH, COLUMNS, THREADS>()];
  Tile tile(thread_index);
  float4 sums[SUMS];
  uint own[SUMS];
#pragma unroll
  for (uint i = 0; i < SUMS; i++) {
    sums[i] = float4(0.0f);
    // Four of A's columns lie together, so that they are one load.
    own[i] = SUMS == 1 ? tile.row : tile.row * 4 + i / 4 * (4 * Tile::HIGH) + i % 4;
  }
  device const T* from_a = a + ulong(first) * params.line_a + row;
  device const T* from_b = b + ulong(first) * params.line_b + column;
  uint width = params.n - row;
  uint columns = params.k - column;
#pragma unroll
  for (uint stage = 0; stage < STAGES; stage++) {
    uint next = min(stage * DEPTH, rows);
    fetch_fours<T, DEPTH, WIDTH, THREADS>(
        from_a + ulong(next) * params.line_a, params.line_a, rows - next, width, fours_a, held_a[stage], thread_index);
    fetch_fours<T, DEPTH, COLUMNS, THREADS>(
        from_b + ulong(next) * params.line_b, params.line_b, rows - next, columns, fours_b, held_b[stage],
        thread_index);
  }
  for (uint done = 0; done < rows; done += STAGES * DEPTH) {
#pragma unroll
    for (uint stage = 0; stage < STAGES; stage++) {
      if (done + stage * DEPTH >= rows) break;
      threadgroup_barrier(mem_flags::mem_threadgroup);
      put_fours<DEPTH, WIDTH, WIDTH, THREADS>(held_a[stage], slab_a, thread_index);
      put_fours<DEPTH, COLUMNS, COLUMNS, THREADS>(held_b[stage], slab_b, thread_index);
      threadgroup_barrier(mem_flags::mem_threadgroup);
      uint next = done + (stage + STAGES) * DEPTH;
      if (next < rows) {
        fetch_fours<T, DEPTH, WIDTH, THREADS>(
            from_a + ulong(next) * params.line_a, params.line_a, rows - next, width, fours_a, held_a[stage],
            thread_index);
        fetch_fours<T, DEPTH, COLUMNS, THREADS>(
            from_b + ulong(next) * params.line_b, params.line_b, rows - next, columns, fours_b, held_b[stage],
            thread_index);
      }
#pragma unroll
      for (uint step = 0; step < SHARE; step++) {
        uint depth = tile.part * SHARE + step;
        float4 right = slab_b[(depth * COLUMNS + tile.column) / 4];
        if (SUMS == 1) {
          float left = ((threadgroup const float*)slab_a)[depth * WIDTH + tile.row];
          sums[0] = fma(float4(left), right, sums[0]);
        } else {
#pragma unroll
          for (uint i = 0; i < SUMS; i += 4) {
            float4 left = slab_a[(depth * WIDTH + own[i]) / 4];
            sums[i] = fma(float4(left.x), right, sums[i]);
            sums[i + 1] = fma(float4(left.y), right, sums[i + 1]);
            sums[i + 2] = fma(float4(left.z), right, sums[i + 2]);
            sums[i + 3] = fma(float4(left.w), right, sums[i + 3]);
          }
        }
      }
    }
  }
  tile.add_parts(sums, own, memory);
}

// Floats of threadgroup memory that at_b_tile needs.
template <uint WIDTH, uint COLUMNS, uint SUMS, uint DEPTH, uint THREADS>
constexpr uint at_b_floats() {
  return larger_of(DEPTH * (WIDTH + COLUMNS), TallTile<WIDTH, COLUMNS, SUMS, THREADS>::FLOATS);
}

// Z = alpha · Aᵀ·B + beta · Z of each chunk of rows. chunks · ceil(n / WIDTH) · ceil(k / COLUMNS) groups of THREADS.
template <typename T, uint WIDTH, uint COLUMNS, uint SUMS, uint DEPTH, uint STAGES, uint THREADS>
[[kernel, max_total_threads_per_threadgroup(THREADS)]] void gemm_at_b(
    device const T* a [[buffer(0)]],
    device const T* b [[buffer(1)]],
    device float* z [[buffer(2)]],
    constant TallParams& params [[buffer(3)]],
    uint group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  threadgroup float4 memory[at_b_floats<WIDTH, COLUMNS, SUMS, DEPTH, THREADS>() / 4];
  uint across = (params.k + COLUMNS - 1) / COLUMNS;
  uint tiles = (params.n + WIDTH - 1) / WIDTH * across;
  uint chunk = group / tiles;
  uint tile = group % tiles;
  uint row = tile / across * WIDTH;
  uint column = tile % across * COLUMNS;
  uint first = chunk * params.rows;
  at_b_tile<T, WIDTH, COLUMNS, SUMS, DEPTH, STAGES, THREADS>(
      a, b, params, row, column, first, min(params.rows, params.m - first), memory, thread_index);
  device float* to = z + ulong(chunk) * params.apart + ulong(row) * params.line_c + column;
  store_tile<WIDTH, COLUMNS, THREADS>(memory, to, params.n - row, params.k - column, params, thread_index);
}

// Z = alpha · Σ of chunks + beta · Z: chunk i of n × k lies `apart` · i floats behind the first.
// n · k threads, 256 a group.
[[kernel]] void tall_sum(
    device const float* partial [[buffer(0)]],
    device float* z [[buffer(1)]],
    constant TallParams& params [[buffer(2)]],
    uint at [[thread_position_in_grid]]) {
  if (at >= params.n * params.k) return;
  float sum = 0.0f;
#pragma unroll(8)
  for (uint chunk = 0; chunk < params.chunks; chunk++) sum += partial[ulong(chunk) * params.apart + at];
  device float* to = z + ulong(at / params.k) * params.line_c + at % params.k;
  sum *= params.alpha;
  *to = params.beta == 0.0f ? sum : fma(params.beta, *to, sum);
}

// Z of one pass over A's rows: B = A·V of ROWS rows in threadgroup memory, Aᵀ·B of those rows to a chunk of their own.
// ceil(m / ROWS) · ceil(k / COLUMNS) groups of THREADS.
template <typename T, uint ROWS, uint COLUMNS, uint SUMS, uint DEPTH, uint STAGES, uint THREADS>
[[kernel, max_total_threads_per_threadgroup(THREADS)]] void z_fused(
    device const T* a [[buffer(0)]],
    device const T* v [[buffer(1)]],
    device float* partial [[buffer(2)]],
    constant TallParams& params [[buffer(3)]],
    uint group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  threadgroup float4 memory[
      larger_of(av_floats<ROWS, COLUMNS, SUMS, DEPTH, THREADS>(), ROWS * (COLUMNS + 64)) / 4];
  uint across = (params.k + COLUMNS - 1) / COLUMNS;
  uint chunk = group / across;
  uint row = chunk * ROWS;
  uint column = group % across * COLUMNS;
  av_tile<T, ROWS, COLUMNS, SUMS, DEPTH, STAGES, THREADS>(a, v, params, row, column, memory, thread_index);
  // Behind B: ROWS rows of 64 columns of A.
  threadgroup float4* slab = memory + ROWS * COLUMNS / 4;
  device float* z = partial + ulong(chunk) * params.apart + column;
  uint rows = min(ROWS, params.m - row);
  uint columns = min(COLUMNS, params.k - column);
  float4 held[held_fours<ROWS, 64, THREADS>()];
  // A thread has four columns of Z and every (4 · THREADS / COLUMNS)th row.
  uint own = thread_index % (COLUMNS / 4) * 4;
  for (uint first = 0; first < params.n; first += 64) {
    fetch_fours<T, ROWS, 64, THREADS>(
        a + ulong(row) * params.line_a + first, params.line_a, rows, params.n - first, (params.by_fours & 1) != 0, held,
        thread_index);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    put_fours<ROWS, 64, 64, THREADS>(held, slab, thread_index);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint i = thread_index / (COLUMNS / 4); i < 64; i += 4 * THREADS / COLUMNS) {
      float4 sum = float4(0.0f);
#pragma unroll(8)
      for (uint r = 0; r < ROWS; r++) {
        float left = ((threadgroup const float*)slab)[r * 64 + i];
        sum = fma(float4(left), memory[(r * COLUMNS + own) / 4], sum);
      }
      if (first + i >= params.n) continue;
#pragma unroll
      for (uint j = 0; j < 4; j++) {
        if (own + j < columns) z[ulong(first + i) * params.k + own + j] = sum[j];
      }
    }
  }
}
