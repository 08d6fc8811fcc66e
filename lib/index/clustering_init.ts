/**
 * The first centroids of k-means.
 *
 * @module
 */

import type { Backend } from "../backend/backend.ts";
import { Metric } from "../metric.ts";
import type { Random } from "../random.ts";

/**
 * How the first centroids are chosen: any vectors; each by its squared distance from those
 * before it; or the same approximately, by a Markov chain.
 */
export type InitMethod = "random" | "kmeans++" | "afk-mc2";

/** What the choice depends on. */
export interface InitInput {
  /** `n × d` vectors. */
  x: Float32Array;
  /** Numbers a row. */
  d: number;
  /** Centroids wanted. */
  k: number;
  /** The first of them, already known. */
  given: Float32Array;
  /** How the others are chosen. */
  method: InitMethod;
  /** Steps of the Markov chain. */
  chainLength: number;
  /** Where chance comes from. */
  random: Random;
  /** What computes distances. */
  backend: Backend;
  /** Stops it. */
  signal: AbortSignal | undefined;
}

/**
 * The given centroids and as many vectors as are missing.
 *
 * @param input What the choice depends on.
 * @returns `k × d` numbers.
 */
export async function chooseCentroids(input: InitInput): Promise<Float32Array> {
  const { x, d, k, given, random } = input;
  const centroids = new Float32Array(k * d);
  centroids.set(given);
  const known = given.length / d;
  if (known === k) return centroids;
  if (input.method === "random") {
    random.permutation(x.length / d, k - known).forEach((row, i) => {
      centroids.set(x.subarray(row * d, (row + 1) * d), (known + i) * d);
    });
    return centroids;
  }
  const least = new Float32Array(x.length / d).fill(Infinity);
  for (let i = 0; i < known; i++) {
    await input.backend.kmeansLeast(x, centroids.subarray(i * d, (i + 1) * d), least);
  }
  let next = known;
  const choose = (row: number) => {
    const center = centroids.subarray(next * d, ++next * d);
    center.set(x.subarray(row * d, (row + 1) * d));
    return center;
  };
  const chosen = new Set<number>();
  if (known === 0) {
    const row = random.integer(least.length);
    chosen.add(row);
    await input.backend.kmeansLeast(x, choose(row), least);
  }
  if (input.method === "kmeans++") {
    while (next < k) {
      input.signal?.throwIfAborted();
      const row = draw(cumulate(least), random);
      await input.backend.kmeansLeast(x, choose(row), least);
    }
  } else {
    await chain(input, centroids, least, chosen, () => next, choose);
  }
  return centroids;
}

/** Running sums. */
function cumulate(weights: ArrayLike<number>): Float64Array {
  const sums = new Float64Array(weights.length);
  let total = 0;
  for (let i = 0; i < sums.length; i++) sums[i] = total += weights[i]!;
  return sums;
}

/** An index by chance, in proportion to its weight; any, where there is none. */
function draw(sums: Float64Array, random: Random): number {
  const total = sums.at(-1)!;
  if (!(total > 0 && total < Infinity)) return random.integer(sums.length);
  const at = random.uniform() * total;
  let [low, high] = [0, sums.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sums[middle]! > at) high = middle;
    else low = middle + 1;
  }
  return low;
}

/**
 * AFK-MC² (Bachem et al. 2016): candidates are drawn once and for all by half their
 * squared distance from the first centroids and half evenly, and a chain of them moves
 * towards those far from all centroids so far.
 */
async function chain(
  { x, d, k, chainLength, random, backend, signal }: InitInput,
  centroids: Float32Array,
  least: Float32Array,
  chosen: Set<number>,
  next: () => number,
  choose: (row: number) => Float32Array,
): Promise<void> {
  const n = least.length;
  const total = least.reduce((sum, distance) => sum + distance, 0);
  const chance = Float64Array.from(
    least,
    (distance) => (total > 0 ? distance / total / 2 : 0) + 0.5 / n,
  );
  const sums = cumulate(chance);
  using store = backend.createFlat(d);
  await store.add(centroids.subarray(0, next() * d));
  while (next() < k) {
    const rows = [drawOther(sums, chosen, random)];
    for (let i = 0; i < chainLength; i++) {
      const row = draw(sums, random);
      if (!chosen.has(row)) rows.push(row);
    }
    const candidates = new Float32Array(rows.length * d);
    rows.forEach((row, i) => candidates.set(x.subarray(row * d, (row + 1) * d), i * d));
    const how = { metric: Metric.L2, metricArg: 0, signal };
    const { distances } = await store.search(candidates, 1, how);
    let at = 0;
    for (let i = 1; i < rows.length; i++) {
      const ratio = (distances[i]! * chance[rows[at]!]!) / (distances[at]! * chance[rows[i]!]!);
      // 0/0: both lie on a centroid, and the chain stays.
      if (random.uniform() < ratio) at = i;
    }
    chosen.add(rows[at]!);
    await store.add(choose(rows[at]!));
  }
}

/** A row not chosen before. */
function drawOther(sums: Float64Array, chosen: Set<number>, random: Random): number {
  for (let attempt = 0; attempt < 100; attempt++) {
    const row = draw(sums, random);
    if (!chosen.has(row)) return row;
  }
  // Nearly all the chance lies on rows that are taken.
  let row = random.integer(sums.length);
  while (chosen.has(row)) row = (row + 1) % sums.length;
  return row;
}
