/**
 * QR decompositions.
 *
 * @module
 */

import type { Dense, Execution, QrOptions } from "../backend/linalg.ts";
import { withDisplay } from "../display.ts";
import { Tensor } from "../kernel/tensor.ts";
import { Matrix } from "../matrix.ts";
import { checkLength, checkTall, checkTolerance } from "./checks.ts";
import { qrBundle } from "./display.ts";
import {
  backendOf,
  contiguousMatrix,
  floatVector,
  hostMatrix,
  type LinalgOptions,
  type MatrixInput,
  type NumberVector,
} from "./operands.ts";

/** How {@linkcode qr} works, and on what. */
export interface QrDecompositionOptions extends QrOptions, LinalgOptions {}

/** A = QR. */
export interface QrDecomposition {
  /** m × n, orthonormal columns. */
  q: Matrix;
  /** n × n, upper triangular, diagonal not negative. */
  r: Matrix;
  /** Independent columns. */
  rank: number;
  /** What ran. */
  run: Execution;
}

/**
 * A = QR, by two passes of modified Gram–Schmidt (Björck, "Solving linear least squares problems by
 * Gram–Schmidt orthogonalization", 1967; that twice is enough: Giraud et al., 2005), by panels, or by
 * Householder reflections. Q is orthonormal also where A lacks rank: then columns of Q that stand for
 * dependent ones of A are any that fit, and those of R have a 0 there.
 *
 * @param a m × n, m ≥ n.
 * @param options Method, and when a column is dependent.
 * @returns Q (m × n), R (n × n), the rank and what ran.
 * @throws {TypeError} If m < n.
 * @throws {RangeError} If a number is NaN or infinite, naming its row.
 *
 * @example
 * ```ts
 * import { gemm, qr } from "@metalfaiss/metalfaiss/linalg";
 * import assert from "node:assert/strict";
 *
 * const { q, r, rank } = await qr([[3, 1], [4, 2], [0, 2]]);
 * assert.equal(rank, 2);
 * const a = await gemm(q, r);
 * assert.ok(Math.abs(a.row(1)[0]! - 4) < 1e-5);
 * ```
 */
export async function qr(
  a: MatrixInput | Tensor,
  options: QrDecompositionOptions = {},
): Promise<QrDecomposition> {
  const { backend: _given, ...how } = options;
  const input: Dense = a instanceof Tensor ? contiguousMatrix(a, "A") : hostMatrix(a, "A");
  checkTall(input);
  if (how.tolerance !== undefined) checkTolerance(how.tolerance, "decompose");
  const { linalg } = backendOf(options, a instanceof Tensor ? a : undefined);
  const { value, run } = await linalg.qr(input, how);
  const { columns } = input;
  const [q, r] = [new Matrix(value.q, columns, run), new Matrix(value.r, columns, run)];
  return withDisplay({ q, r, rank: value.rank, run }, qrBundle);
}

/** How {@linkcode projectCoeffs} multiplies, and on what. */
export interface ProjectOptions extends LinalgOptions {
  /** Kernel on a GPU: `auto`, the default, is `simd` from m ≥ 512. */
  dot?: QrOptions["dot"];
}

/**
 * c = Qᵀv: parts of a vector along the columns of a matrix.
 *
 * @param q m × n.
 * @param v m numbers.
 * @param options Kernel.
 * @returns n numbers as 1 × n; `run` says what computed them.
 * @throws {TypeError} If the lengths do not fit.
 *
 * @example
 * ```ts
 * import { projectCoeffs } from "@metalfaiss/metalfaiss/linalg";
 * import assert from "node:assert/strict";
 *
 * const c = await projectCoeffs([[1, 0], [0, 1], [0, 0]], [5, 6, 7]);
 * assert.deepEqual([...c.data], [5, 6]);
 * ```
 */
export async function projectCoeffs(
  q: MatrixInput,
  v: NumberVector,
  options: ProjectOptions = {},
): Promise<Matrix> {
  const input = hostMatrix(q, "Q");
  const vector = floatVector(v, "v");
  checkLength(vector, input.rows, "v");
  const { linalg } = backendOf(options);
  const { value, run } = await linalg.projectCoeffs(input, vector, options.dot);
  return new Matrix(value, input.columns, run);
}

/**
 * v − Qc: a vector without its parts along the columns of a matrix.
 *
 * @param q m × n.
 * @param c n numbers, as of {@linkcode projectCoeffs}.
 * @param v m numbers; they are left as they are.
 * @param options What computes.
 * @returns m numbers as 1 × m.
 * @throws {TypeError} If the lengths do not fit.
 *
 * @example
 * ```ts
 * import { updateVector } from "@metalfaiss/metalfaiss/linalg";
 * import assert from "node:assert/strict";
 *
 * const rest = await updateVector([[1, 0], [0, 1], [0, 0]], [5, 6], [5, 6, 7]);
 * assert.deepEqual([...rest.data], [0, 0, 7]);
 * ```
 */
export async function updateVector(
  q: MatrixInput,
  c: NumberVector | Matrix,
  v: NumberVector,
  options: LinalgOptions = {},
): Promise<Matrix> {
  const input = hostMatrix(q, "Q");
  const parts = c instanceof Matrix ? c.data : floatVector(c, "c");
  const vector = floatVector(v, "v");
  checkLength(parts, input.columns, "c");
  checkLength(vector, input.rows, "v");
  const { value, run } = await backendOf(options).linalg.updateVector(input, parts, vector);
  return new Matrix(value, input.rows, run);
}
