/**
 * Search among the nearest of many lists of codes.
 *
 * @module
 */

import type { Backend, CodeLists, StoreSearch } from "../backend/backend.ts";
import type { Codec, CodecSpec } from "../codec/codec.ts";
import { NotTrainedError } from "../errors.ts";
import { Metric } from "../metric.ts";
import { Random } from "../random.ts";
import type { IDSelector } from "../selector.ts";
import { normalizeRows } from "./clustering_steps.ts";
import { checkCodes, checkSameCodec, codeMetric } from "./code_checks.ts";
import type { CheckedSearch, Index, IndexOptions, TrainOptions } from "./index.ts";
import { IndexIVF } from "./ivf.ts";

/** Options of an index with lists of codes. */
export interface IVFCodesOptions extends IndexOptions {
  /** Whether codes are of what a vector differs from its list's centroid by; true by default. */
  byResidual?: boolean | undefined;
}

/** Parts of an {@linkcode IndexIVFCodes} that was read from a file. @internal */
export interface IVFCodesState {
  /** Lists a query looks at. */
  nprobe: number;
  /** The number that the next added vector gets. */
  ntotal: number;
  /** The lists; undefined where the index is not trained. */
  store: CodeLists | undefined;
}

/** Bytes of codes that a copy moves at once, or one list. */
const COPIED = 2 ** 28;

/**
 * Vectors kept as codes in `nlist` lists, one a centroid; a query looks at the `nprobe`
 * nearest lists. Under {@linkcode Metric.Cosine} vectors are normalised when they are added and
 * queries when they are searched; a similarity may pass 1 a little.
 */
export abstract class IndexIVFCodes extends IndexIVF {
  /** What turns vectors into codes; the index owns it. */
  readonly codec: Codec;
  /** Whether codes are of what a vector differs from its list's centroid by. */
  readonly byResidual: boolean;
  #store: CodeLists | undefined;

  /**
   * An index without vectors.
   *
   * @param quantizer Index that holds the centroids; empty until trained.
   * @param codec What turns vectors into codes, which the index disposes of.
   * @param nlist Number of lists.
   * @param metric {@linkcode Metric.L2}, {@linkcode Metric.InnerProduct} or
   * {@linkcode Metric.Cosine}.
   * @param options Backend and `byResidual`.
   * @throws {RangeError} If `nlist` is not an integer above 0, or codes cannot be compared by
   * the metric.
   * @throws {TypeError} If the quantizer has another dimension.
   */
  constructor(
    quantizer: Index,
    codec: Codec,
    nlist: number,
    metric: Metric,
    options: IVFCodesOptions = {},
  ) {
    super(quantizer, codec.d, nlist, metric, options);
    checkCodes(this.constructor.name, metric, this.backend);
    this.codec = codec;
    this.byResidual = options.byResidual ?? true;
  }

  /** Takes over what a file holds. @internal */
  restore(state: IVFCodesState): this {
    this.#store = state.store;
    this.total = state.ntotal;
    this.nprobe = state.nprobe;
    this.ownFields = true;
    return this;
  }

  /** The lists; there are none before training. @internal */
  override get store(): CodeLists {
    if (this.#store === undefined) {
      this.#store = this.#createLists(this.backend);
      // Of no rows: it is done at once.
      void this.#store.keepMap?.(this.directMapType);
    }
    return this.#store;
  }

  #createLists(backend: Backend): CodeLists {
    if (!this.isTrained) throw new NotTrainedError("Cannot use the lists: call train() first");
    return backend.createCodeLists(this.storeSpec(), this.nlist, this.residual());
  }

  /** The codec as the lists are made for it. @internal */
  protected storeSpec(): CodecSpec {
    return this.codec.spec;
  }

  /** Blocks of codes are looked at as a whole, as in FAISS. @internal */
  protected override get scansWholeLists(): boolean {
    const spec = this.storeSpec();
    return super.scansWholeLists || "inBlocks" in spec && spec.inBlocks === true;
  }

  /** What codes are taken from, where they are residuals. @internal */
  protected residual(): { centroids: Float32Array } | undefined {
    if (!this.byResidual) return undefined;
    return { centroids: this.quantizer.reconstructN(0, this.nlist) };
  }

  /** Whether centroids and codec are trained. */
  override get isTrained(): boolean {
    return this.hasCentroids && this.codec.isTrained;
  }

  /** @internal */
  protected override parameters(): Record<string, unknown> {
    return { ...super.parameters(), byResidual: this.byResidual };
  }

  /** Bytes that codes, ids and centroids take; those in a mapped file take none. */
  override memoryUsage(): number {
    const lists = this.#store?.mapped ? 0 : this.total * (this.codec.codeSize + 8);
    return lists + this.quantizer.memoryUsage();
  }

  /** @internal */
  protected override get codeSize(): number {
    return this.codec.codeSize;
  }

  /** @internal */
  protected override encodeRows(x: Float32Array, lists: BigInt64Array): Promise<Uint8Array> {
    return this.codec.encode(this.#residuals(x, lists));
  }

  /** @internal */
  protected override async decodeRows(
    codes: Uint8Array,
    lists: BigInt64Array,
  ): Promise<Float32Array> {
    const x = await this.codec.decode(codes);
    if (!this.byResidual || lists.length === 0) return x;
    const centroids = this.quantizer.reconstructBatch(lists);
    return x.map((value, i) => value + centroids[i]!);
  }

  /** @internal */
  protected override addCodes(
    codes: Uint8Array,
    lists: BigInt64Array,
    ids: BigInt64Array,
  ): Promise<void> {
    return this.store.add(codes, lists, ids);
  }

  /** @internal */
  protected override async updateRows(
    ids: BigInt64Array,
    x: Float32Array,
    lists: BigInt64Array,
  ): Promise<boolean> {
    const { store } = this;
    if (store.update === undefined) return false;
    await store.update(ids, await this.encodeRows(x, lists), lists);
    return true;
  }

  /** @internal */
  protected override prepare(x: Float32Array): Float32Array {
    if (this.metric !== Metric.Cosine) return x;
    const rows = x.slice();
    normalizeRows(rows, this.d);
    return rows;
  }

  /** @internal */
  protected override storeSearch(how: CheckedSearch): StoreSearch {
    return { ...super.storeSearch(how), metric: codeMetric(this.metric) };
  }

  /** What is encoded of vectors in lists. */
  #residuals(x: Float32Array, lists: BigInt64Array): Float32Array {
    if (!this.byResidual) return x;
    const centroids = this.quantizer.reconstructBatch(lists);
    for (let i = 0; i < x.length; i++) centroids[i] = x[i]! - centroids[i]!;
    return centroids;
  }

  /** Vectors that train the codec at most. @internal */
  protected encoderVectors(): number {
    return 100_000;
  }

  /** @internal */
  protected override async doTrain(x: Float32Array, options: TrainOptions): Promise<void> {
    if (this.isTrained) return;
    const { hasCentroids } = this;
    const rows = this.prepare(x);
    await super.doTrain(rows, options);
    if (this.codec.isTrained) return;
    try {
      const sample = sampleRows(rows, this.d, this.encoderVectors());
      const residuals = this.byResidual
        ? this.#residuals(sample, await this.quantizer.assign(sample))
        : sample;
      await this.codec.train(residuals, options.signal);
    } catch (error) {
      // Else the next training would keep centroids of vectors that may have been too few.
      if (!hasCentroids) {
        this.hasCentroids = false;
        await this.quantizer.reset();
      }
      throw error;
    }
  }

  /** @internal */
  protected override async addToLists(
    x: Float32Array,
    lists: BigInt64Array,
    ids: BigInt64Array,
  ): Promise<void> {
    await this.addCodes(await this.encodeRows(x, lists), lists, ids);
  }

  /** @internal */
  override checkMergeable(other: Index): void {
    super.checkMergeable(other);
    const fits = other instanceof IndexIVFCodes && other.constructor === this.constructor &&
      other.byResidual === this.byResidual;
    if (!fits) throw new TypeError("Cannot mergeFrom: the lists of the other hold other codes");
    checkSameCodec(this.codec, other.codec);
  }

  /** @internal */
  protected override async doMerge(other: Index, addId: number): Promise<void> {
    const from = other as IndexIVFCodes;
    await this.moveLists(from, addId, () => this.store.append(from.store, addId));
  }

  /** @internal */
  override async renumber(newId: (id: bigint) => bigint): Promise<void> {
    await this.write("renumber", async () => {
      const store = this.#createLists(this.backend);
      try {
        for (let list = 0; list < this.nlist; list++) {
          const { codes, ids: old } = this.store.list(list);
          if (old.length === 0) continue;
          const ids = old.map(newId);
          await store.add(codes, ids.map((id) => id < 0n ? -1n : BigInt(list)), ids);
        }
      } catch (error) {
        store[Symbol.dispose]();
        throw error;
      }
      this.#store?.[Symbol.dispose]();
      this.#store = store;
      this.total = store.count;
      await this.renumbered();
    });
  }

  /** An index of the same kind and training without vectors. @internal */
  protected abstract makeEmpty(quantizer: Index): IndexIVFCodes;

  /** @internal */
  protected override async doCopy(backend: Backend): Promise<Index> {
    const quantizer = await this.quantizer.to(backend);
    let copy: IndexIVFCodes | undefined;
    try {
      copy = this.makeEmpty(quantizer);
      copy.ownFields = true;
      if (this.#store !== undefined) await this.#copyLists(copy.store);
    } catch (error) {
      copy?.dispose();
      if (copy === undefined) quantizer.dispose();
      throw error;
    }
    Object.assign(copy.cp, this.cp);
    copy.nprobe = this.nprobe;
    copy.total = this.total;
    await copy.takeSettings(this);
    return copy;
  }

  /** Adds every code to another store, many at a time. */
  async #copyLists(store: CodeLists): Promise<void> {
    const sizes = this.store.sizes();
    const { codeSize } = this.codec;
    for (let list = 0; list < this.nlist;) {
      const first = list;
      let rows = 0;
      do rows += sizes[list++]!; while (
        list < this.nlist && (rows + sizes[list]!) * codeSize <= COPIED
      );
      if (rows === 0) continue;
      const codes = new Uint8Array(rows * codeSize);
      const [lists, ids] = [new BigInt64Array(rows), new BigInt64Array(rows)];
      for (let from = first, at = 0; from < list; from++) {
        if (sizes[from] === 0) continue;
        const held = this.store.list(from);
        codes.set(held.codes, at * codeSize);
        ids.set(held.ids, at);
        lists.fill(BigInt(from), at, at += held.ids.length);
      }
      await store.add(codes, lists, ids);
    }
  }

  /** @internal */
  protected override doReconstruct(ids: BigInt64Array, out: Float32Array): void {
    this.assertReady("reconstruct");
    super.doReconstruct(ids, out);
  }

  /** @internal */
  protected override async doRemove(selector: IDSelector): Promise<number> {
    return this.#store === undefined ? 0 : await super.doRemove(selector);
  }

  /** @internal */
  protected override doReset(): Promise<void> {
    return this.#store === undefined ? Promise.resolve() : super.doReset();
  }

  /** @internal */
  protected override doDispose(): void {
    this.#store?.[Symbol.dispose]();
    this.codec[Symbol.dispose]();
    if (this.ownFields) this.quantizer.dispose();
  }

  /** @internal */
  protected override ids(): BigInt64Array {
    const all = new BigInt64Array(this.#store?.count ?? 0);
    for (let list = 0, at = 0; at < all.length; list++) {
      const { ids } = this.store.list(list);
      all.set(ids, at);
      at += ids.length;
    }
    return all;
  }
}

/** At most so many rows, chosen the same way each time. @internal */
export function sampleRows(x: Float32Array, d: number, most: number): Float32Array {
  const n = x.length / d;
  if (n <= most) return x;
  const sample = new Float32Array(most * d);
  new Random(1234).permutation(n, most).forEach((row, i) => {
    sample.set(x.subarray(row * d, (row + 1) * d), i * d);
  });
  return sample;
}
