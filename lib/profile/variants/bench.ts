/**
 * What the harness needs of an operation: operands in rotation, a check against float64, commands.
 *
 * @module
 */

import type { GpuContext } from "../../backend/gpu/context.ts";
import type { LinearAlgebra } from "../../backend/linalg.ts";
import type { CommandBuffer } from "../../kernel/command_buffer.ts";
import type { Element } from "../../backend/linalg.ts";
import type { Variant } from "./manifest.ts";
import type { FullProblem } from "./select.ts";

/** Factors that show whether a variant uses them. */
export const FACTORS = { alpha: 0.75, beta: -1.25 } as const;

/** How one run of a variant compares with float64. */
export interface Check {
  /** Whether every number is within its bound, and the threads are as many as they should be. */
  valid: boolean;
  /** Largest error by the largest result. */
  error: number;
  /** Threads that ran. */
  threads: number;
  /** What is wrong. */
  why?: string;
}

/** Where operands come from. */
export interface BenchOptions {
  /** The GPU; without one, only variants of kind `cpu` run. */
  context: GpuContext | undefined;
  /** The cpu backend's operations, for variants of kind `cpu`. */
  host: LinearAlgebra | undefined;
  /** Bytes that matrices take in all, on each side: above twice the cache, every pass reads memory. */
  footprint: number;
}

/** Operands of one problem. */
export interface Bench extends Disposable {
  readonly problem: FullProblem;
  /** Bytes that one product has to read and write at least. */
  readonly bytes: number;
  /** Floating-point operations of one product. */
  readonly flops: number;
  /** Sets of operands that products go round. */
  readonly sets: number;
  /** Runs a variant once, with factors that show and its outputs poisoned, against float64. */
  check(variant: Variant): Promise<Check>;
  /** Encodes one product on a set; returns its threads and dispatches. */
  encode(commands: CommandBuffer, variant: Variant, set: number): Encoded;
  /** Computes one product on the host. */
  compute(variant: Variant, set: number): Promise<void>;
}

/** What was encoded. */
export interface Encoded {
  threads: number;
  dispatches: number;
}

/** Units in the last place, relative. */
const ULP: Record<Element, number> = { float32: 2 ** -23, float16: 2 ** -10, bfloat16: 2 ** -7 };

/** Sets of operands that a footprint takes: two at least where there are several. */
export function setsOf(footprint: number, bytes: number): number {
  if (footprint <= 0) return 1;
  return Math.min(512, Math.max(2, Math.ceil(footprint / bytes)));
}

/**
 * Compares results with sums in float64.
 *
 * @param got Results.
 * @param expected What they should be.
 * @param size Sums of absolute values, with factors.
 * @param k Length of the sums.
 * @param io Type that results are rounded to.
 * @param roundings How often.
 */
export function compareWith(
  got: ArrayLike<number>,
  expected: (i: number) => number,
  size: (i: number) => number,
  { k, io, roundings }: { k: number; io: Element; roundings: number },
): { error: number; why?: string } {
  let [worst, largest] = [0, 0];
  let why: string | undefined;
  for (let i = 0; i < got.length; i++) {
    const wanted = expected(i);
    const error = Math.abs(got[i]! - wanted);
    // Sums in float32, in any order; then roundings to the result's type, with c and bias of up to 1.
    const rounded = roundings * ULP[io] / 2 * (Math.abs(wanted) + Math.abs(FACTORS.beta) + 1);
    const bound = (k + 8) * 2 ** -24 * size(i) + rounded;
    if (!(error <= bound)) why ??= `element ${i} is ${got[i]}, should be ${wanted}`;
    if (!(error <= worst)) worst = error;
    largest = Math.max(largest, Math.abs(wanted));
  }
  const error = largest === 0 ? worst : worst / largest;
  return why === undefined ? { error } : { error, why };
}
