/**
 * Exact search over vectors kept as they are.
 *
 * @module
 */

import type { Backend, FlatStore, RangeNeighbors, StoreSearch } from "../backend/backend.ts";
import { toRows, type VectorInput } from "../matrix.ts";
import { Metric } from "../metric.ts";
import { SearchResult } from "../result.ts";
import type { IDSelector } from "../selector.ts";
import { type CheckedSearch, Index, type IndexOptions } from "./index.ts";
import { bytesRows, countCodes, rowBytes } from "./standalone_codec.ts";

/** Numbers that a copy moves at once: 256 MiB. */
const COPIED = 2 ** 26;

/**
 * Exact search: every query is compared with every vector. An id is a position, so that
 * removing vectors moves the ids after them down, as in FAISS.
 *
 * @example
 * ```ts
 * import { IndexFlat, Metric } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * using index = new IndexFlat(2, Metric.L1);
 * await index.add([[0, 0], [1, 1], [5, 5]]);
 * const found = await index.search([[1, 2]], 2);
 * assert.deepEqual(found.row(0), [{ id: 1, distance: 1 }, { id: 0, distance: 3 }]);
 * ```
 */
export class IndexFlat extends Index {
  /** The vectors. @internal */
  readonly store: FlatStore;

  /**
   * An empty index.
   *
   * @param d Dimension.
   * @param metric How vectors are compared.
   * @param options Backend, and `metricArg` of {@linkcode Metric.Lp}.
   * @throws {RangeError} If `d` is not an integer above 0, or there is no such metric.
   */
  constructor(d: number, metric: Metric = Metric.L2, options: IndexOptions = {}) {
    super(d, metric, options);
    this.store = this.backend.createFlat(d);
  }

  /** Number of vectors. */
  override get ntotal(): number {
    return this.store.count;
  }

  /** Always true: there is nothing to train. */
  override get isTrained(): boolean {
    return true;
  }

  /** @internal */
  override factoryString(): string | undefined {
    return "Flat";
  }

  /** Bytes that the vectors take; those in a mapped file take none. */
  override memoryUsage(): number {
    return this.store.mapped ? 0 : this.ntotal * this.d * 4;
  }

  /** Bytes of a vector. */
  get saCodeSize(): number {
    return 4 * this.d;
  }

  /**
   * Vectors as bytes, which are not added: an index around this one may want codes.
   *
   * @param x `n × d` vectors.
   * @returns `n × saCodeSize` bytes.
   */
  saEncode(x: VectorInput): Promise<Uint8Array> {
    this.assertUsable("saEncode");
    return Promise.resolve(rowBytes(toRows(x, this.d, "x")));
  }

  /**
   * The vectors of bytes.
   *
   * @param codes `n × saCodeSize` bytes.
   * @returns `n × d` numbers.
   * @throws {TypeError} If there are no whole vectors.
   */
  async saDecode(codes: Uint8Array): Promise<Float32Array> {
    this.assertUsable("saDecode");
    countCodes(codes, this.saCodeSize);
    return await Promise.resolve(bytesRows(codes));
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
    await this.store.add(x, this.metric === Metric.NaNEuclidean);
  }

  /** @internal */
  protected override async doSearch(
    queries: Float32Array,
    k: number,
    how: CheckedSearch,
  ): Promise<SearchResult> {
    const found = await this.store.search(queries, k, this.storeSearch(how));
    return new SearchResult(found.distances, found.labels, k, found.run);
  }

  /** @internal */
  protected override doSearchSync(
    queries: Float32Array,
    k: number,
    how: CheckedSearch,
  ): SearchResult {
    const found = this.store.searchSync(queries, k, this.storeSearch(how));
    return new SearchResult(found.distances, found.labels, k, found.run);
  }

  /** @internal */
  protected override doRangeSearch(
    queries: Float32Array,
    radius: number,
    how: CheckedSearch,
  ): Promise<RangeNeighbors> {
    return this.store.rangeSearch(queries, radius, this.storeSearch(how));
  }

  /** How vectors are compared with candidates. @internal */
  comparison(signal?: AbortSignal): StoreSearch {
    return this.storeSearch({ selector: undefined, params: { signal } });
  }

  /** @internal */
  protected override doReconstruct(ids: BigInt64Array, out: Float32Array): void {
    const count = BigInt(this.ntotal);
    for (const id of ids) {
      if (id >= count) throw new RangeError(`Cannot reconstruct: id ${id} of ${count} vectors`);
    }
    this.store.gather(ids, out);
  }

  /** @internal */
  protected override doRemove(selector: IDSelector): Promise<number> {
    const how = this.storeSearch({ selector, params: {} });
    return this.store.remove(how.selector!);
  }

  /** @internal */
  override checkMergeable(other: Index): void {
    super.checkMergeable(other);
    if (!(other instanceof IndexFlat)) {
      throw new TypeError(`Cannot mergeFrom: a ${other.constructor.name} is no IndexFlat`);
    }
  }

  /** @internal */
  protected override async doMerge(other: Index, addId: number): Promise<void> {
    if (addId !== 0) throw this.unsupported("mergeFrom with addId", "an id is a position");
    const { store } = other as IndexFlat;
    await this.store.append(store);
    store.clear();
  }

  /** @internal */
  protected override async doCopy(backend: Backend): Promise<Index> {
    const copy = this.makeEmpty(backend);
    try {
      const step = Math.max(1, Math.floor(COPIED / this.d));
      for (let row = 0; row < this.ntotal; row += step) {
        const x = new Float32Array(Math.min(step, this.ntotal - row) * this.d);
        this.store.get(row, x);
        await copy.store.add(x, this.metric === Metric.NaNEuclidean);
      }
      return copy;
    } catch (error) {
      copy.dispose();
      throw error;
    }
  }

  /** An empty index of the same kind. @internal */
  protected makeEmpty(backend: Backend): IndexFlat {
    return new IndexFlat(this.d, this.metric, { backend, metricArg: this.metricArg });
  }

  /** @internal */
  protected override doReset(): Promise<void> {
    this.store.clear();
    return Promise.resolve();
  }

  /** @internal */
  protected override doDispose(): void {
    this.store[Symbol.dispose]();
  }

  /** @internal */
  protected override ids(): number {
    return this.ntotal;
  }
}

/**
 * {@linkcode IndexFlat} by squared Euclidean distance.
 *
 * @example
 * ```ts
 * import { IndexFlatL2 } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * using index = new IndexFlatL2(2);
 * await index.add([[0, 0], [3, 4]]);
 * const { labels, distances } = await index.search([[3, 3]], 1);
 * assert.equal(labels[0], 1n);
 * assert.equal(distances[0], 1);
 * ```
 */
export class IndexFlatL2 extends IndexFlat {
  /**
   * An empty index.
   *
   * @param d Dimension.
   * @param options Backend.
   * @throws {RangeError} If `d` is not an integer above 0.
   */
  constructor(d: number, options: IndexOptions = {}) {
    super(d, Metric.L2, options);
  }

  /** @internal */
  protected override makeEmpty(backend: Backend): IndexFlat {
    return new IndexFlatL2(this.d, { backend });
  }
}

/**
 * {@linkcode IndexFlat} by inner product: larger is better.
 *
 * @example
 * ```ts
 * import { IndexFlatIP } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * using index = new IndexFlatIP(2);
 * await index.add([[1, 0], [3, 4]]);
 * const { labels, distances } = await index.search([[1, 1]], 1);
 * assert.equal(labels[0], 1n);
 * assert.equal(distances[0], 7);
 * ```
 */
export class IndexFlatIP extends IndexFlat {
  /**
   * An empty index.
   *
   * @param d Dimension.
   * @param options Backend.
   * @throws {RangeError} If `d` is not an integer above 0.
   */
  constructor(d: number, options: IndexOptions = {}) {
    super(d, Metric.InnerProduct, options);
  }

  /** @internal */
  protected override makeEmpty(backend: Backend): IndexFlat {
    return new IndexFlatIP(this.d, { backend });
  }
}
