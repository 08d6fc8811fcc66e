import { Metric } from "../../metric.ts";
import { distanceOf } from "./distance.ts";
import type { Steps } from "./steps.ts";

/** Rows between two steps. */
const ROWS_A_STEP = 1024;

/** Weighted means of the rows of each centroid, over `centroids`; returns the weights. */
export function* kmeansUpdate(
  x: Float32Array,
  assign: BigInt64Array,
  weights: Float32Array | undefined,
  centroids: Float32Array,
  d: number,
): Steps<Float32Array> {
  const k = centroids.length / d;
  const sums = new Float64Array(k * d);
  const totals = new Float64Array(k);
  for (let row = 0; row < assign.length; row++) {
    if (row % ROWS_A_STEP === 0) yield;
    const to = Number(assign[row]);
    if (to < 0) continue;
    if (to >= k) throw new RangeError(`Cannot update: row ${row} is of centroid ${to} of ${k}`);
    const weight = weights === undefined ? 1 : weights[row]!;
    totals[to]! += weight;
    for (let c = 0; c < d; c++) sums[to * d + c]! += weight * x[row * d + c]!;
  }
  for (let i = 0; i < k * d; i++) {
    const total = totals[Math.floor(i / d)]!;
    if (total > 0) centroids[i] = sums[i]! / total;
  }
  return Float32Array.from(totals);
}

/** A step of k-means on each of `m` parts of rows by itself; returns how many each centroid has. */
export function* kmeansParts(
  x: Float32Array,
  m: number,
  centroids: Float32Array,
  d: number,
): Steps<Float32Array> {
  const [dsub, k] = [d / m, centroids.length / d];
  const sums = new Float64Array(centroids.length);
  const counts = new Float32Array(m * k);
  for (let at = 0; at * dsub < x.length; at++) {
    if (at % ROWS_A_STEP === 0) yield;
    const first = at % m * k;
    let [nearest, least] = [first, Infinity];
    for (let j = first; j < first + k; j++) {
      let sum = 0;
      for (let c = 0; c < dsub; c++) sum += (x[at * dsub + c]! - centroids[j * dsub + c]!) ** 2;
      if (sum < least) [nearest, least] = [j, sum];
    }
    counts[nearest]!++;
    for (let c = 0; c < dsub; c++) sums[nearest * dsub + c]! += x[at * dsub + c]!;
  }
  for (let i = 0; i < centroids.length; i++) {
    const count = counts[Math.floor(i / dsub)]!;
    if (count > 0) centroids[i] = sums[i]! / count;
  }
  return counts;
}

/** `least[i] = min(least[i], squared L2 of x[i] and center)`. */
export function* kmeansLeast(
  x: Float32Array,
  center: Float32Array,
  least: Float32Array,
): Steps<void> {
  const distance = distanceOf(Metric.L2, 0, center.length);
  for (let row = 0; row < least.length; row++) {
    if (row % ROWS_A_STEP === 0) yield;
    least[row] = Math.min(least[row]!, distance(x, row, center, 0));
  }
}
