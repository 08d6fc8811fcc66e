/**
 * Eigenvalues of symmetric matrices, in float64: by Householder reflections to a tridiagonal
 * matrix, and implicit QL steps (Golub and Van Loan, "Matrix Computations", §8.3).
 *
 * @module
 */

import type { Backend } from "../backend/backend.ts";
import { run, runSync, type Steps } from "../backend/reference/steps.ts";
import { backend as defaultBackend } from "../backend/select.ts";
import { withDisplay } from "../display.ts";
import { eigenBundle } from "./display.ts";

/** A = vectors · diag(values) · vectorsᵀ. */
export interface Eigen {
  /** The values, largest first. */
  values: Float64Array;
  /** n × n, row by row: column j belongs to value j; orthonormal. */
  vectors: Float64Array;
}

/**
 * All eigenvalues and vectors of a symmetric matrix.
 *
 * @param a n × n numbers, of which the lower triangle is read; it is left as it is.
 * @param n Rows.
 * @throws {RangeError} If the matrix holds NaN or infinities.
 *
 * @example
 * ```ts
 * import { eigenSymmetric } from "@metalfaiss/metalfaiss/linalg";
 * import assert from "node:assert/strict";
 *
 * const { values } = eigenSymmetric(Float64Array.of(2, 1, 1, 2), 2);
 * assert.ok(Math.abs(values[0]! - 3) < 1e-12 && Math.abs(values[1]! - 1) < 1e-12);
 * ```
 */
export function eigenSymmetric(a: Float64Array, n: number): Eigen {
  return runSync(eigenSteps(a, n));
}

/** {@linkcode eigenSymmetric} on another thread where the backend can, else letting others in. @internal */
export async function eigenOn(
  backend: Backend | undefined,
  a: Float64Array,
  n: number,
  signal?: AbortSignal,
): Promise<{ values: Float64Array; vectors: Float64Array }> {
  const { linalg } = backend ?? defaultBackend();
  return await linalg.eigenSymmetric?.(a, n, signal) ?? await run(eigenSteps(a, n), signal);
}

/** {@linkcode eigenSymmetric}, letting others in now and then. @internal */
export function* eigenSteps(a: Float64Array, n: number): Steps<Eigen> {
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      if (!Number.isFinite(a[i * n + j]!)) {
        throw new RangeError(`Cannot find eigenvalues: row ${i} holds ${a[i * n + j]}`);
      }
    }
  }
  // Rows of `basis` are the vectors: a rotation then acts on two rows, which lie together.
  const { diagonal, beside, basis } = yield* tridiagonal(a, n);
  yield* diagonalize(diagonal, beside, basis, n);
  const order = Array.from(diagonal.keys()).sort((i, j) => diagonal[j]! - diagonal[i]! || i - j);
  const vectors = new Float64Array(n * n);
  order.forEach((from, to) => {
    for (let i = 0; i < n; i++) vectors[i * n + to] = basis[from * n + i]!;
  });
  const values = Float64Array.from(order, (i) => diagonal[i]!);
  return withDisplay({ values, vectors }, eigenBundle);
}

/** basis · A · basisᵀ is tridiagonal: `beside[i]` lies between `diagonal[i]` and the next. */
function* tridiagonal(a: Float64Array, n: number) {
  const work = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) work[i * n + j] = work[j * n + i] = a[i * n + j]!;
  }
  const basis = new Float64Array(n * n);
  for (let i = 0; i < n; i++) basis[i * n + i] = 1;
  const beside = new Float64Array(n);
  const v = new Float64Array(n);
  const w = new Float64Array(n);
  for (let k = 0; k + 1 < n; k++) {
    const beta = reflector(work.subarray(k * n, (k + 1) * n), v, k + 1);
    if (beta !== 0) {
      // A ← HAH = A − vwᵀ − wvᵀ, where p = βAv and w = p − (β/2)(pᵀv)v.
      let pv = 0;
      for (let i = k; i < n; i++) {
        let sum = 0;
        for (let j = k + 1; j < n; j++) sum += work[i * n + j]! * v[j]!;
        w[i] = beta * sum;
        pv += w[i]! * v[i]!;
      }
      for (let i = k; i < n; i++) w[i]! -= beta * pv * v[i]! / 2;
      for (let i = k; i < n; i++) {
        for (let j = k; j < n; j++) work[i * n + j]! -= v[i]! * w[j]! + w[i]! * v[j]!;
      }
      applyReflector(basis, v, beta, k + 1, n);
    }
    beside[k] = work[k * n + k + 1]!;
    yield;
  }
  return { diagonal: Float64Array.from({ length: n }, (_, i) => work[i * n + i]!), beside, basis };
}

/** v and β with (I − βvvᵀ)x zero after position `from`; v is zero before it. */
function reflector(x: Float64Array, v: Float64Array, from: number): number {
  let largest = 0;
  for (let i = from; i < x.length; i++) largest = Math.max(largest, Math.abs(x[i]!));
  v.fill(0);
  if (largest === 0) return 0;
  let square = 0;
  for (let i = from; i < x.length; i++) {
    v[i] = x[i]! / largest;
    square += v[i]! ** 2;
  }
  v[from]! += Math.sign(v[from]!) < 0 ? -Math.sqrt(square) : Math.sqrt(square);
  let length = 0;
  for (let i = from; i < x.length; i++) length += v[i]! ** 2;
  return 2 / length;
}

/** basis ← (I − βvvᵀ) basis. */
function applyReflector(
  basis: Float64Array,
  v: Float64Array,
  beta: number,
  from: number,
  n: number,
) {
  const sums = new Float64Array(n);
  for (let i = from; i < n; i++) {
    for (let j = 0; j < n; j++) sums[j]! += v[i]! * basis[i * n + j]!;
  }
  for (let i = from; i < n; i++) {
    for (let j = 0; j < n; j++) basis[i * n + j]! -= beta * v[i]! * sums[j]!;
  }
}

/** Implicit QL steps with Wilkinson's shift, until `e` is zero to the last digit. */
function* diagonalize(
  d: Float64Array,
  e: Float64Array,
  basis: Float64Array,
  n: number,
): Steps<void> {
  for (let l = 0; l < n; l++) {
    for (let step = 0;; step++) {
      let m = l;
      while (m + 1 < n && Math.abs(e[m]!) > 2 ** -53 * (Math.abs(d[m]!) + Math.abs(d[m + 1]!))) m++;
      if (m === l) break;
      // Three steps a value are usual; a finite matrix has never been seen to need more than 30.
      if (step === 100) throw new RangeError("Cannot find eigenvalues: QL does not converge");
      stepQL(d, e, basis, l, m, n);
      yield;
    }
  }
}

function stepQL(
  d: Float64Array,
  e: Float64Array,
  basis: Float64Array,
  l: number,
  m: number,
  n: number,
): void {
  const ratio = (d[l + 1]! - d[l]!) / (2 * e[l]!);
  const root = Math.hypot(ratio, 1);
  let g = d[m]! - d[l]! + e[l]! / (ratio + (ratio < 0 ? -root : root));
  let sine = 1;
  let cosine = 1;
  let p = 0;
  for (let i = m - 1; i >= l; i--) {
    const f = sine * e[i]!;
    const b = cosine * e[i]!;
    const r = Math.hypot(f, g);
    e[i + 1] = r;
    if (r === 0) {
      d[i + 1]! -= p;
      e[m] = 0;
      return;
    }
    sine = f / r;
    cosine = g / r;
    g = d[i + 1]! - p;
    const t = (d[i]! - g) * sine + 2 * cosine * b;
    p = sine * t;
    d[i + 1] = g + p;
    g = cosine * t - b;
    for (let j = 0; j < n; j++) {
      const upper = basis[i * n + j]!;
      const lower = basis[(i + 1) * n + j]!;
      basis[(i + 1) * n + j] = sine * upper + cosine * lower;
      basis[i * n + j] = cosine * upper - sine * lower;
    }
  }
  d[l]! -= p;
  e[l] = g;
  e[m] = 0;
}
