/**
 * Search through a graph of vectors.
 *
 * @module
 */

import type { Backend, HNSWSearch, HNSWStore, RangeNeighbors } from "../backend/backend.ts";
import { type IdInput, toIds, toRows, type VectorInput } from "../matrix.ts";
import { Metric } from "../metric.ts";
import { Random } from "../random.ts";
import { SearchResult } from "../result.ts";
import type { IDSelector } from "../selector.ts";
import { levelProbabilities, randomLevels } from "./hnsw_levels.ts";
import { type CheckedSearch, Index, type IndexOptions } from "./index.ts";

/** Numbers that a copy moves at once: 256 MiB. */
const COPIED = 2 ** 26;
/** Links that the native graph can have. */
const MOST_LINKS = 1024;

/** Parameters of a graph, by FAISS's names. */
export interface HNSWParameters {
  /** Links of a vector on each level above the ground, where it has twice as many. */
  readonly M: number;
  /** Vectors kept while neighbours of a new one are looked for: more make a better graph. */
  efConstruction: number;
  /** Vectors kept while those nearest to a query are looked for, k at least: more find more. */
  efSearch: number;
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
  hnsw: HNSWParameters;
  /** Rows and graph. */
  store: HNSWStore;
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
export class IndexHNSWFlat extends Index {
  /** Parameters: `hnsw.efSearch` and `hnsw.efConstruction` may be set. */
  readonly hnsw: HNSWParameters;
  #store: HNSWStore;

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
    super(d, metric, options);
    if (!Number.isInteger(M) || M < 2 || M > MOST_LINKS) {
      throw new RangeError(`Cannot make an index: M ${M} is no integer from 2 to ${MOST_LINKS}`);
    }
    this.hnsw = { M, efConstruction: 40, efSearch: 16 };
    this.#store = this.#newStore(this.backend);
  }

  #newStore(backend: Backend): HNSWStore {
    const { d, metric, metricArg } = this;
    return backend.createHNSW({ d, m: this.hnsw.M, metric, metricArg });
  }

  /** An index of parts read from a file; it owns them. @internal */
  static fromParts(parts: HNSWParts, backend: Backend): IndexHNSWFlat {
    const { d, metric, metricArg, hnsw, store } = parts;
    const index = new IndexHNSWFlat(d, hnsw.M, metric, { backend, metricArg });
    index.#store[Symbol.dispose]();
    index.#store = store;
    Object.assign(index.hnsw, hnsw);
    return index;
  }

  /** Rows and graph. @internal */
  get store(): HNSWStore {
    return this.#store;
  }

  /** Number of vectors. */
  override get ntotal(): number {
    return this.#store.count;
  }

  /** Always true: there is nothing to train. */
  override get isTrained(): boolean {
    return true;
  }

  /** @internal */
  override factoryString(): string | undefined {
    return `HNSW${this.hnsw.M},Flat`;
  }

  /** @internal */
  protected override parameters(): Record<string, unknown> {
    return { ...this.hnsw };
  }

  /** Bytes that vectors and links take; those in a mapped file take none. */
  override memoryUsage(): number {
    if (this.#store.mapped) return 0;
    // Beside them a node has its level and where its upper links are.
    return this.ntotal * (this.d * 4 + 5) + this.#store.links * 4;
  }

  /**
   * Replaces vectors; their ids stay.
   *
   * @param ids The `n` ids, none twice.
   * @param x `n × d` vectors.
   * @throws {RangeError} If an id is not in the index or there twice, or a number is NaN or infinite.
   * @throws {TypeError} If there are not `n` ids, or `x` is empty or not in rows of `d`.
   *
   * @example
   * ```ts
   * import { IndexHNSWFlat } from "@metalfaiss/metalfaiss";
   * import assert from "node:assert/strict";
   *
   * using index = new IndexHNSWFlat(2);
   * await index.add([[0, 0], [3, 4]]);
   * await index.updateVectors([1], [[6, 8]]);
   * assert.deepEqual((await index.search([[6, 8]], 1)).row(0), [{ id: 1, distance: 0 }]);
   * ```
   */
  async updateVectors(ids: IdInput, x: VectorInput): Promise<void> {
    this.assertUsable("updateVectors");
    const rows = toRows(x, this.d, "x");
    const checked = toIds(ids, rows.length / this.d, "ids");
    await this.write("updateVectors", () => {
      return this.#store.update(checked, rows, this.#ef("efConstruction", undefined));
    });
  }

  /** @internal */
  protected override doTrain(): Promise<void> {
    return Promise.resolve();
  }

  /** @internal */
  protected override async doAdd(x: Float32Array, ids: BigInt64Array | undefined): Promise<void> {
    if (ids !== undefined) {
      throw this.unsupported("addWithIds", "an id is a position; wrap it in IndexIDMap");
    }
    const random = new Random(12345 + this.ntotal);
    const levels = randomLevels(x.length / this.d, levelProbabilities(this.hnsw.M), random);
    await this.#store.add(x, levels, this.#ef("efConstruction", undefined));
  }

  #ef(name: "efSearch" | "efConstruction", given: number | undefined): number {
    const ef = given ?? this.hnsw[name];
    if (Number.isInteger(ef) && ef >= 1 && ef < 2 ** 31) return ef;
    throw new RangeError(`Cannot use ${name} ${ef}: it is no integer from 1 to 2^31 - 1`);
  }

  #search(how: CheckedSearch): HNSWSearch {
    return { ...this.storeSearch(how), efSearch: this.#ef("efSearch", how.params.efSearch) };
  }

  /** @internal */
  protected override async doSearch(
    queries: Float32Array,
    k: number,
    how: CheckedSearch,
  ): Promise<SearchResult> {
    const found = await this.#store.search(queries, k, this.#search(how));
    return new SearchResult(found.distances, found.labels, k, found.run);
  }

  /** @internal */
  protected override doSearchSync(
    queries: Float32Array,
    k: number,
    how: CheckedSearch,
  ): SearchResult {
    const found = this.#store.searchSync(queries, k, this.#search(how));
    return new SearchResult(found.distances, found.labels, k, found.run);
  }

  /** @internal */
  protected override doRangeSearch(
    queries: Float32Array,
    radius: number,
    how: CheckedSearch,
  ): Promise<RangeNeighbors> {
    return this.#store.rangeSearch(queries, radius, this.storeSearch(how));
  }

  /** @internal */
  protected override doReconstruct(ids: BigInt64Array, out: Float32Array): void {
    const count = BigInt(this.ntotal);
    for (const id of ids) {
      if (id >= count) throw new RangeError(`Cannot reconstruct: id ${id} of ${count} vectors`);
    }
    this.#store.gather(ids, out);
  }

  /** @internal */
  protected override doRemove(selector: IDSelector): Promise<number> {
    const how = this.storeSearch({ selector, params: {} });
    return this.#store.remove(how.selector!);
  }

  /** @internal */
  override checkMergeable(other: Index): void {
    super.checkMergeable(other);
    if (!(other instanceof IndexHNSWFlat)) {
      throw new TypeError(`Cannot mergeFrom: a ${other.constructor.name} is no IndexHNSWFlat`);
    }
  }

  /** @internal */
  protected override async doMerge(other: Index, addId: number): Promise<void> {
    if (addId !== 0) throw this.unsupported("mergeFrom with addId", "an id is a position");
    const from = other as IndexHNSWFlat;
    for (const x of from.chunks()) await this.doAdd(x, undefined);
    from.#store.clear();
  }

  /** Copies of the vectors, many at a time. @internal */
  *chunks(numbers = COPIED): Generator<Float32Array<ArrayBuffer>> {
    const step = Math.max(1, Math.floor(numbers / this.d));
    for (let row = 0; row < this.ntotal; row += step) {
      const n = Math.min(step, this.ntotal - row);
      const x = new Float32Array(n * this.d);
      this.#store.gather(BigInt64Array.from({ length: n }, (_, i) => BigInt(row + i)), x);
      yield x;
    }
  }

  /** @internal */
  protected override async doCopy(backend: Backend): Promise<Index> {
    const store = this.#newStore(backend);
    try {
      for (const x of this.chunks()) await store.addRows(x);
      if (this.ntotal > 0) await store.restore(this.#store.graph());
    } catch (error) {
      store[Symbol.dispose]();
      throw error;
    }
    const { d, metric, metricArg, hnsw } = this;
    return IndexHNSWFlat.fromParts({ d, metric, metricArg, hnsw, store }, backend);
  }

  /** @internal */
  protected override doReset(): Promise<void> {
    this.#store.clear();
    return Promise.resolve();
  }

  /** @internal */
  protected override doDispose(): void {
    this.#store[Symbol.dispose]();
  }

  /** @internal */
  protected override ids(): number {
    return this.ntotal;
  }
}
