/**
 * Transforms before an index.
 *
 * @module
 */

import type { Backend, RangeNeighbors } from "../backend/backend.ts";
import { checkRows } from "../backend/reference/scan.ts";
import { NotTrainedError } from "../errors.ts";
import { toRows, type VectorInput } from "../matrix.ts";
import { SearchAndReconstructResult, type SearchResult } from "../result.ts";
import type { IDSelector } from "../selector.ts";
import type { VectorTransform } from "../transform/transform.ts";
import { type CheckedSearch, Index, type TrainOptions } from "./index.ts";
import { checkNesting } from "./nesting.ts";
import { codecOf } from "./standalone_codec.ts";

/** Transforms in a row: more than anyone needs. */
export const MOST_TRANSFORMS = 64;

/**
 * An index that gets vectors after transforms, one after the other; queries too. What it finds, and how
 * far that is, is the index's.
 *
 * @example
 * ```ts
 * import { IndexFlatIP, IndexPreTransform, NormalizationTransform } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * using flat = new IndexFlatIP(2);
 * using index = new IndexPreTransform(new NormalizationTransform(2), flat);
 * await index.add([[3, 4], [1, 0]]);
 * const { distances } = await index.search([[30, 40]], 1);
 * assert.ok(Math.abs(distances[0]! - 1) < 1e-6);
 * ```
 */
export class IndexPreTransform extends Index {
  /** The transforms, first one first. */
  readonly chain: readonly VectorTransform[];
  /** The index behind them. */
  readonly index: Index;
  /** Whether disposing of this index disposes of the one behind the transforms too. */
  ownFields = false;

  /**
   * Puts transforms before an index.
   *
   * @param chain A transform, or several.
   * @param index The index behind them.
   * @throws {TypeError} If dimensions do not fit together.
   * @throws {RangeError} If there are more than 64 transforms.
   */
  constructor(chain: VectorTransform | readonly VectorTransform[], index: Index) {
    const all = Array.isArray(chain) ? [...chain] : [chain as VectorTransform];
    const { metric, metricArg, backend } = index;
    super(all[0]?.dIn ?? index.d, metric, { backend, metricArg });
    if (all.length > MOST_TRANSFORMS) {
      throw new RangeError(`Cannot make an index: ${all.length} transforms are too many`);
    }
    for (const [i, transform] of all.entries()) {
      const next = all[i + 1]?.dIn ?? index.d;
      if (transform.dOut === next) continue;
      const name = i + 1 < all.length ? `transform ${i + 1}` : "the index";
      throw new TypeError(
        `Cannot make an index: transform ${i} gives ${transform.dOut} numbers, ${name} takes ${next}`,
      );
    }
    checkNesting(this, index);
    this.chain = all;
    this.index = index;
  }

  /** Number of vectors. */
  override get ntotal(): number {
    return this.index.ntotal;
  }

  /** Whether transforms and index are trained. */
  override get isTrained(): boolean {
    return this.index.isTrained && this.chain.every(({ isTrained }) => isTrained);
  }

  /** @internal */
  override factoryString(): string | undefined {
    const tokens = this.chain.map((transform) => transform.factoryString());
    const wrapped = this.index.factoryString();
    // A refinement comes last in a string: this index would be inside it.
    const isOther = this.index instanceof IndexPreTransform ||
      /,(RFlat|Refine\(.*\))$/.test(wrapped ?? "");
    if (wrapped === undefined || isOther || tokens.length === 0) return undefined;
    return tokens.includes(undefined) ? undefined : [...tokens, wrapped].join(",");
  }

  /** @internal */
  protected override parameters(): Record<string, unknown> {
    const names = this.chain.map(({ constructor, dIn, dOut }) => {
      return `${constructor.name} ${dIn} → ${dOut}`;
    });
    return { transforms: names.join(", ") };
  }

  /** Bytes that transforms and index take. */
  override memoryUsage(): number {
    const transforms = this.chain.map((transform) => transform.memoryUsage());
    return transforms.reduce((sum, bytes) => sum + bytes, this.index.memoryUsage());
  }

  /**
   * What the index behind the transforms gets.
   *
   * @param x `n × d` vectors.
   * @param signal Stops it.
   */
  async applyChain(x: Float32Array, signal?: AbortSignal): Promise<Float32Array> {
    let rows = x;
    for (const transform of this.chain) {
      rows = await transform.apply(rows, { backend: this.backend, signal });
    }
    return rows;
  }

  /** {@linkcode applyChain} on this thread. @internal */
  applyChainSync(x: Float32Array): Float32Array {
    return this.chain.reduce((rows, transform) => transform.applySync(rows), x);
  }

  /**
   * Vectors from what the index behind the transforms holds, as near as they can be found.
   *
   * @param y Vectors of the index behind the transforms.
   * @throws {UnsupportedError} If a transform cannot be reversed.
   */
  async reverseChain(y: Float32Array): Promise<Float32Array> {
    let rows = y;
    for (const transform of this.chain.toReversed()) {
      rows = await transform.reverse(rows, { backend: this.backend });
    }
    return rows;
  }

  /**
   * Bytes of a code.
   *
   * @throws {UnsupportedError} If the index behind the transforms has no codes.
   */
  get saCodeSize(): number {
    return codecOf("saCodeSize", this.index).saCodeSize;
  }

  /**
   * Codes of vectors, which are not added: those of the index behind the transforms.
   *
   * @param x `n × d` vectors.
   * @returns `n × saCodeSize` bytes.
   * @throws {NotTrainedError} If the index has to be trained first.
   * @throws {UnsupportedError} If the index behind the transforms has no codes.
   */
  async saEncode(x: VectorInput): Promise<Uint8Array> {
    this.assertUsable("saEncode");
    const rows = toRows(x, this.d, "x");
    const codec = codecOf("saEncode", this.index);
    return await this.hold("saEncode", async () => {
      if (!this.isTrained) throw new NotTrainedError("Cannot saEncode: call train() first");
      return await codec.saEncode(await this.#transformed("add", rows));
    });
  }

  /**
   * The vectors that codes stand for, as near as they can be found.
   *
   * @param codes `n × saCodeSize` bytes.
   * @returns `n × d` numbers.
   * @throws {NotTrainedError} If the index has to be trained first.
   * @throws {UnsupportedError} If a transform cannot be reversed.
   */
  async saDecode(codes: Uint8Array): Promise<Float32Array> {
    this.assertUsable("saDecode");
    const codec = codecOf("saDecode", this.index);
    return await this.hold("saDecode", async () => {
      if (!this.isTrained) throw new NotTrainedError("Cannot saDecode: call train() first");
      return await this.reverseChain(await codec.saDecode(codes));
    });
  }

  /** @internal */
  protected override async doTrain(x: Float32Array, options: TrainOptions): Promise<void> {
    if (this.isTrained) return;
    const { chain, index, backend } = this;
    const how = { backend, signal: options.signal };
    const last = index.isTrained
      ? chain.findLastIndex(({ isTrained }) => !isTrained)
      : chain.length;
    const before = chain.map((transform) => transform.clone());
    try {
      let rows = x;
      for (const [i, transform] of chain.slice(0, last + 1).entries()) {
        if (!transform.isTrained) await transform.train(rows, how);
        if (i < last) rows = await transform.apply(rows, how);
      }
      if (last === chain.length) await index.train(rows, options);
    } catch (error) {
      chain.forEach((transform, i) => Object.assign(transform, before[i]));
      throw error;
    }
  }

  /** Checked rows, transformed. */
  async #transformed(
    what: "add" | "search",
    x: Float32Array,
    signal?: AbortSignal,
  ): Promise<Float32Array> {
    checkRows(what, x, this.d, false);
    const rows = await this.applyChain(x, signal);
    this.#checkRange(what, rows);
    return rows;
  }

  /** Finite numbers by a matrix of large ones need not be. */
  #checkRange(what: string, rows: Float32Array): void {
    const at = rows.findIndex((value) => !Number.isFinite(value));
    if (at < 0) return;
    const row = `${what === "add" ? "row" : "query"} ${Math.floor(at / this.index.d)}`;
    throw new RangeError(`Cannot ${what}: transforms take ${row} out of the range of float32`);
  }

  /** @internal */
  protected override async doAdd(x: Float32Array, ids: BigInt64Array | undefined): Promise<void> {
    const rows = await this.#transformed("add", x);
    await (ids === undefined ? this.index.add(rows) : this.index.addWithIds(rows, ids));
  }

  /** @internal */
  protected override async doSearch(
    queries: Float32Array,
    k: number,
    { params }: CheckedSearch,
  ): Promise<SearchResult> {
    const rows = await this.#transformed("search", queries, params.signal);
    return await this.index.search(rows, k, params);
  }

  /** @internal */
  protected override doSearchSync(
    queries: Float32Array,
    k: number,
    { params }: CheckedSearch,
  ): SearchResult {
    checkRows("search", queries, this.d, false);
    const rows = this.applyChainSync(queries);
    this.#checkRange("search", rows);
    return this.index.searchSync(rows, k, params);
  }

  /** @internal */
  protected override async doSearchAndReconstruct(
    queries: Float32Array,
    k: number,
    { params }: CheckedSearch,
  ): Promise<SearchAndReconstructResult> {
    const rows = await this.#transformed("search", queries, params.signal);
    const found = await this.index.searchAndReconstruct(rows, k, params);
    const vectors = await this.reverseChain(found.vectors);
    found.labels.forEach((label, i) => {
      // Products of what is missing need not be missing.
      if (label === -1n) vectors.fill(NaN, i * this.d, (i + 1) * this.d);
    });
    return new SearchAndReconstructResult(found, vectors);
  }

  /** @internal */
  protected override async doRangeSearch(
    queries: Float32Array,
    radius: number,
    { params }: CheckedSearch,
  ): Promise<RangeNeighbors> {
    const rows = await this.#transformed("search", queries, params.signal);
    return await this.index.rangeSearch(rows, radius, params);
  }

  /** @internal */
  protected override doReconstruct(ids: BigInt64Array, out: Float32Array): void {
    if (ids.length === 0) return;
    const rows = this.index.reconstructBatch(ids);
    out.set(this.chain.toReversed().reduce((y, transform) => transform.reverseSync(y), rows));
  }

  /** @internal */
  protected override doRemove(selector: IDSelector): Promise<number> {
    return this.index.removeIds(selector);
  }

  /** @internal */
  override get keepsIds(): boolean {
    return this.index.keepsIds;
  }

  /** @internal */
  override renumber(newId: (id: bigint) => bigint): Promise<void> {
    return this.write("renumber", () => this.index.renumber(newId));
  }

  /** @internal */
  override checkMergeable(other: Index): void {
    super.checkMergeable(other);
    if (!(other instanceof IndexPreTransform) || other.chain.length !== this.chain.length) {
      throw new TypeError(`Cannot mergeFrom: the other has not ${this.chain.length} transforms`);
    }
    this.chain.forEach((transform, i) => transform.checkIdentical(other.chain[i]!));
    this.index.checkMergeable(other.index);
  }

  /** @internal */
  protected override doMerge(other: Index, addId: number): Promise<void> {
    return this.index.mergeFrom((other as IndexPreTransform).index, addId);
  }

  /** @internal */
  protected override async doCopy(backend: Backend): Promise<Index> {
    const chain = this.chain.map((transform) => transform.clone());
    const copy = new IndexPreTransform(chain, await this.index.to(backend));
    copy.ownFields = true;
    return copy;
  }

  /** @internal */
  protected override doReset(): Promise<void> {
    return this.index.reset();
  }

  /** @internal */
  protected override doDispose(): void {
    if (this.ownFields) this.index.dispose();
  }

  /** @internal */
  protected override ids(): BigInt64Array | number {
    return Index.idsOf(this.index);
  }
}
