import { smallSvd } from "../backend/reference/linalg/jacobi.ts";
import { run as runSteps } from "../backend/reference/steps.ts";
import { gemm } from "../linalg/products.ts";
import { Matrix } from "../matrix.ts";
import type { TransformOptions } from "./transform.ts";

/** Of X ← (a + b XXᵀ + c (XXᵀ)²) X: small singular values grow 3.4 times a step, none passes 1.3. */
const [GROW, BEND, KEEP] = [3.4445, -4.775, 2.0315];

/** From this distance of XXᵀ from 1 on, cubic steps converge quadratically. */
const NEAR = 0.5;

/** Numbers of XXᵀ this near those of 1 are as near as single precision gets them. */
const DONE = 2e-6;

/** Steps after which a singular value that still is not 1 is 0. */
const MOST_STEPS = 40;

/**
 * The matrix with orthonormal rows that is nearest to another: U Vᵀ of U S Vᵀ. By Newton–Schulz steps,
 * which are products (Björck and Bowie, 1971; the first ones by a polynomial of degree 5); where the
 * matrix lacks rank by its singular values, and rows that fit take the places of missing ones.
 *
 * @param m At most as many rows as columns.
 */
export async function polarFactor(m: Matrix, options: TransformOptions): Promise<Matrix> {
  const { backend, signal } = options;
  const length = Math.sqrt(m.data.reduce((sum, value) => sum + value * value, 0));
  let x = new Matrix(m.data.map((value) => length > 0 ? value / length : 0), m.columns);
  let best = Infinity;
  for (let step = 0; step < MOST_STEPS; step++) {
    const square = await gemm(x, x, { transposeB: true, backend, signal });
    const distance = fromIdentity(square);
    // At the end rounding decides: the first step that gains nothing is the last.
    if (distance <= DONE || (distance < 1e-4 && distance >= best / 2)) return x;
    best = Math.min(best, distance);
    const factor = distance < NEAR
      ? combine(square, 1.5, -0.5)
      : combine(await gemm(square, square, { alpha: KEEP, beta: BEND, c: square, backend }), GROW);
    x = await gemm(factor, x, { backend, signal });
  }
  return await bySvd(m, signal);
}

/** The largest number of a square matrix less the identity. */
function fromIdentity({ data, columns }: Matrix): number {
  let most = 0;
  for (let i = 0; i < data.length; i++) {
    most = Math.max(most, Math.abs(data[i]! - (i % (columns + 1) === 0 ? 1 : 0)));
  }
  return most;
}

/** factor · M + diagonal · 1. */
function combine({ data, columns }: Matrix, diagonal: number, factor = 1): Matrix {
  const out = data.map((value, i) => factor * value + (i % (columns + 1) === 0 ? diagonal : 0));
  return new Matrix(out, columns);
}

async function bySvd(m: Matrix, signal: AbortSignal | undefined): Promise<Matrix> {
  const rows = Array.from({ length: m.rows }, (_, i) => Float64Array.from(m.row(i)));
  // The rows, as columns, are U S Vᵀ: what is wanted is V Uᵀ.
  const { u, v } = await runSteps(smallSvd(rows), signal);
  const out = new Float64Array(m.data.length);
  u.forEach((direction, c) => {
    for (let i = 0; i < m.rows; i++) {
      const factor = v[c]![i]!;
      for (let j = 0; j < m.columns; j++) out[i * m.columns + j]! += factor * direction[j]!;
    }
  });
  return new Matrix(Float32Array.from(out), m.columns);
}
