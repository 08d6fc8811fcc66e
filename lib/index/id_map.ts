/**
 * Ids of your own over an index that numbers its vectors.
 *
 * @module
 */

import type { Backend, RangeNeighbors } from "../backend/backend.ts";
import type { VectorInput } from "../matrix.ts";
import { SearchAndReconstructResult, SearchResult } from "../result.ts";
import { type IDSelector, toBitmap } from "../selector.ts";
import { type CheckedSearch, Index, type SearchParameters, type TrainOptions } from "./index.ts";
import { checkNesting } from "./nesting.ts";
import { codecOf } from "./standalone_codec.ts";

/**
 * Gives vectors ids of your own, which may repeat. Ties are in order of arrival.
 *
 * @example
 * ```ts
 * import { IndexFlatL2, IndexIDMap } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * using index = new IndexIDMap(new IndexFlatL2(2));
 * await index.addWithIds([[0, 0], [3, 4]], [70, 80]);
 * const found = await index.search([[3, 3]], 1);
 * assert.deepEqual(found.row(0), [{ id: 80, distance: 1 }]);
 * assert.equal(await index.removeIds([80]), 1);
 * ```
 */
export class IndexIDMap extends Index {
  /** Whether disposing of this index disposes of the wrapped one too. */
  ownFields = false;
  /** The wrapped index. */
  readonly index: Index;
  // May be longer than ntotal; replaced, never changed, when vectors go.
  #ids: BigInt64Array;

  /**
   * Wraps an index.
   *
   * @param index The index to wrap.
   * @param ids The ids of the vectors that it already holds, in order.
   * @throws {TypeError} If `index` is an IndexIDMap, which already has ids.
   * @throws {RangeError} If there are not as many ids as vectors.
   */
  constructor(index: Index, ids: BigInt64Array = new BigInt64Array(0)) {
    super(index.d, index.metric, { backend: index.backend, metricArg: index.metricArg });
    if (index instanceof IndexIDMap) {
      throw new TypeError(`Cannot wrap a ${index.constructor.name}: it already has ids`);
    }
    if (index.ntotal !== ids.length) {
      throw new RangeError(
        `Cannot wrap an index: it holds ${index.ntotal} vectors, and there are ${ids.length} ids`,
      );
    }
    checkNesting(this, index);
    this.index = index;
    this.#ids = ids;
  }

  /** An index of parts read from a file; it owns them. @internal */
  static fromParts(index: Index, ids: BigInt64Array): IndexIDMap {
    const map = new this(index, ids);
    map.ownFields = true;
    return map;
  }

  /** The id of each vector, in order of arrival. @internal */
  get idMap(): BigInt64Array {
    return this.#ids.subarray(0, this.ntotal);
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
    return wrapped && `${this instanceof IndexIDMap2 ? "IDMap2" : "IDMap"},${wrapped}`;
  }

  /** Bytes that vectors and ids take. */
  override memoryUsage(): number {
    return this.index.memoryUsage() + this.ntotal * 8;
  }

  /**
   * Bytes of a code of the wrapped index.
   *
   * @throws {UnsupportedError} If it has no codes.
   */
  get saCodeSize(): number {
    return codecOf("saCodeSize", this.index).saCodeSize;
  }

  /**
   * Codes of vectors, which are not added, by the wrapped index.
   *
   * @param x `n × d` vectors.
   * @returns `n × saCodeSize` bytes.
   * @throws {UnsupportedError} If it has no codes.
   */
  async saEncode(x: VectorInput): Promise<Uint8Array> {
    this.assertUsable("saEncode");
    return await codecOf("saEncode", this.index).saEncode(x);
  }

  /**
   * The vectors that codes of the wrapped index stand for.
   *
   * @param codes `n × saCodeSize` bytes.
   * @returns `n × d` numbers.
   * @throws {UnsupportedError} If it has no codes.
   */
  async saDecode(codes: Uint8Array): Promise<Float32Array> {
    this.assertUsable("saDecode");
    return await codecOf("saDecode", this.index).saDecode(codes);
  }

  /** @internal */
  protected override doTrain(x: Float32Array, options: TrainOptions): Promise<void> {
    return this.index.train(x, options);
  }

  /** @internal */
  protected override async doAdd(x: Float32Array, ids: BigInt64Array | undefined): Promise<void> {
    if (ids === undefined) throw this.unsupported("add", "it needs ids; use addWithIds");
    const n = this.ntotal;
    if (n + ids.length > this.#ids.length) {
      const larger = new BigInt64Array(Math.max(n + ids.length, Math.ceil(n * 1.25)));
      larger.set(this.idMap);
      this.#ids = larger;
    }
    // Before the vectors, and past ntotal: if these are refused nothing has happened.
    this.#ids.set(ids, n);
    await this.index.add(x);
    this.idsChanged();
  }

  /** @internal */
  protected override async doSearch(
    queries: Float32Array,
    k: number,
    how: CheckedSearch,
  ): Promise<SearchResult> {
    const found = await this.index.search(queries, k, this.#inner(how));
    return new SearchResult(found.distances, this.#toIds(found.labels), k, found.run);
  }

  /** @internal */
  protected override doSearchSync(
    queries: Float32Array,
    k: number,
    how: CheckedSearch,
  ): SearchResult {
    const found = this.index.searchSync(queries, k, this.#inner(how));
    return new SearchResult(found.distances, this.#toIds(found.labels), k, found.run);
  }

  /** @internal */
  protected override async doSearchAndReconstruct(
    queries: Float32Array,
    k: number,
    how: CheckedSearch,
  ): Promise<SearchAndReconstructResult> {
    const found = await this.index.searchAndReconstruct(queries, k, this.#inner(how));
    const { distances, labels, run, vectors } = found;
    const mapped = new SearchResult(distances, this.#toIds(labels), k, run);
    return new SearchAndReconstructResult(mapped, vectors);
  }

  /** @internal */
  protected override async doRangeSearch(
    queries: Float32Array,
    radius: number,
    how: CheckedSearch,
  ): Promise<RangeNeighbors> {
    const found = await this.index.rangeSearch(queries, radius, this.#inner(how));
    const { lims, distances, labels, run } = found;
    return { lims, distances, labels: this.#toIds(labels), run };
  }

  #inner(how: CheckedSearch): SearchParameters {
    if (how.selector === undefined) return how.params;
    return { ...how.params, filter: toBitmap(how.selector, this.idMap) };
  }

  #toIds(positions: BigInt64Array): BigInt64Array {
    return positions.map((position) => this.#ids[Number(position)] ?? -1n);
  }

  /** @internal */
  protected override doReconstruct(_ids: BigInt64Array, _out: Float32Array): void {
    throw this.unsupported("reconstruct", "it cannot find a vector by its id; use IndexIDMap2");
  }

  /** @internal */
  protected override async doRemove(selector: IDSelector): Promise<number> {
    const before = this.idMap;
    const gone = toBitmap(selector, before);
    const kept = before.filter((_, i) => !gone.isMember(BigInt(i)));
    if (kept.length === before.length) return 0;
    if (this.index.keepsIds) {
      let next = 0n;
      const moved = before.map((_, i) => gone.isMember(BigInt(i)) ? -1n : next++);
      await this.index.renumber((position) => moved[Number(position)] ?? -1n);
    } else {
      await this.index.removeIds(gone);
    }
    this.#ids = kept;
    this.idsChanged();
    return before.length - kept.length;
  }

  /** @internal */
  override checkMergeable(other: Index): void {
    super.checkMergeable(other);
    if (!(other instanceof IndexIDMap)) {
      throw new TypeError(`Cannot mergeFrom: a ${other.constructor.name} has no ids`);
    }
    this.index.checkMergeable(other.index);
  }

  /** @internal */
  protected override async doMerge(other: Index, addId: number): Promise<void> {
    const from = other as IndexIDMap;
    const n = this.ntotal;
    const merged = new BigInt64Array(n + from.ntotal);
    merged.set(this.idMap);
    from.idMap.forEach((id, i) => merged[n + i] = id + BigInt(addId));
    // Lists keep the positions they are given; a flat index renumbers by itself.
    await this.index.mergeFrom(from.index, this.index.keepsIds ? n : 0);
    this.#ids = merged;
    this.idsChanged();
    from.idsChanged();
  }

  /** @internal */
  protected override async doCopy(backend: Backend): Promise<Index> {
    const index = await this.index.to(backend);
    return (this.constructor as typeof IndexIDMap).fromParts(index, this.idMap.slice());
  }

  /** @internal */
  protected override async doReset(): Promise<void> {
    await this.index.reset();
    this.idsChanged();
  }

  /** @internal */
  protected override doDispose(): void {
    this.#ids = new BigInt64Array(0);
    if (this.ownFields) this.index.dispose();
  }

  /** @internal */
  protected override ids(): BigInt64Array {
    return this.idMap;
  }

  /** Told after ids came or went. @internal */
  protected idsChanged(): void {}
}

/**
 * {@linkcode IndexIDMap} that finds a vector by its id; of a repeated id the last one.
 *
 * @example
 * ```ts
 * import { IndexFlatL2, IndexIDMap2 } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * using index = new IndexIDMap2(new IndexFlatL2(2));
 * await index.addWithIds([[0, 0], [3, 4]], [70, 80]);
 * assert.deepEqual([...index.reconstruct(80)], [3, 4]);
 * ```
 */
export class IndexIDMap2 extends IndexIDMap {
  // Made when first needed: it takes several times the memory of the ids.
  #positions: Map<bigint, bigint> | undefined;

  /** @internal */
  protected override idsChanged(): void {
    this.#positions = undefined;
  }

  /** @internal */
  protected override doReconstruct(ids: BigInt64Array, out: Float32Array): void {
    this.#positions ??= new Map(Array.from(this.idMap, (id, i) => [id, BigInt(i)]));
    const positions = this.#positions;
    const found = ids.map((id) => {
      const position = positions.get(id);
      if (position === undefined) {
        throw new RangeError(`Cannot reconstruct: id ${id} is not in the index`);
      }
      return position;
    });
    out.set(this.index.reconstructBatch(found));
  }
}
