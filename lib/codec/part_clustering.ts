/**
 * K-means over each part of vectors.
 *
 * @module
 */

import type { Backend } from "../backend/backend.ts";
import { kmeansParts } from "../backend/reference/kmeans.ts";
import { run } from "../backend/reference/steps.ts";
import { splitClusters } from "../index/clustering_steps.ts";
import { Random } from "../random.ts";

/**
 * `k` centroids of each of `m` parts of vectors, moved again and again from where they are. A step takes all
 * parts in one call.
 */
export class PartClustering {
  readonly #d: number;
  readonly #m: number;
  readonly #k: number;
  readonly #random: Random;
  #centroids: Float32Array | undefined;

  /**
   * @param d Dimension.
   * @param m Parts; divides `d`.
   * @param k Centroids of a part.
   * @param seed Of the first centroids, and of what is split.
   */
  constructor(d: number, m: number, k: number, seed: number) {
    this.#d = d;
    this.#m = m;
    this.#k = k;
    this.#random = new Random(seed);
  }

  /** Where the centroids are, `m × k × d / m`: at first those of vectors chosen by chance. */
  centroids(x: Float32Array): Float32Array {
    return this.#centroids ??= this.#chosen(x);
  }

  /**
   * Moves the centroids by `niter` steps of k-means; those of no vector share with large ones.
   *
   * @param x `n × d` numbers, `n` at least `k`.
   * @param niter Steps.
   * @param backend What computes.
   * @param signal Stops it.
   */
  async train(
    x: Float32Array,
    niter: number,
    backend: Backend,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const [d, m, k] = [this.#d, this.#m, this.#k];
    const centroids = this.centroids(x);
    for (let step = 0; step < niter; step++) {
      signal?.throwIfAborted();
      const sizes = await (backend.kmeansParts?.(x, m, centroids, d, signal) ??
        run(kmeansParts(x, m, centroids, d), signal));
      for (let part = 0; part < m; part++) {
        const own = centroids.subarray(part * k * d / m, (part + 1) * k * d / m);
        splitClusters(own, sizes.subarray(part * k, (part + 1) * k), d / m, 0, this.#random);
      }
    }
  }

  /** Parts of the same rows for all parts. */
  #chosen(x: Float32Array): Float32Array {
    const [d, m, k] = [this.#d, this.#m, this.#k];
    const dsub = d / m;
    const centroids = new Float32Array(k * d);
    this.#random.permutation(x.length / d, k).forEach((row, i) => {
      for (let part = 0; part < m; part++) {
        const from = row * d + part * dsub;
        centroids.set(x.subarray(from, from + dsub), (part * k + i) * dsub);
      }
    });
    return centroids;
  }
}
