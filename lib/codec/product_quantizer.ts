/**
 * The codec that keeps one number a part of a vector: that of the nearest of the part's centroids.
 *
 * @module
 */

import type { Backend, BackendCodec } from "../backend/backend.ts";
import { backend as defaultBackend } from "../backend/select.ts";
import { DisposedError, NotTrainedError } from "../errors.ts";
import { Clustering, type ClusteringParameters } from "../index/clustering.ts";
import { checkFinite } from "../linalg/checks.ts";
import { toRows, type VectorInput } from "../matrix.ts";
import { Random } from "../random.ts";
import type { Codec, ProductSpec } from "./codec.ts";
import { PartClustering } from "./part_clustering.ts";
import { productCodeSize } from "./product_codes.ts";

/** Options of a {@linkcode ProductQuantizer}. */
export interface ProductQuantizerOptions {
  /** What clusters, encodes and decodes; by default what `backend()` returns. */
  backend?: Backend | undefined;
}

/** Most bits of a part's number. */
export const MAX_NBITS = 16;

/**
 * Cuts vectors into `M` parts of one length and keeps of each the number of the nearest of
 * `2 ** nbits` centroids, which training finds for that part alone.
 *
 * @example
 * ```ts
 * import { ProductQuantizer, Random } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * const random = new Random(1);
 * const x = Float32Array.from({ length: 640 * 8 }, () => random.normal());
 * using pq = new ProductQuantizer(8, 4, 4);
 * await pq.train(x);
 * const codes = await pq.encode(x);
 * assert.equal(codes.length, 640 * 2);
 * assert.equal((await pq.decode(codes)).length, x.length);
 * ```
 */
export class ProductQuantizer implements Codec {
  /** Dimension. */
  readonly d: number;
  /** Parts of a vector. */
  readonly M: number;
  /** Bits of a part's number. */
  readonly nbits: number;
  /** How the centroids of a part are found. */
  readonly cp: ClusteringParameters = {};
  readonly #backend: Backend;
  #centroids: Float32Array | undefined;
  #codec: BackendCodec | undefined;
  #disposed = false;

  /**
   * A quantizer that has to be trained.
   *
   * @param d Dimension.
   * @param M Parts of a vector; divides `d`.
   * @param nbits Bits of a part's number, 1 to 16.
   * @param options Backend.
   * @throws {RangeError} If a number is out of range, or `d` is not divisible by `M`.
   */
  constructor(d: number, M: number, nbits = 8, options: ProductQuantizerOptions = {}) {
    const fail = (reason: string) => new RangeError(`Cannot make a product quantizer: ${reason}`);
    if (!Number.isInteger(d) || d < 1 || d > 2 ** 20) {
      throw fail(`d ${d} is no integer from 1 to 2^20`);
    }
    if (!Number.isInteger(M) || M < 1) throw fail(`M ${M} is no integer above 0`);
    if (d % M !== 0) throw fail(`d ${d} is not divisible by M ${M}`);
    if (!Number.isInteger(nbits) || nbits < 1 || nbits > MAX_NBITS) {
      throw fail(`nbits ${nbits} is no integer from 1 to ${MAX_NBITS}`);
    }
    this.d = d;
    this.M = M;
    this.nbits = nbits;
    this.#backend = options.backend ?? defaultBackend();
  }

  /** Numbers of a part. */
  get dsub(): number {
    return this.d / this.M;
  }

  /** Centroids of a part. */
  get ksub(): number {
    return 2 ** this.nbits;
  }

  /** Bytes of a code. */
  get codeSize(): number {
    return productCodeSize(this.M, this.nbits);
  }

  /** Whether vectors can be encoded. */
  get isTrained(): boolean {
    return this.#centroids !== undefined;
  }

  /** The centroids, `M × ksub × dsub`; none before training. */
  get centroids(): Float32Array {
    return this.#centroids?.slice() ?? new Float32Array();
  }

  /** Takes over the centroids that another training found. @internal */
  restore(centroids: Float32Array): void {
    const wanted = this.d * this.ksub;
    if (centroids.length !== wanted) {
      throw new TypeError(
        `Cannot restore: ${centroids.length} numbers of centroids where ${wanted} are needed`,
      );
    }
    this.#centroids = centroids.slice();
    this.#codec?.[Symbol.dispose]();
    this.#codec = undefined;
  }

  /** The quantizer as plain data. @internal */
  get spec(): ProductSpec {
    const { d, M: m, nbits } = this;
    return { kind: "pq", d, m, nbits, centroids: this.#trained("describe").slice() };
  }

  /**
   * Finds the centroids, by k-means over each part of the vectors.
   *
   * @param x `n × d` numbers.
   * @param signal Stops the training; the quantizer stays as it was.
   * @throws {RangeError} If there are fewer vectors than centroids of a part.
   * @throws {TypeError} If `x` is empty or not in rows of `d`.
   */
  async train(x: Float32Array, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (this.#disposed) throw new DisposedError("Cannot train: the quantizer was disposed");
    const { d, ksub } = this;
    if (x.length === 0 || x.length % d !== 0) {
      throw new TypeError(`Cannot train: ${x.length} numbers are no rows of ${d}`);
    }
    const rows = this.#sample(x);
    const n = rows.length / d;
    if (n < ksub) {
      throw new RangeError(`Cannot train: ${n} vectors are fewer than ${ksub} centroids of a part`);
    }
    // Refuses bad parameters.
    new Clustering(this.dsub, ksub, this.cp);
    const isPlain = this.#backend.kmeansParts !== undefined && isPlainClustering(this.cp);
    this.restore(await (isPlain ? this.#together(rows, signal) : this.#oneByOne(rows, signal)));
  }

  /** Centroids of all parts, moved together. */
  async #together(x: Float32Array, signal: AbortSignal | undefined): Promise<Float32Array> {
    const { d, M, ksub, cp: { niter = 25, seed = 1234, minPointsPerCentroid = 39 } } = this;
    const n = x.length / d;
    if (n < ksub * minPointsPerCentroid) {
      const better = ksub * minPointsPerCentroid;
      console.warn(`Clustering ${n} vectors to ${ksub} centroids: ${better} would be better`);
    }
    checkFinite(x, d, "cluster");
    const chance = seed >= 0 ? seed : Math.floor(Math.random() * 2 ** 32);
    const clustering = new PartClustering(d, M, ksub, chance + 1);
    await clustering.train(x, niter, this.#backend, signal);
    return clustering.centroids(x);
  }

  /** Centroids of one part after the other, as FAISS's options ask for. */
  async #oneByOne(x: Float32Array, signal: AbortSignal | undefined): Promise<Float32Array> {
    const { d, M, dsub, ksub } = this;
    const n = x.length / d;
    const centroids = new Float32Array(d * ksub);
    const part = new Float32Array(n * dsub);
    for (let m = 0; m < M; m++) {
      for (let i = 0; i < n; i++) {
        const from = i * d + m * dsub;
        for (let j = 0; j < dsub; j++) part[i * dsub + j] = x[from + j]!;
      }
      // One warning that vectors are few is enough.
      const quiet = m === 0 ? {} : { minPointsPerCentroid: 0 };
      const clustering = new Clustering(dsub, ksub, { ...this.cp, ...quiet });
      await clustering.train(part, { signal, backend: this.#backend });
      centroids.set(clustering.centroids, m * ksub * dsub);
    }
    return centroids;
  }

  /** As many vectors as the clusterings take, the same for all of them. */
  #sample(x: Float32Array): Float32Array {
    const { d, ksub, cp: { maxPointsPerCentroid = 256, seed = 1234 } } = this;
    const most = ksub * maxPointsPerCentroid;
    if (x.length <= most * d) return x;
    const sample = new Float32Array(most * d);
    new Random(Math.abs(seed)).permutation(x.length / d, most).forEach((row, i) => {
      sample.set(x.subarray(row * d, (row + 1) * d), i * d);
    });
    return sample;
  }

  /**
   * Codes of vectors.
   *
   * @param x `n × d` numbers.
   * @returns `n × codeSize` bytes: the parts' numbers from the lowest bit up, without gaps.
   * @throws {NotTrainedError} If the quantizer has to be trained first.
   */
  async encode(x: Float32Array): Promise<Uint8Array> {
    return await this.#native("encode").encode(x);
  }

  /**
   * What codes stand for.
   *
   * @param codes `n × codeSize` bytes.
   * @returns `n × d` numbers.
   * @throws {NotTrainedError} If the quantizer has to be trained first.
   */
  async decode(codes: Uint8Array): Promise<Float32Array> {
    return await this.#native("decode").decode(codes);
  }

  /**
   * Squared L2 between each part of vectors and every centroid of that part.
   *
   * @param x `n × d` vectors.
   * @returns `n × M × ksub` numbers.
   * @throws {NotTrainedError} If the quantizer has to be trained first.
   */
  computeDistanceTables(x: VectorInput): Float32Array {
    return this.#tables("computeDistanceTables", x, (a, b) => (a - b) ** 2);
  }

  /**
   * Inner products of each part of vectors and every centroid of that part.
   *
   * @param x `n × d` vectors.
   * @returns `n × M × ksub` numbers.
   * @throws {NotTrainedError} If the quantizer has to be trained first.
   */
  computeInnerProdTables(x: VectorInput): Float32Array {
    return this.#tables("computeInnerProdTables", x, (a, b) => a * b);
  }

  #tables(name: string, x: VectorInput, term: (a: number, b: number) => number): Float32Array {
    const centroids = this.#trained(name);
    const { d, M, dsub, ksub } = this;
    const rows = toRows(x, d, "x");
    const tables = new Float32Array(rows.length / dsub * ksub);
    for (let part = 0; part < rows.length / dsub; part++) {
      for (let k = 0; k < ksub; k++) {
        const from = (part % M * ksub + k) * dsub;
        let sum = 0;
        for (let j = 0; j < dsub; j++) sum += term(rows[part * dsub + j]!, centroids[from + j]!);
        tables[part * ksub + k] = sum;
      }
    }
    return tables;
  }

  /** Frees what the backend holds. */
  [Symbol.dispose](): void {
    this.#codec?.[Symbol.dispose]();
    this.#codec = undefined;
    this.#disposed = true;
  }

  #trained(name: string): Float32Array {
    if (this.#disposed) throw new DisposedError(`Cannot ${name}: the quantizer was disposed`);
    if (this.#centroids !== undefined) return this.#centroids;
    throw new NotTrainedError(`Cannot ${name}: call train() first`);
  }

  #native(name: string): BackendCodec {
    this.#trained(name);
    return this.#codec ??= this.#backend.createCodec(this.spec);
  }
}

/** Whether nothing is asked of a clustering but how long it takes and where it starts. */
function isPlainClustering(params: ClusteringParameters): boolean {
  const { nredo = 1, spherical, intCentroids, frozenCentroids, updateIndex } = params;
  const { initMethod = "random", earlyStopThreshold = 0, checkInputDataForNaNs = true } = params;
  const isOther = spherical || intCentroids || frozenCentroids || updateIndex;
  return nredo === 1 && !isOther && initMethod === "random" && earlyStopThreshold === 0 &&
    checkInputDataForNaNs;
}
