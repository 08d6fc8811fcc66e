/**
 * Search among the nearest of many lists of vectors.
 *
 * @module
 */

import type { Backend, IVFStore } from "../backend/backend.ts";
import { Metric } from "../metric.ts";
import type { Index, IndexOptions } from "./index.ts";
import { IndexIVF } from "./ivf.ts";
import { bytesRows, rowBytes } from "./standalone_codec.ts";

/** Parts of an {@linkcode IndexIVFFlat} that was read from a file. @internal */
export interface IVFFlatParts {
  /** The index that finds the lists. */
  quantizer: Index;
  /** Dimension. */
  d: number;
  /** Number of lists. */
  nlist: number;
  /** How vectors are compared. */
  metric: Metric;
  /** `p` of Lp. */
  metricArg: number;
  /** Lists a query looks at. */
  nprobe: number;
  /** The number that the next added vector gets. */
  ntotal: number;
  /** Whether the quantizer is ready. */
  isTrained: boolean;
  /** The lists. */
  store: IVFStore;
}

/** Numbers that a copy moves at once: 256 MiB, or one list. */
const COPIED = 2 ** 26;

/**
 * Vectors in `nlist` lists, one a centroid; a query looks at the `nprobe` nearest lists.
 * Ids stay when others are removed, and may repeat; as in FAISS, added vectors are
 * numbered from `ntotal`, so that ids repeat if vectors were removed before.
 *
 * @example
 * ```ts
 * import { IndexFlatL2, IndexIVFFlat, Random } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * const random = new Random(1);
 * const x = Float32Array.from({ length: 500 * 8 }, () => random.normal());
 * using index = new IndexIVFFlat(new IndexFlatL2(8), 8, 10);
 * await index.train(x);
 * await index.add(x);
 * const found = await index.search(x.subarray(0, 8), 3, { nprobe: 4 });
 * assert.deepEqual(found.row(0)[0], { id: 0, distance: 0 });
 * ```
 */
export class IndexIVFFlat extends IndexIVF {
  #store: IVFStore;

  /**
   * An index without vectors; it is trained if its quantizer holds the centroids.
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
    super(quantizer, d, nlist, metric, options);
    this.#store = this.backend.createIVF(d, nlist);
  }

  /** An index of parts read from a file; it owns them. @internal */
  static fromParts(parts: IVFFlatParts): IndexIVFFlat {
    const { quantizer, d, nlist, metric, metricArg } = parts;
    const index = new IndexIVFFlat(quantizer, d, nlist, metric, { metricArg });
    index.#store[Symbol.dispose]();
    index.#store = parts.store;
    index.total = parts.ntotal;
    index.hasCentroids = parts.isTrained;
    index.nprobe = parts.nprobe;
    index.ownFields = true;
    return index;
  }

  /** The lists. @internal */
  override get store(): IVFStore {
    return this.#store;
  }

  /** @internal */
  protected override codeName(): string {
    return "Flat";
  }

  /** Bytes that vectors, ids and centroids take; those in a mapped file take none. */
  override memoryUsage(): number {
    const lists = this.#store.mapped ? 0 : this.#store.count * (this.d * 4 + 8);
    return lists + this.quantizer.memoryUsage();
  }

  /** @internal */
  protected override get codeSize(): number {
    return 4 * this.d;
  }

  /** @internal */
  protected override encodeRows(x: Float32Array): Promise<Uint8Array> {
    return Promise.resolve(rowBytes(x));
  }

  /** @internal */
  protected override decodeRows(codes: Uint8Array): Promise<Float32Array> {
    return Promise.resolve(bytesRows(codes));
  }

  /** @internal */
  protected override addCodes(
    codes: Uint8Array,
    lists: BigInt64Array,
    ids: BigInt64Array,
  ): Promise<void> {
    return this.#store.add(bytesRows(codes), lists, ids);
  }

  /** @internal */
  protected override async updateRows(
    ids: BigInt64Array,
    x: Float32Array,
    lists: BigInt64Array,
  ): Promise<boolean> {
    if (this.#store.update === undefined) return false;
    await this.#store.update(ids, x, lists);
    return true;
  }

  /** @internal */
  protected override addToLists(
    x: Float32Array,
    lists: BigInt64Array,
    ids: BigInt64Array,
  ): Promise<void> {
    return this.#store.add(x, lists, ids);
  }

  /** @internal */
  override checkMergeable(other: Index): void {
    super.checkMergeable(other);
    if (!(other instanceof IndexIVFFlat)) {
      throw new TypeError("Cannot mergeFrom: the lists of the other hold no vectors");
    }
  }

  /** @internal */
  protected override async doMerge(other: Index, addId: number): Promise<void> {
    const from = other as IndexIVFFlat;
    await this.moveLists(from, addId, () => this.#store.append(from.#store, addId));
  }

  /**
   * Gives every vector a new id, for a wrapper that numbers vectors by position; −1 drops
   * the vector.
   *
   * @internal
   */
  override async renumber(newId: (id: bigint) => bigint): Promise<void> {
    await this.write("renumber", async () => {
      const store = this.backend.createIVF(this.d, this.nlist);
      try {
        for (let list = 0; list < this.nlist; list++) {
          const { x, ids: old } = this.#store.list(list);
          if (old.length === 0) continue;
          const ids = old.map(newId);
          await store.add(x, ids.map((id) => id < 0n ? -1n : BigInt(list)), ids);
        }
      } catch (error) {
        store[Symbol.dispose]();
        throw error;
      }
      this.#store[Symbol.dispose]();
      this.#store = store;
      this.total = store.count;
      await this.renumbered();
    });
  }

  /** @internal */
  protected override async doCopy(backend: Backend): Promise<Index> {
    const { d, nlist, metric, metricArg, nprobe } = this;
    const quantizer = await this.quantizer.to(backend);
    const store = backend.createIVF(d, nlist);
    try {
      await this.#copyLists(store);
    } catch (error) {
      store[Symbol.dispose]();
      quantizer.dispose();
      throw error;
    }
    const [ntotal, isTrained] = [this.total, this.hasCentroids];
    const parts = { quantizer, d, nlist, metric, metricArg, nprobe, ntotal, isTrained, store };
    const copy = IndexIVFFlat.fromParts(parts);
    Object.assign(copy.cp, this.cp);
    await copy.takeSettings(this);
    return copy;
  }

  /** Adds every row to another store, many at a time: a GPU lays all out anew. */
  async #copyLists(store: IVFStore): Promise<void> {
    const sizes = this.#store.sizes();
    for (let list = 0; list < this.nlist;) {
      const first = list;
      let rows = 0;
      do rows += sizes[list++]!; while (
        list < this.nlist && (rows + sizes[list]!) * this.d <= COPIED
      );
      if (rows === 0) continue;
      const x = new Float32Array(rows * this.d);
      const [lists, ids] = [new BigInt64Array(rows), new BigInt64Array(rows)];
      for (let from = first, at = 0; from < list; from++) {
        if (sizes[from] === 0) continue;
        const held = this.#store.list(from);
        x.set(held.x, at * this.d);
        ids.set(held.ids, at);
        lists.fill(BigInt(from), at, at += held.ids.length);
      }
      await store.add(x, lists, ids);
    }
  }

  /** @internal */
  protected override ids(): BigInt64Array {
    const all = new BigInt64Array(this.#store.count);
    let at = 0;
    for (let list = 0; list < this.nlist; list++) {
      const { ids } = this.#store.list(list);
      all.set(ids, at);
      at += ids.length;
    }
    return all;
  }
}
