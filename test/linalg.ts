/**
 * Matrices and float64 oracles for tests of linear algebra.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { Backend } from "../lib/backend/backend.ts";
import { Matrix } from "../lib/matrix.ts";
import { Random } from "../lib/random.ts";

/** Numbers of a matrix, row by row. */
export interface Numbers {
  readonly data: ArrayLike<number>;
  readonly rows: number;
  readonly columns: number;
}

/** A Gaussian matrix. */
export function gaussian(rows: number, columns: number, seed: number, offset = 0): Matrix {
  const random = new Random(seed);
  return new Matrix(
    Float32Array.from({ length: rows * columns }, () => offset + random.normal()),
    columns,
  );
}

/** A matrix by a function of row and column. */
export function matrixOf(
  rows: number,
  columns: number,
  value: (i: number, j: number) => number,
): Matrix {
  return new Matrix(
    Float32Array.from(
      { length: rows * columns },
      (_, at) => value(Math.floor(at / columns), at % columns),
    ),
    columns,
  );
}

/** 1 / (i + j + 1): singular values fall by a factor of 30 each. */
export function hilbert(n: number): Matrix {
  return matrixOf(n, n, (i, j) => 1 / (i + j + 1));
}

/** Ones over a small diagonal: columns that are nearly the same. */
export function lauchli(n: number, eps: number): Matrix {
  return matrixOf(n + 1, n, (i, j) => i === 0 ? 1 : i - 1 === j ? eps : 0);
}

/** A matrix of given singular values: reflections of a diagonal one, in float64. */
export function withSingularValues(
  rows: number,
  columns: number,
  values: readonly number[],
  seed: number,
): Matrix {
  const random = new Random(seed);
  const data = new Float64Array(rows * columns);
  values.forEach((value, i) => data[i * columns + i] = value);
  for (let round = 0; round < 3; round++) {
    const left = unit(rows, random);
    const right = unit(columns, random);
    for (let j = 0; j < columns; j++) {
      let sum = 0;
      for (let i = 0; i < rows; i++) sum += left[i]! * data[i * columns + j]!;
      for (let i = 0; i < rows; i++) data[i * columns + j]! -= 2 * sum * left[i]!;
    }
    for (let i = 0; i < rows; i++) {
      let sum = 0;
      for (let j = 0; j < columns; j++) sum += right[j]! * data[i * columns + j]!;
      for (let j = 0; j < columns; j++) data[i * columns + j]! -= 2 * sum * right[j]!;
    }
  }
  return new Matrix(Float32Array.from(data), columns);
}

function unit(n: number, random: Random): Float64Array {
  const v = Float64Array.from({ length: n }, () => random.normal());
  const length = Math.hypot(...v);
  return v.map((value) => value / length);
}

/** op(A) op(B) in float64, and for each number the sum of its terms' absolute values. */
export function product64(
  a: Numbers,
  b: Numbers,
  { transposeA = false, transposeB = false } = {},
): { sums: Float64Array; sizes: Float64Array; m: number; n: number; k: number } {
  const [m, k] = transposeA ? [a.columns, a.rows] : [a.rows, a.columns];
  const n = transposeB ? b.rows : b.columns;
  const sums = new Float64Array(m * n);
  const sizes = new Float64Array(m * n);
  for (let i = 0; i < m; i++) {
    for (let p = 0; p < k; p++) {
      const x = a.data[transposeA ? p * m + i : i * k + p]!;
      for (let j = 0; j < n; j++) {
        const term = x * b.data[transposeB ? j * k + p : p * n + j]!;
        sums[i * n + j]! += term;
        sizes[i * n + j]! += Math.abs(term);
      }
    }
  }
  return { sums, sizes, m, n, k };
}

/** The largest absolute number of QᵀQ − I. */
export function orthogonalityError(q: Numbers): number {
  const { sums, n } = product64(q, q, { transposeA: true });
  return sums.reduce((most, value, at) => {
    return worst(most, value - Number(Math.floor(at / n) === at % n));
  }, 0);
}

/** The largest absolute number of A − XY, as a part of A's largest. */
export function residual(a: Matrix, x: Numbers, y: Numbers, transposeB = false): number {
  const { sums } = product64(x, y, { transposeB });
  const largest = a.data.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return a.data.reduce((most, value, at) => worst(most, value - sums[at]!), 0) / (largest || 1);
}

/** The larger of an error and those before it; NaN is the largest. */
function worst(most: number, error: number): number {
  return Number.isNaN(error) ? Infinity : Math.max(most, Math.abs(error));
}

/** U with its columns multiplied by s. */
export function scaled(u: Matrix, s: ArrayLike<number>): Numbers {
  return { ...shape(u), data: u.data.map((value, at) => value * s[at % u.columns]!) };
}

function shape({ rows, columns }: Matrix): { rows: number; columns: number } {
  return { rows, columns };
}

/** Asserts that values agree to a relative tolerance. */
export function assertRelative(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: number,
  what: string,
): void {
  assert.equal(actual.length, expected.length, what);
  for (let i = 0; i < expected.length; i++) {
    const error = Math.abs(actual[i]! - expected[i]!);
    assert.ok(
      error <= tolerance * Math.abs(expected[i]!),
      `${what}: at ${i} ${actual[i]}, expected ${expected[i]}`,
    );
  }
}

/** Asserts that an error is at most what is allowed; NaN is not. */
export function assertAtMost(error: number, most: number, what: string): void {
  assert.ok(error <= most, `${what}: ${error} is above ${most}`);
}

/** Asserts that a result says that a backend made it, and by what. */
export function assertRan(
  run: { backend: string; engine: string; variants: string[] } | undefined,
  backend: Backend,
): void {
  assert.equal(run?.backend, backend.name);
  assert.equal(run.engine, backend.engine);
  assert.ok(run.variants.length > 0);
}
