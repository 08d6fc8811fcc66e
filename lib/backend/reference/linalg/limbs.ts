/**
 * Exact sums: fixed-point numbers that cover all of float32, and what sums say of themselves.
 *
 * @module
 */

import type { Summation, SumParts } from "../../linalg.ts";

/** Exponent of the unit of sums of floats. */
export const SUM_UNIT = -149;
/** Exponent of the unit of sums of products of two floats. */
export const PRODUCT_UNIT = -298;

/** Bits of what is not finite among the terms of a sum. */
export const Special = { NAN: 1, POSITIVE: 2, NEGATIVE: 4 } as const;

/**
 * The number that limbs stand for, rounded once.
 *
 * @param limbs Signed integers: limb i counts 2^(bits · i) units.
 * @param bits Of a limb.
 * @param unit Exponent of the unit.
 * @param specials {@linkcode Special} bits.
 */
export function limbsToNumber(
  limbs: ArrayLike<number>,
  bits: number,
  unit: number,
  specials: number,
): number {
  if (specials !== 0) return specialSum(specials);
  let total = 0n;
  for (let i = limbs.length - 1; i >= 0; i--) {
    total = (total << BigInt(bits)) + BigInt(limbs[i]!);
  }
  // A BigInt becomes the nearest double; the unit is a power of two and in range.
  return Number(total) * 2 ** unit;
}

/** What IEEE makes of a sum with infinities or NaN. */
export function specialSum(specials: number): number {
  const infinities = Special.POSITIVE | Special.NEGATIVE;
  if (specials & Special.NAN || (specials & infinities) === infinities) return NaN;
  return specials & Special.POSITIVE ? Infinity : -Infinity;
}

/**
 * A sum with its condition: 1 where nothing cancels, ∞ where all does, NaN where it is not finite.
 *
 * @param value The sum.
 * @param magnitude The sum of absolute values.
 * @param summation How it was made.
 * @param roundings On the way of a number, at most.
 */
export function sumParts(
  value: number,
  magnitude: number,
  summation: Summation,
  roundings: number,
): SumParts {
  const condition = magnitude === 0 ? 1 : magnitude / Math.abs(value);
  // Rounding may leave the sum of absolute values a little below the sum's.
  return { value, summation, condition: condition < 1 ? 1 : condition, roundings };
}
