/**
 * The largest singular values, and their vectors.
 *
 * @module
 */

import { fromColumns, toColumns } from "../backend/reference/linalg/columns.ts";
import { smallSvd } from "../backend/reference/linalg/jacobi.ts";
import { run as runSteps } from "../backend/reference/steps.ts";
import type { Dense, Execution, TopkSvdOptions } from "../backend/linalg.ts";
import { withDisplay } from "../display.ts";
import { Tensor } from "../kernel/tensor.ts";
import { Matrix } from "../matrix.ts";
import { checkCount, checkRank, checkTolerance } from "./checks.ts";
import { svdBundle } from "./display.ts";
import {
  backendOf,
  contiguousMatrix,
  hostMatrix,
  joinRuns,
  type LinalgOptions,
  type MatrixInput,
} from "./operands.ts";
import { gemm, gemmAtB, gemmAV } from "./products.ts";
import { qr } from "./qr.ts";
import { startVectors } from "./start.ts";

/** How {@linkcode topkSvd} iterates, and on what. */
export interface SubspaceOptions extends TopkSvdOptions, LinalgOptions {}

/** A ≈ U diag(s) Vᵀ. */
export interface Svd {
  /** m × k. */
  u: Matrix;
  /** k values, largest first. */
  s: Float32Array;
  /** n × k. */
  v: Matrix;
  /** Values above n · 2⁻²³ of the largest. */
  rank: number;
  /** What ran. */
  run: Execution;
}

/** What {@linkcode topkSvd} finds. */
export interface SubspaceSvd extends Svd {
  /** Steps done. */
  iterations: number;
  /** Whether the tolerance was met. */
  converged: boolean;
}

/**
 * The k largest singular values and their vectors, by subspace iteration V ← orth(Aᵀ(AV)) and a
 * Rayleigh–Ritz step at the end (Golub and Van Loan, "Matrix Computations", §8.2.4 and §8.6). A step
 * shrinks the error of value i by (s[k] / s[i])⁴: where values lie close together it takes many.
 *
 * @param a m × n.
 * @param k Values, at most the smaller of m and n.
 * @param options Steps (4 by default), when to stop, the start, and how a step is computed.
 * @returns U (m × k), s (largest first), V (n × k): orthonormal columns with `rayleighRitz`, without
 * it only those of V.
 * @throws {RangeError} If there are not k values, or a number is NaN or infinite, naming its row.
 *
 * @example
 * ```ts
 * import { topkSvd } from "@metalfaiss/metalfaiss/linalg";
 * import assert from "node:assert/strict";
 *
 * const { s, converged } = await topkSvd([[3, 0], [0, 5], [0, 0]], 2, {
 *   iterations: 50,
 *   tolerance: 1e-6,
 * });
 * assert.ok(converged && Math.abs(s[0]! - 5) < 1e-4 && Math.abs(s[1]! - 3) < 1e-4);
 * ```
 */
export async function topkSvd(
  a: MatrixInput | Tensor,
  k: number,
  options: SubspaceOptions = {},
): Promise<SubspaceSvd> {
  const { backend: _given, ...how } = options;
  const input: Dense = a instanceof Tensor ? contiguousMatrix(a, "A") : hostMatrix(a, "A");
  checkRank(k, input);
  if (how.iterations !== undefined) checkCount(how.iterations, "iterations", "iterate");
  if (how.tolerance !== undefined) checkTolerance(how.tolerance, "iterate");
  const { linalg } = backendOf(options, a instanceof Tensor ? a : undefined);
  const { value, run } = await linalg.topkSvd(input, k, how);
  const found = {
    ...value,
    u: new Matrix(value.u, k, run),
    v: new Matrix(value.v, k, run),
    run,
  };
  return withDisplay(found, svdBundle);
}

/** How {@linkcode randomizedSvd} works, and on what. */
export interface RandomizedSvdOptions extends LinalgOptions {
  /** Columns beyond k that are carried along; 10 by default. */
  oversample?: number | undefined;
  /** Steps Y ← A orth(Aᵀ orth(Y)); 2 by default. */
  powerIterations?: number | undefined;
  /** Of the random matrix; 0 by default. */
  seed?: number | undefined;
}

/**
 * The k largest singular values and their vectors from a random sketch (Halko, Martinsson and Tropp,
 * "Finding structure with randomness", 2011, algorithms 4.4 and 5.1). With a few columns more than k,
 * two steps are near the best approximation of rank k.
 *
 * @param a m × n.
 * @param k Values, at most the smaller of m and n.
 * @param options Columns more, steps, and the seed.
 * @returns U (m × k), s (largest first), V (n × k).
 * @throws {RangeError} If there are not k values, or a number is NaN or infinite, naming its row.
 *
 * @example
 * ```ts
 * import { randomizedSvd } from "@metalfaiss/metalfaiss/linalg";
 * import assert from "node:assert/strict";
 *
 * const { s, rank } = await randomizedSvd([[2, 0, 0], [0, 1, 0], [0, 0, 0]], 2);
 * assert.ok(Math.abs(s[0]! - 2) < 1e-5 && Math.abs(s[1]! - 1) < 1e-5);
 * assert.equal(rank, 2);
 * ```
 */
export async function randomizedSvd(
  a: MatrixInput,
  k: number,
  options: RandomizedSvdOptions = {},
): Promise<Svd> {
  const { backend, oversample = 10, powerIterations = 2, seed = 0 } = options;
  const input = hostMatrix(a, "A");
  const { rows: m, columns: n } = input;
  checkRank(k, input);
  checkCount(oversample, "oversample", "decompose", 0);
  checkCount(powerIterations, "powerIterations", "decompose", 0);
  const width = Math.min(k + oversample, m, n);

  const start = new Matrix(startVectors(n, width, seed), width);
  let range = await qr(await gemmAV(input, start, { backend }), { backend });
  for (let step = 0; step < powerIterations; step++) {
    const rows = await qr(await gemmAtB(input, range.q, { backend }), { backend });
    range = await qr(await gemmAV(input, rows.q, { backend }), { backend });
  }
  // A ≈ Q (AᵀQ)ᵀ = Q (WR)ᵀ, and R is small.
  const rows = await qr(await gemmAtB(input, range.q, { backend }), { backend });
  const small = await runSteps(smallSvd(toColumns(rows.r.data, width, width)));
  const left = new Matrix(fromColumns(small.v.slice(0, k), width), k);
  const right = new Matrix(fromColumns(small.u.slice(0, k), width), k);
  const [u, v] = [await gemm(range.q, left, { backend }), await gemm(rows.q, right, { backend })];
  const s = Float32Array.from(small.s.subarray(0, k));
  const run = joinRuns(range.run, rows.run, rows.q.run, u.run, v.run);
  const rank = s.filter((value) => value > n * 2 ** -23 * s[0]!).length;
  return withDisplay({ u, s, v, rank, run }, svdBundle);
}
