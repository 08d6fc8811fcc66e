/**
 * Principal components, as FAISS keeps them.
 *
 * @module
 */

import { anotherDirection, norm, scale, takeOut } from "../backend/reference/linalg/columns.ts";
import type { Backend } from "../backend/backend.ts";
import { eigenOn } from "../linalg/eigen.ts";
import { gemm, gemmAtB } from "../linalg/products.ts";
import { Matrix } from "../matrix.ts";
import { addTo, meanOf } from "./elementwise.ts";
import { subsample } from "./faiss_random.ts";
import { LinearTransform } from "./linear.ts";
import { randomRotation } from "./random_rotation.ts";
import { checkTraining, type TransformOptions } from "./transform.ts";

/** Seed of the rotation after the components, as in FAISS. */
const ROTATION_SEED = 5;

/** Rows whose products are summed in single precision. */
const BLOCK = 8192;

/** Of a row's length, what is rounding of single precision. */
const DEPENDENT = 1e-3;

/** How a {@linkcode PCAMatrix} is made. */
export interface PCAMatrixOptions {
  /** Components are multiplied by their eigenvalues to this power: 0, the default, or −0.5 to whiten. */
  eigenPower?: number | undefined;
  /** Added to eigenvalues before that; 0 by default. */
  epsilon?: number | undefined;
  /** Whether components are rotated randomly, so that all have about the same variance. */
  randomRotation?: boolean | undefined;
  /** Parts of the output among which variance is spread evenly; 0, the default: none. */
  balancedBins?: number | undefined;
}

/**
 * The directions of most variance, most first.
 *
 * @example
 * ```ts
 * import { PCAMatrix } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * const pca = new PCAMatrix(2, 1);
 * await pca.train([[1, 1], [2, 2], [3, 3]]);
 * const y = await pca.apply([[1, 1], [3, 3]]);
 * assert.ok(Math.abs(Math.abs(y[0]! - y[1]!) - 2 * Math.SQRT2) < 1e-5);
 * ```
 */
export class PCAMatrix extends LinearTransform {
  /** Components are multiplied by their eigenvalues to this power. */
  readonly eigenPower: number;
  /** Added to eigenvalues before that. */
  readonly epsilon: number;
  /** Whether components are rotated randomly. */
  readonly randomRotation: boolean;
  /** Parts of the output among which variance is spread evenly; 0: none. */
  readonly balancedBins: number;
  /** Of more vectors than this many a dimension, a part is taken to train on. */
  maxPointsPerD = 1000;
  /** Mean of the training vectors. */
  mean: Float32Array = new Float32Array(0);
  /** Squared singular values of the centred training vectors, largest first; `dIn` numbers. */
  eigenvalues: Float32Array = new Float32Array(0);
  /** All components that were found, rows of `dIn` numbers. */
  pcaMat: Float32Array = new Float32Array(0);

  /**
   * A transform that is to be trained.
   *
   * @param dIn Dimension of what it takes.
   * @param dOut Dimension of what it gives, at most `dIn`.
   * @param options Whitening, rotation.
   * @throws {RangeError} If a number is out of range.
   */
  constructor(dIn: number, dOut: number, options: PCAMatrixOptions = {}) {
    super(dIn, dOut, true);
    const { eigenPower = 0, epsilon = 0, randomRotation = false, balancedBins = 0 } = options;
    if (dOut > dIn) {
      throw new RangeError(`Cannot find components: ${dIn} dimensions have no ${dOut} of them`);
    }
    if (!Number.isFinite(eigenPower) || !Number.isFinite(epsilon)) {
      throw new RangeError(
        `Cannot find components: eigenPower ${eigenPower} or epsilon ${epsilon} is not finite`,
      );
    }
    if (!Number.isInteger(balancedBins) || balancedBins < 0 || dOut % (balancedBins || 1) !== 0) {
      throw new RangeError(
        `Cannot find components: dOut ${dOut} is no multiple of balancedBins ${balancedBins}`,
      );
    }
    if (balancedBins > 0 && randomRotation) {
      throw new RangeError(
        "Cannot find components: a rotation would undo what balancedBins does",
      );
    }
    this.eigenPower = eigenPower;
    this.epsilon = epsilon;
    this.randomRotation = randomRotation;
    this.balancedBins = balancedBins;
  }

  /** Bytes that matrices take. */
  override memoryUsage(): number {
    const { mean, eigenvalues, pcaMat } = this;
    return super.memoryUsage() + mean.byteLength + eigenvalues.byteLength + pcaMat.byteLength;
  }

  /** @internal */
  override factoryString(): string | undefined {
    const { eigenPower, epsilon, balancedBins, randomRotation, dOut } = this;
    if (epsilon !== 0 || balancedBins !== 0 || (eigenPower !== 0 && eigenPower !== -0.5)) {
      return undefined;
    }
    return `PCA${eigenPower === 0 ? "" : "W"}${randomRotation ? "R" : ""}${dOut}`;
  }

  /** @internal */
  protected override async doTrain(x: Float32Array, options: TransformOptions): Promise<void> {
    const { dIn, dOut } = this;
    checkTraining(x, dIn);
    const rows = subsample(x, dIn, this.maxPointsPerD * dIn);
    const n = rows.length / dIn;
    if (n < dOut) {
      throw new RangeError(`Cannot train: ${n} vectors have no ${dOut} components`);
    }
    const found = await principalComponents(rows, dIn, meanOf(rows, dIn), options);
    this.mean = found.mean;
    this.eigenvalues = found.eigenvalues;
    this.pcaMat = found.components;
    await this.prepare(options);
  }

  /** The matrix of components, scaled, and spread or rotated. Not of `#`: a clone has no such names. @internal */
  private async prepare({ backend, signal }: TransformOptions): Promise<void> {
    const { dIn, dOut, mean, eigenvalues, eigenPower, epsilon, balancedBins } = this;
    const rows = this.pcaMat.slice(0, dOut * dIn);
    if (eigenPower !== 0) {
      for (let i = 0; i < dOut; i++) {
        const value = eigenvalues[i]! + epsilon;
        if (!(value > 0)) {
          throw new RangeError(`Cannot whiten: component ${i} has no variance`);
        }
        const factor = value ** eigenPower;
        for (let j = 0; j < dIn; j++) rows[i * dIn + j]! *= factor;
      }
    }
    let a: Float32Array = rows;
    if (this.randomRotation) {
      const rotation = new Matrix(await randomRotation(dOut, dOut, ROTATION_SEED, signal), dOut);
      a = (await gemm(rotation, new Matrix(rows, dIn), { backend, signal })).data;
    } else if (balancedBins > 0) {
      a = new Float32Array(rows.length);
      spread(eigenvalues.subarray(0, dOut), balancedBins).forEach((to, from) => {
        a.set(rows.subarray(from * dIn, (from + 1) * dIn), to * dIn);
      });
    }
    const b = Float32Array.from({ length: dOut }, (_, i) => {
      let sum = 0;
      for (let j = 0; j < dIn; j++) sum -= mean[j]! * a[i * dIn + j]!;
      return sum;
    });
    this.setMatrix(a, b, eigenPower === 0);
  }
}

/** Components of rows, and what they were found with. @internal */
export interface Components {
  mean: Float32Array;
  eigenvalues: Float32Array;
  components: Float32Array;
}

/**
 * All components of rows about a mean, most variance first; of fewer rows than dimensions as many as
 * there are rows.
 *
 * @internal
 */
export async function principalComponents(
  x: Float32Array,
  d: number,
  mean: Float64Array,
  { backend, signal }: TransformOptions,
): Promise<Components> {
  const n = x.length / d;
  const eigenvalues = new Float32Array(d);
  let components: Float32Array;
  if (n >= d) {
    const { values, vectors } = await eigenOn(
      backend,
      await scatter(x, d, mean, backend),
      d,
      signal,
    );
    eigenvalues.set(values.map((value) => Math.max(value, 0)));
    components = Float32Array.from(
      { length: d * d },
      (_, i) => vectors[i % d * d + Math.floor(i / d)]!,
    );
  } else {
    const centered = x.slice();
    addTo(centered, mean, -1);
    const rows = new Matrix(centered, d);
    const gram = await gemm(rows, rows, { transposeB: true, backend, signal });
    const found = await eigenOn(backend, Float64Array.from(gram.data), n, signal);
    eigenvalues.set(found.values.map((value) => Math.max(value, 0)));
    const vectors = new Matrix(Float32Array.from(found.vectors), n);
    components = orthonormalRows((await gemmAtB(vectors, rows, { backend })).data, d);
  }
  fixSigns(components, d);
  return { mean: Float32Array.from(mean), eigenvalues, components };
}

/** Rows made orthonormal, first ones first; where one has nothing of its own, any that fits. */
function orthonormalRows(rows: Float32Array, d: number): Float32Array {
  const basis: Float64Array[] = [];
  const out = new Float32Array(rows.length);
  for (let from = 0; from < rows.length; from += d) {
    let row: Float64Array = Float64Array.from(rows.subarray(from, from + d));
    const before = norm(row);
    takeOut(row, basis);
    const left = norm(row);
    if (left > before * DEPENDENT) scale(row, 1 / left);
    else row = anotherDirection(basis, d, basis.length);
    basis.push(row);
    out.set(row, from);
  }
  return out;
}

/** Σ (x − mean)(x − mean)ᵀ: blocks in single precision, and their sum in double. */
async function scatter(
  x: Float32Array,
  d: number,
  mean: Float64Array,
  backend: Backend | undefined,
): Promise<Float64Array> {
  const sums = new Float64Array(d * d);
  for (let from = 0; from < x.length; from += BLOCK * d) {
    const rows = x.slice(from, from + BLOCK * d);
    addTo(rows, mean, -1);
    const block = new Matrix(rows, d);
    const { data } = await gemmAtB(block, block, { backend });
    for (let i = 0; i < data.length; i++) sums[i]! += data[i]!;
  }
  return sums;
}

/** A component is one up to its sign: its largest number becomes positive. */
function fixSigns(rows: Float32Array, d: number): void {
  for (let from = 0; from < rows.length; from += d) {
    const row = rows.subarray(from, from + d);
    const largest = row.reduce((most, value) => Math.abs(value) > Math.abs(most) ? value : most, 0);
    if (largest < 0) row.forEach((value, i) => row[i] = -value);
  }
}

/** Where each component goes, so that `bins` parts of one size share the variance: greedily. */
function spread(eigenvalues: Float32Array, bins: number): number[] {
  const size = eigenvalues.length / bins;
  const variance = new Float64Array(bins);
  const used = new Int32Array(bins);
  return Array.from(eigenvalues, (value) => {
    let best = -1;
    for (let bin = 0; bin < bins; bin++) {
      if (used[bin]! < size && (best < 0 || variance[bin]! < variance[best]!)) best = bin;
    }
    variance[best]! += value;
    return best * size + used[best]!++;
  });
}
