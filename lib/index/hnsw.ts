/**
 * Search through a graph of vectors.
 *
 * @module
 */

import type { Backend, GraphRows, HNSWSearch, HNSWStore, StoreSearch } from "../backend/backend.ts";
import type { Codec } from "../codec/codec.ts";
import { Metric } from "../metric.ts";
import { Random } from "../random.ts";
import { checkLinks, checkList, type GraphShape, IndexGraph } from "./graph.ts";
import { levelProbabilities, randomLevels } from "./hnsw_levels.ts";
import type { IndexOptions, SearchParameters } from "./index.ts";

/** Parameters of a graph, by FAISS's names. */
export interface HNSWParameters {
  /** Links of a vector on each level above the ground, where it has twice as many. */
  readonly M: number;
  /** Vectors kept while neighbours of a new one are looked for: more make a better graph. */
  efConstruction: number;
  /** Vectors kept while those nearest to a query are looked for, k at least: more find more. */
  efSearch: number;
  /**
   * Whether a search goes on until none of those it keeps has links that it did not follow; else
   * it ends after following those of `efSearch + 1`. Files do not hold it.
   */
  checkRelativeDistance: boolean;
}

/** Parts of an {@linkcode IndexHNSWFlat} that was read from a file. @internal */
export interface HNSWParts {
  /** Dimension. */
  d: number;
  /** How vectors are compared. */
  metric: Metric;
  /** `p` of Lp. */
  metricArg: number;
  /** Parameters. */
  hnsw: Partial<HNSWParameters> & { M: number };
  /** Rows and graph. */
  store: HNSWStore;
}

/**
 * Vectors or codes, each linked to others near it on levels of which each has fewer (hierarchical
 * navigable small world).
 *
 * The graph does not depend on how many threads make it.
 */
export abstract class IndexHNSW extends IndexGraph {
  /** Parameters: all but `hnsw.M` may be set. */
  readonly hnsw: HNSWParameters;

  /**
   * An empty index.
   *
   * @param d Dimension.
   * @param M Links of a vector; 16 to 64 are usual.
   * @param metric How vectors are compared.
   * @param options Backend, and `metricArg` of {@linkcode Metric.Lp}.
   * @param codec What turns vectors into codes, if anything does.
   * @throws {RangeError} If `d` or `M` is out of range, or there is no such metric.
   */
  constructor(d: number, M: number, metric: Metric, options: IndexOptions, codec?: Codec) {
    super(d, metric, options, codec);
    checkLinks("M", M, 2);
    this.hnsw = { M, efConstruction: 40, efSearch: 16, checkRelativeDistance: true };
  }

  /** @internal */
  protected override shape(): GraphShape {
    return { m: this.hnsw.M };
  }

  /** @internal */
  protected override parameters(): Record<string, unknown> {
    const { M, efConstruction, efSearch } = this.hnsw;
    return { M, efConstruction, efSearch };
  }

  /** @internal */
  protected override buildList(): number {
    return checkList("efConstruction", this.hnsw.efConstruction);
  }

  /** @internal */
  protected override walkOf(params: SearchParameters): Omit<HNSWSearch, keyof StoreSearch> {
    return {
      efSearch: checkList("efSearch", params.efSearch ?? this.hnsw.efSearch),
      stops: !(params.checkRelativeDistance ?? this.hnsw.checkRelativeDistance),
    };
  }

  /** @internal */
  protected override async link(rows: GraphRows, n: number): Promise<void> {
    const random = new Random(12345 + this.ntotal);
    const levels = randomLevels(n, levelProbabilities(this.hnsw.M), random);
    await this.store.add(rows, levels, this.buildList());
  }
}

/**
 * Vectors kept as they are, each linked to others near it (hierarchical navigable small world): a
 * search walks along the links and finds almost all of the nearest, having looked at few.
 *
 * The graph does not depend on how many threads make it. Vectors can be removed and replaced: those
 * linked to them get other links. An id is a position, so that removing vectors moves the ids after
 * them down. A filter keeps its recall however few it lets pass: the walk goes on until it has found
 * enough of them, and where looking at all of them takes less, that is done; `lastRun` says so.
 *
 * @example
 * ```ts
 * import { IndexHNSWFlat, Random } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * const random = new Random(1);
 * const x = Float32Array.from({ length: 1000 * 8 }, () => random.normal());
 * using index = new IndexHNSWFlat(8, 16);
 * await index.add(x);
 * index.hnsw.efSearch = 32;
 * const found = await index.search(x.subarray(0, 8), 3);
 * assert.deepEqual(found.row(0)[0], { id: 0, distance: 0 });
 * assert.equal(await index.removeIds([0]), 1);
 * ```
 */
export class IndexHNSWFlat extends IndexHNSW {
  /**
   * An empty index.
   *
   * @param d Dimension.
   * @param M Links of a vector; 16 to 64 are usual.
   * @param metric How vectors are compared.
   * @param options Backend, and `metricArg` of {@linkcode Metric.Lp}.
   * @throws {RangeError} If `d` or `M` is out of range, or there is no such metric.
   * @throws {UnsupportedError} If the backend is a GPU.
   */
  constructor(d: number, M = 32, metric: Metric = Metric.L2, options: IndexOptions = {}) {
    super(d, M, metric, options);
    // A backend without graphs says so now.
    void this.store;
  }

  /** An index of parts read from a file; it owns them. @internal */
  static fromParts(parts: HNSWParts, backend: Backend): IndexHNSWFlat {
    const { d, metric, metricArg, hnsw, store } = parts;
    const index = new IndexHNSWFlat(d, hnsw.M, metric, { backend, metricArg });
    index.adopt(store);
    Object.assign(index.hnsw, hnsw);
    return index;
  }

  /** @internal */
  override factoryString(): string | undefined {
    return `HNSW${this.hnsw.M},Flat`;
  }

  /** @internal */
  protected override makeEmpty(backend: Backend): IndexHNSWFlat {
    const { d, metric, metricArg, hnsw } = this;
    const copy = new IndexHNSWFlat(d, hnsw.M, metric, { backend, metricArg });
    Object.assign(copy.hnsw, hnsw);
    return copy;
  }
}
