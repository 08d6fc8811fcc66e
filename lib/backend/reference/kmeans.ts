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
