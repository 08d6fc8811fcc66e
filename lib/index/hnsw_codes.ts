/**
 * Search through graphs of codes.
 *
 * @module
 */

import type { Backend } from "../backend/backend.ts";
import { ProductQuantizer } from "../codec/product_quantizer.ts";
import { quantizerShapes, type QuantizerType } from "../codec/quantizer_type.ts";
import { ScalarQuantizer } from "../codec/scalar_quantizer.ts";
import { Metric } from "../metric.ts";
import { copyProduct, copyScalar } from "./code_checks.ts";
import { IndexHNSW } from "./hnsw.ts";
import type { IndexOptions } from "./index.ts";
import type { RangeOptions } from "./scalar_quantizer.ts";

/**
 * Vectors whose numbers take 4 to 16 bits, each linked to others near it (hierarchical navigable
 * small world). The graph is that of what the codes stand for, and so are distances.
 *
 * @example
 * ```ts
 * import { IndexHNSWSQ, QuantizerType } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * using index = new IndexHNSWSQ(2, QuantizerType.QTfp16, 16);
 * await index.add([[0, 0], [3, 4]]);
 * assert.deepEqual((await index.search([[3, 3]], 1)).row(0), [{ id: 1, distance: 1 }]);
 * assert.equal(await index.removeIds([0]), 1);
 * ```
 */
export class IndexHNSWSQ extends IndexHNSW {
  /** The quantizer. */
  readonly sq: ScalarQuantizer;

  /**
   * An empty index.
   *
   * @param d Dimension.
   * @param qtype How a number is kept.
   * @param M Links of a vector; 16 to 64 are usual.
   * @param metric {@linkcode Metric.L2}, {@linkcode Metric.InnerProduct} or
   * {@linkcode Metric.Cosine}.
   * @param options Backend, and how the range of numbers is found.
   * @throws {RangeError} If `d` or `M` is out of range, or there is no such type or metric.
   * @throws {UnsupportedError} If the backend is the GPU.
   */
  constructor(
    d: number,
    qtype: QuantizerType,
    M = 32,
    metric: Metric = Metric.L2,
    options: IndexOptions & RangeOptions = {},
  ) {
    const sq = new ScalarQuantizer(d, qtype, options);
    super(d, M, metric, options, sq);
    this.sq = sq;
  }

  /** @internal */
  override factoryString(): string | undefined {
    const { token } = quantizerShapes[this.sq.qtype];
    return token && `HNSW${this.hnsw.M},${token}`;
  }

  /** @internal */
  protected override makeEmpty(backend: Backend): IndexHNSWSQ {
    const { qtype, rangeStat, rangeStatArg } = this.sq;
    const options = { backend, rangeStat, rangeStatArg };
    const copy = new IndexHNSWSQ(this.d, qtype, this.hnsw.M, this.metric, options);
    Object.assign(copy.hnsw, this.hnsw);
    copyScalar(this.sq, copy.sq);
    return copy;
  }
}

/**
 * Vectors of which each of some parts takes a few bits, each linked to others near it (hierarchical
 * navigable small world). The graph is that of what the codes stand for, and so are distances.
 *
 * @example
 * ```ts
 * import { IndexHNSWPQ, Random } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * const random = new Random(1);
 * const x = Float32Array.from({ length: 640 * 8 }, () => random.normal());
 * using index = new IndexHNSWPQ(8, 4, 16, 4);
 * await index.train(x);
 * await index.add(x);
 * assert.equal(index.saCodeSize, 2);
 * assert.equal((await index.search(x.subarray(0, 8), 3)).labels.length, 3);
 * ```
 */
export class IndexHNSWPQ extends IndexHNSW {
  /** The quantizer. */
  readonly pq: ProductQuantizer;

  /**
   * An index that has to be trained.
   *
   * @param d Dimension.
   * @param pqM Parts of a vector; divides `d`.
   * @param M Links of a vector; 16 to 64 are usual.
   * @param nbits Bits of a part's number, 1 to 16.
   * @param metric {@linkcode Metric.L2}, {@linkcode Metric.InnerProduct} or
   * {@linkcode Metric.Cosine}.
   * @param options Backend.
   * @throws {RangeError} If a number is out of range, `d` is not divisible by `pqM`, or there is no
   * such metric.
   * @throws {UnsupportedError} If the backend is the GPU.
   */
  constructor(
    d: number,
    pqM: number,
    M = 32,
    nbits = 8,
    metric: Metric = Metric.L2,
    options: IndexOptions = {},
  ) {
    const pq = new ProductQuantizer(d, pqM, nbits, options);
    super(d, M, metric, options, pq);
    this.pq = pq;
  }

  /** @internal */
  override factoryString(): string | undefined {
    return `HNSW${this.hnsw.M},PQ${this.pq.M}x${this.pq.nbits}`;
  }

  /** @internal */
  protected override makeEmpty(backend: Backend): IndexHNSWPQ {
    const { M, nbits } = this.pq;
    const copy = new IndexHNSWPQ(this.d, M, this.hnsw.M, nbits, this.metric, { backend });
    Object.assign(copy.hnsw, this.hnsw);
    copyProduct(this.pq, copy.pq);
    return copy;
  }
}
