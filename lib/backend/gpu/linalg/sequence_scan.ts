/**
 * Recurrent scans on a GPU: inputs by W in products of many steps, then the steps, in one dispatch or in one each.
 *
 * @module
 */

import type { GpuBuffer } from "../../../kernel/buffer.ts";
import type { CommandBuffer } from "../../../kernel/command_buffer.ts";
import type { GpuEvent } from "../../../kernel/stream.ts";
import type { Computed, RecurrentInput, RecurrentOptions } from "../../linalg.ts";
import { checkRecurrent } from "../../reference/linalg/sequence_checks.ts";
import type { GpuContext } from "../context.ts";
import { run, type Steps } from "../steps.ts";
import { floatBits, words } from "../words.ts";
import { Lane, Work } from "./work.ts";

/** Numbers a state that one group keeps. */
const MOST_STATE = 2048;
/** Size of the state that has kernels with R in registers. */
const RESIDENT_STATE = 256;
/** Side of a tile of the products. */
const TILE = 64;
/** Dispatches a command buffer: an abort waits for one. */
const MOST_DISPATCHES = 4096;

/** How steps run: `scan`, one dispatch for many; `steps`, one for each. */
export type ScanVariant = "scan" | "steps";

/** Arrays of a scan on the device. */
export interface ScanBuffers {
  x: GpuBuffer;
  w: GpuBuffer;
  r: GpuBuffer;
  bias: GpuBuffer;
  /** States before the first step. */
  initial?: GpuBuffer | undefined;
  /** States; where inputs are multiplied beforehand, these lie here first. */
  out: GpuBuffer;
  batch: number;
  steps: number;
  d: number;
}

/** Records W x of steps `from` to `to` of all sequences, into the places of the states; says which kernel. */
export function recordInputProducts(
  context: GpuContext,
  commands: CommandBuffer,
  { x, w, out, batch, steps, d }: ScanBuffers,
  from: number,
  to: number,
): string {
  const kernel = "gemm_nt_f32_bm64_bn64";
  const pipeline = context.kernel("gemm.metal", kernel);
  // All steps of all sequences follow each other.
  const [count, rows] = from === 0 && to === steps ? [1, batch * steps] : [batch, to - from];
  const params = words(rows, d, d, d, d, d, floatBits(1), floatBits(0), Number(d % 4 === 0));
  for (let b = 0; b < count; b++) {
    const offset = (b * steps + from) * d * 4;
    commands.dispatch(pipeline, [{ buffer: x, offset }, w, { buffer: out, offset }, params], {
      threadgroups: Math.ceil(rows / TILE) * Math.ceil(d / TILE),
      threadgroup: 256,
    });
  }
  return kernel;
}

/**
 * Records steps `from` to `to`; says which kernel.
 *
 * @param precomputed Whether the products of the inputs lie in `out`.
 * @param variant By default what is fastest for the size of the state.
 */
export function recordSteps(
  context: GpuContext,
  commands: CommandBuffer,
  buffers: ScanBuffers,
  from: number,
  to: number,
  precomputed: boolean,
  variant: ScanVariant = scanVariant(buffers.d),
): string {
  const { x, w, r, bias, initial, out, batch, steps, d } = buffers;
  const flags = [Number(precomputed), Number(initial !== undefined)];
  const params = (first: number, end: number) => words(batch, steps, d, first, end, ...flags);
  const first = initial ?? bias;
  if (variant === "steps") {
    const kernel = "recurrent_step_f32";
    const pipeline = context.kernel("recurrent.metal", kernel);
    for (let step = from; step < to; step++) {
      const args = [x, w, r, bias, first, out, params(step, step + 1)];
      commands.dispatch(pipeline, args, {
        threadgroups: Math.ceil(d / 8) * Math.ceil(batch / 4),
        threadgroup: 256,
      });
    }
    return kernel;
  }
  const keeps = precomputed && d === RESIDENT_STATE;
  const kernel = keeps ? "recurrent_scan_f32_d256_r96" : "recurrent_scan_f32";
  const args = keeps ? [r, bias, first, out] : [x, w, r, bias, first, out];
  commands.dispatch(context.kernel("recurrent.metal", kernel), [...args, params(from, to)], {
    threadgroups: batch,
    threadgroup: keeps ? 512 : 1024,
  });
  return kernel;
}

/** How steps of a size of state run fastest: one group holds a state of so many numbers. */
export function scanVariant(d: number): ScanVariant {
  return d <= MOST_STATE ? "scan" : "steps";
}

/** `LinearAlgebra.recurrentScan`. */
export async function recurrentScan(
  context: GpuContext,
  input: RecurrentInput,
  options: RecurrentOptions = {},
): Promise<Computed<Float32Array>> {
  const chunk = checkRecurrent(input, options);
  const { batch, steps, d, x, w, r, bias, h0 } = input;
  options.signal?.throwIfAborted();
  const value = new Float32Array(x.length);
  using work = new Work(context, "recurrent scan");
  if (value.length > 0) {
    const buffers: ScanBuffers = {
      x: await work.upload(x, "x"),
      w: await work.upload(w, "W"),
      r: await work.upload(r, "R"),
      bias: await work.upload(bias, "bias"),
      initial: h0 && await work.upload(h0, "first states"),
      out: work.memory.scratch(value.byteLength, "states"),
      batch,
      steps,
      d,
    };
    await run(scan(work, buffers, chunk, options), options.signal);
    await buffers.out.read(value);
  }
  return { value, run: work.execution() };
}

function* scan(
  work: Work,
  buffers: ScanBuffers,
  chunk: number,
  { precompute = true, streams = 1 }: RecurrentOptions,
): Steps<void> {
  const { context } = work;
  const { steps, d } = buffers;
  const perStep = scanVariant(d) === "steps";
  const length = precompute ? chunk : steps;
  using ahead = precompute && streams > 1 ? new ProductsAhead(work, streams - 1) : undefined;
  ahead?.start(buffers, chunk);
  let dispatches = 0;
  for (let from = 0; from < steps; from += length) {
    const to = Math.min(steps, from + length);
    if (ahead) {
      work.run((commands) => ahead.await(commands, from / chunk));
    } else if (precompute) {
      work.run((commands) => [recordInputProducts(context, commands, buffers, from, to)]);
    }
    // A long run of dispatches goes in parts.
    const most = perStep ? MOST_DISPATCHES : to - from;
    for (let first = from; first < to; first += most) {
      const end = Math.min(to, first + most);
      work.run((commands) => [recordSteps(context, commands, buffers, first, end, precompute)]);
      dispatches += perStep ? end - first : 1;
      if (dispatches < MOST_DISPATCHES) continue;
      yield* work.finish();
      dispatches = 0;
    }
  }
  yield* work.finish();
}

/** Products of inputs on streams of their own: they are made while steps before them run. */
class ProductsAhead implements Disposable {
  readonly #context: GpuContext;
  readonly #lanes: { lane: Lane; event: GpuEvent }[];

  constructor(work: Work, streams: number) {
    this.#context = work.context;
    const { device } = work.context;
    this.#lanes = Array.from({ length: streams }, (_, i) => ({
      lane: new Lane(work, device.createStream({ label: `products ${i}` }), "products"),
      event: device.createEvent(),
    }));
  }

  /** Hands over all products, chunks in turns. */
  start(buffers: ScanBuffers, chunk: number): void {
    for (let i = 0; i * chunk < buffers.steps; i++) {
      const { lane, event } = this.#lanes[i % this.#lanes.length]!;
      const [from, to] = [i * chunk, Math.min(buffers.steps, (i + 1) * chunk)];
      lane.run((commands) => {
        const kernel = recordInputProducts(this.#context, commands, buffers, from, to);
        commands.signal(event, i + 1);
        return [kernel];
      });
    }
    for (const { lane } of this.#lanes) lane.commit();
  }

  /** Holds commands until a chunk's products are there. */
  await(commands: CommandBuffer, i: number): string[] {
    commands.wait(this.#lanes[i % this.#lanes.length]!.event, i + 1);
    return [];
  }

  [Symbol.dispose](): void {
    for (const { lane, event } of this.#lanes) {
      lane.stream.dispose();
      event.dispose();
    }
  }
}
