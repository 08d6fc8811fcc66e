/**
 * What an iteration of k-means does to centroids and their sizes.
 *
 * @module
 */

import type { Random } from "../random.ts";

/** How far the halves of a split cluster are moved apart. */
const APART = 1 / 1024;

/**
 * Gives every empty cluster half of a big one, chosen with a probability in proportion
 * to its size less one.
 *
 * @param centroids `k × d` numbers, changed in place.
 * @param sizes Weight of each cluster, changed in place.
 * @param d Numbers a row.
 * @param frozen Clusters at the start that neither give nor get.
 * @param random Where chance comes from.
 * @returns How many clusters were split.
 */
export function splitClusters(
  centroids: Float32Array,
  sizes: Float32Array,
  d: number,
  frozen: number,
  random: Random,
): number {
  let splits = 0;
  for (let empty = frozen; empty < sizes.length; empty++) {
    if (sizes[empty]! > 0) continue;
    const big = chooseBig(sizes, frozen, random);
    if (big < 0) continue;
    for (let c = 0; c < d; c++) {
      const value = centroids[big * d + c]!;
      const sign = c % 2 === 0 ? 1 : -1;
      centroids[empty * d + c] = value * (1 + sign * APART);
      centroids[big * d + c] = value * (1 - sign * APART);
    }
    sizes[empty] = sizes[big]! / 2;
    sizes[big] = sizes[big]! / 2;
    splits++;
  }
  return splits;
}

/** A cluster by chance; where none holds more than 1, the heaviest; −1 where all are empty. */
function chooseBig(sizes: Float32Array, frozen: number, random: Random): number {
  let total = 0;
  let heaviest = -1;
  for (let i = frozen; i < sizes.length; i++) {
    total += Math.max(sizes[i]! - 1, 0);
    if (sizes[i]! > (heaviest < 0 ? 0 : sizes[heaviest]!)) heaviest = i;
  }
  let left = random.uniform() * total;
  for (let i = frozen; i < sizes.length && total > 0; i++) {
    left -= Math.max(sizes[i]! - 1, 0);
    if (left < 0) return i;
  }
  return heaviest;
}

/**
 * Makes rows unit vectors; a zero row stays.
 *
 * @param x Rows, changed in place.
 * @param d Numbers a row.
 */
export function normalizeRows(x: Float32Array, d: number): void {
  for (let from = 0; from < x.length; from += d) {
    const row = x.subarray(from, from + d);
    const norm = Math.sqrt(row.reduce((total, value) => total + value * value, 0));
    if (norm > 0) row.forEach((value, c) => row[c] = value / norm);
  }
}

/**
 * How uneven clusters are: `k Σ size² / n²`.
 *
 * @param labels The cluster of each vector; −1 for none.
 * @param k Number of clusters.
 * @returns 1 where all are of one size, `k` where one has all.
 */
export function imbalanceFactor(labels: BigInt64Array, k: number): number {
  const sizes = new Float64Array(k);
  // The low words: reading 64-bit integers one by one takes ten times as long.
  const low = new Int32Array(labels.buffer, labels.byteOffset, labels.length * 2);
  for (let i = 0; i < low.length; i += 2) {
    if (low[i]! >= 0) sizes[low[i]!]!++;
  }
  const n = sizes.reduce((total, size) => total + size, 0);
  return k * sizes.reduce((total, size) => total + size * size, 0) / (n * n);
}
