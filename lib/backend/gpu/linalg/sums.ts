/**
 * Sums on a GPU. Groups leave parts, few enough that the host adds them up.
 *
 * @module
 */

import type { GpuBuffer } from "../../../kernel/buffer.ts";
import type { CommandBuffer } from "../../../kernel/command_buffer.ts";
import type { Computed, Summation, SumParts } from "../../linalg.ts";
import { limbsToNumber, PRODUCT_UNIT, SUM_UNIT, sumParts } from "../../reference/linalg/limbs.ts";
import { checkSameLength, checkSummation } from "../../reference/linalg/sequence_checks.ts";
import type { GpuContext } from "../context.ts";
import { run } from "../steps.ts";
import { words } from "../words.ts";
import { Work } from "./work.ts";

/** Numbers of a part: value, rest, plain sum, absolute values of large and of small terms. */
const PART = 5;
/** What absolute values of large terms were multiplied by. */
const LARGE = 2 ** -64;
/** Limbs of an exact sum. */
const LIMBS = 40;
/** Bits of a limb. */
const LIMB_BITS = 16;
/** Numbers a group adds up at least, and an exact one at most: its words hold no more. */
const LEAST_SHARE = 2048;
const MOST_EXACT = 1000 * 256;
/** Groups at most, of exact sums where they may be fewer. */
const MOST_GROUPS = 1024;
const MOST_EXACT_GROUPS = 264;

/** What is summed. */
export type SumOperation = "sum" | "dot" | "norm2";

/** Groups that add up n numbers: the same wherever it is done, so that sums are. */
export function sumGroups(n: number, summation: Summation): number {
  const wanted = Math.ceil(n / LEAST_SHARE);
  if (summation !== "limbs") return Math.max(1, Math.min(MOST_GROUPS, wanted));
  return Math.max(1, Math.min(MOST_EXACT_GROUPS, wanted), Math.ceil(n / MOST_EXACT));
}

/** Memory of a sum on the device. */
export interface SumBuffers {
  x: GpuBuffer;
  y: GpuBuffer;
  /** One word: bits of the largest number of a norm. */
  largest: GpuBuffer;
  /** Of {@linkcode sumGroups} groups, `PART` floats each. */
  parts: GpuBuffer;
}

/** Records a sum that is not exact; says which kernels. */
export function recordSum(
  context: GpuContext,
  commands: CommandBuffer,
  op: SumOperation,
  summation: Exclude<Summation, "limbs">,
  { x, y, largest, parts }: SumBuffers,
  n: number,
): string[] {
  const groups = sumGroups(n, summation);
  const [params, size] = [words(n, groups), { threadgroups: groups, threadgroup: 256 }];
  const kernels = [`${op}_${summation.replace("-", "_")}_f32`];
  commands.fill(largest, 0, 4, 0);
  if (op === "norm2") {
    kernels.unshift("largest_f32");
    const pipeline = context.kernel("compensated.metal", "largest_f32");
    commands.dispatch(pipeline, [x, largest, params], size);
  }
  const pipeline = context.kernel("compensated.metal", kernels.at(-1)!);
  commands.dispatch(pipeline, [x, y, largest, parts, params], size);
  return kernels;
}

/** Records an exact sum into `LIMBS` words of 64 bits; says which kernels. */
export function recordExactSum(
  context: GpuContext,
  commands: CommandBuffer,
  products: boolean,
  buffers: { x: GpuBuffer; y: GpuBuffer; specials: GpuBuffer; parts: GpuBuffer; total: GpuBuffer },
  n: number,
): string[] {
  const { x, y, specials, parts, total } = buffers;
  const groups = sumGroups(n, "limbs");
  const kernel = products ? "dot_limbs_f32" : "sum_limbs_f32";
  commands.fill(specials, 0, 4, 0);
  const [params, size] = [words(n, groups), { threadgroups: groups, threadgroup: 256 }];
  const pipeline = context.kernel("compensated.metal", kernel);
  commands.dispatch(pipeline, [x, y, specials, parts, params], size);
  const merge = context.kernel("compensated.metal", "merge_limbs");
  commands.dispatch(merge, [parts, total, params], { threadgroups: 1, threadgroup: 64 });
  return [kernel, "merge_limbs"];
}

/** A term's own, a thread's, five of a simdgroup, seven of a group and that of the total. */
function roundingsOf(n: number, summation: Summation): number {
  return 1 + Math.ceil(n / (256 * sumGroups(n, summation))) + 5 + 7 + 1;
}

/** Parts of groups, added up as the summation does. */
function mergeParts(parts: Float32Array, summation: Summation): { value: number; size: number } {
  let [value, rest, plain, large, small] = [0, 0, 0, 0, 0];
  for (let at = 0; at < parts.length; at += PART) {
    const [hi, lo, own] = parts.subarray(at, at + 3) as unknown as [number, number, number];
    // What a double loses here is 2^-53 of a sum whose parts have 2^-46.
    value += hi;
    rest += lo;
    plain += own;
    large += parts[at + 3]!;
    small += parts[at + 4]!;
  }
  const total = summation === "kahan" ? Math.fround(value + rest) : value + rest;
  // Compensation makes NaN of infinities.
  const isPlain = summation === "plain" || !Number.isFinite(total);
  return { value: isPlain ? Math.fround(plain) : total, size: large / LARGE + small };
}

async function addUp(
  work: Work,
  op: SumOperation,
  x: Float32Array,
  y: Float32Array,
  summation: Summation,
): Promise<SumParts> {
  const { context, memory } = work;
  const n = x.length;
  const isExact = summation === "limbs";
  const rough = isExact ? "plain" : summation;
  const from = await work.upload(x, "x");
  const buffers = {
    x: from,
    y: y === x ? from : await work.upload(y, "y"),
    largest: memory.output(4, "largest"),
    parts: memory.output(sumGroups(n, rough) * PART * 4, "parts"),
  };
  // An exact square needs no scale; the sizes of its terms are those of products.
  const terms = isExact && op === "norm2" ? "dot" : op;
  const limbs = isExact
    ? {
      ...buffers,
      specials: memory.output(4, "specials"),
      parts: memory.scratch(sumGroups(n, "limbs") * LIMBS * 8, "limbs of parts"),
      total: memory.output(LIMBS * 8, "limbs"),
    }
    : undefined;
  if (limbs) {
    work.run((commands) => recordExactSum(context, commands, op !== "sum", limbs, n));
  }
  work.run((commands) => recordSum(context, commands, terms, rough, buffers, n));
  await run(work.finish());
  const parts = buffers.parts.readSync(new Float32Array(sumGroups(n, rough) * PART));
  const { value, size } = mergeParts(parts, rough);
  if (limbs) {
    const words = Array.from(limbs.total.readSync(new BigInt64Array(LIMBS)), Number);
    const specials = limbs.specials.readSync(new Uint32Array(1))[0]!;
    const unit = op === "sum" ? SUM_UNIT : PRODUCT_UNIT;
    const exact = limbsToNumber(words, LIMB_BITS, unit, specials);
    return sumParts(exact, op === "norm2" ? exact : size, summation, 1);
  }
  const roundings = roundingsOf(n, rough);
  if (op !== "norm2") return sumParts(value, size, summation, roundings);
  const bits = buffers.largest.readSync(new Uint32Array(1))[0]!;
  if (bits >= 0x7f800000) {
    const largest = bits > 0x7f800000 ? NaN : Infinity;
    return sumParts(largest, largest, summation, 1);
  }
  // The power of two that kernels scaled by.
  const up = 2 ** (2 * (Math.min(253, Math.max(1, bits >>> 23)) - 127));
  return sumParts(value * up, value * up, summation, roundings);
}

async function compute(
  context: GpuContext,
  op: SumOperation,
  x: Float32Array,
  y: Float32Array,
  summation: Summation,
): Promise<Computed<SumParts>> {
  checkSummation(summation);
  using work = new Work(context, op);
  const value = x.length === 0
    ? sumParts(0, 0, summation, 1)
    : await addUp(work, op, x, y, summation);
  return { value, run: work.execution() };
}

/** `LinearAlgebra.sum`. */
export function sum(
  context: GpuContext,
  x: Float32Array,
  summation: Summation,
): Promise<Computed<SumParts>> {
  return compute(context, "sum", x, x, summation);
}

/** `LinearAlgebra.dot`. */
export async function dot(
  context: GpuContext,
  x: Float32Array,
  y: Float32Array,
  summation: Summation,
): Promise<Computed<SumParts>> {
  checkSameLength(x, y);
  return await compute(context, "dot", x, y, summation);
}

/** `LinearAlgebra.norm2`. */
export function norm2(
  context: GpuContext,
  x: Float32Array,
  summation: Summation,
): Promise<Computed<SumParts>> {
  return compute(context, "norm2", x, x, summation);
}
