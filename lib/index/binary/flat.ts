/**
 * Exact search over vectors of bits.
 *
 * @module
 */

import type { Backend, RangeNeighbors } from "../../backend/backend.ts";
import type { BinaryNeighbors, BinaryStore } from "../../backend/binary.ts";
import type { IDSelector } from "../../selector.ts";
import { type BinaryIndexOptions, type CheckedBinarySearch, IndexBinary } from "./index_binary.ts";
import { checkPositions, codesAt, copyCodes } from "./positions.ts";

/**
 * Vectors of bits, all of which a search looks at. An id is a position, so that removing vectors moves
 * the ids after them down.
 *
 * @example
 * ```ts
 * import { IndexBinaryFlat } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * using index = new IndexBinaryFlat(16);
 * await index.add(Uint8Array.of(0b1111, 0, 0b0011, 1));
 * const found = await index.search(Uint8Array.of(0b0111, 0), 2);
 * assert.deepEqual(found.row(0), [{ id: 0, distance: 1 }, { id: 1, distance: 2 }]);
 * ```
 */
export class IndexBinaryFlat extends IndexBinary {
  readonly #store: BinaryStore;

  /**
   * An empty index.
   *
   * @param d Bits of a vector: a multiple of 8.
   * @param options Backend.
   * @throws {RangeError} If `d` is not a multiple of 8 above 0.
   * @throws {UnsupportedError} If the backend is a GPU.
   */
  constructor(d: number, options: BinaryIndexOptions = {}) {
    super(d, options);
    this.#store = this.backend.createBinary(d);
  }

  /** The vectors. @internal */
  get store(): BinaryStore {
    return this.#store;
  }

  /** Number of vectors. */
  override get ntotal(): number {
    return this.#store.codes.count;
  }

  /** Always true: there is nothing to train. */
  override get isTrained(): boolean {
    return true;
  }

  /** Bytes that the vectors take. */
  override memoryUsage(): number {
    return this.ntotal * this.codeSize;
  }

  /** @internal */
  override factoryString(): string | undefined {
    return "BFlat";
  }

  /** @internal */
  protected override async doAdd(x: Uint8Array, ids: BigInt64Array | undefined): Promise<void> {
    if (ids !== undefined) {
      throw this.unsupported("addWithIds", "an id is a position; wrap it in IndexBinaryIDMap");
    }
    await this.#store.codes.add(x);
  }

  /** @internal */
  protected override doSearch(
    queries: Uint8Array,
    k: number,
    how: CheckedBinarySearch,
  ): Promise<BinaryNeighbors> {
    return this.#store.search(queries, k, this.storeSearch(how));
  }

  /** @internal */
  protected override doSearchSync(
    queries: Uint8Array,
    k: number,
    how: CheckedBinarySearch,
  ): BinaryNeighbors {
    return this.#store.searchSync(queries, k, this.storeSearch(how));
  }

  /** @internal */
  protected override doRangeSearch(
    queries: Uint8Array,
    radius: number,
    how: CheckedBinarySearch,
  ): Promise<RangeNeighbors> {
    return this.#store.rangeSearch(queries, radius, this.storeSearch(how));
  }

  /** @internal */
  protected override doReconstruct(ids: BigInt64Array): Uint8Array {
    checkPositions(ids, this.ntotal);
    return codesAt(this.#store, ids);
  }

  /** @internal */
  protected override doRemove(selector: IDSelector): Promise<number> {
    return this.#store.codes.remove(this.resolved(selector));
  }

  /** @internal */
  protected override async doMerge(other: IndexBinary, addId: number): Promise<void> {
    if (addId !== 0) throw this.unsupported("mergeFrom with addId", "an id is a position");
    const { codes } = (other as IndexBinaryFlat).store;
    await this.#store.codes.append(codes);
    codes.clear();
  }

  /** @internal */
  protected override async doCopy(backend: Backend): Promise<IndexBinary> {
    const copy = new IndexBinaryFlat(this.d, { backend });
    try {
      for (const part of copyCodes(this.#store.codes)) await copy.store.codes.add(part);
      return copy;
    } catch (error) {
      copy.dispose();
      throw error;
    }
  }

  /** @internal */
  protected override doReset(): Promise<void> {
    this.#store.codes.clear();
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
