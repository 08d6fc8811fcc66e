/**
 * Nearest neighbours in float64, and how near a result comes to them.
 *
 * @module
 */

import { sampledRows } from "./operands.ts";

/** Queries that are checked. */
const CHECKED = 16;

/** Rows that a query may find: their squared L2 distances in float64, by label. */
export type Candidates = Pick<ReadonlyMap<number, number>, "size" | "get" | "values">;

/** What was found for some queries, `nq × k`. */
export interface FoundNeighbors {
  /** Squared L2; a result that has none is checked by its labels. */
  distances?: ArrayLike<number> | undefined;
  /** Labels. */
  labels: ArrayLike<number | bigint>;
}

/** Squared L2 distance of a row to a query in float64. */
export function distance64(
  rows: Float32Array,
  row: number,
  queries: Float32Array,
  query: number,
  d: number,
): number {
  let sum = 0;
  for (let j = 0; j < d; j++) sum += (rows[row * d + j]! - queries[query * d + j]!) ** 2;
  return sum;
}

/** All rows as candidates of a query. */
export function allRows(
  rows: Float32Array,
  queries: Float32Array,
  query: number,
  d: number,
): Candidates {
  const found = new Float64Array(rows.length / d);
  for (let row = 0; row < found.length; row++) {
    found[row] = distance64(rows, row, queries, query, d);
  }
  return { size: found.length, get: (row) => found[row], values: () => found.values() };
}

/** The least k of numbers, least first. */
export function leastOf(values: Iterable<number>, k: number): Float64Array {
  const best = new Float64Array(k).fill(Infinity);
  for (const value of values) {
    if (!(value < best[k - 1]!)) continue;
    let at = k - 1;
    for (; at > 0 && best[at - 1]! > value; at--) best[at] = best[at - 1]!;
    best[at] = value;
  }
  return best;
}

/** Checks results of a sample of queries against float64. */
export class NeighborCheck {
  readonly #queries: number[];
  readonly #k: number;
  readonly #candidates: Candidates[];
  readonly #best: Float64Array[];

  /**
   * Finds the true neighbours.
   *
   * @param nq Number of queries.
   * @param k Results a query.
   * @param candidates Rows that a query may find.
   * @param checked Most queries that are checked.
   */
  constructor(
    nq: number,
    k: number,
    candidates: (query: number) => Candidates,
    checked = CHECKED,
  ) {
    this.#k = k;
    this.#queries = sampledRows(nq, checked);
    this.#candidates = this.#queries.map(candidates);
    this.#best = this.#candidates.map((own) => leastOf(own.values(), k));
  }

  /** What a query that is checked may find. */
  candidatesOf(query: number): Candidates {
    const at = this.#queries.indexOf(query);
    if (at < 0) throw new RangeError(`Cannot check query ${query}: it is not in the sample`);
    return this.#candidates[at]!;
  }

  /**
   * Largest distance between a result and the true neighbour of its rank, by the farthest neighbour.
   * Infinity where a label is none of the candidates, comes twice, or is missing.
   */
  error({ distances, labels }: FoundNeighbors): number {
    let error = 0;
    for (const [at, query] of this.#queries.entries()) {
      const [best, candidates] = [this.#best[at]!, this.#candidates[at]!];
      const scale = Math.max(...best.filter(Number.isFinite), Number.MIN_VALUE);
      const seen = new Set<number>();
      for (let i = 0; i < Math.min(this.#k, candidates.size); i++) {
        const label = Number(labels[query * this.#k + i]);
        const exact = candidates.get(label);
        if (exact === undefined || seen.has(label)) return Infinity;
        seen.add(label);
        const found = distances === undefined ? exact : distances[query * this.#k + i]!;
        const apart = Math.max(Math.abs(exact - best[i]!), Math.abs(found - exact)) / scale;
        error = Number.isNaN(apart) ? Infinity : Math.max(error, apart);
      }
    }
    return error;
  }

  /**
   * Share of what was found that is as near as the true k-th neighbour among all rows.
   *
   * @param truth Of all rows; the same queries.
   * @param found Labels.
   */
  static recall(truth: NeighborCheck, { labels }: FoundNeighbors): number {
    let hits = 0;
    truth.#queries.forEach((query, at) => {
      const last = truth.#best[at]![truth.#k - 1]!;
      const own = new Set<number>();
      for (let i = 0; i < truth.#k; i++) own.add(Number(labels[query * truth.#k + i]));
      for (const label of own) {
        if ((truth.#candidates[at]!.get(label) ?? Infinity) <= last * (1 + 1e-6)) hits++;
      }
    });
    return hits / (truth.#k * truth.#queries.length);
  }
}
