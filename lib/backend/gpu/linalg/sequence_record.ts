/**
 * Recording of layer norms, soft caps, products a head and steps of recurrent scans, on data of the device: what the
 * backend runs, and what benchmarks time.
 *
 * @module
 */

import type { CommandBuffer, KernelArgument } from "../../../kernel/command_buffer.ts";
import type { Element } from "../../linalg.ts";
import type { HeadShape } from "../../reference/linalg/sequence_checks.ts";
import type { GpuContext } from "../context.ts";
import { floatBits, words } from "../words.ts";
import { shortName } from "./operands.ts";

/** Rows of a group of layer_norm. */
const NORM_ROWS = 4;
/** Numbers of a group of soft_cap. */
const CAPPED = 1024;
/** Side of a tile of head_linear. */
const HEAD_TILE = 16;

/** What {@linkcode recordLayerNorm} takes. */
export interface LayerNormCommand {
  x: KernelArgument;
  out: KernelArgument;
  weight?: KernelArgument | undefined;
  bias?: KernelArgument | undefined;
  rows: number;
  columns: number;
  /** Rows of weight and bias; 1 by default. */
  period?: number;
  eps: number;
  dtype: Element;
}

/** Name of the kernel for rows of a length. */
export function layerNormKernel(columns: number, dtype: Element): string {
  const values = [2, 4, 8].find((values) => columns <= 32 * values);
  return `layer_norm_${shortName(dtype)}_${values === undefined ? "long" : `v${values}`}`;
}

/** Records a layer norm; says which kernel. */
export function recordLayerNorm(
  context: GpuContext,
  commands: CommandBuffer,
  { x, out, weight, bias, rows, columns, period = 1, eps, dtype }: LayerNormCommand,
): string {
  const kernel = layerNormKernel(columns, dtype);
  const params = words(rows, columns, period, Number(!!weight), Number(!!bias), floatBits(eps));
  commands.dispatch(
    context.kernel("layer_norm.metal", kernel),
    // What is not there is not read.
    [x, weight ?? x, bias ?? x, out, params],
    { threadgroups: Math.ceil(rows / NORM_ROWS), threadgroup: 32 * NORM_ROWS },
  );
  return kernel;
}

/** Records cap · tanh(x / cap) of n numbers; says which kernel. */
export function recordSoftCap(
  context: GpuContext,
  commands: CommandBuffer,
  { x, out, n, cap, dtype }: {
    x: KernelArgument;
    out: KernelArgument;
    n: number;
    cap: number;
    dtype: Element;
  },
): string {
  const kernel = `soft_cap_${shortName(dtype)}`;
  commands.dispatch(context.kernel("soft_cap.metal", kernel), [x, out, words(n, floatBits(cap))], {
    threadgroups: Math.ceil(n / CAPPED),
    threadgroup: 256,
  });
  return kernel;
}

/** Records a product a head; says which kernel. */
export function recordHeadLinear(
  context: GpuContext,
  commands: CommandBuffer,
  { x, w, out, shape, dtype }: {
    x: KernelArgument;
    w: KernelArgument;
    out: KernelArgument;
    shape: HeadShape;
    dtype: Element;
  },
): string {
  const { batch, heads, d, outputs } = shape;
  const kernel = `head_linear_${shortName(dtype)}_tm16_tn16`;
  const tiles = Math.ceil(batch / HEAD_TILE) * Math.ceil(outputs / HEAD_TILE);
  commands.dispatch(
    context.kernel("head_linear.metal", kernel),
    [x, w, out, words(batch, heads, d, outputs)],
    { threadgroups: heads * tiles, threadgroup: HEAD_TILE ** 2 },
  );
  return kernel;
}
