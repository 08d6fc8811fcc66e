/**
 * Vectors that iterations start from.
 *
 * @module
 */

import { Random } from "../random.ts";

/**
 * Gaussian numbers: the same on every backend for a seed.
 *
 * @param n Rows.
 * @param k Columns.
 * @param seed An integer.
 * @returns n × k numbers, row by row.
 */
export function startVectors(n: number, k: number, seed: number): Float32Array<ArrayBuffer> {
  const random = new Random(seed);
  return Float32Array.from({ length: n * k }, () => random.normal());
}
