/**
 * Checks of what sums and sequence operations are given: the same errors on every backend.
 *
 * @module
 */

import { checkCount, shapeText } from "../../../linalg/checks.ts";
import type { Dense, RecurrentInput, RecurrentOptions, Summation } from "../../linalg.ts";

/** Ways to add up. */
export const summations: readonly Summation[] = ["plain", "kahan", "two-float", "limbs"];

/** Fails where there is no such summation. */
export function checkSummation(summation: Summation): void {
  if (summations.includes(summation)) return;
  throw new RangeError(
    `Cannot add up: summation "${summation}" is none of ${summations.join(", ")}`,
  );
}

/** Fails where vectors differ in length. */
export function checkSameLength(x: ArrayLike<number>, y: ArrayLike<number>): void {
  if (x.length === y.length) return;
  throw new TypeError(`Cannot multiply: x has ${x.length} numbers, y has ${y.length}`);
}

/**
 * Checks what a layer norm is given.
 *
 * @returns Rows of `weight` and `bias`: row r takes row r % period of them.
 */
export function normPeriod(
  x: Dense,
  eps: number,
  weight?: ArrayLike<number>,
  bias?: ArrayLike<number>,
): number {
  checkCount(x.columns, "columns", "normalize rows");
  const stored = Math.fround(eps);
  if (!(stored > 0 && Number.isFinite(stored))) {
    throw new RangeError(
      `Cannot normalize rows: eps ${eps} is not above 0 and finite, as a float32`,
    );
  }
  for (const [what, factor] of [["weight", weight], ["bias", bias]] as const) {
    if (factor === undefined) continue;
    const period = factor.length / x.columns;
    if (!Number.isInteger(period) || period < 1 || x.rows % period !== 0) {
      throw new TypeError(
        `Cannot normalize rows: ${what} has ${factor.length} numbers for rows of ${shapeText(x)}`,
      );
    }
  }
  if (weight !== undefined && bias !== undefined && weight.length !== bias.length) {
    throw new TypeError(
      `Cannot normalize rows: weight has ${weight.length} numbers, bias has ${bias.length}`,
    );
  }
  return (weight ?? bias)?.length === undefined ? 1 : (weight ?? bias)!.length / x.columns;
}

/** Checks a soft cap. */
export function checkCap(cap: number): void {
  const stored = Math.fround(cap);
  if (stored > 0 && Number.isFinite(stored)) return;
  throw new RangeError(`Cannot cap: cap ${cap} is not above 0 and finite, as a float32`);
}

/** Sizes of a product a head. */
export interface HeadShape {
  batch: number;
  heads: number;
  d: number;
  outputs: number;
}

/** Sizes of x (batch · heads) × d by w (heads · outputs) × d. */
export function headShape(x: Dense, w: Dense, heads: number): HeadShape {
  checkCount(heads, "heads", "multiply heads");
  if (x.columns !== w.columns || x.columns < 1) {
    throw new TypeError(`Cannot multiply heads: x is ${shapeText(x)}, w is ${shapeText(w)}`);
  }
  if (x.dtype !== w.dtype) {
    throw new TypeError(`Cannot multiply heads: x is ${x.dtype}, w is ${w.dtype}`);
  }
  for (const [what, rows] of [["x", x.rows], ["w", w.rows]] as const) {
    if (rows % heads === 0) continue;
    throw new TypeError(
      `Cannot multiply heads: ${what} has ${rows} rows, which ${heads} heads do not divide`,
    );
  }
  return { batch: x.rows / heads, heads, d: x.columns, outputs: w.rows / heads };
}

/** Checks what a recurrent scan is given; says how many steps have their inputs multiplied at once. */
export function checkRecurrent(input: RecurrentInput, options: RecurrentOptions = {}): number {
  const { batch, steps, d } = input;
  const action = "scan";
  checkCount(batch, "batch", action, 0);
  checkCount(steps, "steps", action, 0);
  checkCount(d, "d", action);
  const lengths = [
    ["x", input.x, batch * steps * d],
    ["w", input.w, d * d],
    ["r", input.r, d * d],
    ["bias", input.bias, d],
    ["h0", input.h0, batch * d],
  ] as const;
  for (const [what, data, length] of lengths) {
    if (data === undefined || data.length === length) continue;
    throw new TypeError(`Cannot scan: ${what} has ${data.length} numbers, not ${length}`);
  }
  checkCount(options.streams ?? 1, "streams", action);
  const chunk = options.chunk ?? Math.max(1, steps);
  checkCount(chunk, "chunk", action);
  return chunk;
}
