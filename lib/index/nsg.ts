/**
 * Search through navigating spreading-out graphs.
 *
 * @module
 */

import type { Backend, GraphRows, HNSWSearch, StoreSearch } from "../backend/backend.ts";
import type { Codec } from "../codec/codec.ts";
import { ProductQuantizer } from "../codec/product_quantizer.ts";
import { quantizerShapes, type QuantizerType } from "../codec/quantizer_type.ts";
import { ScalarQuantizer } from "../codec/scalar_quantizer.ts";
import { Metric } from "../metric.ts";
import { copyProduct, copyScalar } from "./code_checks.ts";
import { checkLinks, checkList, type GraphShape, IndexGraph } from "./graph.ts";
import type { IndexOptions, SearchParameters } from "./index.ts";
import { descentPlan, type NNDescentParameters } from "./nn_descent.ts";
import type { RangeOptions } from "./scalar_quantizer.ts";

/** Parameters of a graph, by FAISS's names. */
export interface NSGParameters {
  /** Links of a vector, at most. */
  readonly R: number;
  /** Vectors kept while those are looked for that a new one may be linked to. */
  L: number;
  /** Of these, and of its neighbors, those that are considered. */
  C: number;
  /** Vectors that a search keeps, k at least: more find more. */
  searchL: number;
}

/** How the neighbors of vectors are found that a graph is made of. */
export interface NSGBuild extends NNDescentParameters {
  /** Neighbors of a vector. */
  GK: number;
  /** 0: by comparing every vector with all others; 1: by NN-descent. */
  buildType: 0 | 1;
}

/**
 * Vectors or codes, each linked to a few near it that lie in different directions, so that a walk
 * from the middle finds its way (navigating spreading-out graph). The first vectors that are added
 * make the graph; later ones are linked into it, and vectors can be removed and replaced.
 */
export abstract class IndexNSG extends IndexGraph {
  /** Parameters: all but `nsg.R` may be set. */
  readonly nsg: NSGParameters;
  /** How a graph is made of the first vectors. */
  readonly build: NSGBuild;

  /**
   * An empty index.
   *
   * @param d Dimension.
   * @param R Links of a vector; 16 to 64 are usual.
   * @param metric How vectors are compared.
   * @param options Backend, and `metricArg` of {@linkcode Metric.Lp}.
   * @param codec What turns vectors into codes, if anything does.
   * @throws {RangeError} If `d` or `R` is out of range, or there is no such metric.
   */
  constructor(d: number, R: number, metric: Metric, options: IndexOptions, codec?: Codec) {
    super(d, metric, options, codec);
    checkLinks("R", R, 1);
    // FAISS's numbers.
    this.nsg = { R, L: R + 32, C: R + 100, searchL: 16 };
    this.build = { GK: 64, buildType: 1, S: 10, R: 100, L: 114, iter: 10 };
  }

  /** @internal */
  protected override shape(): GraphShape {
    return { m: this.nsg.R, width: this.nsg.R, start: "links" };
  }

  /** @internal */
  protected override parameters(): Record<string, unknown> {
    return { ...this.nsg, GK: this.build.GK };
  }

  /** @internal */
  protected override buildList(): number {
    return checkList("L", this.nsg.L);
  }

  /** @internal */
  protected override walkOf(params: SearchParameters): Omit<HNSWSearch, keyof StoreSearch> {
    const efSearch = checkList("searchL", params.searchL ?? this.nsg.searchL);
    return { efSearch };
  }

  /** @internal */
  protected override async link(rows: GraphRows, n: number): Promise<void> {
    const { store, build } = this;
    const list = this.buildList();
    if (store.count > 0) return await store.add(rows, new Uint8Array(n), list);
    const neighbors = checkList("GK", build.GK);
    checkLinks("GK", neighbors, 1);
    const plan = { ...descentPlan(build, neighbors), exact: build.buildType === 0 };
    const candidates = checkList("C", this.nsg.C);
    await store.addRows(rows);
    await store.build({ ...plan, kind: "spread", list, candidates });
  }

  /** Gives another index the parameters of this one. @internal */
  protected configure<T extends IndexNSG>(copy: T): T {
    Object.assign(copy.nsg, this.nsg);
    Object.assign(copy.build, this.build);
    return copy;
  }
}

/**
 * Vectors kept as they are, each linked to a few near it that lie in different directions
 * (navigating spreading-out graph).
 *
 * @example
 * ```ts
 * import { IndexNSGFlat, Random } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * const random = new Random(1);
 * const x = Float32Array.from({ length: 500 * 4 }, () => random.normal());
 * using index = new IndexNSGFlat(4, 16);
 * await index.add(x);
 * const found = await index.search(x.subarray(0, 4), 1, { searchL: 32 });
 * assert.deepEqual(found.row(0), [{ id: 0, distance: 0 }]);
 * ```
 */
export class IndexNSGFlat extends IndexNSG {
  /**
   * An empty index.
   *
   * @param d Dimension.
   * @param R Links of a vector; 16 to 64 are usual.
   * @param metric How vectors are compared.
   * @param options Backend, and `metricArg` of {@linkcode Metric.Lp}.
   * @throws {RangeError} If `d` or `R` is out of range, or there is no such metric.
   * @throws {UnsupportedError} If the backend is a GPU.
   */
  constructor(d: number, R = 32, metric: Metric = Metric.L2, options: IndexOptions = {}) {
    super(d, R, metric, options);
    void this.store;
  }

  /** @internal */
  override factoryString(): string | undefined {
    return `NSG${this.nsg.R},Flat`;
  }

  /** @internal */
  protected override makeEmpty(backend: Backend): IndexNSGFlat {
    const { d, metric, metricArg, nsg } = this;
    return this.configure(new IndexNSGFlat(d, nsg.R, metric, { backend, metricArg }));
  }
}

/**
 * Vectors whose numbers take 4 to 16 bits, each linked to a few near it that lie in different
 * directions (navigating spreading-out graph).
 *
 * @example
 * ```ts
 * import { IndexNSGSQ, QuantizerType } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * using index = new IndexNSGSQ(2, QuantizerType.QTfp16, 16);
 * await index.add([[0, 0], [3, 4]]);
 * assert.deepEqual((await index.search([[3, 3]], 1)).row(0), [{ id: 1, distance: 1 }]);
 * ```
 */
export class IndexNSGSQ extends IndexNSG {
  /** The quantizer. */
  readonly sq: ScalarQuantizer;

  /**
   * An empty index.
   *
   * @param d Dimension.
   * @param qtype How a number is kept.
   * @param R Links of a vector; 16 to 64 are usual.
   * @param metric {@linkcode Metric.L2}, {@linkcode Metric.InnerProduct} or
   * {@linkcode Metric.Cosine}.
   * @param options Backend, and how the range of numbers is found.
   * @throws {RangeError} If `d` or `R` is out of range, or there is no such type or metric.
   * @throws {UnsupportedError} If the backend is the GPU.
   */
  constructor(
    d: number,
    qtype: QuantizerType,
    R = 32,
    metric: Metric = Metric.L2,
    options: IndexOptions & RangeOptions = {},
  ) {
    const sq = new ScalarQuantizer(d, qtype, options);
    super(d, R, metric, options, sq);
    this.sq = sq;
  }

  /** @internal */
  override factoryString(): string | undefined {
    const { token } = quantizerShapes[this.sq.qtype];
    return token && `NSG${this.nsg.R},${token}`;
  }

  /** @internal */
  protected override makeEmpty(backend: Backend): IndexNSGSQ {
    const { qtype, rangeStat, rangeStatArg } = this.sq;
    const options = { backend, rangeStat, rangeStatArg };
    const copy = new IndexNSGSQ(this.d, qtype, this.nsg.R, this.metric, options);
    copyScalar(this.sq, copy.sq);
    return this.configure(copy);
  }
}

/**
 * Vectors of which each of some parts takes a few bits, each linked to a few near it that lie in
 * different directions (navigating spreading-out graph).
 *
 * @example
 * ```ts
 * import { IndexNSGPQ, Random } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * const random = new Random(1);
 * const x = Float32Array.from({ length: 640 * 8 }, () => random.normal());
 * using index = new IndexNSGPQ(8, 4, 16, 4);
 * await index.train(x);
 * await index.add(x);
 * assert.equal((await index.search(x.subarray(0, 8), 3)).labels.length, 3);
 * ```
 */
export class IndexNSGPQ extends IndexNSG {
  /** The quantizer. */
  readonly pq: ProductQuantizer;

  /**
   * An index that has to be trained.
   *
   * @param d Dimension.
   * @param pqM Parts of a vector; divides `d`.
   * @param R Links of a vector; 16 to 64 are usual.
   * @param nbits Bits of a part's number, 1 to 16.
   * @param metric {@linkcode Metric.L2}, {@linkcode Metric.InnerProduct} or
   * {@linkcode Metric.Cosine}; FAISS's own is L2 alone.
   * @param options Backend.
   * @throws {RangeError} If a number is out of range, `d` is not divisible by `pqM`, or there is no
   * such metric.
   * @throws {UnsupportedError} If the backend is the GPU.
   */
  constructor(
    d: number,
    pqM: number,
    R = 32,
    nbits = 8,
    metric: Metric = Metric.L2,
    options: IndexOptions = {},
  ) {
    const pq = new ProductQuantizer(d, pqM, nbits, options);
    super(d, R, metric, options, pq);
    this.pq = pq;
  }

  /** @internal */
  override factoryString(): string | undefined {
    return `NSG${this.nsg.R},PQ${this.pq.M}x${this.pq.nbits}`;
  }

  /** @internal */
  protected override makeEmpty(backend: Backend): IndexNSGPQ {
    const { M, nbits } = this.pq;
    const copy = new IndexNSGPQ(this.d, M, this.nsg.R, nbits, this.metric, { backend });
    copyProduct(this.pq, copy.pq);
    return this.configure(copy);
  }
}
