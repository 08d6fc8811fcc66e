/**
 * What indexes over graphs of vectors have in common.
 *
 * @module
 */

import type {
  Backend,
  GraphRows,
  HNSWOptions,
  HNSWSearch,
  HNSWStore,
  RangeNeighbors,
  StoreSearch,
} from "../backend/backend.ts";
import type { Codec } from "../codec/codec.ts";
import { type IdInput, toIds, toRows, type VectorInput } from "../matrix.ts";
import { Metric } from "../metric.ts";
import { SearchResult } from "../result.ts";
import type { IDSelector } from "../selector.ts";
import { normalizeRows } from "./clustering_steps.ts";
import { checkCodes, checkSameCodec, codeMetric } from "./code_checks.ts";
import {
  type CheckedSearch,
  Index,
  type IndexOptions,
  type SearchParameters,
  type TrainOptions,
} from "./index.ts";
import { bytesRows, countCodes, rowBytes } from "./standalone_codec.ts";

/** Bytes that a copy moves at once. */
const COPIED = 2 ** 28;

/** Links that the native graph can have. */
export const MOST_LINKS = 1024;

/** Throws unless a number of links is one. */
export function checkLinks(name: string, links: number, least: number): void {
  if (Number.isInteger(links) && links >= least && links <= MOST_LINKS) return;
  throw new RangeError(
    `Cannot make an index: ${name} ${links} is no integer from ${least} to ${MOST_LINKS}`,
  );
}

/** The number of vectors that a walk keeps, checked. */
export function checkList(name: string, list: number, least = 1): number {
  if (Number.isInteger(list) && list >= least && list < 2 ** 31) return list;
  throw new RangeError(`Cannot use ${name} ${list}: it is no integer from ${least} to 2^31 - 1`);
}

/** What a graph looks like: {@linkcode HNSWOptions} but for what is compared. */
export type GraphShape = Omit<HNSWOptions, "d" | "metric" | "metricArg" | "codec">;

/**
 * Vectors, each linked to others near it, or codes of them. Vectors can be removed and replaced:
 * those linked to them get other links. An id is a position, so that removing vectors moves the ids
 * after them down. A filter keeps its recall however few it lets pass: the walk goes on until it has
 * found enough of them, and where looking at all of them takes less, that is done; `lastRun` says so.
 *
 * Under {@linkcode Metric.Cosine} vectors that become codes are normalised first, as are queries.
 */
export abstract class IndexGraph extends Index {
  /** What turns vectors into codes, which the index owns; there is none where they stay as they are. */
  readonly codec: Codec | undefined;
  #store: HNSWStore | undefined;

  /**
   * An empty index.
   *
   * @param d Dimension.
   * @param metric How vectors are compared.
   * @param options Backend, and `metricArg` of {@linkcode Metric.Lp}.
   * @param codec What turns vectors into codes, if anything does.
   * @throws {RangeError} If `d` is out of range, or vectors or codes cannot be compared so.
   */
  constructor(d: number, metric: Metric, options: IndexOptions, codec?: Codec) {
    super(d, metric, options);
    if (codec !== undefined) checkCodes(this.constructor.name, metric, this.backend);
    this.codec = codec;
  }

  /** What the graph looks like. @internal */
  protected abstract shape(): GraphShape;

  /** Links new rows, or codes. @internal */
  protected abstract link(rows: GraphRows, n: number): Promise<void>;

  /** How a walk is done. @internal */
  protected abstract walkOf(params: SearchParameters): Omit<HNSWSearch, keyof StoreSearch>;

  /** The list that new links are looked for with. @internal */
  protected abstract buildList(): number;

  /** An index of the same kind and training without vectors. @internal */
  protected abstract makeEmpty(backend: Backend): IndexGraph;

  /** Rows and graph; there are none before training. @internal */
  get store(): HNSWStore {
    const { d, metric, metricArg } = this;
    const codec = this.codec === undefined ? {} : { codec: this.codec.spec };
    const compared = this.codec === undefined ? metric : codeMetric(metric);
    return this.#store ??= this.backend.createHNSW({
      ...this.shape(),
      ...codec,
      d,
      metric: compared,
      metricArg,
    });
  }

  /** Takes over rows and graph. @internal */
  adopt(store: HNSWStore): void {
    this.#store?.[Symbol.dispose]();
    this.#store = store;
  }

  /** Number of vectors. */
  override get ntotal(): number {
    return this.#store?.count ?? 0;
  }

  /** Whether vectors can be added; those that stay as they are always can. */
  override get isTrained(): boolean {
    return this.codec?.isTrained ?? true;
  }

  /** Bytes that vectors and links take; those in a mapped file take none. */
  override memoryUsage(): number {
    if (this.#store?.mapped) return 0;
    // Beside them a node has its level and where its upper links are.
    const row = (this.codec?.codeSize ?? this.d * 4) + 5;
    return this.ntotal === 0 ? 0 : this.ntotal * row + this.store.links * 4;
  }

  /** Bytes of a code. */
  get saCodeSize(): number {
    return this.codec?.codeSize ?? this.d * 4;
  }

  /**
   * Codes of vectors, which are not added.
   *
   * @param x `n × d` vectors.
   * @returns `n × saCodeSize` bytes.
   * @throws {NotTrainedError} If the index has to be trained first.
   */
  async saEncode(x: VectorInput): Promise<Uint8Array> {
    this.assertUsable("saEncode");
    const rows = toRows(x, this.d, "x");
    return await this.hold("saEncode", async () => {
      if (this.codec !== undefined) return await this.codec.encode(this.#prepare(rows));
      return rowBytes(rows);
    });
  }

  /**
   * The vectors that codes stand for.
   *
   * @param codes `n × saCodeSize` bytes.
   * @returns `n × d` numbers.
   * @throws {NotTrainedError} If the index has to be trained first.
   * @throws {TypeError} If there are no whole codes.
   */
  async saDecode(codes: Uint8Array): Promise<Float32Array> {
    this.assertUsable("saDecode");
    return await this.hold("saDecode", async () => {
      if (this.codec !== undefined) return await this.codec.decode(codes);
      countCodes(codes, this.saCodeSize);
      return bytesRows(codes);
    });
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
    await this.write("updateVectors", async () => {
      const stored = await this.#encode(rows);
      await this.store.update(checked, stored, this.buildList());
    });
  }

  #prepare(x: Float32Array): Float32Array {
    if (this.codec === undefined || this.metric !== Metric.Cosine) return x;
    const rows = x.slice();
    normalizeRows(rows, this.d);
    return rows;
  }

  async #encode(x: Float32Array): Promise<GraphRows> {
    return this.codec === undefined ? x : await this.codec.encode(this.#prepare(x));
  }

  /** @internal */
  protected override storeSearch(how: CheckedSearch): StoreSearch {
    const search = super.storeSearch(how);
    return this.codec === undefined ? search : { ...search, metric: codeMetric(this.metric) };
  }

  /** @internal */
  protected override async doTrain(x: Float32Array, options: TrainOptions): Promise<void> {
    if (this.isTrained) return;
    await this.codec?.train(this.#prepare(x), options.signal);
  }

  /** @internal */
  protected override async doAdd(x: Float32Array, ids: BigInt64Array | undefined): Promise<void> {
    if (ids !== undefined) {
      throw this.unsupported("addWithIds", "an id is a position; wrap it in IndexIDMap");
    }
    await this.link(await this.#encode(x), x.length / this.d);
  }

  #search(how: CheckedSearch): HNSWSearch {
    return { ...this.storeSearch(how), ...this.walkOf(how.params) };
  }

  /** @internal */
  protected override async doSearch(
    queries: Float32Array,
    k: number,
    how: CheckedSearch,
  ): Promise<SearchResult> {
    const found = await this.store.search(this.#prepare(queries), k, this.#search(how));
    return new SearchResult(found.distances, found.labels, k, found.run);
  }

  /** @internal */
  protected override doSearchSync(
    queries: Float32Array,
    k: number,
    how: CheckedSearch,
  ): SearchResult {
    const found = this.store.searchSync(this.#prepare(queries), k, this.#search(how));
    return new SearchResult(found.distances, found.labels, k, found.run);
  }

  /** @internal */
  protected override doRangeSearch(
    queries: Float32Array,
    radius: number,
    how: CheckedSearch,
  ): Promise<RangeNeighbors> {
    return this.store.rangeSearch(this.#prepare(queries), radius, this.storeSearch(how));
  }

  /** @internal */
  protected override doReconstruct(ids: BigInt64Array, out: Float32Array): void {
    const count = BigInt(this.ntotal);
    for (const id of ids) {
      if (id >= count) throw new RangeError(`Cannot reconstruct: id ${id} of ${count} vectors`);
    }
    if (ids.length > 0) this.store.gather(ids, out);
  }

  /** @internal */
  protected override async doRemove(selector: IDSelector): Promise<number> {
    const how = this.storeSearch({ selector, params: {} });
    return await this.#store?.remove(how.selector!) ?? 0;
  }

  /** @internal */
  override checkMergeable(other: Index): void {
    super.checkMergeable(other);
    if (!(other instanceof IndexGraph) || other.constructor !== this.constructor) {
      throw new TypeError(
        `Cannot mergeFrom: a ${other.constructor.name} is no ${this.constructor.name}`,
      );
    }
    if (!this.isTrained || !other.isTrained) {
      throw new TypeError("Cannot mergeFrom: both indexes have to be trained");
    }
    if (this.codec !== undefined) checkSameCodec(this.codec, other.codec!);
  }

  /** @internal */
  protected override async doMerge(other: Index, addId: number): Promise<void> {
    if (addId !== 0) throw this.unsupported("mergeFrom with addId", "an id is a position");
    const from = other as IndexGraph;
    for (const { rows, n } of from.stored()) await this.link(rows, n);
    from.#store?.clear();
  }

  /** Copies of the vectors, many at a time. @internal */
  *chunks(bytes = COPIED): Generator<Float32Array<ArrayBuffer>> {
    for (const { row, n } of this.#parts(bytes, this.d * 4)) {
      const x = new Float32Array(n * this.d);
      this.store.gather(BigInt64Array.from({ length: n }, (_, i) => BigInt(row + i)), x);
      yield x;
    }
  }

  /** Copies of what is kept of them, many at a time. @internal */
  *stored(): Generator<{ rows: GraphRows; n: number }> {
    if (this.codec === undefined) {
      for (const rows of this.chunks()) yield { rows, n: rows.length / this.d };
      return;
    }
    for (const { row, n } of this.#parts(COPIED, this.codec.codeSize)) {
      yield { rows: this.store.codes(row, n), n };
    }
  }

  *#parts(bytes: number, size: number): Generator<{ row: number; n: number }> {
    const step = Math.max(1, Math.floor(bytes / size));
    for (let row = 0; row < this.ntotal; row += step) {
      yield { row, n: Math.min(step, this.ntotal - row) };
    }
  }

  /** @internal */
  protected override async doCopy(backend: Backend): Promise<Index> {
    const copy = this.makeEmpty(backend);
    try {
      for (const { rows } of this.stored()) await copy.store.addRows(rows);
      if (this.ntotal > 0) await copy.store.restore(this.store.graph());
      return copy;
    } catch (error) {
      copy.dispose();
      throw error;
    }
  }

  /** @internal */
  protected override doReset(): Promise<void> {
    this.#store?.clear();
    return Promise.resolve();
  }

  /** @internal */
  protected override doDispose(): void {
    this.#store?.[Symbol.dispose]();
    this.codec?.[Symbol.dispose]();
  }

  /** @internal */
  protected override ids(): number {
    return this.ntotal;
  }
}
