/**
 * Search over vectors of which each part is one number.
 *
 * @module
 */

import type { Backend } from "../backend/backend.ts";
import { ProductQuantizer } from "../codec/product_quantizer.ts";
import { Metric } from "../metric.ts";
import { copyProduct } from "./code_checks.ts";
import { IndexFlatCodes } from "./flat_codes.ts";
import type { Index, IndexOptions } from "./index.ts";
import { IndexIVFCodes, type IVFCodesOptions } from "./ivf_codes.ts";

/** FAISS's token of a product quantizer. */
function tokenOf({ M, nbits }: ProductQuantizer): string {
  return `PQ${M}x${nbits}`;
}

/**
 * Vectors of which each of `M` parts takes `nbits` bits, all of which a search looks at. Search
 * is exact for what the codes stand for.
 *
 * @example
 * ```ts
 * import { IndexPQ, Random } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * const random = new Random(1);
 * const x = Float32Array.from({ length: 640 * 8 }, () => random.normal());
 * using index = new IndexPQ(8, 4, 4);
 * await index.train(x);
 * await index.add(x);
 * assert.equal(index.saCodeSize, 2);
 * assert.equal((await index.search(x.subarray(0, 8), 3)).labels.length, 3);
 * ```
 */
export class IndexPQ extends IndexFlatCodes {
  /** The quantizer. */
  readonly pq: ProductQuantizer;

  /**
   * An index that has to be trained.
   *
   * @param d Dimension.
   * @param M Parts of a vector; divides `d`.
   * @param nbits Bits of a part's number, 1 to 16.
   * @param metric {@linkcode Metric.L2}, {@linkcode Metric.InnerProduct} or
   * {@linkcode Metric.Cosine}.
   * @param options Backend.
   * @throws {RangeError} If a number is out of range, `d` is not divisible by `M`, or there is
   * no such metric.
   * @throws {UnsupportedError} If the backend is the GPU.
   */
  constructor(
    d: number,
    M: number,
    nbits = 8,
    metric: Metric = Metric.L2,
    options: IndexOptions = {},
  ) {
    const pq = new ProductQuantizer(d, M, nbits, options);
    super(pq, metric, options);
    this.pq = pq;
  }

  /** @internal */
  override factoryString(): string | undefined {
    return tokenOf(this.pq);
  }

  /** @internal */
  protected override parameters(): Record<string, unknown> {
    return { M: this.pq.M, nbits: this.pq.nbits };
  }

  /** @internal */
  protected override makeEmpty(backend: Backend): IndexPQ {
    const { d, M, nbits } = this.pq;
    const copy = new IndexPQ(d, M, nbits, this.metric, { backend });
    copyProduct(this.pq, copy.pq);
    return copy;
  }
}

/**
 * Vectors of which each of `M` parts takes `nbits` bits, in the lists of their nearest
 * centroids. Codes are of residuals, unless `byResidual` is false.
 *
 * @example
 * ```ts
 * import { IndexFlatL2, IndexIVFPQ, Random } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * const random = new Random(1);
 * const x = Float32Array.from({ length: 640 * 8 }, () => random.normal());
 * using index = new IndexIVFPQ(new IndexFlatL2(8), 8, 4, 4, 4);
 * await index.train(x);
 * await index.add(x);
 * const found = await index.search(x.subarray(0, 8), 3, { nprobe: 4 });
 * assert.equal(found.labels.length, 3);
 * ```
 */
export class IndexIVFPQ extends IndexIVFCodes {
  /** The quantizer of what is in the lists. */
  readonly pq: ProductQuantizer;

  /**
   * An index without vectors.
   *
   * @param quantizer Index that holds the centroids; empty until trained.
   * @param d Dimension.
   * @param nlist Number of lists.
   * @param M Parts of a vector; divides `d`.
   * @param nbits Bits of a part's number, 1 to 16.
   * @param metric {@linkcode Metric.L2}, {@linkcode Metric.InnerProduct} or
   * {@linkcode Metric.Cosine}.
   * @param options Backend and `byResidual`.
   * @throws {RangeError} If a number is out of range, `d` is not divisible by `M`, or there is
   * no such metric.
   * @throws {TypeError} If the quantizer has another dimension.
   * @throws {UnsupportedError} If the backend is the GPU.
   */
  constructor(
    quantizer: Index,
    d: number,
    nlist: number,
    M: number,
    nbits = 8,
    metric: Metric = Metric.L2,
    options: IVFCodesOptions = {},
  ) {
    const backend = options.backend ?? quantizer.backend;
    const pq = new ProductQuantizer(d, M, nbits, { backend });
    super(quantizer, pq, nlist, metric, options);
    this.pq = pq;
  }

  /** @internal */
  protected override codeName(): string | undefined {
    return this.byResidual ? tokenOf(this.pq) : undefined;
  }

  /** @internal */
  protected override parameters(): Record<string, unknown> {
    return { ...super.parameters(), M: this.pq.M, nbits: this.pq.nbits };
  }

  /** @internal */
  protected override encoderVectors(): number {
    return this.pq.ksub * (this.pq.cp.maxPointsPerCentroid ?? 256);
  }

  /** @internal */
  protected override makeEmpty(quantizer: Index): IndexIVFPQ {
    const { d, nlist, metric, byResidual, pq: { M, nbits } } = this;
    const copy = new IndexIVFPQ(quantizer, d, nlist, M, nbits, metric, { byResidual });
    copyProduct(this.pq, copy.pq);
    return copy;
  }
}
