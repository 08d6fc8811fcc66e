/**
 * Vectors as one index a sub-vector, into centroids of its own.
 *
 * @module
 */

import type { Backend } from "../backend/backend.ts";
import { backend as defaultBackend } from "../backend/select.ts";
import { NotTrainedError } from "../errors.ts";
import { Clustering, type ClusteringParameters } from "../index/clustering.ts";
import type { TrainOptions } from "../index/index.ts";
import { toRows, type VectorInput } from "../matrix.ts";
import { Random } from "../random.ts";
import {
  centroidsOf,
  checkPQ,
  distanceTables,
  nearestIndices,
  packIndices,
  pqCodeSize,
  unpackIndices,
} from "./pq_code.ts";

/** Options of a {@linkcode ProductQuantizer}. */
export interface ProductQuantizerOptions {
  /** What clusters and encodes; by default what `backend()` returns. */
  backend?: Backend | undefined;
  /** Trained centroids, `M × ksub × dsub`. */
  centroids?: Float32Array | undefined;
}

/**
 * A product quantizer: vectors are cut into `M` parts of the same length, and each part is
 * replaced by the nearest of `2 ** nbits` centroids that were learnt for it.
 *
 * @example
 * ```ts
 * import { ProductQuantizer, Random } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * const random = new Random(1);
 * const x = Float32Array.from({ length: 400 * 8 }, () => random.normal());
 * const pq = new ProductQuantizer(8, 4, 4);
 * pq.cp.minPointsPerCentroid = 1;
 * await pq.train(x);
 * const codes = await pq.encode(x);
 * assert.equal(codes.length, 400 * 2);
 * assert.equal((await pq.decode(codes)).length, x.length);
 * ```
 */
export class ProductQuantizer {
  /** Dimension of vectors. */
  readonly d: number;
  /** Sub-vectors. */
  readonly M: number;
  /** Bits an index. */
  readonly nbits: number;
  /** Length of a sub-vector. */
  readonly dsub: number;
  /** Centroids a sub-vector. */
  readonly ksub: number;
  /** Bytes a code. */
  readonly codeSize: number;
  /** How the centroids are found. */
  readonly cp: ClusteringParameters = {};
  /** What clusters and encodes. */
  readonly backend: Backend;
  #centroids: Float32Array | undefined;

  /**
   * A quantizer, trained if it is given centroids.
   *
   * @param d Dimension of vectors.
   * @param M Sub-vectors; divides `d`.
   * @param nbits Bits an index, 1 to 16.
   * @param options Backend, and centroids.
   * @throws {RangeError} If a number is out of range, or `d` is not divisible by `M`.
   * @throws {TypeError} If there are not `d × 2 ** nbits` numbers of centroids.
   */
  constructor(d: number, M: number, nbits = 8, options: ProductQuantizerOptions = {}) {
    checkPQ({ d, M, nbits });
    this.d = d;
    this.M = M;
    this.nbits = nbits;
    this.dsub = d / M;
    this.ksub = 2 ** nbits;
    this.codeSize = pqCodeSize({ M, nbits });
    this.backend = options.backend ?? defaultBackend();
    if (options.centroids !== undefined) this.centroids = options.centroids;
  }

  /** Whether there are centroids. */
  get isTrained(): boolean {
    return this.#centroids !== undefined;
  }

  /** The centroids, `M × ksub × dsub`; empty before training. */
  get centroids(): Float32Array {
    return this.#centroids ?? new Float32Array(0);
  }

  /** Replaces the centroids. */
  set centroids(centroids: Float32Array) {
    const { d, ksub } = this;
    if (centroids.length !== d * ksub) {
      throw new TypeError(
        `Cannot set centroids: ${centroids.length} numbers where ${d * ksub} are needed`,
      );
    }
    const bad = centroids.findIndex((value) => !Number.isFinite(value));
    if (bad >= 0) throw new RangeError(`Cannot set centroids: number ${bad} is ${centroids[bad]}`);
    this.#centroids = centroids;
  }

  /**
   * Learns the centroids: k-means over the sub-vectors of each place.
   *
   * @param x `n × d` vectors, `n` at least `ksub`.
   * @param options Progress and abort.
   * @throws {RangeError} If there are fewer vectors than `ksub`, or a number is not finite.
   */
  async train(x: VectorInput, options: TrainOptions = {}): Promise<void> {
    const { d, M, dsub, ksub, backend } = this;
    const rows = this.#sample(toRows(x, d, "x"));
    const n = rows.length / d;
    if (n < ksub) {
      throw new RangeError(
        `Cannot train: ${n} vectors are fewer than the ${ksub} centroids of a sub-vector`,
      );
    }
    const centroids = new Float32Array(d * ksub);
    const part = new Float32Array(n * dsub);
    for (let m = 0; m < M; m++) {
      for (let i = 0; i < n; i++) {
        const from = i * d + m * dsub;
        for (let c = 0; c < dsub; c++) part[i * dsub + c] = rows[from + c]!;
      }
      // One warning of few vectors is enough.
      const quiet = m > 0 ? { minPointsPerCentroid: 0 } : {};
      const clustering = new Clustering(dsub, ksub, { ...this.cp, ...quiet });
      await clustering.train(part, { ...options, backend });
      centroids.set(clustering.centroids, m * ksub * dsub);
    }
    this.centroids = centroids;
  }

  /** As many vectors as the clusterings would take, the same for all. */
  #sample(x: Float32Array): Float32Array {
    const { d, ksub, cp: { maxPointsPerCentroid = 256, seed = 1234 } } = this;
    const most = ksub * maxPointsPerCentroid;
    if (x.length <= most * d) return x;
    const sample = new Float32Array(most * d);
    new Random(Math.max(0, seed)).permutation(x.length / d, most).forEach((row, i) => {
      sample.set(x.subarray(row * d, (row + 1) * d), i * d);
    });
    return sample;
  }

  /**
   * The codes of vectors.
   *
   * @param x `n × d` vectors.
   * @returns `n × codeSize` bytes: indices from the lowest bit up, as FAISS packs them.
   * @throws {NotTrainedError} If there are no centroids yet.
   */
  // deno-lint-ignore require-await
  async encode(x: Float32Array): Promise<Uint8Array> {
    const centroids = this.#trained("encode");
    return packIndices(nearestIndices(x, this, centroids), this);
  }

  /**
   * The vectors that codes stand for.
   *
   * @param codes `n × codeSize` bytes.
   * @returns `n × d` numbers.
   * @throws {NotTrainedError} If there are no centroids yet.
   */
  // deno-lint-ignore require-await
  async decode(codes: Uint8Array): Promise<Float32Array> {
    const centroids = this.#trained("decode");
    if (codes.length % this.codeSize !== 0) {
      throw new TypeError(`Cannot decode: ${codes.length} bytes are no codes of ${this.codeSize}`);
    }
    return centroidsOf(unpackIndices(codes, this), this, centroids);
  }

  /**
   * Squared L2 of every sub-vector to every centroid of its place.
   *
   * @param x `n × d` vectors.
   * @returns `n × M × ksub` numbers.
   */
  computeDistanceTables(x: VectorInput): Float32Array {
    const centroids = this.#trained("computeDistanceTables");
    return distanceTables(toRows(x, this.d, "x"), this, centroids, false);
  }

  /**
   * Inner products of every sub-vector with every centroid of its place.
   *
   * @param x `n × d` vectors.
   * @returns `n × M × ksub` numbers.
   */
  computeInnerProdTables(x: VectorInput): Float32Array {
    const centroids = this.#trained("computeInnerProdTables");
    return distanceTables(toRows(x, this.d, "x"), this, centroids, true);
  }

  #trained(action: string): Float32Array {
    if (this.#centroids) return this.#centroids;
    throw new NotTrainedError(
      `Cannot ${action}: the product quantizer has no centroids: call train()`,
    );
  }
}
