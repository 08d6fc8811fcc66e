/**
 * Search over vectors that are kept as codes.
 *
 * @module
 */

import type { Backend, CodeStore, RangeNeighbors, StoreSearch } from "../backend/backend.ts";
import type { Codec, CodecSpec } from "../codec/codec.ts";
import { toRows, type VectorInput } from "../matrix.ts";
import { Metric } from "../metric.ts";
import { SearchResult } from "../result.ts";
import type { IDSelector } from "../selector.ts";
import { normalizeRows } from "./clustering_steps.ts";
import { checkCodes, checkSameCodec, codeMetric } from "./code_checks.ts";
import { type CheckedSearch, Index, type IndexOptions, type TrainOptions } from "./index.ts";

/** Bytes that a copy moves at once. */
const COPIED = 2 ** 28;

/**
 * Vectors kept as codes, all of which a search looks at. An id is a position, so that removing
 * vectors moves the ids after them down. Under {@linkcode Metric.Cosine} vectors are normalised
 * when they are added and queries when they are searched; codes stand for vectors of about
 * length 1, so that a similarity may pass 1 a little.
 */
export abstract class IndexFlatCodes extends Index {
  /** What turns vectors into codes; the index owns it. */
  readonly codec: Codec;
  #store: CodeStore | undefined;

  /**
   * An index without vectors.
   *
   * @param codec What turns vectors into codes, which the index disposes of.
   * @param metric {@linkcode Metric.L2}, {@linkcode Metric.InnerProduct} or
   * {@linkcode Metric.Cosine}.
   * @param options Backend.
   * @throws {RangeError} If codes cannot be compared by the metric.
   */
  constructor(codec: Codec, metric: Metric, options: IndexOptions = {}) {
    super(codec.d, metric, options);
    checkCodes(this.constructor.name, metric, this.backend);
    this.codec = codec;
  }

  /** The codes; there are none before training. @internal */
  get store(): CodeStore {
    return this.#store ??= this.backend.createCodes(this.storeSpec());
  }

  /** The codec as the store is made for it. @internal */
  protected storeSpec(): CodecSpec {
    return this.codec.spec;
  }

  /** Number of vectors. */
  override get ntotal(): number {
    return this.#store?.count ?? 0;
  }

  /** Whether the codec is trained. */
  override get isTrained(): boolean {
    return this.codec.isTrained;
  }

  /** Bytes that the codes take; those in a mapped file take none. */
  override memoryUsage(): number {
    return this.#store?.mapped ? 0 : this.ntotal * this.codec.codeSize;
  }

  /** Bytes of a code. */
  get saCodeSize(): number {
    return this.codec.codeSize;
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
    return await this.hold("saEncode", () => this.codec.encode(this.#prepare(rows)));
  }

  /**
   * The vectors that codes stand for.
   *
   * @param codes `n × saCodeSize` bytes.
   * @returns `n × d` numbers.
   * @throws {NotTrainedError} If the index has to be trained first.
   */
  async saDecode(codes: Uint8Array): Promise<Float32Array> {
    this.assertUsable("saDecode");
    return await this.hold("saDecode", () => this.codec.decode(codes));
  }

  /**
   * Adds vectors that are codes already.
   *
   * @param codes `n × saCodeSize` bytes.
   * @throws {NotTrainedError} If the index has to be trained first.
   * @throws {TypeError} If there are no whole codes.
   */
  async addSaCodes(codes: Uint8Array): Promise<void> {
    this.assertUsable("addSaCodes");
    await this.write("addSaCodes", () => this.store.add(codes));
  }

  /** Queries as the store compares them. @internal */
  // deno-lint-ignore require-await
  protected async prepareQueries(queries: Float32Array): Promise<Float32Array> {
    return this.#prepare(queries);
  }

  /** {@linkcode prepareQueries}, on this thread. @internal */
  protected prepareQueriesSync(queries: Float32Array): Float32Array {
    return this.#prepare(queries);
  }

  /** The vectors that the codes at rows stand for, into `out`. @internal */
  protected gather(rows: BigInt64Array, out: Float32Array): void {
    this.store.gather(rows, out);
  }

  #prepare(x: Float32Array): Float32Array {
    if (this.metric !== Metric.Cosine) return x;
    const rows = x.slice();
    normalizeRows(rows, this.d);
    return rows;
  }

  /** @internal */
  protected override storeSearch(how: CheckedSearch): StoreSearch {
    return { ...super.storeSearch(how), metric: codeMetric(this.metric) };
  }

  /** @internal */
  protected override async doTrain(x: Float32Array, options: TrainOptions): Promise<void> {
    if (this.isTrained) return;
    await this.codec.train(this.#prepare(x), options.signal);
  }

  /** @internal */
  protected override async doAdd(x: Float32Array, ids: BigInt64Array | undefined): Promise<void> {
    if (ids !== undefined) {
      throw this.unsupported("addWithIds", "an id is a position; wrap it in IndexIDMap");
    }
    await this.store.add(await this.codec.encode(this.#prepare(x)));
  }

  /** @internal */
  protected override async doSearch(
    queries: Float32Array,
    k: number,
    how: CheckedSearch,
  ): Promise<SearchResult> {
    const search = this.storeSearch(how);
    const found = await this.store.search(await this.prepareQueries(queries), k, search);
    return new SearchResult(found.distances, found.labels, k, found.run);
  }

  /** @internal */
  protected override doSearchSync(
    queries: Float32Array,
    k: number,
    how: CheckedSearch,
  ): SearchResult {
    const rows = this.prepareQueriesSync(queries);
    const found = this.store.searchSync(rows, k, this.storeSearch(how));
    return new SearchResult(found.distances, found.labels, k, found.run);
  }

  /** @internal */
  protected override async doRangeSearch(
    queries: Float32Array,
    radius: number,
    how: CheckedSearch,
  ): Promise<RangeNeighbors> {
    const rows = await this.prepareQueries(queries);
    return await this.store.rangeSearch(rows, radius, this.storeSearch(how));
  }

  /** @internal */
  protected override doReconstruct(ids: BigInt64Array, out: Float32Array): void {
    const count = BigInt(this.ntotal);
    for (const id of ids) {
      if (id >= count) throw new RangeError(`Cannot reconstruct: id ${id} of ${count} vectors`);
    }
    if (ids.length > 0) this.gather(ids, out);
  }

  /** @internal */
  protected override async doRemove(selector: IDSelector): Promise<number> {
    const how = this.storeSearch({ selector, params: {} });
    return await this.#store?.remove(how.selector!) ?? 0;
  }

  /** @internal */
  override checkMergeable(other: Index): void {
    super.checkMergeable(other);
    if (!(other instanceof IndexFlatCodes) || other.constructor !== this.constructor) {
      throw new TypeError(
        `Cannot mergeFrom: a ${other.constructor.name} is no ${this.constructor.name}`,
      );
    }
    if (!this.isTrained || !other.isTrained) {
      throw new TypeError("Cannot mergeFrom: both indexes have to be trained");
    }
    checkSameCodec(this.codec, other.codec);
  }

  /** @internal */
  protected override async doMerge(other: Index, addId: number): Promise<void> {
    if (addId !== 0) throw this.unsupported("mergeFrom with addId", "an id is a position");
    const { store } = other as IndexFlatCodes;
    await this.store.append(store);
    store.clear();
  }

  /** @internal */
  protected override async doCopy(backend: Backend): Promise<Index> {
    const copy = this.makeEmpty(backend);
    try {
      const step = Math.max(1, Math.floor(COPIED / this.codec.codeSize));
      for (let row = 0; row < this.ntotal; row += step) {
        await copy.store.add(this.store.codes(row, Math.min(step, this.ntotal - row)));
      }
      return copy;
    } catch (error) {
      copy.dispose();
      throw error;
    }
  }

  /** An index of the same kind and training without vectors. @internal */
  protected abstract makeEmpty(backend: Backend): IndexFlatCodes;

  /** @internal */
  protected override doReset(): Promise<void> {
    this.#store?.clear();
    return Promise.resolve();
  }

  /** @internal */
  protected override doDispose(): void {
    this.#store?.[Symbol.dispose]();
    this.codec[Symbol.dispose]();
  }

  /** @internal */
  protected override ids(): number {
    return this.ntotal;
  }
}
