/**
 * Principal components.
 *
 * @module
 */

import type { Backend } from "../backend/backend.ts";
import type { Execution } from "../backend/linalg.ts";
import { type MimeBundle, plainText } from "../display.ts";
import { Matrix } from "../matrix.ts";
import { checkFinite, checkRank, shapeText } from "./checks.ts";
import { pcaBundle } from "./display.ts";
import { eigenOn } from "./eigen.ts";
import { floatMatrix, type LinalgOptions, type MatrixInput } from "./operands.ts";
import { gemm, gemmAtB } from "./products.ts";
import { randomizedSvd } from "./svd.ts";

/** Columns up to which the covariance is cheap. */
const COVARIANCE_COLUMNS = 512;

/** How {@linkcode pca} finds components. */
export interface PcaOptions extends LinalgOptions {
  /**
   * `covariance`: all eigenvalues of the d × d covariance, in float64; `randomized`: a sketch, for many
   * columns and few components. By default, or for `auto`, covariance up to 512 columns, or where more
   * than a quarter of all components are wanted.
   */
  solver?: "auto" | "covariance" | "randomized" | undefined;
  /** Of the sketch; 0 by default. */
  seed?: number | undefined;
}

/** Principal components of rows, and what takes rows to them and back. */
export class Pca {
  /** Mean of the rows: d numbers. */
  readonly mean: Float32Array;
  /** k × d, orthonormal, most variance first; of each row the largest number is positive. */
  readonly components: Matrix;
  /** Variance along each component, of n − 1 degrees of freedom. */
  readonly explainedVariance: Float32Array;
  /** The same as parts of the variance of all columns. */
  readonly explainedVarianceRatio: Float32Array;
  /** What ran. */
  readonly run: Execution;
  readonly #backend: Backend | undefined;

  /** Use {@linkcode pca}. */
  constructor(
    mean: Float32Array,
    components: Matrix,
    explainedVariance: Float32Array,
    total: number,
    run: Execution,
    backend: Backend | undefined,
  ) {
    this.mean = mean;
    this.components = components;
    this.explainedVariance = explainedVariance;
    this.explainedVarianceRatio = explainedVariance.map((value) => total > 0 ? value / total : 0);
    this.run = run;
    this.#backend = backend;
  }

  /**
   * Rows by their components.
   *
   * @param x n × d.
   * @returns n × k.
   * @throws {TypeError} If rows have another length than d.
   */
  async transform(x: MatrixInput): Promise<Matrix> {
    const matrix = floatMatrix(x, "x");
    this.#check(matrix, this.mean.length, "transform");
    const centered = subtract(matrix, this.mean);
    return await gemm(centered, this.components, { transposeB: true, backend: this.#backend });
  }

  /**
   * Rows from their components: the nearest to those that {@linkcode Pca.transform} was given.
   *
   * @param y n × k.
   * @returns n × d.
   * @throws {TypeError} If rows have another length than k.
   */
  async inverse(y: MatrixInput): Promise<Matrix> {
    const matrix = floatMatrix(y, "y");
    this.#check(matrix, this.components.rows, "transform back");
    const out = await gemm(matrix, this.components, { backend: this.#backend });
    const { data, columns } = out;
    for (let i = 0; i < data.length; i++) data[i]! += this.mean[i % columns]!;
    return out;
  }

  /** What a notebook shows. */
  [Symbol.for("Jupyter.display")](): MimeBundle {
    return pcaBundle(this);
  }

  /** What `console.log` shows. */
  [Symbol.for("Deno.customInspect")](): string {
    return plainText(pcaBundle(this));
  }

  #check(matrix: Matrix, columns: number, action: string): void {
    if (matrix.columns === columns) return;
    throw new TypeError(
      `Cannot ${action}: the rows are ${shapeText(matrix)}, not of ${columns} numbers`,
    );
  }
}

/**
 * Principal components of rows: directions of the most variance about the mean (Pearson, 1901; the
 * randomized solver is Halko's, 2011). The mean and the differences from it are made in float64, so
 * that rows far from the origin lose nothing.
 *
 * @param x n × d, n ≥ 2.
 * @param k Components, at most the smaller of n and d; by default all.
 * @param options How they are found.
 * @throws {RangeError} If there are not k components, n < 2, or a number is NaN or infinite, naming
 * its row.
 *
 * @example
 * ```ts
 * import { pca } from "@metalfaiss/metalfaiss/linalg";
 * import assert from "node:assert/strict";
 *
 * const found = await pca([[1, 1], [2, 2], [3, 3]], 1);
 * assert.ok(Math.abs(found.explainedVarianceRatio[0]! - 1) < 1e-6);
 * const back = await found.inverse(await found.transform([[4, 4]]));
 * assert.ok(Math.abs(back.data[0]! - 4) < 1e-5);
 * ```
 */
export async function pca(x: MatrixInput, k?: number, options: PcaOptions = {}): Promise<Pca> {
  const { backend, solver = "auto", seed } = options;
  const matrix = floatMatrix(x, "x");
  const { rows: n, columns: d } = matrix;
  const most = Math.min(n, d);
  const wanted = k ?? most;
  if (n < 2) throw new RangeError(`Cannot find components: ${n} rows have no variance`);
  checkRank(wanted, matrix);
  checkFinite(matrix.data, d, "find components");
  if (!["auto", "covariance", "randomized"].includes(solver)) {
    throw new RangeError(`Cannot find components: there is no solver "${solver}"`);
  }
  const mean = meanOf(matrix);
  const centered = subtract(matrix, mean);
  const total = varianceOf(centered);
  const isCheap = d <= COVARIANCE_COLUMNS || wanted * 4 > most;
  const isExact = solver === "covariance" || (solver === "auto" && isCheap);
  const { rows, variances, run } = isExact
    ? await byCovariance(centered, wanted, backend)
    : await bySketch(centered, wanted, seed, backend);
  fixSigns(rows, d);
  const components = new Matrix(rows, d, run);
  return new Pca(Float32Array.from(mean), components, variances, total, run, backend);
}

/** Rows of components, and the variance along each. */
interface Found {
  rows: Float32Array;
  variances: Float32Array;
  run: Execution;
}

async function byCovariance(
  centered: Matrix,
  k: number,
  backend: Backend | undefined,
): Promise<Found> {
  const { rows: n, columns: d } = centered;
  const products = await gemmAtB(centered, centered, { backend });
  const { values, vectors } = await eigenOn(backend, Float64Array.from(products.data), d);
  const rows = Float32Array.from({ length: k * d }, (_, i) => {
    return vectors[(i % d) * d + Math.floor(i / d)]!;
  });
  const variances = Float32Array.from({ length: k }, (_, i) => Math.max(0, values[i]! / (n - 1)));
  return { rows, variances, run: products.run! };
}

async function bySketch(
  centered: Matrix,
  k: number,
  seed: number | undefined,
  backend: Backend | undefined,
): Promise<Found> {
  const { rows: n, columns: d } = centered;
  const { s, v, run } = await randomizedSvd(centered, k, { backend, seed, powerIterations: 4 });
  const rows = Float32Array.from({ length: k * d }, (_, i) => {
    return v.data[(i % d) * k + Math.floor(i / d)]!;
  });
  return { rows, variances: s.map((value) => value * value / (n - 1)), run };
}

function meanOf({ data, rows, columns }: Matrix): Float64Array {
  const mean = new Float64Array(columns);
  for (let i = 0; i < data.length; i++) mean[i % columns]! += data[i]!;
  return mean.map((sum) => sum / rows);
}

function subtract({ data, columns }: Matrix, mean: Float32Array | Float64Array): Matrix {
  return new Matrix(data.map((value, i) => value - mean[i % columns]!), columns);
}

/** Variance of all columns together. */
function varianceOf({ data, rows }: Matrix): number {
  let square = 0;
  for (const value of data) square += value * value;
  return square / (rows - 1);
}

/** Eigenvectors are so up to their sign: the largest number becomes positive. */
function fixSigns(rows: Float32Array, d: number): void {
  for (let from = 0; from < rows.length; from += d) {
    const row = rows.subarray(from, from + d);
    const largest = row.reduce((most, value) => Math.abs(value) > Math.abs(most) ? value : most, 0);
    if (largest < 0) row.forEach((value, i) => row[i] = -value);
  }
}
