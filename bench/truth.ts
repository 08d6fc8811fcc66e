/** Exact neighbours in double precision, and how near a result comes to them. @module */

import { Metric } from "../lib/metric.ts";

/** A base and the sample of its queries that results are checked on. */
export interface Sample {
  base: Float32Array;
  queries: Float32Array;
  d: number;
  metric: Metric;
}

/** Result of `count` queries: `count × k`. */
export interface Found {
  distances: ArrayLike<number>;
  labels: ArrayLike<number | bigint>;
}

/** Distance of a query and a row in double precision, as FAISS reports it. */
export function exactDistance(sample: Sample, query: number, row: number): number {
  const { base, queries, d, metric } = sample;
  const q = query * d;
  const x = row * d;
  let sum = 0;
  if (metric === Metric.InnerProduct) {
    for (let j = 0; j < d; j++) sum += queries[q + j]! * base[x + j]!;
  } else {
    for (let j = 0; j < d; j++) {
      const difference = queries[q + j]! - base[x + j]!;
      sum += difference * difference;
    }
  }
  return sum;
}

/** The `k` best distances of each sampled query, best first; `count × k`. */
export function exactNeighbors(
  sample: Sample,
  k: number,
  accept: (row: number) => boolean = () => true,
): Float64Array {
  const count = sample.queries.length / sample.d;
  const n = sample.base.length / sample.d;
  const sign = sample.metric === Metric.InnerProduct ? -1 : 1;
  const best = new Float64Array(count * k).fill(Infinity);
  for (let query = 0; query < count; query++) {
    const own = best.subarray(query * k, (query + 1) * k);
    for (let row = 0; row < n; row++) {
      if (!accept(row)) continue;
      const distance = sign * exactDistance(sample, query, row);
      if (!(distance < own[k - 1]!)) continue;
      let at = k - 1;
      for (; at > 0 && own[at - 1]! > distance; at--) own[at] = own[at - 1]!;
      own[at] = distance;
    }
  }
  return best.map((v) => sign * v);
}

/**
 * Share of returned rows that are no worse than the true k-th, and the largest relative error of
 * a returned distance. A row returned twice counts once; a row that is not accepted counts as missed.
 */
export function check(
  sample: Sample,
  truth: Float64Array,
  found: Found,
  k: number,
  accept: (row: number) => boolean = () => true,
): { recall: number; error: number } {
  const count = truth.length / k;
  const sign = sample.metric === Metric.InnerProduct ? -1 : 1;
  let hits = 0;
  let wanted = 0;
  let error = 0;
  for (let query = 0; query < count; query++) {
    const seen = new Set<number>();
    const own = truth.subarray(query * k, (query + 1) * k);
    const there = own.filter((v) => Number.isFinite(v));
    const last = there.at(-1);
    wanted += there.length;
    for (let i = 0; i < k; i++) {
      const label = Number(found.labels[query * k + i]!);
      if (label < 0 || last === undefined || seen.has(label)) continue;
      seen.add(label);
      const exact = exactDistance(sample, query, label);
      // Ties and rounding in the last digit are no misses.
      if (accept(label) && sign * exact <= sign * last + 1e-6 * Math.abs(last)) hits++;
      const difference = Math.abs(found.distances[query * k + i]! - exact);
      error = Math.max(error, difference / Math.max(Math.abs(exact), 1e-30));
    }
  }
  return { recall: wanted === 0 ? 1 : hits / wanted, error };
}
