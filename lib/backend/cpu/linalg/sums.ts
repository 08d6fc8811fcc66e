/**
 * Sums by the native library.
 *
 * @module
 */

import { invoke, invokeAsync } from "../../../../ffi/call.ts";
import { library } from "../../../../ffi/library.ts";
import { SUM_DOUBLES, SUM_HEAD, summingRecord, Terms } from "../../../../ffi/sequence.ts";
import type { Computed, Summation, SumParts } from "../../linalg.ts";
import { limbsToNumber, PRODUCT_UNIT, SUM_UNIT, sumParts } from "../../reference/linalg/limbs.ts";
import {
  checkSameLength,
  checkSummation,
  summations,
} from "../../reference/linalg/sequence_checks.ts";
import { isShort } from "../work.ts";
import { execution } from "./operands.ts";

/** Bits of a limb. */
const LIMB_BITS = 32;
/** What a term costs in multiply-adds, about; and one of an exact sum. */
const SUM_WORK = 2;
const LIMB_WORK = 40;

/** As the kernels have them: numbers of a block, a plain run, sums at a time, lanes. */
const BLOCK = 65536;
const RUN = 64;
const WAYS = 4;
const LANES: Readonly<Record<string, number>> = { neon: 4, avx2: 8, avx512: 16, avx512_bf16: 16 };

/** A term's own, those of a run and of runs in a lane, of what is left, of lanes and of blocks. */
function roundingsOf(n: number, summation: Summation, isa: string): number {
  const lanes = LANES[isa] ?? 1;
  const steps = Math.ceil(Math.min(n, BLOCK) / (WAYS * lanes));
  const inLane = summation === "plain" ? Math.min(steps, RUN) + Math.ceil(steps / RUN) : steps;
  return 1 + inLane + WAYS + 2 + Math.log2(lanes) + Math.ceil(n / BLOCK);
}

async function addUp(
  op: "sum" | "dot" | "norm2",
  x: Float32Array,
  y: Float32Array | null,
  summation: Summation,
): Promise<Computed<SumParts>> {
  checkSummation(summation);
  const terms = { sum: Terms.X, dot: Terms.PRODUCTS, norm2: Terms.SQUARES }[op];
  const record = summingRecord(x.length, terms, summations.indexOf(summation));
  const out = new Float64Array(SUM_DOUBLES);
  const { symbols } = library();
  const report = isShort(x.length * (summation === "limbs" ? LIMB_WORK : SUM_WORK))
    ? invoke((call) => symbols.mf_linalg_sum(record, x, y, out, call))
    : await invokeAsync((call) => symbols.mf_linalg_sum_async(record, x, y, out, call));
  const unit = op === "sum" ? SUM_UNIT : PRODUCT_UNIT;
  const value = summation === "limbs"
    ? limbsToNumber(out.subarray(SUM_HEAD), LIMB_BITS, unit, out[3]!)
    : out[0]! + out[1]!;
  const run = execution(`${op}_${summation.replace("-", "_")}_f32`, report.threads);
  // Squares do not cancel, also where those in float32 overflow.
  const magnitude = op === "norm2" ? value : out[2]!;
  const roundings = summation === "limbs" ? 1 : roundingsOf(x.length, summation, run.isa);
  return { value: sumParts(value, magnitude, summation, roundings), run };
}

/** `LinearAlgebra.sum`. */
export function sum(x: Float32Array, summation: Summation): Promise<Computed<SumParts>> {
  return addUp("sum", x, null, summation);
}

/** `LinearAlgebra.dot`. */
export async function dot(
  x: Float32Array,
  y: Float32Array,
  summation: Summation,
): Promise<Computed<SumParts>> {
  checkSameLength(x, y);
  return await addUp("dot", x, y, summation);
}

/** `LinearAlgebra.norm2`. */
export function norm2(x: Float32Array, summation: Summation): Promise<Computed<SumParts>> {
  return addUp("norm2", x, null, summation);
}
