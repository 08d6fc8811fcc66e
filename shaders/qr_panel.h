// QR by panels of up to 32 columns: one threadgroup orthonormalises a panel in place, or a Cholesky factor of its Gram
// matrix does, on the whole device, where the panel is well conditioned.
#pragma once
#include "qr.h"

struct PanelParams {
  uint m;
  uint line;        // elements from row to row of the panel
  uint width;       // columns of it: 1 to 32
  uint first;       // its first column in the matrix
  uint n;           // columns of the matrix: lines of R
  float tolerance;  // a column left shorter than this much of lengths[first + j], or, if negative, than -it, is dependent
  float pivot;      // least share of a column's square that a Cholesky pivot may be
};

// dots[lane] = Σ over rows of panel[row, lane] · panel[row, column], in every simdgroup.
inline float panel_dots(
    device const float* panel, constant PanelParams& params, uint column, threadgroup float* parts, uint thread_index,
    uint threads) {
  uint lane = thread_index % 32;
  float sum = 0.0f;
#pragma unroll(4)
  for (uint i = thread_index / 32; i < params.m; i += threads / 32) {
    float value = lane < params.width ? panel[ulong(i) * params.line + lane] : 0.0f;
    sum = fma(value, simd_shuffle(value, ushort(column)), sum);
  }
  threadgroup_barrier(mem_flags::mem_device | mem_flags::mem_threadgroup);
  parts[thread_index] = sum;
  threadgroup_barrier(mem_flags::mem_device | mem_flags::mem_threadgroup);
  sum = 0.0f;
  for (uint i = lane; i < threads; i += 32) sum += parts[i];
  return sum;
}

// Modified Gram–Schmidt with reorthogonalisation until nothing cancels. s (width × width) is the factor: the panel was
// panel · s. Dependent columns become 0. Does nothing where flag[0] is 0. One group of whole simdgroups.
[[kernel, max_total_threads_per_threadgroup(1024)]] void qr_panel_mgs(
    device float* panel [[buffer(0)]],
    device float* s [[buffer(1)]],
    device const float* lengths [[buffer(2)]],
    device const uint* flag [[buffer(3)]],
    constant PanelParams& params [[buffer(4)]],
    uint thread_index [[thread_index_in_threadgroup]],
    uint threads [[threads_per_threadgroup]]) {
  threadgroup float parts[1024];
  if (flag[0] == 0) return;
  uint lane = thread_index % 32;
  uint width = params.width;
  for (uint column = 0; column < width; column++) {
    float dots = panel_dots(panel, params, column, parts, thread_index, threads);
    float length = sqrt(simd_shuffle(dots, ushort(column)));
    float factors = 0.0f;
    for (uint pass = 0; pass < 4 && column > 0 && length > 0.0f; pass++) {
      float own = lane < column ? dots : 0.0f;
      factors += own;
      for (uint i = thread_index / 32; i < params.m; i += threads / 32) {
        float value = lane < width ? panel[ulong(i) * params.line + lane] : 0.0f;
        float sum = simd_sum(value * own);
        if (lane == column) panel[ulong(i) * params.line + column] = value - sum;
      }
      threadgroup_barrier(mem_flags::mem_device | mem_flags::mem_threadgroup);
      float before = length;
      dots = panel_dots(panel, params, column, parts, thread_index, threads);
      length = sqrt(simd_shuffle(dots, ushort(column)));
      // The second pass is always done: one may leave what the first one's rounding made.
      if (pass > 0 && length > 0.5f * before) break;
    }
    float least = params.tolerance < 0.0f ? -params.tolerance : params.tolerance * lengths[params.first + column];
    bool dependent = !(length > least);
    for (uint i = thread_index; i < params.m; i += threads) {
      device float* value = panel + ulong(i) * params.line + column;
      *value = dependent ? 0.0f : *value / length;
    }
    threadgroup_barrier(mem_flags::mem_device | mem_flags::mem_threadgroup);
    if (thread_index < width) {
      s[thread_index * width + column] = lane < column ? factors : lane == column && !dependent ? length : 0.0f;
    }
  }
}

// Of the Gram matrix g: s, upper triangular, with sᵀs = g, and its inverse. Where a pivot is too small, identities, and
// flag[0] = 1: qr_panel_mgs has to do it; else 0. One group of 256 threads.
[[kernel, max_total_threads_per_threadgroup(256)]] void qr_panel_cholesky(
    device const float* g [[buffer(0)]],
    device float* s [[buffer(1)]],
    device float* inverse [[buffer(2)]],
    device uint* flag [[buffer(3)]],
    device const float* lengths [[buffer(4)]],
    constant PanelParams& params [[buffer(5)]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  // Lines of g beside those of an identity, that become s and its inverse, transposed.
  threadgroup float rows[32 * 65];
  threadgroup float squares[32];
  uint width = params.width;
  for (uint at = thread_index; at < 32 * 64; at += 256) {
    uint i = at / 64;
    uint j = at % 64;
    float value = j == i + 32 ? 1.0f : 0.0f;
    if (i < width && j < width) value = g[i * width + j];
    rows[i * 65 + j] = value;
    if (i == j && i < width) squares[i] = value;
  }
  bool failed = false;
  for (uint step = 0; step < width; step++) {
    threadgroup_barrier(mem_flags::mem_threadgroup);
    float square = squares[step];
    float pivot = rows[step * 65 + step];
    float least = params.tolerance < 0.0f ? 0.0f : params.tolerance * lengths[params.first + step];
    if (!(pivot > params.pivot * square) || !(pivot > 4.0f * least * least) || !isfinite(square)) {
      failed = true;
      break;
    }
    // Rows below it, less what they have of it; the row itself is scaled at the end.
    for (uint at = thread_index; at < (width - step - 1) * 64; at += 256) {
      uint i = step + 1 + at / 64;
      uint j = at % 64;
      if ((j > step && j < width) || (j >= 32 && j <= 32 + step)) {
        rows[i * 65 + j] -= rows[step * 65 + i] / pivot * rows[step * 65 + j];
      }
    }
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (thread_index == 0) flag[0] = failed ? 1 : 0;
  for (uint at = thread_index; at < width * width; at += 256) {
    uint i = at / width;
    uint j = at % width;
    float same = i == j ? 1.0f : 0.0f;
    s[at] = failed ? same : j < i ? 0.0f : rows[i * 65 + j] / sqrt(rows[i * 65 + i]);
    inverse[at] = failed ? same : j < i ? 0.0f : rows[j * 65 + 32 + i] / sqrt(rows[j * 65 + j]);
  }
}

// The panel's columns of R: first projections c1 and second ones c2 on `first` columns before it, factors s1 and s2.
// (first + width) · width threads, 256 a group.
[[kernel]] void qr_panel_r(
    device const float* c1 [[buffer(0)]],
    device const float* c2 [[buffer(1)]],
    device const float* s1 [[buffer(2)]],
    device const float* s2 [[buffer(3)]],
    device const uint* largest [[buffer(4)]],
    device float* r [[buffer(5)]],
    constant PanelParams& params [[buffer(6)]],
    uint at [[thread_position_in_grid]]) {
  uint width = params.width;
  uint row = at / width;
  uint column = at % width;
  if (row >= params.first + width) return;
  float sum = 0.0f;
  bool above = row < params.first;
  device const float* left = above ? c2 + row * width : s2 + (row - params.first) * width;
  for (uint i = 0; i <= column; i++) sum = fma(left[i], s1[i * width + column], sum);
  if (above) sum += c1[row * width + column];
  if (row > params.first + column) sum = 0.0f;
  r[row * params.n + params.first + column] = sum * column_scale(largest, params.first + column).up;
}
