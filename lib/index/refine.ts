/**
 * Candidates of one index, compared again by another.
 *
 * @module
 */

import type { Backend, RangeNeighbors, RunInfo } from "../backend/backend.ts";
import { checkRows } from "../backend/reference/scan.ts";
import { toRows, type VectorInput } from "../matrix.ts";
import { isSimilarity, Metric } from "../metric.ts";
import { SearchResult } from "../result.ts";
import { type IDSelector, IDSelectorRange, toBitmap } from "../selector.ts";
import { IndexFlat, IndexFlatIP, IndexFlatL2 } from "./flat.ts";
import { type CheckedSearch, Index, type SearchParameters, type TrainOptions } from "./index.ts";
import { checkNesting } from "./nesting.ts";
import { IndexPreTransform } from "./pre_transform.ts";
import { codecOf, countCodes, type StandaloneCodec } from "./standalone_codec.ts";
import { type Comparer, type Kept, rerank, withinRadius } from "./rerank.ts";

/**
 * Finds `k · kFactor` candidates with a base index, whose distances may be rough, and keeps the `k`
 * nearest by the vectors of a second index. Both number vectors by position.
 *
 * @example
 * ```ts
 * import { IndexFlatL2, IndexRefine } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * using base = new IndexFlatL2(2);
 * using exact = new IndexFlatL2(2);
 * using index = new IndexRefine(base, exact);
 * index.kFactor = 2;
 * await index.add([[0, 0], [3, 4], [3, 5]]);
 * assert.deepEqual((await index.search([[3, 3]], 1)).row(0), [{ id: 1, distance: 1 }]);
 * ```
 */
export class IndexRefine extends Index {
  /** Finds candidates. */
  readonly baseIndex: Index;
  /** Compares them. */
  readonly refineIndex: Index;
  /** Candidates for each result. */
  kFactor = 1;
  /** Whether disposing of this index disposes of the base index too. */
  ownFields = false;
  /** Whether disposing of this index disposes of the index that compares. */
  ownRefineIndex = false;

  /**
   * Puts two indexes together.
   *
   * @param baseIndex Finds candidates.
   * @param refineIndex Compares them: any that can reconstruct its vectors.
   * @throws {TypeError} If dimensions, metrics, backends or numbers of vectors differ.
   */
  constructor(baseIndex: Index, refineIndex: Index) {
    const { d, metric, metricArg, backend, ntotal } = baseIndex;
    super(d, metric, { metricArg, backend });
    const fits = refineIndex.d === d && refineIndex.metric === metric &&
      refineIndex.metricArg === metricArg && refineIndex.backend.name === backend.name;
    if (!fits) {
      throw new TypeError("Cannot refine: d, metric or backend of the two indexes differ");
    }
    if (refineIndex.ntotal !== ntotal) {
      throw new TypeError(
        `Cannot refine: the indexes hold ${ntotal} and ${refineIndex.ntotal} vectors`,
      );
    }
    checkNesting(this, baseIndex, refineIndex);
    this.baseIndex = baseIndex;
    this.refineIndex = refineIndex;
  }

  /** Number of vectors. */
  override get ntotal(): number {
    return this.refineIndex.ntotal;
  }

  /** Whether both indexes are trained. */
  override get isTrained(): boolean {
    return this.baseIndex.isTrained && this.refineIndex.isTrained;
  }

  /** @internal */
  override factoryString(): string | undefined {
    const [base, refine] = [this.baseIndex.factoryString(), this.refineIndex.factoryString()];
    // An IDMap comes first in a string: this one would be inside it.
    if (base === undefined || refine === undefined || /^IDMap2?,/.test(base)) return undefined;
    return `${base},${refine === "Flat" ? "RFlat" : `Refine(${refine})`}`;
  }

  /** @internal */
  protected override parameters(): Record<string, unknown> {
    return { kFactor: this.kFactor, base: this.baseIndex.constructor.name };
  }

  /** Bytes that both indexes take. */
  override memoryUsage(): number {
    return this.baseIndex.memoryUsage() + this.refineIndex.memoryUsage();
  }

  /**
   * Bytes of a code: the base index's, then that of the index that compares.
   *
   * @throws {UnsupportedError} If one of them has no codes.
   */
  get saCodeSize(): number {
    return this.#codecs("saCodeSize").reduce((sum, { saCodeSize }) => sum + saCodeSize, 0);
  }

  #codecs(name: string): [StandaloneCodec, StandaloneCodec] {
    return [codecOf(name, this.baseIndex), codecOf(name, this.refineIndex)];
  }

  /**
   * Codes of vectors, which are not added: of both indexes, one after the other.
   *
   * @param x `n × d` vectors.
   * @returns `n × saCodeSize` bytes.
   * @throws {NotTrainedError} If the index has to be trained first.
   * @throws {UnsupportedError} If one of the indexes has no codes.
   */
  async saEncode(x: VectorInput): Promise<Uint8Array> {
    this.assertUsable("saEncode");
    const rows = toRows(x, this.d, "x");
    const [base, refine] = this.#codecs("saEncode");
    return await this.hold("saEncode", async () => {
      const [first, second] = [await base.saEncode(rows), await refine.saEncode(rows)];
      const [a, b] = [base.saCodeSize, refine.saCodeSize];
      const out = new Uint8Array(first.length + second.length);
      for (let i = 0; i * (a + b) < out.length; i++) {
        out.set(first.subarray(i * a, (i + 1) * a), i * (a + b));
        out.set(second.subarray(i * b, (i + 1) * b), i * (a + b) + a);
      }
      return out;
    });
  }

  /**
   * The vectors that codes stand for, by the index that compares.
   *
   * @param codes `n × saCodeSize` bytes.
   * @returns `n × d` numbers.
   * @throws {NotTrainedError} If the index has to be trained first.
   * @throws {TypeError} If there are no whole codes.
   */
  async saDecode(codes: Uint8Array): Promise<Float32Array> {
    this.assertUsable("saDecode");
    const [base, refine] = this.#codecs("saDecode");
    return await this.hold("saDecode", async () => {
      const [a, b] = [base.saCodeSize, refine.saCodeSize];
      const n = countCodes(codes, a + b);
      const second = new Uint8Array(n * b);
      for (let i = 0; i < n; i++) {
        second.set(codes.subarray(i * (a + b) + a, (i + 1) * (a + b)), i * b);
      }
      return await refine.saDecode(second);
    });
  }

  /** @internal */
  protected override async doTrain(x: Float32Array, options: TrainOptions): Promise<void> {
    await this.baseIndex.train(x, options);
    await this.refineIndex.train(x, options);
  }

  /** @internal */
  protected override async doAdd(x: Float32Array, ids: BigInt64Array | undefined): Promise<void> {
    if (ids !== undefined) {
      throw this.unsupported("addWithIds", "an id is a position; wrap it in IndexIDMap");
    }
    checkRows("add", x, this.d, this.metric === Metric.NaNEuclidean);
    const n = this.ntotal;
    await this.baseIndex.add(x);
    try {
      await this.refineIndex.add(x);
    } catch (error) {
      await removePositions(this.baseIndex, this.baseIndex.ntotal, new IDSelectorRange(n, 2 ** 52));
      throw error;
    }
  }

  /** @internal */
  protected override async doSearch(
    queries: Float32Array,
    k: number,
    how: CheckedSearch,
  ): Promise<SearchResult> {
    const count = Math.floor(k * this.#factor(how));
    const found = await this.baseIndex.search(queries, count, this.#inner(how));
    const { index, queries: rows } = await this.#comparer(queries);
    if (!(index instanceof IndexFlat) || index.store.rerank === undefined) {
      return refined(found, rerank({ index, queries: rows }, found, k), k);
    }
    const { store } = index;
    const compare = () => store.rerank!(rows, found.labels, k, index.comparison(how.params.signal));
    return refined(found, await index.hold("search", compare), k);
  }

  /** @internal */
  protected override doSearchSync(
    queries: Float32Array,
    k: number,
    how: CheckedSearch,
  ): SearchResult {
    const count = Math.floor(k * this.#factor(how));
    const found = this.baseIndex.searchSync(queries, count, this.#inner(how));
    let [index, rows] = [this.refineIndex, queries];
    for (; index instanceof IndexPreTransform; index = index.index) {
      rows = index.applyChainSync(rows);
    }
    return refined(
      found,
      index instanceof IndexFlat && index.store.rerankSync
        ? index.store.rerankSync(rows, found.labels, k, index.comparison())
        : rerank({ index, queries: rows }, found, k),
      k,
    );
  }

  /** @internal */
  protected override async doRangeSearch(
    queries: Float32Array,
    radius: number,
    how: CheckedSearch,
  ): Promise<RangeNeighbors> {
    const factor = this.#factor(how);
    // The base's radius is wider by the factor: for a similarity that is a lower one.
    const isNarrowed = isSimilarity(this.metric) === radius > 0;
    const wide = isNarrowed ? radius / factor : radius * factor;
    const { labels, lims, run } = await this.baseIndex.rangeSearch(
      queries,
      wide,
      this.#inner(how),
    );
    const found = withinRadius(await this.#comparer(queries), { labels, lims }, radius);
    return { ...found, run: refinedRun(run, labels.length) };
  }

  #factor({ params }: CheckedSearch): number {
    const factor = params.kFactor ?? this.kFactor;
    if (!(factor >= 1 && factor < Infinity)) {
      throw new RangeError(`Cannot search: kFactor ${factor} is no number from 1`);
    }
    return factor;
  }

  #inner({ params }: CheckedSearch): SearchParameters {
    const { kFactor: _own, baseIndexParams, ...all } = params;
    return { ...all, ...baseIndexParams };
  }

  /** What has the vectors that are compared: behind transforms, as queries then are too. */
  async #comparer(queries: Float32Array): Promise<Comparer> {
    let [index, rows] = [this.refineIndex, queries];
    for (; index instanceof IndexPreTransform; index = index.index) {
      rows = await index.applyChain(rows);
    }
    return { index, queries: rows };
  }

  /** @internal */
  protected override doReconstruct(ids: BigInt64Array, out: Float32Array): void {
    if (ids.length > 0) out.set(this.refineIndex.reconstructBatch(ids));
  }

  /** @internal */
  protected override async doRemove(selector: IDSelector): Promise<number> {
    const gone = toBitmap(selector, this.ntotal);
    const before = this.ntotal;
    await removePositions(this.baseIndex, before, gone);
    await removePositions(this.refineIndex, before, gone);
    return before - this.ntotal;
  }

  /** @internal */
  override checkMergeable(other: Index): void {
    super.checkMergeable(other);
    if (!(other instanceof IndexRefine)) {
      throw new TypeError(`Cannot mergeFrom: a ${other.constructor.name} is no IndexRefine`);
    }
    this.baseIndex.checkMergeable(other.baseIndex);
    this.refineIndex.checkMergeable(other.refineIndex);
  }

  /** @internal */
  protected override async doMerge(other: Index, addId: number): Promise<void> {
    if (addId !== 0) throw this.unsupported("mergeFrom with addId", "an id is a position");
    const { baseIndex, refineIndex } = other as IndexRefine;
    const n = this.ntotal;
    await this.baseIndex.mergeFrom(baseIndex, this.baseIndex.keepsIds ? n : 0);
    await this.refineIndex.mergeFrom(refineIndex, this.refineIndex.keepsIds ? n : 0);
  }

  /** @internal */
  protected override async doCopy(backend: Backend): Promise<Index> {
    const base = await this.baseIndex.to(backend);
    try {
      const refine = await this.refineIndex.to(backend);
      const copy = refine instanceof IndexFlat && this instanceof IndexRefineFlat
        ? new IndexRefineFlat(base, refine)
        : new IndexRefine(base, refine);
      copy.kFactor = this.kFactor;
      copy.ownFields = copy.ownRefineIndex = true;
      return copy;
    } catch (error) {
      base.dispose();
      throw error;
    }
  }

  /** @internal */
  protected override async doReset(): Promise<void> {
    await this.baseIndex.reset();
    await this.refineIndex.reset();
  }

  /** @internal */
  protected override doDispose(): void {
    if (this.ownFields) this.baseIndex.dispose();
    if (this.ownRefineIndex) this.refineIndex.dispose();
  }

  /** @internal */
  protected override ids(): number {
    return this.ntotal;
  }
}

/** Removes rows by position; ids that stay when others go are given anew. */
async function removePositions(index: Index, n: number, gone: IDSelector): Promise<void> {
  if (!index.keepsIds) {
    await index.removeIds(gone);
    return;
  }
  let next = 0n;
  const moved = BigInt64Array.from(
    { length: n },
    (_, i) => gone.isMember(BigInt(i)) ? -1n : next++,
  );
  await index.renumber((position) => moved[Number(position)] ?? -1n);
}

/** Candidates that were compared, as what a search found. */
function refined(found: SearchResult, kept: Kept, k: number): SearchResult {
  return new SearchResult(kept.distances, kept.labels, k, refinedRun(found.run, kept.run.scanned));
}

/** What ran, and the candidates that were compared again. */
function refinedRun(run: RunInfo, compared: number): RunInfo {
  return {
    ...run,
    variants: [...run.variants, "rerank_f64"],
    recomputed: run.recomputed + compared,
  };
}

/**
 * {@linkcode IndexRefine} by the vectors as they are.
 *
 * @example
 * ```ts
 * import { IndexFlatL2, IndexRefineFlat } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * using base = new IndexFlatL2(2);
 * using index = new IndexRefineFlat(base);
 * await index.add([[0, 0], [3, 4], [3, 5]]);
 * assert.deepEqual((await index.search([[3, 3]], 1, { kFactor: 2 })).row(0), [
 *   { id: 1, distance: 1 },
 * ]);
 * ```
 */
export class IndexRefineFlat extends IndexRefine {
  /**
   * Keeps vectors beside an index of their codes.
   *
   * @param baseIndex Finds candidates.
   * @param flat The vectors that the base index holds, in order; it is owned from now on. By default
   * empty, as the base index then has to be.
   * @throws {TypeError} If the two do not hold as many vectors.
   */
  constructor(baseIndex: Index, flat: IndexFlat = makeFlat(baseIndex)) {
    super(baseIndex, flat);
    this.ownRefineIndex = true;
  }
}

function makeFlat({ d, metric, metricArg, backend, ntotal }: Index): IndexFlat {
  if (ntotal > 0) {
    throw new TypeError(`Cannot refine: the base index holds ${ntotal} vectors; give them too`);
  }
  if (metric === Metric.L2) return new IndexFlatL2(d, { backend });
  if (metric === Metric.InnerProduct) return new IndexFlatIP(d, { backend });
  return new IndexFlat(d, metric, { metricArg, backend });
}
