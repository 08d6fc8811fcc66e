/**
 * Orthonormal rows, columns and bases.
 *
 * @module
 */

import { Matrix } from "../matrix.ts";
import { checkCount, checkFinite, checkTall, shapeText } from "./checks.ts";
import { floatMatrix, joinRuns, type LinalgOptions, type MatrixInput } from "./operands.ts";
import { gemm, gemmAtB } from "./products.ts";
import { qr } from "./qr.ts";
import { startVectors } from "./start.ts";

/** The transpose of a matrix. */
function transpose({ data, rows, columns, run }: Matrix): Matrix {
  const out = new Float32Array(data.length);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) out[j * rows + i] = data[i * columns + j]!;
  }
  return new Matrix(out, rows, run);
}

/**
 * Orthonormal columns that span those of a matrix: Q of its QR decomposition.
 *
 * @param a m × n, m ≥ n. Where it lacks rank, columns that fit take the places of dependent ones.
 * @param options What computes.
 * @returns m × n.
 * @throws {TypeError} If m < n.
 * @throws {RangeError} If a number is NaN or infinite, naming its row.
 *
 * @example
 * ```ts
 * import { orthonormalColumns } from "@metalfaiss/metalfaiss/linalg";
 * import assert from "node:assert/strict";
 *
 * const q = await orthonormalColumns([[3, 1], [4, 2]]);
 * assert.ok(Math.abs(q.row(0)[0]! - 0.6) < 1e-6 && Math.abs(q.row(1)[0]! - 0.8) < 1e-6);
 * ```
 */
export async function orthonormalColumns(
  a: MatrixInput,
  options: LinalgOptions = {},
): Promise<Matrix> {
  return (await qr(a, options)).q;
}

/**
 * Orthonormal rows that span those of a matrix.
 *
 * @param a m × n, m ≤ n.
 * @param options What computes.
 * @returns m × n.
 * @throws {TypeError} If m > n.
 * @throws {RangeError} If a number is NaN or infinite, naming its row.
 *
 * @example
 * ```ts
 * import { orthonormalRows } from "@metalfaiss/metalfaiss/linalg";
 * import assert from "node:assert/strict";
 *
 * const q = await orthonormalRows([[3, 4, 0]]);
 * assert.ok(Math.abs(q.row(0)[0]! - 0.6) < 1e-6 && q.row(0)[2] === 0);
 * ```
 */
export async function orthonormalRows(
  a: MatrixInput,
  options: LinalgOptions = {},
): Promise<Matrix> {
  const matrix = floatMatrix(a, "A");
  if (matrix.rows > matrix.columns) {
    throw new TypeError(
      `Cannot make rows orthonormal: A is ${shapeText(matrix)}, with more rows than columns`,
    );
  }
  checkFinite(matrix.data, matrix.columns, "make rows orthonormal");
  return transpose((await qr(transpose(matrix), options)).q);
}

/** What random numbers come from, and what computes. */
export interface RandomOrthogonalOptions extends LinalgOptions {
  /** Of the random numbers; 0 by default. */
  seed?: number | undefined;
}

/**
 * A basis of the whole space that begins with given columns.
 *
 * @param a m × n, m ≥ n.
 * @param options Seed of the columns that are added.
 * @returns m × m, orthonormal; the first n columns are A's, made orthonormal: those that are already
 * stay, but for rounding.
 * @throws {TypeError} If m < n.
 * @throws {RangeError} If a number is NaN or infinite, naming its row.
 *
 * @example
 * ```ts
 * import { completeBasis } from "@metalfaiss/metalfaiss/linalg";
 * import assert from "node:assert/strict";
 *
 * const basis = await completeBasis([[0.6], [0.8]]);
 * assert.equal(basis.columns, 2);
 * assert.ok(Math.abs(Math.abs(basis.row(0)[1]!) - 0.8) < 1e-6);
 * ```
 */
export async function completeBasis(
  a: MatrixInput,
  options: RandomOrthogonalOptions = {},
): Promise<Matrix> {
  const { seed = 0, ...how } = options;
  const matrix = floatMatrix(a, "A");
  checkTall(matrix, "complete a basis");
  const { rows: m, columns: n } = matrix;
  const added = startVectors(m, m - n, seed);
  const all = new Float32Array(m * m);
  for (let i = 0; i < m; i++) {
    all.set(matrix.row(i), i * m);
    all.set(added.subarray(i * (m - n), (i + 1) * (m - n)), i * m + n);
  }
  return (await qr(new Matrix(all, m), how)).q;
}

/**
 * A random matrix of orthonormal rows or columns, by a gain: uniformly distributed, as Q of a Gaussian
 * matrix where R has a positive diagonal (Saxe, McClelland and Ganguli, "Exact solutions to the
 * nonlinear dynamics of learning in deep linear neural networks", 2014; Mezzadri, 2007).
 *
 * @param shape Rows and columns; more lengths count as columns, as in layers of networks.
 * @param gain Every singular value.
 * @param options Seed.
 * @returns Rows × columns, all singular values equal to the gain.
 * @throws {RangeError} If a length is no positive integer, or the gain is not finite.
 *
 * @example
 * ```ts
 * import { orthogonal } from "@metalfaiss/metalfaiss/linalg";
 * import assert from "node:assert/strict";
 *
 * const w = await orthogonal([2, 3], 2, { seed: 7 });
 * const [x, y, z] = w.row(0);
 * assert.ok(Math.abs(x! * x! + y! * y! + z! * z! - 4) < 1e-5);
 * ```
 */
export async function orthogonal(
  shape: readonly number[],
  gain = 1,
  options: RandomOrthogonalOptions = {},
): Promise<Matrix> {
  const { seed = 0, ...how } = options;
  for (const length of shape) checkCount(length, "length", "make an orthogonal matrix");
  if (shape.length < 2) {
    throw new RangeError(
      `Cannot make an orthogonal matrix: the shape [${shape.join(", ")}] has no rows and columns`,
    );
  }
  if (!Number.isFinite(gain)) {
    throw new RangeError(`Cannot make an orthogonal matrix: gain ${gain} is not finite`);
  }
  const rows = shape[0]!;
  const columns = shape.slice(1).reduce((product, length) => product * length);
  const [tall, slim] = [Math.max(rows, columns), Math.min(rows, columns)];
  const { q } = await qr(new Matrix(startVectors(tall, slim, seed), slim), how);
  for (let i = 0; i < q.data.length; i++) q.data[i]! *= gain;
  return rows < columns ? transpose(q) : q;
}

/** How {@linkcode orthogonalizeBlocked} goes about it. */
export interface OrthogonalizeOptions extends LinalgOptions {
  /** Columns of A at a time; 32 by default. */
  block?: number | undefined;
  /** Whether A's columns are orthonormal as they are: then they are not made so first. */
  orthonormal?: boolean | undefined;
}

/**
 * Columns of B without their parts in the span of A's: two passes of block Gram–Schmidt, each
 * B ← B − Qⱼ(QⱼᵀB) for blocks Qⱼ of an orthonormal basis of that span.
 *
 * @param a m × p, m ≥ p.
 * @param b m × n.
 * @param options Columns a block, and whether A is orthonormal.
 * @returns m × n: Aᵀ times it is 0, but for rounding. Its columns keep their lengths, less what was
 * taken; `orthonormalColumns` makes them a basis.
 * @throws {TypeError} If A and B differ in rows, or A has fewer rows than columns.
 * @throws {RangeError} If a number is NaN or infinite, naming its row.
 *
 * @example
 * ```ts
 * import { orthogonalizeBlocked } from "@metalfaiss/metalfaiss/linalg";
 * import assert from "node:assert/strict";
 *
 * const rest = await orthogonalizeBlocked([[2], [0], [0]], [[3, 1], [4, 1], [0, 1]]);
 * assert.deepEqual([...rest.data], [0, 0, 4, 1, 0, 1]);
 * ```
 */
export async function orthogonalizeBlocked(
  a: MatrixInput,
  b: MatrixInput,
  options: OrthogonalizeOptions = {},
): Promise<Matrix> {
  const { backend, block = 32, orthonormal = false } = options;
  const [matrix, given] = [floatMatrix(a, "A"), floatMatrix(b, "B")];
  checkCount(block, "block", "orthogonalize");
  if (matrix.rows !== given.rows) {
    throw new TypeError(
      `Cannot orthogonalize: A is ${shapeText(matrix)}, B is ${shapeText(given)}`,
    );
  }
  checkTall(matrix, "orthogonalize");
  checkFinite(matrix.data, matrix.columns, "orthogonalize against A");
  checkFinite(given.data, given.columns, "orthogonalize B");
  const basis = orthonormal ? matrix : (await qr(matrix, { backend })).q;
  const blocks = columnBlocks(basis, block);
  let rest = given;
  const runs = orthonormal ? [] : [basis.run!];
  for (let pass = 0; pass < 2; pass++) {
    for (const own of blocks) {
      const parts = await gemmAtB(own, rest, { backend });
      rest = await gemm(own, parts, { backend, alpha: -1, beta: 1, c: rest });
      runs.push(parts.run!, rest.run!);
    }
  }
  return new Matrix(rest.data, rest.columns, joinRuns(runs[0]!, ...runs.slice(1)));
}

/** Blocks of columns, each a matrix. */
function columnBlocks({ data, rows, columns }: Matrix, block: number): Matrix[] {
  return Array.from({ length: Math.ceil(columns / block) }, (_, number) => {
    const from = number * block;
    const width = Math.min(block, columns - from);
    const own = new Float32Array(rows * width);
    for (let i = 0; i < rows; i++) {
      own.set(data.subarray(i * columns + from, i * columns + from + width), i * width);
    }
    return new Matrix(own, width);
  });
}
