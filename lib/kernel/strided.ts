/**
 * Copies of views, with their rows one after the other.
 *
 * @module
 */

import type { CommandBuffer } from "./command_buffer.ts";
import { dtypeBytes } from "./dtype.ts";
import { Tensor } from "./tensor.ts";

/** Elements by their size: a copy need not know what they mean. */
const units = { 1: "uchar", 2: "ushort", 4: "uint", 8: "ulong" } as const;

/** Grid: x along the last axis, y along all others. */
function source(unit: string): string {
  return `#include <metal_stdlib>
using namespace metal;
kernel void copy_rows(
    device const ${unit}* from [[buffer(0)]], device ${unit}* to [[buffer(1)]],
    constant uint* shape [[buffer(2)]], constant long* strides [[buffer(3)]],
    constant uint& ndim [[buffer(4)]], uint2 at [[thread_position_in_grid]]) {
  ulong place = ulong(at.x) * ulong(strides[ndim - 1]);
  uint row = at.y;
  for (int axis = int(ndim) - 2; axis >= 0; axis--) {
    place += ulong(row % shape[axis]) * ulong(strides[axis]);
    row /= shape[axis];
  }
  to[ulong(at.y) * shape[ndim - 1] + at.x] = from[place];
}
`;
}

/** Records the copy of a view into a new tensor. */
export function recordContiguous(commands: CommandBuffer, tensor: Tensor): Tensor {
  const { device, ndim } = tensor;
  const copy = Tensor.empty(tensor.shape, tensor.dtype, device);
  if (tensor.size === 0) return copy;
  const unit = units[dtypeBytes(tensor.dtype) as keyof typeof units];
  const pipeline = device.library(source(unit), { name: "copy_rows" }).pipeline("copy_rows");
  // A scalar is copied as a row of one.
  const [shape, strides] = ndim === 0 ? [[1], [1]] : [tensor.shape, tensor.strides];
  const columns = shape.at(-1)!;
  const rows = tensor.size / columns;
  const args = [
    tensor,
    copy,
    Uint32Array.from(shape),
    BigInt64Array.from(strides, BigInt),
    Uint32Array.of(shape.length),
  ];
  commands.dispatch(pipeline, args, {
    threads: [columns, rows],
    threadgroup: [Math.min(columns, 256), Math.max(1, Math.min(rows, Math.floor(256 / columns)))],
  });
  return copy;
}
