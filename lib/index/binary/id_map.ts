/**
 * Ids of your own over an index of bits.
 *
 * @module
 */

import type { Backend, RangeNeighbors } from "../../backend/backend.ts";
import type { BinaryNeighbors } from "../../backend/binary.ts";
import { SearchAndReconstructResult, SearchResult } from "../../result.ts";
import type { IDSelector } from "../../selector.ts";
import type { TrainOptions } from "../index.ts";
import { checkNesting } from "../nesting.ts";
import { IdColumn } from "./id_column.ts";
import {
  type BinarySearchParameters,
  type CheckedBinarySearch,
  IndexBinary,
} from "./index_binary.ts";

/**
 * Gives vectors of bits ids of your own, which may repeat. Ties are in order of arrival.
 *
 * @example
 * ```ts
 * import { IndexBinaryFlat, IndexBinaryIDMap } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * using index = new IndexBinaryIDMap(new IndexBinaryFlat(8));
 * await index.addWithIds(Uint8Array.of(0, 7), [70, 80]);
 * const found = await index.search(Uint8Array.of(3), 1);
 * assert.deepEqual(found.row(0), [{ id: 80, distance: 1 }]);
 * ```
 */
export class IndexBinaryIDMap extends IndexBinary {
  /** Whether disposing of this index disposes of the wrapped one too. */
  ownFields = false;
  /** The wrapped index. */
  readonly index: IndexBinary;
  #ids: IdColumn;

  /**
   * Wraps an index.
   *
   * @param index The index to wrap.
   * @param ids The ids of the vectors that it already holds, in order.
   * @throws {TypeError} If `index` is an IndexBinaryIDMap, which already has ids.
   * @throws {RangeError} If there are not as many ids as vectors.
   */
  constructor(index: IndexBinary, ids: BigInt64Array = new BigInt64Array(0)) {
    super(index.d, { backend: index.backend });
    if (index instanceof IndexBinaryIDMap) {
      throw new TypeError(`Cannot wrap a ${index.constructor.name}: it already has ids`);
    }
    if (index.ntotal !== ids.length) {
      throw new RangeError(
        `Cannot wrap an index: it holds ${index.ntotal} vectors, and there are ${ids.length} ids`,
      );
    }
    checkNesting(this, index);
    this.index = index;
    this.#ids = new IdColumn(ids);
  }

  /** An index of parts read from a file; it owns them. @internal */
  static fromParts(index: IndexBinary, ids: BigInt64Array): IndexBinaryIDMap {
    const map = new this(index, ids);
    map.ownFields = true;
    return map;
  }

  /** The id of each vector, in order of arrival. @internal */
  get idMap(): BigInt64Array {
    return this.#ids.all;
  }

  /** Number of vectors. */
  override get ntotal(): number {
    return this.index.ntotal;
  }

  /** Whether the wrapped index is trained. */
  override get isTrained(): boolean {
    return this.index.isTrained;
  }

  /** @internal */
  override factoryString(): string | undefined {
    const wrapped = this.index.factoryString();
    return wrapped && `${this instanceof IndexBinaryIDMap2 ? "IDMap2" : "IDMap"},${wrapped}`;
  }

  /** Bytes that vectors and ids take. */
  override memoryUsage(): number {
    return this.index.memoryUsage() + this.ntotal * 8;
  }

  /** @internal */
  protected override doTrain(x: Uint8Array, options: TrainOptions): Promise<void> {
    return this.index.train(x, options);
  }

  /** @internal */
  protected override async doAdd(x: Uint8Array, ids: BigInt64Array | undefined): Promise<void> {
    if (ids === undefined) throw this.unsupported("add", "it needs ids; use addWithIds");
    await this.index.add(x);
    this.#ids.push(ids);
  }

  #inner(how: CheckedBinarySearch): BinarySearchParameters {
    if (how.selector === undefined) return how.params;
    return { ...how.params, filter: this.#ids.select(how.selector) };
  }

  /** @internal */
  protected override async doSearch(
    queries: Uint8Array,
    k: number,
    how: CheckedBinarySearch,
  ): Promise<BinaryNeighbors> {
    const found = await this.index.search(queries, k, this.#inner(how));
    return { ...found, run: found.run, labels: this.#ids.at(found.labels) };
  }

  /** @internal */
  protected override doSearchSync(
    queries: Uint8Array,
    k: number,
    how: CheckedBinarySearch,
  ): BinaryNeighbors {
    const found = this.index.searchSync(queries, k, this.#inner(how));
    return { ...found, labels: this.#ids.at(found.labels) };
  }

  /** @internal */
  protected override async doSearchAndReconstruct(
    queries: Uint8Array,
    k: number,
    how: CheckedBinarySearch,
  ): Promise<SearchAndReconstructResult<Int32Array, Uint8Array>> {
    const found = await this.index.searchAndReconstruct(queries, k, this.#inner(how));
    const mapped = new SearchResult(found.distances, this.#ids.at(found.labels), k, found.run);
    return new SearchAndReconstructResult(mapped, found.vectors);
  }

  /** @internal */
  protected override async doRangeSearch(
    queries: Uint8Array,
    radius: number,
    how: CheckedBinarySearch,
  ): Promise<RangeNeighbors> {
    const found = await this.index.rangeSearch(queries, radius, this.#inner(how));
    const { lims, distances, labels, run } = found;
    return { lims, distances, labels: this.#ids.at(labels), run };
  }

  /** @internal */
  protected override doReconstruct(_ids: BigInt64Array): Uint8Array {
    throw this.unsupported(
      "reconstruct",
      "it cannot find a vector by its id; use IndexBinaryIDMap2",
    );
  }

  /** The vectors of ids that are in the column. @internal */
  protected byId(ids: BigInt64Array): Uint8Array {
    return this.index.reconstructBatch(this.#ids.find(ids));
  }

  /** @internal */
  protected override async doRemove(selector: IDSelector): Promise<number> {
    const before = this.ntotal;
    const gone = this.#ids.select(selector);
    const { kept, moved } = this.#ids.without(gone);
    if (kept.length === before) return 0;
    if (this.index.keepsIds) {
      await this.index.renumber((position) => moved[Number(position)] ?? -1n);
    } else {
      await this.index.removeIds(gone);
    }
    this.#ids = new IdColumn(kept);
    return before - kept.length;
  }

  /** @internal */
  override checkMergeable(other: IndexBinary): void {
    super.checkMergeable(other);
    this.index.checkMergeable((other as IndexBinaryIDMap).index);
  }

  /** @internal */
  protected override async doMerge(other: IndexBinary, addId: number): Promise<void> {
    const from = other as IndexBinaryIDMap;
    const n = this.ntotal;
    const ids = from.idMap.map((id) => id + BigInt(addId));
    // Lists keep the positions they are given; a flat index renumbers by itself.
    await this.index.mergeFrom(from.index, this.index.keepsIds ? n : 0);
    this.#ids.push(ids);
    from.#ids.clear();
  }

  /** @internal */
  protected override async doCopy(backend: Backend): Promise<IndexBinary> {
    const index = await this.index.to(backend);
    return (this.constructor as typeof IndexBinaryIDMap).fromParts(index, this.idMap.slice());
  }

  /** @internal */
  protected override async doReset(): Promise<void> {
    await this.index.reset();
    this.#ids.clear();
  }

  /** @internal */
  protected override doDispose(): void {
    this.#ids.clear();
    if (this.ownFields) this.index.dispose();
  }

  /** @internal */
  protected override ids(): BigInt64Array {
    return this.idMap;
  }
}

/**
 * {@linkcode IndexBinaryIDMap} that finds a vector by its id; of a repeated id the last one.
 *
 * @example
 * ```ts
 * import { IndexBinaryFlat, IndexBinaryIDMap2 } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * using index = new IndexBinaryIDMap2(new IndexBinaryFlat(8));
 * await index.addWithIds(Uint8Array.of(0, 7), [70, 80]);
 * assert.deepEqual([...index.reconstruct(80)], [7]);
 * ```
 */
export class IndexBinaryIDMap2 extends IndexBinaryIDMap {
  /** @internal */
  protected override doReconstruct(ids: BigInt64Array): Uint8Array {
    return this.byId(ids);
  }
}
