/**
 * Parameters of kernels, packed.
 *
 * @module
 */

/**
 * Numbers as the 32-bit words of a kernel's parameters: sizes, flags.
 *
 * @param values Integers from 0 to 2^32 − 1, and booleans as 0 and 1.
 * @returns What goes to a kernel by value, for `constant uint* params` or a struct of `uint`s.
 * @throws {RangeError} If one is no such integer, naming its place.
 *
 * @example
 * ```ts
 * import { packParamsUint32 } from "@metalfaiss/metalfaiss/kernel";
 * import assert from "node:assert/strict";
 *
 * assert.deepEqual([...packParamsUint32(256, 128, true)], [256, 128, 1]);
 * ```
 */
export function packParamsUint32(
  ...values: readonly (number | boolean)[]
): Uint32Array<ArrayBuffer> {
  return Uint32Array.from(values, (value, i) => {
    const word = Number(value);
    if (word >>> 0 === word) return word;
    throw new RangeError(`Cannot pack parameters: number ${i}, ${value}, is no integer of 32 bits`);
  });
}

/**
 * Numbers as the floats of a kernel's parameters: factors, tolerances.
 *
 * @param values The numbers; they are rounded to float32.
 * @returns What goes to a kernel by value, for `constant float* params` or a struct of `float`s.
 * @throws {RangeError} If one is finite and too large for float32, naming its place.
 *
 * @example
 * ```ts
 * import { packParamsF32 } from "@metalfaiss/metalfaiss/kernel";
 * import assert from "node:assert/strict";
 *
 * assert.deepEqual([...packParamsF32(0.5, -1)], [0.5, -1]);
 * ```
 */
export function packParamsF32(...values: readonly number[]): Float32Array<ArrayBuffer> {
  return Float32Array.from(values, (value, i) => {
    if (!Number.isFinite(value) || Number.isFinite(Math.fround(value))) return value;
    throw new RangeError(`Cannot pack parameters: number ${i}, ${value}, is no float32`);
  });
}
