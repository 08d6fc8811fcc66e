/**
 * What every index with inverted lists does: finds lists, and asks those near a query.
 *
 * @module
 */

import type {
  FileMap,
  InvertedLists,
  ListPlaces,
  RangeNeighbors,
  StoreSearch,
} from "../backend/backend.ts";
import { NotTrainedError } from "../errors.ts";
import { type IdInput, toIds, toRows, type VectorInput } from "../matrix.ts";
import { Metric } from "../metric.ts";
import { SearchAndReconstructResult, SearchResult } from "../result.ts";
import { type IDSelector, IDSelectorArray } from "../selector.ts";
import { Clustering, type ClusteringParameters } from "./clustering.ts";
import { checkUpdatable, DirectMapType, isSequence } from "./direct_map.ts";
import { IndexFlat } from "./flat.ts";
import { type CheckedSearch, Index, type IndexOptions, type TrainOptions } from "./index.ts";
import { joinLists, listBytes, splitLists } from "./ivf_encode.ts";
import { cutProbes, limitSearch, searchInParts } from "./ivf_probes.ts";
import { searchByRank } from "./ivf_range.ts";
import { checkNesting } from "./nesting.ts";
import { addTime } from "./parts.ts";

/** Probes that one call of the store gets: 12 MiB with their distances. */
const PROBES_A_CALL = 2 ** 20;

/**
 * Vectors in `nlist` lists, one a centroid; a query looks at the `nprobe` nearest lists.
 * Ids stay when others are removed, and may repeat; as in FAISS, added vectors are
 * numbered from `ntotal`, so that ids repeat if vectors were removed before.
 */
export abstract class IndexIVF extends Index {
  /** Lists that a query looks at. */
  nprobe = 1;
  /** Vectors of its lists that are compared with a query, in the order of the lists; 0 is all. */
  maxCodes = 0;
  /** Whether disposing of the index disposes of its quantizer too. */
  ownFields = false;
  /** The index that finds the nearest lists. */
  readonly quantizer: Index;
  /** Number of lists. */
  readonly nlist: number;
  /** How the centroids are found; spherical where the metric compares directions. */
  readonly cp: ClusteringParameters;
  /** Number of vectors, as {@linkcode Index.ntotal} counts them. @internal */
  protected total = 0;
  /** Whether the quantizer holds the centroids. @internal */
  protected hasCentroids: boolean;
  #mapType: DirectMapType = DirectMapType.NoMap;

  /**
   * An index without vectors.
   *
   * @param quantizer Index that holds the centroids; empty until trained.
   * @param d Dimension.
   * @param nlist Number of lists.
   * @param metric How vectors are compared.
   * @param options Backend, and `metricArg` of {@linkcode Metric.Lp}.
   * @throws {RangeError} If `d` or `nlist` is not an integer above 0.
   * @throws {TypeError} If the quantizer has another dimension.
   */
  constructor(
    quantizer: Index,
    d: number,
    nlist: number,
    metric: Metric = Metric.L2,
    options: IndexOptions = {},
  ) {
    super(d, metric, { backend: quantizer.backend, ...options });
    if (!Number.isInteger(nlist) || nlist < 1 || nlist >= 2 ** 31) {
      throw new RangeError(`Cannot make an index: nlist ${nlist} is no integer from 1 to 2^31`);
    }
    if (quantizer.d !== d) {
      throw new TypeError(`Cannot make an index: its quantizer has d ${quantizer.d}, not ${d}`);
    }
    checkNesting(this, quantizer);
    this.quantizer = quantizer;
    this.nlist = nlist;
    this.hasCentroids = quantizer.isTrained && quantizer.ntotal === nlist;
    const spherical = metric === Metric.InnerProduct || metric === Metric.Cosine;
    this.cp = { niter: 10, spherical };
  }

  /** The lists. @internal */
  abstract get store(): InvertedLists;

  /** Takes the vectors of a mapped file into lists that have none. @internal */
  takeLists(file: FileMap, places: ListPlaces): Promise<void> {
    return this.write("take lists", async () => {
      this.store.map!(file, places);
      this.total = this.store.count;
      // What was kept is of no vectors.
      await this.store.keepMap?.(DirectMapType.NoMap);
      await this.renumbered();
    });
  }

  /** Name of the codes in the lists, for {@linkcode factoryString}. @internal */
  protected abstract codeName(): string | undefined;

  /** Bytes of a vector in the lists. @internal */
  protected get codeSize(): number {
    throw this.unsupported("saCodeSize", "its lists hold no codes");
  }

  /** Codes of checked vectors in their lists. @internal */
  protected encodeRows(_x: Float32Array, _lists: BigInt64Array): Promise<Uint8Array> {
    throw this.unsupported("saEncode", "its lists hold no codes");
  }

  /** What codes in lists stand for. @internal */
  protected decodeRows(_codes: Uint8Array, _lists: BigInt64Array): Promise<Float32Array> {
    throw this.unsupported("saDecode", "its lists hold no codes");
  }

  /** Adds codes to lists. @internal */
  protected addCodes(
    _codes: Uint8Array,
    _lists: BigInt64Array,
    _ids: BigInt64Array,
  ): Promise<void> {
    throw this.unsupported("addSaCodes", "its lists hold no codes");
  }

  /** Replaces vectors; false where the store cannot. @internal */
  protected updateRows(
    _ids: BigInt64Array,
    _x: Float32Array,
    _lists: BigInt64Array,
  ): Promise<boolean> {
    return Promise.resolve(false);
  }

  /** Every id, list by list. @internal */
  heldIds(): BigInt64Array {
    return this.ids() as BigInt64Array;
  }

  /** Adds checked vectors to lists that are known. @internal */
  protected abstract addToLists(
    x: Float32Array,
    lists: BigInt64Array,
    ids: BigInt64Array,
  ): Promise<void>;

  /** @internal */
  override get keepsIds(): boolean {
    return true;
  }

  /**
   * Gives every vector a new id, for a wrapper that numbers vectors by position; −1 drops
   * the vector.
   *
   * @internal
   */
  abstract override renumber(newId: (id: bigint) => bigint): Promise<void>;

  /** Vectors as they are compared: those of codes by cosine are of length 1. @internal */
  protected prepare(x: Float32Array): Float32Array {
    return x;
  }

  /** Number of vectors. */
  override get ntotal(): number {
    return this.total;
  }

  /** Whether the centroids are known. */
  override get isTrained(): boolean {
    return this.hasCentroids;
  }

  /** How vectors are found by their ids. */
  get directMapType(): DirectMapType {
    return this.#mapType;
  }

  /**
   * Sets how vectors are found by their ids, for {@linkcode reconstruct}, {@linkcode updateVectors} and
   * the removal of listed ids. With a map that is kept they take no longer the more vectors there are.
   * An `Array` becomes a `Hashtable` once ids are no longer `0 … ntotal − 1`: when vectors are removed, or
   * added or merged with other ids.
   *
   * @param type Kind of map.
   * @throws {RangeError} If there is no such kind, or an `Array` is asked for and ids are not
   * `0 … ntotal − 1`.
   *
   * @example
   * ```ts
   * import { DirectMapType, IndexFlatL2, IndexIVFFlat } from "@metalfaiss/metalfaiss";
   * import assert from "node:assert/strict";
   *
   * const quantizer = new IndexFlatL2(2);
   * await quantizer.add([[0, 0], [9, 9]]);
   * using index = new IndexIVFFlat(quantizer, 2, 2);
   * await index.addWithIds([[1, 1], [8, 8]], [70, 80]);
   * await index.setDirectMapType(DirectMapType.Hashtable);
   * await index.updateVectors([70], [[7, 7]]);
   * assert.deepEqual([...index.reconstruct(70)], [7, 7]);
   * ```
   */
  async setDirectMapType(type: DirectMapType): Promise<void> {
    this.assertUsable("setDirectMapType");
    if (!Object.values(DirectMapType).includes(type)) {
      throw new RangeError(`Cannot setDirectMapType: there is no direct map of type ${type}`);
    }
    await this.write("setDirectMapType", async () => {
      if (type === DirectMapType.Array && !isSequence(this.heldIds())) {
        throw new RangeError("Cannot setDirectMapType: ids are not 0 to ntotal - 1");
      }
      await this.keepMap(type);
    });
  }

  /**
   * {@linkcode setDirectMapType} by whether there is a map at all, as FAISS has it.
   *
   * @param isKept Whether to keep an `Array`, or no map.
   * @throws {RangeError} If ids are not `0 … ntotal − 1`.
   */
  async makeDirectMap(isKept = true): Promise<void> {
    await this.setDirectMapType(isKept ? DirectMapType.Array : DirectMapType.NoMap);
  }

  /** Sets the kind of map, and makes it where there are lists. @internal */
  protected async keepMap(type: DirectMapType = this.#mapType): Promise<void> {
    this.#mapType = type;
    if (this.isTrained) await this.store.keepMap?.(type);
  }

  /** After ids were given anew. @internal */
  protected async renumbered(): Promise<void> {
    await this.leaveArray(() => !isSequence(this.heldIds()));
    await this.keepMap();
  }

  /** Settings of the index that this is a copy of. @internal */
  async takeSettings(from: IndexIVF): Promise<void> {
    this.maxCodes = from.maxCodes;
    await this.keepMap(from.directMapType);
  }

  /**
   * Replaces vectors by their ids; nothing else changes.
   *
   * @param ids Their `n` ids.
   * @param x `n × d` vectors.
   * @throws {NotTrainedError} If the index has to be trained first.
   * @throws {RangeError} If an id is not in the index, is given twice, or ids repeat in the index; or a
   * number is NaN or infinite.
   * @throws {TypeError} If there are not `n` ids, or `x` is empty or not in rows of `d`.
   */
  async updateVectors(ids: IdInput, x: VectorInput): Promise<void> {
    this.assertUsable("updateVectors");
    const rows = toRows(x, this.d, "x");
    const checked = toIds(ids, rows.length / this.d, "ids");
    await this.write("updateVectors", async () => {
      this.assertReady("updateVectors");
      const prepared = this.prepare(rows);
      const lists = await this.#assignLists(prepared, "updateVectors");
      if (await this.updateRows(checked, prepared, lists)) return;
      checkUpdatable(checked, this.heldIds());
      await this.store.remove(new IDSelectorArray(checked));
      await this.addToLists(prepared, lists, checked);
    });
  }

  /** Throws unless centroids and codes are trained. @internal */
  protected assertReady(name: string): void {
    if (!this.isTrained) throw new NotTrainedError(`Cannot ${name}: call train() first`);
  }

  /** Bytes of a list's number and a code, as {@linkcode saEncode} has them. */
  get saCodeSize(): number {
    return listBytes(this.nlist) + this.codeSize;
  }

  /**
   * Codes of vectors, which are not added: for each the number of its list in as few bytes as
   * hold any, then its code.
   *
   * @param x `n × d` vectors.
   * @returns `n × saCodeSize` bytes.
   * @throws {NotTrainedError} If the index has to be trained first.
   */
  async saEncode(x: VectorInput): Promise<Uint8Array> {
    this.assertUsable("saEncode");
    const rows = this.prepare(toRows(x, this.d, "x"));
    return await this.hold("saEncode", async () => {
      this.assertReady("saEncode");
      const lists = await this.#assignLists(rows, "saEncode");
      return joinLists(await this.encodeRows(rows, lists), lists, this.nlist);
    });
  }

  /**
   * The vectors that the codes of {@linkcode saEncode} stand for.
   *
   * @param codes `n × saCodeSize` bytes.
   * @returns `n × d` numbers.
   * @throws {NotTrainedError} If the index has to be trained first.
   * @throws {RangeError} If a code is of no list.
   * @throws {TypeError} If there are no whole codes.
   */
  async saDecode(codes: Uint8Array): Promise<Float32Array> {
    this.assertUsable("saDecode");
    return await this.hold("saDecode", async () => {
      this.assertReady("saDecode");
      const plain = splitLists("saDecode", codes, this.codeSize, this.nlist);
      return await this.decodeRows(plain.codes, plain.lists);
    });
  }

  /**
   * Adds vectors that are codes already.
   *
   * @param codes `n × saCodeSize` bytes.
   * @param ids `n` ids; by default they follow on from `ntotal`.
   * @throws {NotTrainedError} If the index has to be trained first.
   * @throws {RangeError} If a code is of no list.
   * @throws {TypeError} If there are no whole codes, or not as many ids.
   */
  async addSaCodes(codes: Uint8Array, ids?: IdInput): Promise<void> {
    this.assertUsable("addSaCodes");
    await this.write("addSaCodes", async () => {
      this.assertReady("addSaCodes");
      const plain = splitLists("addSaCodes", codes, this.codeSize, this.nlist);
      const n = plain.lists.length;
      const numbers = this.#numbers(n, ids === undefined ? ids : toIds(ids, n, "ids"));
      await this.addCodes(plain.codes, plain.lists, numbers);
      await this.#added(numbers);
    });
  }

  /** @internal */
  override factoryString(): string | undefined {
    const quantizer = this.quantizer.factoryString();
    const code = this.codeName();
    if (quantizer === undefined || code === undefined) return undefined;
    const graph = /^((?:HNSW|NSG)\d+),Flat$/.exec(quantizer)?.[1];
    const coarse = quantizer === "Flat" ? "" : graph ? `_${graph}` : `(${quantizer})`;
    return `IVF${this.nlist}${coarse},${code}`;
  }

  /** @internal */
  protected override parameters(): Record<string, unknown> {
    return { nlist: this.nlist, nprobe: this.nprobe };
  }

  /** @internal */
  protected override async doTrain(x: Float32Array, options: TrainOptions): Promise<void> {
    if (this.hasCentroids) return;
    const { quantizer, backend } = this;
    const spherical = this.cp.spherical === true;
    // A flat quantizer's own metric assigns the vectors, as in FAISS.
    const metric = quantizer instanceof IndexFlat
      ? quantizer.metric
      : spherical
      ? Metric.InnerProduct
      : Metric.L2;
    const { metricArg } = quantizer;
    using assigner = new IndexFlat(this.d, metric, { backend, metricArg });
    const clustering = new Clustering(this.d, this.nlist, this.cp);
    await clustering.train(x, { ...options, index: assigner });
    await quantizer.reset();
    await quantizer.train(clustering.centroids, options);
    await quantizer.add(clustering.centroids);
    this.hasCentroids = true;
  }

  /** @internal */
  protected override async doAdd(x: Float32Array, ids: BigInt64Array | undefined): Promise<void> {
    const n = x.length / this.d;
    const rows = this.prepare(x);
    const lists = await this.#assignLists(rows, "add");
    const numbers = this.#numbers(n, ids);
    await this.addToLists(rows, lists, numbers);
    await this.#added(numbers);
  }

  /** Ids of rows that are added: those given, or the next ones. */
  #numbers(n: number, ids: BigInt64Array | undefined): BigInt64Array {
    const first = BigInt(this.total);
    return ids ?? BigInt64Array.from({ length: n }, (_, i) => first + BigInt(i));
  }

  /** Counts rows that were added. */
  async #added(ids: BigInt64Array): Promise<void> {
    const first = BigInt(this.total);
    this.total += ids.length;
    await this.leaveArray(() => ids.some((id, i) => id !== first + BigInt(i)));
  }

  /** Ids that are no longer `0 … ntotal − 1` fit no array. @internal */
  protected async leaveArray(areOthers: () => boolean): Promise<void> {
    if (this.#mapType !== DirectMapType.Array || !areOthers()) return;
    await this.keepMap(DirectMapType.Hashtable);
  }

  /** The list of each row; a refused row is named as the caller knows it. */
  async #assignLists(x: Float32Array, name: string): Promise<BigInt64Array> {
    let lists: BigInt64Array;
    try {
      lists = await this.quantizer.assign(x);
    } catch (cause) {
      if (!(cause instanceof RangeError)) throw cause;
      const reason = cause.message.replace(/^.*query (?=\d)/, "row ");
      throw new RangeError(`Cannot ${name}: ${reason}`, { cause });
    }
    const lost = lists.indexOf(-1n);
    if (lost < 0) return lists;
    throw new RangeError(`Cannot ${name}: row ${lost} has no distance to any centroid`);
  }

  /** @internal */
  protected override async doSearch(
    x: Float32Array,
    k: number,
    how: CheckedSearch,
  ): Promise<SearchResult> {
    const nprobe = this.#nprobe(how);
    const { limit, search } = this.#limits(how);
    // In parts, so that the probes take little memory however many queries there are.
    const step = Math.ceil(PROBES_A_CALL / nprobe) * this.d;
    return await searchInParts(this.prepare(x), step, k, async (queries) => {
      const coarse = await this.#probes(queries, nprobe, how);
      const lists = this.#cut(coarse, k, limit);
      const found = await this.store.search(queries, lists, k, search);
      return new SearchResult(found.distances, found.labels, k, addTime(found.run, coarse.run));
    });
  }

  /** @internal */
  protected override doSearchSync(
    x: Float32Array,
    k: number,
    how: CheckedSearch,
  ): SearchResult {
    const nprobe = this.#nprobe(how);
    const queries = this.prepare(x);
    const coarse = this.quantizer.searchSync(queries, nprobe, how.params.quantizerParams);
    const { limit, search } = this.#limits(how);
    const found = this.store.searchSync(queries, this.#cut(coarse, k, limit), k, search);
    return new SearchResult(found.distances, found.labels, k, addTime(found.run, coarse.run));
  }

  /** Whether searches of the store end after a list only. @internal */
  protected get scansWholeLists(): boolean {
    return this.backend.name === "gpu";
  }

  /** How much is looked at, and what of that the store is told. */
  #limits(how: CheckedSearch): { limit: StoreSearch; search: StoreSearch } {
    const limit = limitSearch(this.storeSearch(how), how, this.maxCodes);
    if (!limit.maxCodes || !this.scansWholeLists) return { limit, search: limit };
    return { limit, search: { ...limit, maxCodes: 0 } };
  }

  /** The lists that queries look at. */
  #cut({ labels, k: nprobe }: SearchResult, k: number, limit: StoreSearch): BigInt64Array {
    if (!limit.maxCodes || !this.scansWholeLists) return labels;
    return cutProbes(labels, nprobe, k, limit, this.store.sizes(), () => this.heldIds());
  }

  /** @internal */
  protected override async doSearchAndReconstruct(
    x: Float32Array,
    k: number,
    how: CheckedSearch,
  ): Promise<SearchAndReconstructResult> {
    const { store, d } = this;
    if (store.idsAt === undefined) return await super.doSearchAndReconstruct(x, k, how);
    const found = await this.doSearch(x, k, { ...how, locations: true });
    const locations = found.labels;
    const there = locations.filter((location) => location !== -1n);
    const [ids, rows] = [store.idsAt(there), new Float32Array(there.length * d)];
    store.gather(there, rows);
    const vectors = new Float32Array(locations.length * d).fill(NaN);
    let row = 0;
    const labels = locations.map((location, i) => {
      if (location === -1n) return location;
      vectors.set(rows.subarray(row * d, (row + 1) * d), i * d);
      return ids[row++]!;
    });
    const named = new SearchResult(found.distances, labels, k, found.run);
    return new SearchAndReconstructResult(named, vectors);
  }

  /** @internal */
  protected override async doRangeSearch(
    x: Float32Array,
    radius: number,
    how: CheckedSearch,
  ): Promise<RangeNeighbors> {
    const queries = this.prepare(x);
    const coarse = await this.#probes(queries, this.#nprobe(how), how);
    const search = this.storeSearch(how);
    const most = how.params.maxEmptyResultBuckets ?? 0;
    if (!Number.isInteger(most) || most < 0) {
      throw new RangeError(
        `Cannot rangeSearch: maxEmptyResultBuckets ${most} is no integer of at least 0`,
      );
    }
    const found = most === 0
      ? await this.store.rangeSearch(queries, coarse.labels, radius, search)
      : await searchByRank(this.store, queries, coarse.labels, radius, search, most);
    return { ...found, run: addTime(found.run, coarse.run) };
  }

  #nprobe(how: CheckedSearch): number {
    const nprobe = how.params.nprobe ?? this.nprobe;
    if (!Number.isInteger(nprobe) || nprobe < 1 || nprobe > this.nlist) {
      throw new RangeError(
        `Cannot search: nprobe ${nprobe} is no integer from 1 to nlist ${this.nlist}`,
      );
    }
    return nprobe;
  }

  async #probes(
    queries: Float32Array,
    nprobe: number,
    { params: { quantizerParams, signal } }: CheckedSearch,
  ): Promise<SearchResult> {
    return await this.quantizer.search(queries, nprobe, { signal, ...quantizerParams });
  }

  /** @internal */
  protected override doReconstruct(ids: BigInt64Array, out: Float32Array): void {
    const locations = this.store.locate(ids);
    const missing = locations.indexOf(-1n);
    if (missing >= 0) {
      throw new RangeError(`Cannot reconstruct: id ${ids[missing]} is not in the index`);
    }
    this.store.gather(locations, out);
  }

  /** @internal */
  protected override async doRemove(selector: IDSelector): Promise<number> {
    const how = this.storeSearch({ selector, params: {} });
    const removed = await this.store.remove(how.selector!);
    this.total -= removed;
    await this.leaveArray(() => removed > 0);
    return removed;
  }

  /** @internal */
  override checkMergeable(other: Index): void {
    super.checkMergeable(other);
    if (!(other instanceof IndexIVF) || other.nlist !== this.nlist) {
      throw new TypeError(`Cannot mergeFrom: the other has not ${this.nlist} lists of vectors`);
    }
    if (!this.isTrained || !other.isTrained) {
      throw new TypeError("Cannot mergeFrom: both indexes have to be trained");
    }
    if (other.quantizer === this.quantizer) return;
    const ours = this.quantizer.reconstructN(0, this.nlist);
    const theirs = other.quantizer.reconstructN(0, this.nlist);
    if (ours.some((value, i) => value !== theirs[i])) {
      throw new TypeError("Cannot mergeFrom: the centroids of the two indexes differ");
    }
  }

  /** Moves another's vectors here by `append`. @internal */
  protected async moveLists(
    from: IndexIVF,
    addId: number,
    append: () => Promise<void>,
  ): Promise<void> {
    const fit = this.#mapType === DirectMapType.Array &&
      isSequence(from.heldIds(), this.total - addId);
    await append();
    this.total += from.total;
    from.total = 0;
    await this.leaveArray(() => !fit);
  }

  /** @internal */
  protected override doReset(): Promise<void> {
    this.store.clear();
    this.total = 0;
    return Promise.resolve();
  }

  /** @internal */
  protected override doDispose(): void {
    this.store[Symbol.dispose]();
    if (this.ownFields) this.quantizer.dispose();
  }
}
