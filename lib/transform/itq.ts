/**
 * Rotations after which signs say most of a vector.
 *
 * @module
 */

import { gemm, gemmAtB } from "../linalg/products.ts";
import { Matrix } from "../matrix.ts";
import { addTo, meanOf, normalize } from "./elementwise.ts";
import { subsample } from "./faiss_random.ts";
import { LinearTransform } from "./linear.ts";
import { principalComponents } from "./pca_matrix.ts";
import { polarFactor } from "./polar.ts";
import { randomRotation } from "./random_rotation.ts";
import { checkTraining, same, type TransformOptions, VectorTransform } from "./transform.ts";

/**
 * The rotation after which vectors are nearest to their signs (Gong et al., "Iterative quantization: a
 * Procrustean approach to learning binary codes", 2013). FAISS 1.15 multiplies U by V where the method
 * has U by Vᵀ, so that its steps do not lower the distance; these do.
 *
 * @example
 * ```ts
 * import { ITQMatrix } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * const itq = new ITQMatrix(2);
 * await itq.train([[1, 0], [-1, 0], [0, 1], [0, -1]]);
 * const y = await itq.apply([[Math.SQRT2, 0]]);
 * assert.ok(y.every((value) => Math.abs(Math.abs(value) - 1) < 1e-4));
 * ```
 */
export class ITQMatrix extends LinearTransform {
  /** Steps; 50 by default. */
  readonly maxIter: number;
  /** Seed of the rotation it starts from; 123 by default. */
  readonly seed: number;

  /**
   * A rotation that is to be trained.
   *
   * @param d Dimension.
   * @param options Steps and seed.
   * @throws {RangeError} If `d` is no integer from 1 to 2^20, or another number none from 0.
   */
  constructor(d: number, options: { maxIter?: number; seed?: number } = {}) {
    super(d, d);
    const { maxIter = 50, seed = 123 } = options;
    for (const [name, value] of [["maxIter", maxIter], ["seed", seed]] as const) {
      if (!Number.isInteger(value) || value < 0 || value >= 2 ** 31) {
        throw new RangeError(`Cannot rotate: ${name} ${value} is no integer from 0 to 2^31 - 1`);
      }
    }
    this.maxIter = maxIter;
    this.seed = seed;
  }

  /** @internal */
  protected override async doTrain(x: Float32Array, options: TransformOptions): Promise<void> {
    const d = this.dIn;
    checkTraining(x, d);
    const rows = new Matrix(x, d);
    // FAISS starts from the transpose of the matrix it then keeps.
    const start = await randomRotation(d, d, this.seed, options.signal);
    let a = new Matrix(start.map((_, i) => start[i % d * d + Math.floor(i / d)]!), d);
    for (let step = 0; step < this.maxIter; step++) {
      options.signal?.throwIfAborted();
      const signs = await gemm(rows, a, { transposeB: true, backend: options.backend });
      signs.data.forEach((value, i) => signs.data[i] = value < 0 ? -1 : 1);
      const cross = await gemmAtB(signs, rows, { backend: options.backend });
      a = await polarFactor(cross, options);
    }
    this.setMatrix(a.data, undefined, true);
  }
}

/** Vectors that an {@linkcode ITQTransform} is trained on, whatever the dimension. */
const TRAINED = 32768;

/**
 * {@linkcode ITQMatrix} of centred vectors of length 1, or of their principal components.
 *
 * @example
 * ```ts
 * import { ITQTransform, Random } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * const random = new Random(1);
 * const itq = new ITQTransform(8, 4);
 * await itq.train(Float32Array.from({ length: 100 * 8 }, () => random.normal()));
 * assert.equal((await itq.apply(new Float32Array(8).fill(1))).length, 4);
 * ```
 */
export class ITQTransform extends VectorTransform {
  /** Whether principal components are taken first. */
  readonly doPca: boolean;
  /** Mean of the training vectors; empty until trained. */
  mean: Float32Array = new Float32Array(0);
  /** The rotation. */
  itq: ITQMatrix;
  /** Components and rotation in one. */
  pcaThenItq: LinearTransform;
  /** Vectors a dimension that it is trained on, if that is more than 32768. */
  maxTrainPerDim = 10;

  /**
   * A transform that is to be trained.
   *
   * @param dIn Dimension of what it takes.
   * @param dOut Dimension of what it gives; by default the same.
   * @param doPca Whether components are taken first; by default where `dOut` is given.
   * @throws {RangeError} If `dOut` is more than `dIn`, or another and no components are taken.
   */
  constructor(dIn: number, dOut?: number, doPca: boolean = dOut !== undefined) {
    super(dIn, dOut ?? dIn);
    if (doPca ? this.dOut > dIn : this.dOut !== dIn) {
      throw new RangeError(
        `Cannot transform ${dIn} dimensions to ${this.dOut}${doPca ? "" : " without components"}`,
      );
    }
    this.doPca = doPca;
    this.itq = new ITQMatrix(this.dOut);
    this.pcaThenItq = new LinearTransform(dIn, this.dOut);
    this.isTrained = false;
  }

  /** Bytes that matrices take. */
  override memoryUsage(): number {
    return this.mean.byteLength + this.itq.memoryUsage() + this.pcaThenItq.memoryUsage();
  }

  /** @internal */
  override factoryString(): string | undefined {
    return this.doPca ? `ITQ${this.dOut}` : "ITQ";
  }

  /** @internal */
  override checkIdentical(other: VectorTransform): void {
    super.checkIdentical(other);
    const { mean, pcaThenItq } = other as ITQTransform;
    this.pcaThenItq.checkIdentical(pcaThenItq);
    if (!same(mean, this.mean)) {
      throw new TypeError("Cannot mergeFrom: the means of the two indexes' transforms differ");
    }
  }

  /** @internal */
  protected override async doTrain(x: Float32Array, options: TransformOptions): Promise<void> {
    const { dIn, dOut, doPca } = this;
    checkTraining(x, dIn);
    let rows: Float32Array = subsample(x, dIn, Math.max(dIn * this.maxTrainPerDim, TRAINED))
      .slice();
    if (doPca && rows.length / dIn < dOut) {
      throw new RangeError(`Cannot train: ${rows.length / dIn} vectors have no ${dOut} components`);
    }
    const mean = Float32Array.from(meanOf(rows, dIn));
    addTo(rows, mean, -1);
    normalize(rows, dIn);
    const itq = new ITQMatrix(dOut, this.itq);
    const both = new LinearTransform(dIn, dOut);
    if (doPca) {
      // About the origin, as in FAISS: vectors of length 1 are not centred again.
      const found = await principalComponents(rows, dIn, new Float64Array(dIn), options);
      const pca = LinearTransform.of(found.components.slice(0, dOut * dIn), dIn);
      rows = await pca.apply(rows, options);
      await itq.train(rows, options);
      const product = await gemm(new Matrix(itq.a, dOut), new Matrix(pca.a, dIn), options);
      both.setMatrix(product.data);
    } else {
      await itq.train(rows, options);
      both.setMatrix(itq.a);
    }
    this.mean = mean;
    this.itq = itq;
    this.pcaThenItq = both;
    this.isTrained = true;
  }

  /** @internal */
  protected override compute(x: Float32Array, out: Float32Array): void {
    out.set(this.pcaThenItq.applySync(this.normalized(x)));
  }

  /** @internal */
  protected override doApply(x: Float32Array, options: TransformOptions): Promise<Float32Array> {
    return this.pcaThenItq.apply(this.normalized(x), options);
  }

  /** Not of `#`: a clone has no such names. @internal */
  private normalized(x: Float32Array): Float32Array {
    const rows = x.slice();
    addTo(rows, this.mean, -1);
    normalize(rows, this.dIn);
    return rows;
  }
}
