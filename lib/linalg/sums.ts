/**
 * Sums of float32 numbers that keep what rounding loses, and say what they lost.
 *
 * @module
 */

import type { Backend } from "../backend/backend.ts";
import type { Computed, Execution, Summation, SumParts } from "../backend/linalg.ts";
import { checkSameLength, summations } from "../backend/reference/linalg/sequence_checks.ts";
import { withDisplay } from "../display.ts";
import { Matrix } from "../matrix.ts";
import { checkTolerance } from "./checks.ts";
import { sumBundle } from "./display.ts";
import {
  backendOf,
  floatVector,
  joinRuns,
  type LinalgOptions,
  type NumberVector,
} from "./operands.ts";

/** How numbers are added up. */
export interface SumOptions extends LinalgOptions {
  /**
   * `plain`: in float32; `kahan`: with compensation; `two-float`: in pairs of floats, about 46
   * bits; `limbs`: exactly, whatever the order. `auto`, the default, is drift-guarded: plainly,
   * unless that sum may be off by more than `tolerance`, by its roundings and its condition; then
   * in two floats, and where that sum may be off too, in limbs.
   */
  summation?: Summation | "auto" | undefined;
  /** Relative error that `auto` lets pass; 1e-5 by default. */
  tolerance?: number | undefined;
}

/** A sum. `summation` is what made it: for `auto`, what the guard chose. */
export interface Sum extends SumParts {
  /** What computed it; for `auto`, also what was tried before. */
  run: Execution;
}

/** What a rounding loses at most, in float32 and in two floats. */
const LOSS = { plain: 2 ** -24, "two-float": 2 ** -46 } as const;

/** What a product of floats loses at most where it is too small for float32, its rest included. */
const UNDERFLOW = 2 ** -149;

function holds(
  { value, condition, roundings }: SumParts,
  loss: number,
  tolerance: number,
  underflow: number,
): boolean {
  const left = tolerance - roundings * loss * condition;
  return Number.isFinite(value) && left >= 0 && underflow <= left * Math.abs(value);
}

/**
 * Adds up in the way that was asked for, or in the cheapest that keeps the answer. `underflow` is what
 * terms lose by being small.
 */
async function addUp(
  options: SumOptions,
  run: (backend: Backend, summation: Summation) => Promise<Computed<SumParts>>,
  underflow = 0,
): Promise<Sum> {
  const { summation = "auto", tolerance = 1e-5 } = options;
  const backend = backendOf(options);
  checkTolerance(tolerance, "add up");
  if (summation !== "auto") {
    if (!summations.includes(summation)) {
      throw new RangeError(
        `Cannot add up: summation "${summation}" is none of auto, ${summations.join(", ")}`,
      );
    }
    const { value, run: ran } = await run(backend, summation);
    return withDisplay({ ...value, run: ran }, sumBundle);
  }
  const runs: Execution[] = [];
  const found = (value: SumParts, ran: Execution): Sum => {
    return withDisplay({ ...value, run: joinRuns(ran, ...runs) }, sumBundle);
  };
  for (const guess of ["plain", "two-float"] as const) {
    const { value, run: ran } = await run(backend, guess);
    if (holds(value, LOSS[guess], tolerance, underflow)) return found(value, ran);
    runs.push(ran);
    // Infinities and overflows: limbs have the range, and tell the two apart.
    if (!Number.isFinite(value.value)) break;
  }
  const { value, run: ran } = await run(backend, "limbs");
  return found(value, ran);
}

/** Numbers to add up. */
export type SumInput = NumberVector | Matrix;

function numbers(input: SumInput, what: string): Float32Array {
  return input instanceof Matrix ? input.data : floatVector(input, what);
}

/**
 * Adds up numbers.
 *
 * @param x The numbers, in float32.
 * @param options How; by default as well as it takes.
 * @returns The sum, its condition Σ|x| / |Σx|, and what made it. Infinities and NaN give what IEEE
 * gives. A float32 sum that overflows on the way is infinite or NaN, an exact one is not.
 * @throws {RangeError} If there is no such summation, or the tolerance is negative.
 *
 * @example
 * ```ts
 * import { sum } from "@metalfaiss/metalfaiss/linalg";
 * import assert from "node:assert/strict";
 *
 * const x = [2 ** 24, 1, -(2 ** 24)];
 * const { value, summation, condition } = await sum(x);
 * assert.deepEqual([value, summation], [1, "two-float"]);
 * assert.ok(condition >= 2 ** 25);
 * ```
 */
export async function sum(x: SumInput, options: SumOptions = {}): Promise<Sum> {
  const data = numbers(x, "x");
  return await addUp(options, ({ linalg }, summation) => linalg.sum(data, summation));
}

/**
 * Adds up numbers in float32 with Kahan's compensation.
 *
 * @param x The numbers.
 * @param options What computes.
 * @returns The sum: a float32, whose error is a rounding or two and Σ|x| · n · 2⁻⁴⁸.
 *
 * @example
 * ```ts
 * import { kahanSum } from "@metalfaiss/metalfaiss/linalg";
 * import assert from "node:assert/strict";
 *
 * const x = new Float32Array(10_001).fill(2 ** -24);
 * x[0] = 1;
 * const { value } = await kahanSum(x);
 * assert.ok(Math.abs(value - (1 + 10_000 * 2 ** -24)) < 1e-7);
 * ```
 */
export async function kahanSum(x: SumInput, options: LinalgOptions = {}): Promise<Sum> {
  return await sum(x, { ...options, summation: "kahan" });
}

/**
 * The product x · y, Σ x y: products are split without error where the summation keeps more than
 * float32.
 *
 * @param x Numbers, in float32.
 * @param y As many.
 * @param options How; by default as well as it takes.
 * @throws {TypeError} If they differ in length.
 * @throws {RangeError} If there is no such summation, or the tolerance is negative.
 *
 * @example
 * ```ts
 * import { dot } from "@metalfaiss/metalfaiss/linalg";
 * import assert from "node:assert/strict";
 *
 * const { value } = await dot([4097, 1, 4097], [4097, 1, -4097]);
 * assert.equal(value, 1);
 * ```
 */
export async function dot(x: SumInput, y: SumInput, options: SumOptions = {}): Promise<Sum> {
  const [left, right] = [numbers(x, "x"), numbers(y, "y")];
  checkSameLength(left, right);
  return await addUp(
    options,
    ({ linalg }, summation) => linalg.dot(left, right, summation),
    left.length * UNDERFLOW,
  );
}

/**
 * The squared length ‖x‖². Numbers are scaled by a power of two, so that no square overflows or
 * vanishes; the result is a double, and has the range.
 *
 * @param x Numbers, in float32.
 * @param options How; by default as well as it takes.
 *
 * @example
 * ```ts
 * import { norm2 } from "@metalfaiss/metalfaiss/linalg";
 * import assert from "node:assert/strict";
 *
 * const { value } = await norm2(new Float32Array([2 ** 100, 2 ** 100]));
 * assert.equal(value, 2 ** 201);
 * ```
 */
export async function norm2(x: SumInput, options: SumOptions = {}): Promise<Sum> {
  const data = numbers(x, "x");
  return await addUp(options, ({ linalg }, summation) => linalg.norm2(data, summation));
}

/**
 * {@linkcode norm2}, and not below `eps`: to divide by.
 *
 * @param x Numbers, in float32.
 * @param eps The least result; 0 by default.
 * @param options How; by default as well as it takes.
 * @throws {RangeError} If `eps` is negative or NaN.
 *
 * @example
 * ```ts
 * import { safeNorm2 } from "@metalfaiss/metalfaiss/linalg";
 * import assert from "node:assert/strict";
 *
 * assert.equal((await safeNorm2([0, 0], 1e-12)).value, 1e-12);
 * assert.equal((await safeNorm2([3, 4])).value, 25);
 * ```
 */
export async function safeNorm2(
  x: SumInput,
  eps = 0,
  options: SumOptions = {},
): Promise<Sum> {
  if (!(eps >= 0)) throw new RangeError(`Cannot add up: eps ${eps} is not 0 or more`);
  const found = await norm2(x, options);
  return found.value < eps ? withDisplay({ ...found, value: eps }, sumBundle) : found;
}

/** A number as the float32 nearest to it, and what that lacks. */
export interface TwoFloat {
  /** The float32 nearest to the number. */
  hi: number;
  /** What is left, a float32. */
  lo: number;
}

/**
 * The sum of two float32 numbers, without error: hi + lo = a + b.
 *
 * @param a Rounded to float32.
 * @param b Rounded to float32.
 * @returns Where hi is not finite, lo is 0.
 *
 * @example
 * ```ts
 * import { twoSum } from "@metalfaiss/metalfaiss/linalg";
 * import assert from "node:assert/strict";
 *
 * assert.deepEqual(twoSum(1e8, 1), { hi: 1e8, lo: 1 });
 * ```
 */
export function twoSum(a: number, b: number): TwoFloat {
  const round = Math.fround;
  const [x, y] = [round(a), round(b)];
  const hi = round(x + y);
  if (!Number.isFinite(hi)) return { hi, lo: 0 };
  const part = round(hi - x);
  return { hi, lo: round(round(x - round(hi - part)) + round(y - part)) };
}

/**
 * The product of two float32 numbers, without error: hi + lo = a · b, unless it is too small for
 * float32 to hold the rest.
 *
 * @param a Rounded to float32.
 * @param b Rounded to float32.
 * @returns Where hi is not finite, lo is 0.
 *
 * @example
 * ```ts
 * import { twoProduct } from "@metalfaiss/metalfaiss/linalg";
 * import assert from "node:assert/strict";
 *
 * assert.deepEqual(twoProduct(4097, 4097), { hi: 16785408, lo: 1 });
 * ```
 */
export function twoProduct(a: number, b: number): TwoFloat {
  // A double holds the product of two floats.
  const exact = Math.fround(a) * Math.fround(b);
  const hi = Math.fround(exact);
  return { hi, lo: Number.isFinite(hi) ? Math.fround(exact - hi) : 0 };
}
