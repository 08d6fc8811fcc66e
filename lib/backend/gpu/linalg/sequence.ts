/**
 * Layer norms, soft caps and products a head on a GPU.
 *
 * @module
 */

import type { GpuBuffer } from "../../../kernel/buffer.ts";
import type { CommandBuffer, KernelArgument } from "../../../kernel/command_buffer.ts";
import { Tensor } from "../../../kernel/tensor.ts";
import { zeroNumbers } from "../../../linalg/numbers.ts";
import type { Computed, Dense } from "../../linalg.ts";
import { checkCap, headShape, normPeriod } from "../../reference/linalg/sequence_checks.ts";
import type { GpuContext } from "../context.ts";
import { run } from "../steps.ts";
import { argument, operand } from "./operands.ts";
import { recordHeadLinear, recordLayerNorm, recordSoftCap } from "./sequence_record.ts";
import { Work } from "./work.ts";

/** Most numbers of an operand: kernels count them in 32 bits. */
const MOST_NUMBERS = 2 ** 32 - 2 ** 16;

/** A matrix on the device, without gaps between its rows. */
async function place(work: Work, x: Dense, what: string): Promise<KernelArgument> {
  const found = await operand(work, x, what);
  if (x.rows > 1 && found.line !== x.columns) {
    throw new TypeError(`Cannot read ${what}: the rows of this view do not follow each other`);
  }
  if (x.rows * x.columns > MOST_NUMBERS) {
    throw new RangeError(
      `Cannot read ${what}: ${x.rows * x.columns} numbers are more than ${MOST_NUMBERS}`,
    );
  }
  return argument(found);
}

/** Records an operation from x to a result; says which kernel. */
type Record = (commands: CommandBuffer, x: KernelArgument, out: GpuBuffer) => string;

/** Runs what `prepare` gives, into a result of `columns` that is a tensor where x is one. */
async function compute(
  context: GpuContext,
  label: string,
  x: Dense,
  columns: number,
  prepare: (work: Work) => Promise<Record>,
): Promise<Computed<Dense>> {
  const { rows, dtype } = x;
  using work = new Work(context, label);
  const from = await place(work, x, "x");
  const record = await prepare(work);
  const resident = x.data instanceof Tensor ? x.data : undefined;
  const shape = columns === x.columns ? resident?.shape : undefined;
  const data = resident
    ? Tensor.empty(shape ?? [rows, columns], dtype, context.device)
    : zeroNumbers(rows * columns, dtype);
  try {
    if (rows * columns > 0) {
      const out = data instanceof Tensor
        ? data.buffer
        : work.memory.scratch(data.byteLength, "result");
      work.run((commands) => [record(commands, from, out)]);
      await run(work.finish());
      if (!(data instanceof Tensor)) await out.read(data);
    }
    return { value: { data, rows, columns, dtype }, run: work.execution() };
  } catch (error) {
    if (data instanceof Tensor) data.dispose();
    throw error;
  }
}

/** `LinearAlgebra.layerNorm`. */
export async function layerNorm(
  context: GpuContext,
  x: Dense,
  eps: number,
  weight?: Float32Array,
  bias?: Float32Array,
): Promise<Computed<Dense>> {
  const period = normPeriod(x, eps, weight, bias);
  const { rows, columns, dtype } = x;
  return await compute(context, "layer norm", x, columns, async (work) => {
    const factors = {
      weight: weight && await work.upload(weight, "weight"),
      bias: bias && await work.upload(bias, "bias"),
    };
    const sizes = { rows, columns, period, eps, dtype };
    return (commands, from, out) => {
      return recordLayerNorm(context, commands, { x: from, out, ...factors, ...sizes });
    };
  });
}

/** `LinearAlgebra.softCap`. */
export async function softCap(
  context: GpuContext,
  x: Dense,
  cap: number,
): Promise<Computed<Dense>> {
  checkCap(cap);
  const { rows, columns, dtype } = x;
  const sizes = { n: rows * columns, cap, dtype };
  return await compute(
    context,
    "soft cap",
    x,
    columns,
    () =>
      Promise.resolve((commands, from, out) => {
        return recordSoftCap(context, commands, { x: from, out, ...sizes });
      }),
  );
}

/** `LinearAlgebra.headLinear`. */
export async function headLinear(
  context: GpuContext,
  x: Dense,
  w: Dense,
  heads: number,
): Promise<Computed<Dense>> {
  const shape = headShape(x, w, heads);
  const { dtype } = x;
  return await compute(context, "head linear", x, shape.outputs, async (work) => {
    const weights = await place(work, w, "w");
    return (commands, from, out) => {
      return recordHeadLinear(context, commands, { x: from, w: weights, out, shape, dtype });
    };
  });
}
