/**
 * Data of the experiments: where the backend computes, and what it should be in float64.
 *
 * @module
 */

import type { Dense, Element } from "../backend/linalg.ts";
import { Tensor } from "../kernel/tensor.ts";
import type { JournalContext } from "./experiment.ts";

/** Matrices of a trial. On a GPU they lie there, so that no transfer is measured. */
export class Operands implements Disposable {
  readonly #context: JournalContext;
  readonly #tensors: Tensor[] = [];

  constructor(context: JournalContext) {
    this.#context = context;
  }

  /** A matrix of the backend. */
  dense(data: Float32Array, rows: number, columns: number, dtype: Element = "float32"): Dense {
    const { device } = this.#context;
    if (device === undefined) {
      if (dtype === "bfloat16") {
        throw new TypeError("Cannot make a matrix: bfloat16 is a GPU's here");
      }
      return { data: dtype === "float16" ? Float16Array.from(data) : data, rows, columns, dtype };
    }
    const tensor = Tensor.from(data, [rows, columns], dtype, device);
    this.#tensors.push(tensor);
    return { data: tensor, rows, columns, dtype };
  }

  /** Frees a result, unless it was written to one of these. */
  release({ data }: Dense): void {
    if (data instanceof Tensor && !this.#tensors.includes(data)) data.dispose();
  }

  [Symbol.dispose](): void {
    for (const tensor of this.#tensors.splice(0)) tensor.dispose();
  }
}

/** The numbers of a result, wherever they are. */
export async function numbersOf({ data }: Dense): Promise<Float32Array> {
  const numbers = data instanceof Tensor ? await data.data() : data;
  return Float32Array.from(numbers as Float32Array);
}

/** Frees a result that is a Tensor. */
export function discard({ data }: Dense): void {
  if (data instanceof Tensor) data.dispose();
}

/** Rows that are compared with float64: all of few, a spread of many. */
export function sampledRows(rows: number, most = 16): number[] {
  if (rows <= most) return Array.from({ length: rows }, (_, i) => i);
  return Array.from({ length: most }, (_, i) => Math.floor(i * (rows - 1) / (most - 1)));
}

/** Row i of op(A)·B in float64; `a` is m × k, or with `transposed` k × m as it lies. */
export function productRow(
  a: Float32Array,
  b: Float32Array,
  i: number,
  [m, k, n]: readonly [m: number, k: number, n: number],
  transposed = false,
): Float64Array {
  const row = new Float64Array(n);
  for (let p = 0; p < k; p++) {
    const factor = transposed ? a[p * m + i]! : a[i * k + p]!;
    for (let j = 0; j < n; j++) row[j]! += factor * b[p * n + j]!;
  }
  return row;
}

/** Largest error of rows relative to the longest of them, against float64. */
export function rowsError(
  found: Float32Array,
  columns: number,
  rows: readonly number[],
  exact: (row: number) => ArrayLike<number>,
): number {
  let most = 0;
  let largest = Number.MIN_VALUE;
  for (const i of rows) {
    const expected = exact(i);
    for (let j = 0; j < columns; j++) {
      const apart = Math.abs(found[i * columns + j]! - expected[j]!);
      if (Number.isNaN(apart)) return Infinity;
      most = Math.max(most, apart);
      largest = Math.max(largest, Math.abs(expected[j]!));
    }
  }
  return most / largest;
}

/** A row of d numbers as LayerNorm makes it, in float64. */
export function normalizedRow(
  x: Float32Array,
  row: number,
  d: number,
  eps: number,
): Float64Array {
  const values = Float64Array.from(x.subarray(row * d, (row + 1) * d));
  const mean = values.reduce((sum, value) => sum + value, 0) / d;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / d;
  return values.map((value) => (value - mean) / Math.sqrt(variance + eps));
}

/** max |QᵀQ − I| of an m × n matrix. */
export function orthogonalityError(q: Float32Array, m: number, n: number): number {
  let most = 0;
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = i === j ? -1 : 0;
      for (let row = 0; row < m; row++) sum += q[row * n + i]! * q[row * n + j]!;
      most = Math.max(most, Math.abs(sum));
      if (Number.isNaN(sum)) return Infinity;
    }
  }
  return most;
}
