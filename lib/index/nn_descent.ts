/**
 * Search through the graph of nearest neighbors.
 *
 * @module
 */

import type { Backend, GraphPlan, GraphRows, HNSWSearch, StoreSearch } from "../backend/backend.ts";
import { Metric } from "../metric.ts";
import { checkLinks, checkList, type GraphShape, IndexGraph } from "./graph.ts";
import type { IndexOptions, SearchParameters } from "./index.ts";

/** How the nearest neighbors of vectors are found, by FAISS's names. */
export interface NNDescentParameters {
  /** New neighbors that a vector tells others of in a round. */
  S: number;
  /** Vectors that it is told they know it, in a round. */
  R: number;
  /** Neighbors that it keeps meanwhile; no fewer than are looked for. */
  L: number;
  /** Rounds, at most: they end when hardly any vector finds others. */
  iter: number;
}

/** The part of a plan that finds `neighbors`. @internal */
export function descentPlan(
  { S, R, L, iter }: NNDescentParameters,
  neighbors: number,
): Omit<GraphPlan, "kind" | "list" | "candidates" | "exact"> {
  const what = "the neighbors' ";
  return {
    neighbors,
    keep: Math.max(checkList(`${what}L`, L), neighbors),
    sample: checkList(`${what}S`, S),
    back: checkList(`${what}R`, R, 0),
    rounds: checkList(`${what}iter`, iter),
  };
}

/**
 * Vectors kept as they are, each linked to those nearest to it: neighbors of neighbors are looked at
 * until hardly any are nearer (NN-descent). Searches start at random vectors, so that this is less
 * for searching than for the graph itself; see {@linkcode IndexNSGFlat}. Adding to an index makes the
 * graph anew.
 *
 * @example
 * ```ts
 * import { IndexNNDescentFlat, Random } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * const random = new Random(1);
 * const x = Float32Array.from({ length: 500 * 4 }, () => random.normal());
 * using index = new IndexNNDescentFlat(4, 32);
 * await index.add(x);
 * const found = await index.search(x.subarray(0, 4), 1, { searchL: 64 });
 * assert.deepEqual(found.row(0), [{ id: 0, distance: 0 }]);
 * ```
 */
export class IndexNNDescentFlat extends IndexGraph {
  /** Links of a vector: its nearest neighbors. */
  readonly K: number;
  /** How they are found, and how many vectors a search keeps: as many as it returns, at least. */
  readonly nndescent: NNDescentParameters & { searchL: number; randomSeed: number };

  /**
   * An empty index.
   *
   * @param d Dimension.
   * @param K Links of a vector.
   * @param metric How vectors are compared.
   * @param options Backend, and `metricArg` of {@linkcode Metric.Lp}.
   * @throws {RangeError} If `d` or `K` is out of range, or there is no such metric.
   * @throws {UnsupportedError} If the backend is a GPU.
   */
  constructor(d: number, K = 32, metric: Metric = Metric.L2, options: IndexOptions = {}) {
    super(d, metric, options);
    checkLinks("K", K, 1);
    this.K = K;
    // FAISS's numbers.
    this.nndescent = { S: 10, R: 100, L: K + 50, iter: 10, searchL: 0, randomSeed: 2021 };
    void this.store;
  }

  /** @internal */
  protected override shape(): GraphShape {
    const { K, nndescent } = this;
    return { m: K, width: K, start: "random", seed: (nndescent?.randomSeed ?? 2021) >>> 0 };
  }

  /** @internal */
  protected override parameters(): Record<string, unknown> {
    return { K: this.K, ...this.nndescent };
  }

  /** @internal */
  protected override buildList(): number {
    return checkList("L", this.nndescent.L);
  }

  /** @internal */
  protected override walkOf(params: SearchParameters): Omit<HNSWSearch, keyof StoreSearch> {
    const efSearch = checkList("searchL", params.searchL ?? this.nndescent.searchL, 0);
    return { efSearch };
  }

  /** @internal */
  protected override async link(rows: GraphRows): Promise<void> {
    const plan = descentPlan(this.nndescent, this.K);
    await this.store.addRows(rows);
    await this.store.build({ ...plan, kind: "neighbors", exact: false, list: 1, candidates: 1 });
  }

  /** @internal */
  protected override makeEmpty(backend: Backend): IndexNNDescentFlat {
    const { d, K, metric, metricArg, nndescent } = this;
    const copy = new IndexNNDescentFlat(d, K, metric, { backend, metricArg });
    Object.assign(copy.nndescent, nndescent);
    return copy;
  }
}
