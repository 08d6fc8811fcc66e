import { distanceOf } from "../backend/reference/distance.ts";
import { isSimilarity, missingDistance } from "../metric.ts";
import type { Index } from "./index.ts";

/** Numbers of candidates' vectors held at once: 16 MiB. */
const HELD = 2 ** 22;

/** What candidates are compared with, and by. */
export interface Comparer {
  /** What has the candidates' vectors, by position. */
  index: Index;
  /** `nq × d` numbers. */
  queries: Float32Array;
}

/** What is kept of candidates. */
export interface Kept {
  distances: Float32Array;
  labels: BigInt64Array;
  /** How many pairs were compared. */
  run: { scanned: number };
}

/**
 * The `k` nearest of each query's candidates, by distance, then by id.
 *
 * @param found Candidates of each query; −1 where there are fewer.
 */
export function rerank(
  comparer: Comparer,
  found: { labels: BigInt64Array; nq: number; k: number },
  k: number,
): Kept {
  const { metric, d } = comparer.index;
  const distances = new Float32Array(found.nq * k).fill(missingDistance(metric));
  const labels = new BigInt64Array(found.nq * k).fill(-1n);
  const sign = isSimilarity(metric) ? -1 : 1;
  let compared = 0;
  const step = Math.max(1, Math.floor(HELD / (d * found.k)));
  for (let query = 0; query < found.nq; query += step) {
    const end = Math.min(found.nq, query + step);
    const lims = new Float64Array(end - query + 1);
    const kept = found.labels.subarray(query * found.k, end * found.k).filter((label, i) => {
      if (label >= 0n) lims[Math.floor(i / found.k) + 1]!++;
      return label >= 0n;
    });
    for (let i = 1; i < lims.length; i++) lims[i]! += lims[i - 1]!;
    const values = compare(comparer, query, kept, lims);
    compared += kept.length;
    for (let i = query; i < end; i++) {
      const [from, to] = [lims[i - query]!, lims[i - query + 1]!];
      // A NaN has no place, nor what is past the largest float.
      const order = Uint32Array.from({ length: to - from }, (_, j) => from + j)
        .filter((at) => Number.isFinite(values[at]))
        .sort((a, b) => sign * (values[a]! - values[b]!) || (kept[a]! < kept[b]! ? -1 : 1));
      order.subarray(0, k).forEach((at, j) => {
        distances[i * k + j] = values[at]!;
        labels[i * k + j] = kept[at]!;
      });
    }
  }
  return { distances, labels, run: { scanned: compared } };
}

/** The candidates that are strictly within a radius, in the order they come in. */
export function withinRadius(
  comparer: Comparer,
  found: { labels: BigInt64Array; lims: BigUint64Array },
  radius: number,
): { lims: BigUint64Array; distances: Float32Array; labels: BigInt64Array } {
  const { index } = comparer;
  const nq = found.lims.length - 1;
  const before = Float64Array.from(found.lims, Number);
  const sign = isSimilarity(index.metric) ? -1 : 1;
  const lims = new BigUint64Array(nq + 1);
  const distances = new Float32Array(found.labels.length);
  const labels = new BigInt64Array(found.labels.length);
  let kept = 0;
  for (let query = 0; query < nq; query++) {
    const candidates = found.labels.subarray(before[query], before[query + 1]);
    const step = Math.max(1, Math.floor(HELD / index.d));
    for (let from = 0; from < candidates.length; from += step) {
      const part = candidates.subarray(from, from + step);
      const values = compare(comparer, query, part, Float64Array.of(0, part.length));
      values.forEach((value, i) => {
        if (!(sign * value < sign * radius)) return;
        distances[kept] = value;
        labels[kept++] = part[i]!;
      });
    }
    lims[query + 1] = BigInt(kept);
  }
  return { lims, distances: distances.slice(0, kept), labels: labels.slice(0, kept) };
}

/** Distances of queries, from `first` on, to the candidates `lims[i] … lims[i + 1]` of each. */
function compare(
  { index, queries }: Comparer,
  first: number,
  candidates: BigInt64Array,
  lims: Float64Array,
): Float32Array {
  const values = new Float32Array(candidates.length);
  if (candidates.length === 0) return values;
  const n = BigInt(index.ntotal);
  const stray = candidates.find((id) => id >= n);
  if (stray !== undefined) {
    throw new RangeError(`Cannot refine: candidate ${stray} is no position below ${n}`);
  }
  const x = index.reconstructBatch(candidates);
  const distance = distanceOf(index.metric, index.metricArg, index.d);
  for (let query = 0; query + 1 < lims.length; query++) {
    for (let i = lims[query]!; i < lims[query + 1]!; i++) {
      values[i] = distance(queries, first + query, x, i);
    }
  }
  return values;
}
