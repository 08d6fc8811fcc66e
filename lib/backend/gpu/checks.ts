import { type Metric, missingDistance } from "../../metric.ts";
import { MOST_K } from "./plan.ts";

/** Checks the number of neighbours. */
export function checkK(k: number): void {
  if (!Number.isInteger(k) || k < 1) throw new RangeError(`Cannot search: k ${k} is not above 0`);
}

/** Checks the number of neighbours that there can be. */
export function checkMost(k: number): void {
  if (k <= MOST_K) return;
  throw new RangeError(
    `Cannot search: k ${k} is above ${MOST_K}, the most that a GPU search finds`,
  );
}

/** Results of a search that found nothing. */
export function allMissing(
  nq: number,
  k: number,
  metric: Metric,
): { distances: Float32Array; labels: BigInt64Array } {
  return {
    distances: new Float32Array(nq * k).fill(missingDistance(metric)),
    labels: new BigInt64Array(nq * k).fill(-1n),
  };
}

/** Results of `from` a query, with what is missing up to `k` as FAISS has it. */
export function widen(
  own: { distances: Float32Array; labels: BigInt64Array },
  from: number,
  missing: { distances: Float32Array; labels: BigInt64Array },
  k: number,
  metric: Metric,
): { distances: Float32Array; labels: BigInt64Array } {
  const none = missingDistance(metric);
  const { distances, labels } = own;
  for (let i = 0; i < distances.length; i++) {
    // A similarity that overflowed is one all the same.
    if (!Number.isFinite(distances[i]!) && labels[i]! < 0n) distances[i] = none;
  }
  if (from === k) return own;
  for (let at = 0, to = 0; at < distances.length; at += from, to += k) {
    missing.distances.set(distances.subarray(at, at + from), to);
    missing.labels.set(labels.subarray(at, at + from), to);
  }
  return missing;
}
