/**
 * K-means.
 *
 * @module
 */

import type { Backend, ResidentRows } from "../backend/backend.ts";
import { type MimeBundle, plainText, tableBundle, withDisplay } from "../display.ts";
import { formatCount } from "../display_cells.ts";
import { toRows, type VectorInput } from "../matrix.ts";
import { isSimilarity, Metric } from "../metric.ts";
import { Random } from "../random.ts";
import { IndexFlat, IndexFlatIP, IndexFlatL2 } from "./flat.ts";
import type { Index } from "./index.ts";
import { chooseCentroids, type InitMethod } from "./clustering_init.ts";
import { imbalanceFactor, normalizeRows, splitClusters } from "./clustering_steps.ts";

/** How vectors are clustered: FAISS's names and defaults. */
export interface ClusteringParameters {
  /** Iterations; by default 25. */
  niter?: number | undefined;
  /** Runs from different first centroids, of which the best is kept; by default 1. */
  nredo?: number | undefined;
  /** Whether centroids are made unit vectors after every iteration. */
  spherical?: boolean | undefined;
  /** Whether centroids are rounded to integers after every iteration. */
  intCentroids?: boolean | undefined;
  /** Whether the index that assigns vectors is trained on the centroids in every iteration. */
  updateIndex?: boolean | undefined;
  /** Whether the centroids given beforehand stay as they are. */
  frozenCentroids?: boolean | undefined;
  /** Fewer vectors a centroid than this give a warning; by default 39. */
  minPointsPerCentroid?: number | undefined;
  /** Of more vectors a centroid than this, a random part is taken; by default 256. */
  maxPointsPerCentroid?: number | undefined;
  /** Seed of everything random; by default 1234. Negative: another each time. */
  seed?: number | undefined;
  /** Whether NaN and infinite numbers are refused beforehand; by default true. */
  checkInputDataForNaNs?: boolean | undefined;
  /** How the first centroids are chosen among the vectors; by default `"random"`. */
  initMethod?: InitMethod | undefined;
  /** Steps of the Markov chain of `"afk-mc2"`; by default 50. */
  afkmc2ChainLength?: number | undefined;
  /**
   * Iterations end once the objective changes by at most this fraction of its last value;
   * by default 0: once it does not change at all.
   */
  earlyStopThreshold?: number | undefined;
}

/** One iteration. */
export interface ClusteringProgress {
  /** Which, from 0. */
  iteration: number;
  /** Which run of `nredo`, from 0. */
  redo: number;
  /** Sum of the distances of vectors to their centroids, before these were moved. */
  objective: number;
  /** 1 where all clusters are of one size, more where they are not. */
  imbalanceFactor: number;
  /** Empty clusters that got half of a big one. */
  nsplit: number;
  /** Seconds since the start. */
  seconds: number;
}

/** How {@linkcode Clustering.train} is done. */
export interface ClusteringTrainOptions {
  /** A weight a vector. */
  weights?: Float32Array | undefined;
  /**
   * The index that assigns vectors, left holding the centroids. By default a flat one, by
   * inner product if `spherical` and by L2 otherwise.
   */
  index?: Index | undefined;
  /** Backend of the default index. */
  backend?: Backend | undefined;
  /** Stops the clustering. */
  signal?: AbortSignal | undefined;
  /** Called after every iteration. */
  onProgress?: ((progress: ClusteringProgress) => void) | undefined;
}

const defaults: Required<
  { [K in keyof ClusteringParameters]: NonNullable<ClusteringParameters[K]> }
> = {
  niter: 25,
  nredo: 1,
  spherical: false,
  intCentroids: false,
  updateIndex: false,
  frozenCentroids: false,
  minPointsPerCentroid: 39,
  maxPointsPerCentroid: 256,
  seed: 1234,
  checkInputDataForNaNs: true,
  initMethod: "random",
  afkmc2ChainLength: 50,
  earlyStopThreshold: 0,
};

/** Smallest value of each number. */
const least = {
  niter: 0,
  nredo: 1,
  minPointsPerCentroid: 0,
  maxPointsPerCentroid: 1,
  seed: -Number.MAX_SAFE_INTEGER,
  afkmc2ChainLength: 1,
} as const;

function complete(params: ClusteringParameters): typeof defaults {
  const given = Object.entries(params).filter(([, value]) => value !== undefined);
  const full = { ...defaults, ...Object.fromEntries(given) };
  for (const [name, smallest] of Object.entries(least)) {
    const value = full[name as keyof typeof least];
    if (!Number.isSafeInteger(value) || value < smallest) {
      throw new RangeError(`Cannot cluster: ${name} ${value} is no integer from ${smallest}`);
    }
  }
  if (!(full.earlyStopThreshold >= 0)) {
    throw new RangeError(
      `Cannot cluster: earlyStopThreshold ${full.earlyStopThreshold} is below 0`,
    );
  }
  if (!["random", "kmeans++", "afk-mc2"].includes(full.initMethod)) {
    throw new RangeError(`Cannot cluster: there is no initMethod "${full.initMethod}"`);
  }
  return full;
}

/**
 * K-means over vectors. The same seed gives the same centroids, whatever the number of
 * threads. An empty cluster gets half of a big one.
 *
 * @example
 * ```ts
 * import { Clustering } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * const clustering = new Clustering(1, 2, { minPointsPerCentroid: 1 });
 * await clustering.train([[0], [1], [10], [11]]);
 * assert.deepEqual([...clustering.centroids].sort((a, b) => a - b), [0.5, 10.5]);
 * ```
 */
export class Clustering {
  /** Dimension. */
  readonly d: number;
  /** Number of centroids. */
  readonly k: number;
  /**
   * The centroids, row by row. Rows set before {@linkcode train} are the first ones that
   * it starts from.
   */
  centroids: Float32Array = new Float32Array(0);
  /** The iterations of the run that was kept. */
  iterationStats: ClusteringProgress[] = [];
  readonly #params: typeof defaults;

  /**
   * Prepares a clustering.
   *
   * @param d Dimension.
   * @param k Number of centroids.
   * @param params How vectors are clustered.
   * @throws {RangeError} If a number is out of range.
   */
  constructor(d: number, k: number, params: ClusteringParameters = {}) {
    for (const [name, value] of [["d", d], ["k", k]] as const) {
      if (!Number.isInteger(value) || value < 1) {
        throw new RangeError(`Cannot cluster: ${name} ${value} is no integer above 0`);
      }
    }
    this.d = d;
    this.k = k;
    this.#params = complete(params);
  }

  /**
   * Finds the centroids. If it throws, they are as they were.
   *
   * @param x `n × d` vectors, `n` at least `k`.
   * @param options Weights, progress, abort.
   * @throws {RangeError} If there are fewer than `k` vectors, or a number is NaN or infinite.
   * @throws {TypeError} If `x`, `weights` or the given centroids are of a wrong shape.
   */
  async train(x: VectorInput, options: ClusteringTrainOptions = {}): Promise<void> {
    const { d, k } = this;
    const started = performance.now();
    options.signal?.throwIfAborted();
    const all = { x: toRows(x, d, "x"), weights: options.weights };
    this.#check(all.x, all.weights);
    const index = options.index ?? this.#flat(options.backend);
    const seed = this.#params.seed >= 0 ? this.#params.seed : Math.floor(Math.random() * 2 ** 32);
    const sample = this.#sample(all.x, all.weights, new Random(seed));
    try {
      if (sample.x.length === k * d) {
        await setCentroids(index, sample.x, false);
        this.centroids = sample.x.slice();
        const seconds = (performance.now() - started) / 1000;
        this.iterationStats = [
          { iteration: 0, redo: 0, objective: 0, imbalanceFactor: 1, nsplit: 0, seconds },
        ];
        return;
      }
      const given = this.centroids.slice();
      const sign = isSimilarity(index.metric) ? -1 : 1;
      let best: Run | undefined;
      for (let redo = 0; redo < this.#params.nredo; redo++) {
        const run = await this.#run({ ...sample, given, index, redo, seed, started, options });
        if (best === undefined || sign * run.objective < sign * best.objective) best = run;
      }
      if (this.#params.nredo > 1) await setCentroids(index, best!.centroids, false);
      this.centroids = best!.centroids;
      this.iterationStats = best!.stats;
    } finally {
      if (options.index === undefined) index.dispose();
    }
  }

  /** What a notebook shows: the iterations. */
  [Symbol.for("Jupyter.display")](): MimeBundle {
    return clusteringBundle(this.d, this.k, this.iterationStats);
  }

  /** What `console.log` shows. */
  [Symbol.for("Deno.customInspect")](): string {
    return plainText(clusteringBundle(this.d, this.k, this.iterationStats));
  }

  #flat(backend: Backend | undefined): Index {
    const metric = this.#params.spherical ? Metric.InnerProduct : Metric.L2;
    return new IndexFlat(this.d, metric, { backend });
  }

  #check(x: Float32Array, weights: Float32Array | undefined): void {
    const { d, k } = this;
    const n = x.length / d;
    if (n < k) throw new RangeError(`Cannot cluster: ${n} vectors are fewer than k ${k}`);
    if (weights !== undefined && weights.length !== n) {
      throw new TypeError(`Cannot cluster: ${weights.length} weights for ${n} vectors`);
    }
    const bad = weights?.findIndex((weight) => !(weight >= 0 && weight < Infinity)) ?? -1;
    if (bad >= 0) throw new RangeError(`Cannot cluster: weight ${bad} is ${weights![bad]}`);
    if (this.centroids.length % d !== 0 || this.centroids.length > k * d) {
      throw new TypeError(
        `Cannot cluster: ${this.centroids.length} numbers of centroids are no ${k} rows of ${d}`,
      );
    }
    if (!this.#params.checkInputDataForNaNs) return;
    for (let i = 0; i < x.length; i++) {
      if (Number.isFinite(x[i]!)) continue;
      const [row, column] = [Math.floor(i / d), i % d];
      throw new RangeError(`Cannot cluster: row ${row} holds ${x[i]} at column ${column}`);
    }
  }

  /** At most `maxPointsPerCentroid` vectors a centroid. */
  #sample(
    x: Float32Array,
    weights: Float32Array | undefined,
    random: Random,
  ): { x: Float32Array; weights: Float32Array | undefined } {
    const { d, k } = this;
    const { minPointsPerCentroid, maxPointsPerCentroid } = this.#params;
    const n = x.length / d;
    if (n < k * minPointsPerCentroid) {
      console.warn(
        `Clustering ${n} vectors to ${k} centroids: ${k * minPointsPerCentroid} would be better`,
      );
    }
    const most = k * maxPointsPerCentroid;
    if (n <= most) return { x, weights };
    const rows = random.permutation(n, most);
    const sample = new Float32Array(most * d);
    rows.forEach((row, i) => sample.set(x.subarray(row * d, (row + 1) * d), i * d));
    return { x: sample, weights: weights && Float32Array.from(rows, (row) => weights[row]!) };
  }

  async #run(
    { x, weights, given, index, redo, seed, started, options }: RunInput,
  ): Promise<Run> {
    const { d, k } = this;
    const p = this.#params;
    const { signal, onProgress } = options;
    const random = new Random(seed + 1 + redo * 15_486_557);
    const first = await chooseCentroids({
      x,
      d,
      k,
      given,
      method: p.initMethod,
      chainLength: p.afkmc2ChainLength,
      random,
      backend: index.backend,
      signal,
    });
    let centroids = this.#finish(first);
    await setCentroids(index, centroids, false);
    const frozen = p.frozenCentroids ? given.length / d : 0;
    const stats: ClusteringProgress[] = [];
    using rows = await residentRows(index, x);
    for (let iteration = 0; iteration < p.niter; iteration++) {
      const { distances, labels } = rows
        ? await rows.assign(centroids, index.metric, signal)
        : await index.search(x, 1, { signal });
      const objective = distances.reduce((total, distance) => total + distance, 0);
      const moved = centroids.slice();
      const sizes = rows
        ? await rows.update(weights, moved)
        : await index.backend.kmeansUpdate(x, labels, weights, moved, d);
      signal?.throwIfAborted();
      moved.set(centroids.subarray(0, frozen * d));
      const nsplit = splitClusters(moved, sizes, d, frozen, random);
      centroids = this.#finish(moved);
      await setCentroids(index, centroids, p.updateIndex);
      const last = stats.at(-1)?.objective;
      const progress = {
        iteration,
        redo,
        objective,
        imbalanceFactor: imbalanceFactor(labels, k),
        nsplit,
        seconds: (performance.now() - started) / 1000,
      };
      stats.push(progress);
      onProgress?.(progress);
      signal?.throwIfAborted();
      if (last && Math.abs((last - objective) / last) <= p.earlyStopThreshold) break;
    }
    return { centroids, stats, objective: stats.at(-1)?.objective ?? NaN };
  }

  #finish(centroids: Float32Array): Float32Array {
    if (this.#params.spherical) normalizeRows(centroids, this.d);
    // Halves go away from zero.
    if (!this.#params.intCentroids) return centroids;
    return centroids.map((value) => Math.sign(value) * Math.round(Math.abs(value)));
  }
}

/** The iterations of a clustering. */
function clusteringBundle(
  d: number,
  k: number,
  iterations: readonly ClusteringProgress[],
): MimeBundle {
  const rows = iterations.map(({ iteration, objective, imbalanceFactor, nsplit, seconds }) => {
    return [iteration, objective, imbalanceFactor, nsplit, seconds];
  });
  const columns = ["iteration", "objective", "imbalance", "splits", "seconds"];
  const done = iterations.length === 0 ? "not trained" : formatCount(rows.length, "iteration");
  const title = `k-means, ${formatCount(k, "centroid")} of ${formatCount(d, "number")}: ${done}`;
  return tableBundle(columns, rows, title);
}

interface RunInput {
  x: Float32Array;
  weights: Float32Array | undefined;
  given: Float32Array;
  index: Index;
  redo: number;
  seed: number;
  started: number;
  options: ClusteringTrainOptions;
}

interface Run {
  centroids: Float32Array;
  stats: ClusteringProgress[];
  objective: number;
}

/** The vectors on the device of an index that compares them with all centroids. */
async function residentRows(index: Index, x: Float32Array): Promise<ResidentRows | undefined> {
  const isExact = [IndexFlat, IndexFlatL2, IndexFlatIP].some((kind) => index.constructor === kind);
  if (!isExact) return undefined;
  return await index.backend.residentRows?.(x, index.d, index.metric);
}

async function setCentroids(index: Index, centroids: Float32Array, train: boolean): Promise<void> {
  await index.reset();
  if (train || !index.isTrained) await index.train(centroids);
  await index.add(centroids);
}

/**
 * K-means in one call.
 *
 * @param x `n × d` vectors.
 * @param d Dimension.
 * @param k Number of centroids.
 * @param params How vectors are clustered, and {@linkcode ClusteringTrainOptions}.
 * @returns The `k × d` centroids, the last objective and the iterations.
 * @throws {RangeError} If there are fewer than `k` vectors, or a number is out of range.
 *
 * @example
 * ```ts
 * import { kmeans } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * const { centroids } = await kmeans([[0], [1], [10], [11]], 1, 2, { minPointsPerCentroid: 1 });
 * assert.deepEqual([...centroids].sort((a, b) => a - b), [0.5, 10.5]);
 * ```
 */
export async function kmeans(
  x: VectorInput,
  d: number,
  k: number,
  params: ClusteringParameters & ClusteringTrainOptions = {},
): Promise<{ centroids: Float32Array; objective: number; iterations: ClusteringProgress[] }> {
  const clustering = new Clustering(d, k, params);
  await clustering.train(x, params);
  const { centroids, iterationStats: iterations } = clustering;
  const objective = iterations.at(-1)?.objective ?? NaN;
  return withDisplay(
    { centroids, objective, iterations },
    () => clusteringBundle(d, k, iterations),
  );
}
