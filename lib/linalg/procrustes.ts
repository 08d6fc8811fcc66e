/**
 * The rotation that takes one set of points to another.
 *
 * @module
 */

import { type Columns, dot, toColumns } from "../backend/reference/linalg/columns.ts";
import { smallSvd } from "../backend/reference/linalg/jacobi.ts";
import { run as runSteps } from "../backend/reference/steps.ts";
import type { Execution } from "../backend/linalg.ts";
import { withDisplay } from "../display.ts";
import { Matrix } from "../matrix.ts";
import { checkFinite, shapeText } from "./checks.ts";
import { procrustesBundle } from "./display.ts";
import { floatMatrix, type LinalgOptions, type MatrixInput } from "./operands.ts";
import { gemmAtB } from "./products.ts";

/** What {@linkcode procrustes} allows, and what computes. */
export interface ProcrustesOptions extends LinalgOptions {
  /** Whether R may mirror, where that fits better; true by default. */
  reflection?: boolean | undefined;
}

/** What {@linkcode procrustes} finds. */
export interface Procrustes {
  /** d × d, orthogonal: A R is near B. */
  rotation: Matrix;
  /** The factor with which scale · A R is nearest to B; 0 where A is all zeros. */
  scale: number;
  /** What ran. */
  run: Execution;
}

/**
 * The orthogonal matrix R with the least ‖A R − B‖ (Schönemann, "A generalized solution of the
 * orthogonal Procrustes problem", 1966): U Vᵀ of AᵀB = U S Vᵀ; without reflections, by Kabsch (1976).
 *
 * @param a n × d, a point a row.
 * @param b n × d, where each should get to.
 * @param options Whether R may mirror.
 * @returns R (d × d), and the factor that fits best.
 * @throws {TypeError} If the shapes differ.
 * @throws {RangeError} If a number is NaN or infinite, naming its row.
 *
 * @example
 * ```ts
 * import { procrustes } from "@metalfaiss/metalfaiss/linalg";
 * import assert from "node:assert/strict";
 *
 * // A quarter turn, and twice as large.
 * const { rotation, scale } = await procrustes([[1, 0], [0, 1]], [[0, 2], [-2, 0]]);
 * assert.ok(Math.abs(rotation.row(0)[1]! - 1) < 1e-6);
 * assert.ok(Math.abs(scale - 2) < 1e-6);
 * ```
 */
export async function procrustes(
  a: MatrixInput,
  b: MatrixInput,
  options: ProcrustesOptions = {},
): Promise<Procrustes> {
  const { backend, reflection = true } = options;
  const [from, to] = [floatMatrix(a, "A"), floatMatrix(b, "B")];
  if (from.rows !== to.rows || from.columns !== to.columns) {
    throw new TypeError(
      `Cannot find a rotation: A is ${shapeText(from)}, B is ${shapeText(to)}`,
    );
  }
  const d = from.columns;
  checkFinite(from.data, d, "find a rotation of A");
  checkFinite(to.data, d, "find a rotation to B");
  const cross = await gemmAtB(from, to, { backend });
  const { u, s, v } = await runSteps(smallSvd(toColumns(cross.data, d, d)));
  if (!reflection && isMirrored(u) !== isMirrored(v)) {
    // The direction that counts least is turned around.
    u.at(-1)!.forEach((value, i, column) => column[i] = -value);
    s[d - 1]! *= -1;
  }
  const rotation = new Float32Array(d * d);
  for (let i = 0; i < d; i++) {
    for (let j = 0; j < d; j++) {
      let sum = 0;
      for (let c = 0; c < d; c++) sum += u[c]![i]! * v[c]![j]!;
      rotation[i * d + j] = sum;
    }
  }
  const square = dot(from.data, from.data);
  const scale = square > 0 ? s.reduce((sum, value) => sum + value, 0) / square : 0;
  const found = { rotation: new Matrix(rotation, d, cross.run), scale, run: cross.run! };
  return withDisplay(found, procrustesBundle);
}

/** Whether the determinant of orthonormal columns is −1: by elimination. */
function isMirrored(columns: Columns): boolean {
  const work = columns.map((column) => column.slice());
  let negative = false;
  for (let i = 0; i < work.length; i++) {
    let pivot = i;
    for (let j = i + 1; j < work.length; j++) {
      if (Math.abs(work[j]![i]!) > Math.abs(work[pivot]![i]!)) pivot = j;
    }
    if (pivot !== i) {
      [work[i], work[pivot]] = [work[pivot]!, work[i]!];
      negative = !negative;
    }
    const own = work[i]!;
    if (own[i]! < 0) negative = !negative;
    for (let j = i + 1; j < work.length; j++) {
      const factor = work[j]![i]! / own[i]!;
      for (let t = i; t < own.length; t++) work[j]![t]! -= factor * own[t]!;
    }
  }
  return negative;
}
