/**
 * Vectors in: every form that the API accepts, as row-major float32.
 *
 * @module
 */

import type { Execution } from "./backend/linalg.ts";
import { gridBundle, type MimeBundle, ranText } from "./display.ts";

/** Rows of numbers: one row-major array, a {@linkcode Matrix}, or an array a row. */
export type VectorInput =
  | Float32Array
  | Float64Array
  | Float16Array
  | Int8Array
  | Uint8Array
  | Matrix
  | readonly (readonly number[] | Float32Array)[]
  | readonly number[];

/**
 * A row-major float32 matrix.
 *
 * @example
 * ```ts
 * import { Matrix } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * const m = Matrix.from([[1, 2], [3, 4], [5, 6]]);
 * assert.equal(m.rows, 3);
 * assert.deepEqual([...m.row(1)], [3, 4]);
 * ```
 */
export class Matrix {
  /** The numbers, row by row. */
  readonly data: Float32Array;
  /** Number of rows. */
  readonly rows: number;
  /** Numbers a row. */
  readonly columns: number;
  /** What computed it, where an operation of linear algebra did. */
  readonly run: Execution | undefined;

  /**
   * Wraps an array without copying it.
   *
   * @param data `rows × columns` numbers.
   * @param columns Numbers a row.
   * @param run What computed it.
   * @throws {TypeError} If the length is not a multiple of `columns`.
   */
  constructor(data: Float32Array, columns: number, run?: Execution) {
    if (!Number.isInteger(columns) || columns < 1 || data.length % columns !== 0) {
      throw new TypeError(
        `Cannot make a matrix: ${data.length} numbers are no rows of ${columns}`,
      );
    }
    this.data = data;
    this.columns = columns;
    this.rows = data.length / columns;
    this.run = run;
  }

  /**
   * A matrix of rows.
   *
   * @param input An array a row, or row-major numbers with `columns`.
   * @param columns Numbers a row; by default the length of the first row.
   * @throws {TypeError} If a row has another length.
   */
  static from(input: VectorInput, columns?: number): Matrix {
    if (input instanceof Matrix) return input;
    const first = (input as ArrayLike<unknown>)[0];
    const width = columns ?? (typeof first === "object" ? (first as number[]).length : undefined);
    if (width === undefined) {
      throw new TypeError("Cannot make a matrix: `columns` is needed where rows are not nested");
    }
    return new Matrix(toRows(input, width, "input"), width);
  }

  /**
   * A row, sharing memory with the matrix.
   *
   * @param i Which, from 0.
   * @throws {RangeError} If there is no such row.
   */
  row(i: number): Float32Array {
    if (!Number.isInteger(i) || i < 0 || i >= this.rows) {
      throw new RangeError(`Cannot read row ${i}: there are ${this.rows}`);
    }
    return this.data.subarray(i * this.columns, (i + 1) * this.columns);
  }

  /** What a notebook shows: its first rows. */
  [Symbol.for("Jupyter.display")](): MimeBundle {
    const ran = this.run === undefined ? "" : `; ${ranText(this.run)}`;
    const title = `Matrix ${this.rows} × ${this.columns}`;
    return gridBundle(this.data, this.columns, title, ran);
  }

  /** What `console.log` shows. */
  [Symbol.for("Deno.customInspect")](): string {
    return `Matrix(${this.rows} × ${this.columns})`;
  }
}

function isTyped(
  input: unknown,
): input is Float32Array | Float64Array | Float16Array | Int8Array | Uint8Array {
  return input instanceof Float64Array || input instanceof Int8Array ||
    input instanceof Uint8Array || input instanceof Float16Array;
}

/**
 * Rows as row-major float32; a Float32Array is passed through without a copy.
 *
 * @param input The rows.
 * @param d Numbers a row.
 * @param what The argument's name, for the error.
 * @returns `n × d` numbers.
 * @throws {TypeError} If it is empty, of another type, or not in rows of `d`.
 */
export function toRows(input: VectorInput, d: number, what: string): Float32Array {
  if (input instanceof Matrix) {
    if (input.columns !== d) {
      throw new TypeError(`Cannot read ${what}: rows have ${input.columns} numbers, not ${d}`);
    }
    return toRows(input.data, d, what);
  }
  if (Array.isArray(input) && typeof input[0] === "object") return fromNested(input, d, what);
  if (!(input instanceof Float32Array || isTyped(input) || Array.isArray(input))) {
    throw new TypeError(`Cannot read ${what}: it is no array of numbers`);
  }
  if (input.length === 0) throw new TypeError(`Cannot read ${what}: it is empty`);
  if (input.length % d !== 0) {
    throw new TypeError(
      `Cannot read ${what}: length ${input.length} is not a multiple of the dimension ${d}`,
    );
  }
  return input instanceof Float32Array ? input : Float32Array.from(input as ArrayLike<number>);
}

function fromNested(
  rows: readonly (readonly number[] | Float32Array)[],
  d: number,
  what: string,
): Float32Array {
  const out = new Float32Array(rows.length * d);
  rows.forEach((row, i) => {
    if (row?.length !== d) {
      throw new TypeError(`Cannot read ${what}: row ${i} has ${row?.length} numbers, not ${d}`);
    }
    out.set(row, i * d);
  });
  return out;
}

/** Ids in: a BigInt64Array is passed through without a copy. */
export type IdInput = BigInt64Array | Int32Array | readonly (number | bigint)[];

/**
 * Ids as 64-bit integers.
 *
 * @param ids The ids.
 * @param n How many there must be; `undefined` for any number.
 * @param what The argument's name, for the error.
 * @returns The ids.
 * @throws {TypeError} If there are not `n`, or they are of another type.
 * @throws {RangeError} If one is negative, not an integer or past 2^63, naming its position.
 */
export function toIds(ids: IdInput, n: number | undefined, what: string): BigInt64Array {
  if (!(ids instanceof BigInt64Array || ids instanceof Int32Array || Array.isArray(ids))) {
    throw new TypeError(`Cannot read ${what}: it is no array of ids`);
  }
  if (n !== undefined && ids.length !== n) {
    throw new TypeError(`Cannot read ${what}: ${ids.length} ids for ${n} rows`);
  }
  const out = new BigInt64Array(ids instanceof BigInt64Array ? 0 : ids.length);
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i]!;
    // -1 is the label of a missing result.
    if (id < 0) throw new RangeError(`Cannot read ${what}: ${id} at position ${i} is negative`);
    if (ids instanceof BigInt64Array) continue;
    if (typeof id === "number" ? !Number.isSafeInteger(id) : BigInt.asIntN(64, id) !== id) {
      throw new RangeError(`Cannot read ${what}: ${id} at position ${i} is no 64-bit integer`);
    }
    out[i] = BigInt(id);
  }
  return ids instanceof BigInt64Array ? ids : out;
}
