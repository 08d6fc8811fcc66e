/**
 * Vectors of bits, as callers have them.
 *
 * @module
 */

/** Vectors of bits: all in one array, or an array of bytes each. */
export type BinaryInput = Uint8Array | readonly (Uint8Array | readonly number[])[];

/**
 * Vectors of bits in one array; a Uint8Array is passed through without a copy.
 *
 * @param input The vectors.
 * @param codeSize Bytes of each.
 * @param what The argument's name, for the error.
 * @returns `n × codeSize` bytes.
 * @throws {TypeError} If it is empty, of another type, or not in rows of `codeSize`.
 * @throws {RangeError} If a number is no byte.
 *
 * @example
 * ```ts
 * import { toCodes } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * assert.deepEqual([...toCodes([[1, 2], [3, 255]], 2, "x")], [1, 2, 3, 255]);
 * ```
 */
export function toCodes(input: BinaryInput, codeSize: number, what: string): Uint8Array {
  if (Array.isArray(input)) return fromNested(input, codeSize, what);
  if (!(input instanceof Uint8Array)) {
    throw new TypeError(`Cannot read ${what}: it is no Uint8Array and no array of rows of bytes`);
  }
  if (input.length === 0) throw new TypeError(`Cannot read ${what}: it is empty`);
  if (input.length % codeSize !== 0) {
    throw new TypeError(
      `Cannot read ${what}: length ${input.length} is not a multiple of ${codeSize} bytes`,
    );
  }
  return input;
}

function fromNested(
  rows: readonly (Uint8Array | readonly number[])[],
  codeSize: number,
  what: string,
): Uint8Array {
  if (rows.length === 0) throw new TypeError(`Cannot read ${what}: it is empty`);
  const out = new Uint8Array(rows.length * codeSize);
  rows.forEach((row, i) => {
    if (row?.length !== codeSize) {
      throw new TypeError(
        `Cannot read ${what}: row ${i} has ${row?.length} bytes, not ${codeSize}`,
      );
    }
    for (let j = 0; j < codeSize; j++) {
      const byte = row[j]!;
      if (!Number.isInteger(byte) || byte < 0 || byte > 255) {
        throw new RangeError(`Cannot read ${what}: row ${i} holds ${byte}, which is no byte`);
      }
    }
    out.set(row, i * codeSize);
  });
  return out;
}
