/**
 * Search among the vectors of bits that have a hash of a query.
 *
 * @module
 */

import type { Backend, RangeNeighbors } from "../../backend/backend.ts";
import type { BinaryNeighbors } from "../../backend/binary.ts";
import type { IDSelector } from "../../selector.ts";
import { IndexBinaryHashed } from "./hashed.ts";
import { IdColumn } from "./id_column.ts";
import type { BinaryIndexOptions, CheckedBinarySearch } from "./index_binary.ts";
import { checkPositions, codesAt } from "./positions.ts";

/**
 * Vectors of bits in buckets by their first `b` bits. Ids stay when others are removed, and may
 * repeat; ties are in order of arrival.
 *
 * @example
 * ```ts
 * import { IndexBinaryHash } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * using index = new IndexBinaryHash(16, 4);
 * await index.add(Uint8Array.of(0b0001, 3, 0b0011, 3));
 * const query = Uint8Array.of(0b0001, 0);
 * assert.deepEqual((await index.search(query, 2)).row(0), [{ id: 0, distance: 2 }]);
 * assert.equal((await index.search(query, 2, { nflip: 1 })).row(0).length, 2);
 * ```
 */
export class IndexBinaryHash extends IndexBinaryHashed {
  #ids = new IdColumn();

  /**
   * An empty index.
   *
   * @param d Bits of a vector: a multiple of 8.
   * @param b Bits of the hash, at most 64.
   * @param options Backend.
   * @throws {RangeError} If `d` or `b` is out of range.
   */
  constructor(d: number, b: number, options: BinaryIndexOptions = {}) {
    super(d, 1, b, options);
  }

  /** @internal */
  override get keepsIds(): boolean {
    return true;
  }

  /** The id of each vector, in order of arrival. @internal */
  get idMap(): BigInt64Array {
    return this.#ids.all;
  }

  /** @internal */
  override factoryString(): string | undefined {
    return `BHash${this.b}`;
  }

  /** Bytes that vectors, ids and buckets take. */
  override memoryUsage(): number {
    return super.memoryUsage() + 8 * this.ntotal;
  }

  /** @internal */
  protected override idAt(row: number): bigint {
    return this.#ids.all[row]!;
  }

  /** Adds vectors with their ids. @internal */
  async appendWithIds(x: Uint8Array, ids: BigInt64Array): Promise<void> {
    await this.append(x);
    this.#ids.push(ids);
  }

  /** @internal */
  protected override async doAdd(x: Uint8Array, ids: BigInt64Array | undefined): Promise<void> {
    const n = x.length / this.codeSize;
    const first = BigInt(this.ntotal);
    const numbers = ids ?? BigInt64Array.from({ length: n }, (_, i) => first + BigInt(i));
    await this.appendWithIds(x, numbers);
  }

  /** @internal */
  protected override async doSearch(
    queries: Uint8Array,
    k: number,
    how: CheckedBinarySearch,
  ): Promise<BinaryNeighbors> {
    const found = await super.doSearch(queries, k, how);
    return { ...found, labels: this.#ids.at(found.labels) };
  }

  /** @internal */
  protected override doSearchSync(
    queries: Uint8Array,
    k: number,
    how: CheckedBinarySearch,
  ): BinaryNeighbors {
    const found = super.doSearchSync(queries, k, how);
    return { ...found, labels: this.#ids.at(found.labels) };
  }

  /** @internal */
  protected override async doRangeSearch(
    queries: Uint8Array,
    radius: number,
    how: CheckedBinarySearch,
  ): Promise<RangeNeighbors> {
    const found = await super.doRangeSearch(queries, radius, how);
    return { ...found, labels: this.#ids.at(found.labels) };
  }

  /** @internal */
  protected override doReconstruct(ids: BigInt64Array): Uint8Array {
    return codesAt(this.store, this.#ids.find(ids));
  }

  /** @internal */
  protected override async doRemove(selector: IDSelector): Promise<number> {
    const gone = this.#ids.select(selector);
    const { kept } = this.#ids.without(gone);
    const removed = await this.removeAt(gone);
    if (removed > 0) this.#ids = new IdColumn(kept);
    return removed;
  }

  /** @internal */
  override async renumber(newId: (id: bigint) => bigint): Promise<void> {
    await this.write("renumber", async () => {
      const ids = this.#ids.all.map(newId);
      const gone = new IdColumn(ids).select({ isMember: (id: bigint) => id < 0n } as IDSelector);
      await this.removeAt(gone);
      this.#ids = new IdColumn(ids.filter((id) => id >= 0n));
    });
  }

  /** @internal */
  protected override takeIds(from: IndexBinaryHashed, addId: number): Promise<void> {
    this.#ids.push((from as IndexBinaryHash).idMap.map((id) => id + BigInt(addId)));
    return Promise.resolve();
  }

  /** @internal */
  protected override makeEmpty(backend: Backend): IndexBinaryHashed {
    const copy = new IndexBinaryHash(this.d, this.b, { backend });
    copy.#ids = new IdColumn(this.#ids.all.slice());
    return copy;
  }

  /** @internal */
  protected override doReset(): Promise<void> {
    this.#ids.clear();
    return super.doReset();
  }

  /** @internal */
  protected override ids(): BigInt64Array {
    return this.#ids.all;
  }
}

/**
 * Vectors of bits in buckets by each of `nhash` parts of `b` of their bits; a search looks at those in
 * any bucket of its query. An id is a position, so that removing vectors moves the ids after them down.
 *
 * @example
 * ```ts
 * import { IndexBinaryMultiHash } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * using index = new IndexBinaryMultiHash(16, 2, 8);
 * await index.add(Uint8Array.of(1, 2, 3, 4, 5, 6));
 * const found = await index.search(Uint8Array.of(1, 4), 3);
 * assert.deepEqual(found.row(0), [{ id: 1, distance: 1 }, { id: 0, distance: 2 }]);
 * ```
 */
export class IndexBinaryMultiHash extends IndexBinaryHashed {
  /**
   * An empty index.
   *
   * @param d Bits of a vector: a multiple of 8.
   * @param nhash Number of hashes.
   * @param b Bits of each, at most 64; all of them are at most `d`.
   * @param options Backend.
   * @throws {RangeError} If `d`, `nhash` or `b` is out of range.
   */
  constructor(d: number, nhash: number, b: number, options: BinaryIndexOptions = {}) {
    super(d, nhash, b, options);
  }

  /** @internal */
  override factoryString(): string | undefined {
    return `BHash${this.nhash}x${this.b}`;
  }

  /** @internal */
  protected override async doAdd(x: Uint8Array, ids: BigInt64Array | undefined): Promise<void> {
    if (ids !== undefined) {
      throw this.unsupported("addWithIds", "an id is a position; wrap it in IndexBinaryIDMap");
    }
    await this.append(x);
  }

  /** @internal */
  protected override doReconstruct(ids: BigInt64Array): Uint8Array {
    checkPositions(ids, this.ntotal);
    return codesAt(this.store, ids);
  }

  /** @internal */
  protected override doRemove(selector: IDSelector): Promise<number> {
    return this.removeAt(this.resolved(selector));
  }

  /** @internal */
  protected override takeIds(_from: IndexBinaryHashed, addId: number): Promise<void> {
    if (addId !== 0) throw this.unsupported("mergeFrom with addId", "an id is a position");
    return Promise.resolve();
  }

  /** @internal */
  protected override makeEmpty(backend: Backend): IndexBinaryHashed {
    return new IndexBinaryMultiHash(this.d, this.nhash, this.b, { backend });
  }

  /** @internal */
  protected override ids(): number {
    return this.ntotal;
  }
}
