/**
 * Rotations before product quantizers.
 *
 * @module
 */

import { gemm, gemmAtB } from "../linalg/products.ts";
import { Matrix } from "../matrix.ts";
import { addTo, meanOf } from "./elementwise.ts";
import { subsample } from "./faiss_random.ts";
import { LinearTransform } from "./linear.ts";
import { polarFactor } from "./polar.ts";
import { randomRotation } from "./random_rotation.ts";
import { KSUB, SubspaceQuantizer } from "./subspaces.ts";
import { checkTraining, type TransformOptions } from "./transform.ts";

/** Seed of the rotation it starts from, as in FAISS. */
const START_SEED = 1234;

/** Vectors a centroid below which FAISS warns. */
const FEW = 39;

/**
 * The rotation after which a product quantizer of `M` parts loses least (Ge et al., "Optimized product
 * quantization for approximate nearest neighbor search", 2013): in turn, a quantizer is trained on
 * rotated vectors, and the rotation is fitted to what it makes of them.
 *
 * @example
 * ```ts
 * import { OPQMatrix, Random } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * const random = new Random(1);
 * const opq = new OPQMatrix(8, 2, 4);
 * opq.niter = 2;
 * await opq.train(Float32Array.from({ length: 10_000 * 8 }, () => random.normal()));
 * assert.ok(opq.isOrthonormal);
 * assert.equal((await opq.apply(new Float32Array(8))).length, 4);
 * ```
 */
export class OPQMatrix extends LinearTransform {
  /** Parts of the quantizer. */
  readonly M: number;
  /** Steps; 50 by default. */
  niter = 50;
  /** Iterations of the quantizer in a step; 4 by default. */
  niterPq = 4;
  /** Iterations of the quantizer in the first step; 40 by default. */
  niterPq0 = 40;
  /** Of more vectors, a part is taken to train on. */
  maxTrainPoints = 65536;

  /**
   * A rotation that is to be trained.
   *
   * @param d Dimension of what it takes.
   * @param M Parts of the quantizer.
   * @param dOut Dimension of what it gives; by default the same.
   * @throws {RangeError} If `dOut` is no multiple of `M`, or a dimension is out of range.
   */
  constructor(d: number, M: number, dOut: number = d) {
    super(d, dOut);
    if (!Number.isInteger(M) || M < 1 || dOut % M !== 0) {
      throw new RangeError(`Cannot make an OPQMatrix: dOut ${dOut} is no multiple of M ${M}`);
    }
    this.M = M;
  }

  /** @internal */
  override factoryString(): string {
    return `OPQ${this.M}${this.dOut === this.dIn ? "" : `_${this.dOut}`}`;
  }

  /** @internal */
  protected override async doTrain(x: Float32Array, options: TransformOptions): Promise<void> {
    const { dIn, dOut, M } = this;
    checkTraining(x, dIn);
    const rows = subsample(x, dIn, this.maxTrainPoints);
    const n = rows.length / dIn;
    if (n < KSUB) throw new RangeError(`Cannot train: ${n} vectors are fewer than ${KSUB}`);
    if (n < KSUB * FEW) {
      console.warn(`Training an OPQMatrix on ${n} vectors: ${KSUB * FEW} would be better`);
    }
    // With more numbers out than in, zeros follow those that go in.
    const d = Math.max(dIn, dOut);
    const centered = centeredRows(rows, dIn, d);
    const start = await randomRotation(d, d, START_SEED, options.signal);
    let rotation = new Matrix(this.known(d) ?? start.slice(0, dOut * d), d);
    const quantizer = new SubspaceQuantizer(dOut, M);
    for (let step = 0; step < this.niter; step++) {
      options.signal?.throwIfAborted();
      const turned = await gemm(centered, rotation, {
        transposeB: true,
        backend: options.backend,
        signal: options.signal,
      });
      await quantizer.train(turned.data, step === 0 ? this.niterPq0 : this.niterPq, options);
      const near = new Matrix(await quantizer.nearest(turned.data, options), dOut);
      const cross = await gemmAtB(near, centered, { backend: options.backend });
      rotation = await polarFactor(cross, options);
    }
    const a = new Float32Array(dOut * dIn);
    for (let i = 0; i < dOut; i++) a.set(rotation.row(i).subarray(0, dIn), i * dIn);
    this.setMatrix(a);
  }

  /** The matrix of an earlier training, to go on from. Not of `#`: a clone has no such names. @internal */
  private known(d: number): Float32Array | undefined {
    return this.isTrained && d === this.dIn ? this.a : undefined;
  }
}

/** Rows less their mean, filled up with zeros. */
function centeredRows(x: Float32Array, dIn: number, d: number): Matrix {
  const n = x.length / dIn;
  const rows = x.slice();
  addTo(rows, meanOf(rows, dIn), -1);
  if (d === dIn) return new Matrix(rows, d);
  const out = new Float32Array(n * d);
  for (let i = 0; i < n; i++) out.set(rows.subarray(i * dIn, (i + 1) * dIn), i * d);
  return new Matrix(out, d);
}
