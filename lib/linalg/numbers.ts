/**
 * Numbers of the host in the types that products take; bfloat16 is bits in a Uint16Array.
 *
 * @module
 */

import type { Element, HostNumbers } from "../backend/linalg.ts";

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** Bits of the nearest bfloat16, ties to even. */
export function toBfloat16(value: number): number {
  float[0] = value;
  const all = bits[0]!;
  if ((all & 0x7fff_ffff) > 0x7f80_0000) return (all >>> 16) | 0x40;
  return (all + 0x7fff + ((all >>> 16) & 1)) >>> 16;
}

/** The number that bfloat16 bits stand for. */
export function fromBfloat16(stored: number): number {
  bits[0] = stored << 16;
  return float[0]!;
}

/**
 * Numbers as a type stores them: rounded to nearest.
 *
 * @param values The numbers.
 * @param dtype Type to store them as; a Float32Array is passed through for `float32`.
 * @throws {TypeError} If there is no such type.
 */
export function encodeNumbers(values: ArrayLike<number>, dtype: Element): HostNumbers {
  if (dtype === "float32") {
    return values instanceof Float32Array ? values : Float32Array.from(values);
  }
  if (dtype === "float16") {
    return values instanceof Float16Array ? values : Float16Array.from(values);
  }
  if (dtype === "bfloat16") return Uint16Array.from(values, toBfloat16);
  throw new TypeError(`Cannot store numbers: there is no type "${dtype}" of matrices`);
}

/**
 * Stored numbers as float32, which holds all of them exactly.
 *
 * @param stored The numbers; a Float32Array is passed through.
 * @param dtype Type that they are stored as.
 * @throws {TypeError} If the array is not of that type.
 */
export function decodeNumbers(stored: HostNumbers, dtype: Element): Float32Array {
  checkNumbers(stored, dtype);
  if (stored instanceof Float32Array) return stored;
  if (stored instanceof Float16Array) return Float32Array.from(stored);
  return Float32Array.from(stored, fromBfloat16);
}

/** Memory for `count` numbers of a type. */
export function zeroNumbers(count: number, dtype: Element): HostNumbers {
  if (dtype === "float32") return new Float32Array(count);
  return dtype === "float16" ? new Float16Array(count) : new Uint16Array(count);
}

/** Fails where an array does not hold what a type stores. */
export function checkNumbers(stored: HostNumbers, dtype: Element): void {
  const fits = dtype === "float32"
    ? stored instanceof Float32Array
    : dtype === "float16"
    ? stored instanceof Float16Array
    : dtype === "bfloat16" && stored instanceof Uint16Array;
  if (!fits) {
    const name = Object.getPrototypeOf(stored)?.constructor?.name;
    throw new TypeError(`Cannot read ${dtype} numbers: they are in a ${name}`);
  }
}
