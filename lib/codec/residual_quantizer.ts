/**
 * The additive codec whose codebooks are found one after the other.
 *
 * @module
 */

import type { Backend } from "../backend/backend.ts";
import { UnsupportedError } from "../errors.ts";
import { Clustering, type ClusteringParameters } from "../index/clustering.ts";
import { Metric } from "../metric.ts";
import { Random } from "../random.ts";
import { PCAMatrix } from "../transform/pca_matrix.ts";
import {
  AdditiveQuantizer,
  type AdditiveQuantizerOptions,
  bitsOfEach,
  type TrainedAdditive,
} from "./additive_quantizer.ts";
import { trainNorms } from "./additive_training.ts";

/** How the codebooks of a {@linkcode ResidualQuantizer} are found; values, to be added up, are those of FAISS. */
export const ResidualTraining = {
  /** By k-means. */
  Default: 0,
  /** By k-means over ever more principal components. */
  ProgressiveDim: 1,
  /** All of them again after the last; not available. */
  RefineCodebook: 2,
  /** On what the best of a beam leaves, not on what all leave. */
  TopBeam: 1024,
  /** Without FAISS's tables of products, which are made here where they pay. */
  SkipCodebookTables: 2048,
} as const;

/** Steps from one principal component to all. */
const STEPS = 10;
/** Iterations of k-means. */
const NITER = 10;

/**
 * Keeps a vector as one row each of several codebooks. The first codebook is found for vectors,
 * each other one for what those before leave of them; codes by beam search.
 *
 * @example
 * ```ts
 * import { Random, ResidualQuantizer } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * const random = new Random(1);
 * const x = Float32Array.from({ length: 640 * 8 }, () => random.normal());
 * using rq = new ResidualQuantizer(8, 3, 4);
 * await rq.train(x);
 * const codes = await rq.encode(x);
 * assert.equal(codes.length, 640 * 2);
 * assert.equal((await rq.decode(codes)).length, x.length);
 * ```
 */
export class ResidualQuantizer extends AdditiveQuantizer {
  /** How codebooks are found: of {@linkcode ResidualTraining}. */
  trainType: number = ResidualTraining.ProgressiveDim;
  /** Sums that training and encoding keep of each vector from codebook to codebook. */
  maxBeamSize = 5;
  /** How each codebook is found; 10 iterations by default. */
  readonly cp: ClusteringParameters = { niter: NITER };

  /**
   * A quantizer that has to be trained.
   *
   * @param d Dimension.
   * @param M Codebooks, if `nbits` is one number.
   * @param nbits Bits of an index, 1 to 16: of all codebooks or of each.
   * @param options Norms and backend.
   * @throws {RangeError} If a number is out of range.
   */
  constructor(
    d: number,
    M: number,
    nbits: number | readonly number[],
    options: AdditiveQuantizerOptions = {},
  ) {
    super(d, bitsOfEach(M, nbits), options);
  }

  /** @internal */
  protected override encoding(): { beam: number } {
    const beam = this.maxBeamSize;
    if (!Number.isInteger(beam) || beam < 1 || beam > 4096) {
      throw new RangeError(`Cannot encode: maxBeamSize ${beam} is no integer from 1 to 4096`);
    }
    return { beam };
  }

  /** @internal */
  protected override async doTrain(
    x: Float32Array,
    signal?: AbortSignal,
  ): Promise<TrainedAdditive> {
    const { d, nbits } = this;
    if (this.trainType & ResidualTraining.RefineCodebook) {
      throw new UnsupportedError("Cannot train: codebooks are not refined together");
    }
    const most = 2 ** Math.max(...nbits) * (this.cp.maxPointsPerCentroid ?? 256);
    const rows = sampleRows(x, d, most);
    const n = rows.length / d;
    const codebooks: Float32Array[] = [];
    let beam = new Beam(rows, d, n);
    for (const bits of nbits) {
      const points = this.trainType & ResidualTraining.TopBeam ? beam.first() : beam.rests;
      // One warning that vectors are few is enough.
      const quiet = codebooks.length === 0 ? {} : { minPointsPerCentroid: 0 };
      const codebook = await this.#cluster(points, 2 ** bits, quiet, signal);
      codebooks.push(codebook);
      beam = await beam.step(codebook, this.encoding().beam, this.backend, signal);
    }
    const norms = new Float32Array(n);
    const rest = beam.first();
    for (let i = 0; i < rows.length; i++) norms[Math.floor(i / d)]! += (rows[i]! - rest[i]!) ** 2;
    const options = { backend: this.backend };
    const trained = await trainNorms(this.searchType, norms, options, signal);
    return { codebooks: concatenate(codebooks), ...trained };
  }

  async #cluster(
    points: Float32Array,
    k: number,
    quiet: ClusteringParameters,
    signal: AbortSignal | undefined,
  ): Promise<Float32Array> {
    const { d, backend } = this;
    const cp = { ...this.cp, ...quiet };
    const train = { backend, signal };
    if (!(this.trainType & ResidualTraining.ProgressiveDim) || d < 2) {
      const clustering = new Clustering(d, k, cp);
      await clustering.train(points, train);
      return clustering.centroids;
    }
    const rows = sampleRows(points, d, k * (cp.maxPointsPerCentroid ?? 256));
    const pca = new PCAMatrix(d, d);
    await pca.train(rows, { backend, signal });
    const rotated = await pca.apply(rows, { backend });
    let [centroids, last] = [new Float32Array(), 0];
    for (let step = 1; step <= STEPS; step++) {
      const dims = Math.floor(d ** (step / STEPS) + 1e-9);
      if (dims === last) continue;
      const few = last === 0 ? cp : { ...cp, minPointsPerCentroid: 0 };
      const clustering = new Clustering(dims, k, few);
      clustering.centroids = copyColumns(centroids, last, dims, last === 0 ? 0 : k);
      await clustering.train(copyColumns(rotated, d, dims, rows.length / d), train);
      centroids = clustering.centroids as Float32Array<ArrayBuffer>;
      last = dims;
    }
    return await pca.reverse(centroids, { backend });
  }
}

/** What sums of rows leave of vectors: of each as many, nearest first. */
class Beam {
  readonly rests: Float32Array;
  readonly #d: number;
  readonly #n: number;

  constructor(rests: Float32Array, d: number, n: number) {
    this.rests = rests;
    this.#d = d;
    this.#n = n;
  }

  get #size(): number {
    return this.rests.length / this.#n / this.#d;
  }

  /** What the best sum leaves of each vector. */
  first(): Float32Array {
    return copyColumns(this.rests, this.#size * this.#d, this.#d, this.#n);
  }

  /** What another codebook leaves. */
  async step(
    codebook: Float32Array,
    most: number,
    backend: Backend,
    signal: AbortSignal | undefined,
  ): Promise<Beam> {
    const [d, size, n] = [this.#d, this.#size, this.#n];
    const k = codebook.length / d;
    const [next, near] = [Math.min(size * k, most), Math.min(k, most)];
    using store = backend.createFlat(d);
    await store.add(codebook);
    const how = { metric: Metric.L2, metricArg: 0, signal };
    const { distances, labels } = await store.search(this.rests, near, how);
    const rests = new Float32Array(n * next * d);
    const order = Array.from({ length: size * near }, (_, i) => i);
    for (let row = 0; row < n; row++) {
      const from = row * size * near;
      order.sort((a, b) => distances[from + a]! - distances[from + b]! || a - b);
      for (let i = 0; i < next; i++) {
        const at = from + order[i]!;
        const rest = Math.floor(at / near) * d;
        const [chosen, out] = [Number(labels[at]) * d, (row * next + i) * d];
        for (let j = 0; j < d; j++) rests[out + j] = this.rests[rest + j]! - codebook[chosen + j]!;
      }
    }
    return new Beam(rests, d, n);
  }
}

/** The first numbers of rows; zeros where there are fewer. */
function copyColumns(x: Float32Array, from: number, to: number, n: number): Float32Array {
  const out = new Float32Array(n * to);
  const both = Math.min(from, to);
  for (let row = 0; row < n; row++) {
    out.set(x.subarray(row * from, row * from + both), row * to);
  }
  return out;
}

/** At most so many rows, chosen the same way each time. */
function sampleRows(x: Float32Array, d: number, most: number): Float32Array {
  if (x.length <= most * d) return x;
  const sample = new Float32Array(most * d);
  new Random(1234).permutation(x.length / d, most).forEach((row, i) => {
    sample.set(x.subarray(row * d, (row + 1) * d), i * d);
  });
  return sample;
}

function concatenate(parts: Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
