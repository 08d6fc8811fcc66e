/**
 * Search among lists of vectors that are sums of rows of codebooks.
 *
 * @module
 */

import type { AdditiveQuantizer, AdditiveQuantizerOptions } from "../codec/additive_quantizer.ts";
import { LocalSearchQuantizer } from "../codec/local_search_quantizer.ts";
import {
  ProductLocalSearchQuantizer,
  ProductResidualQuantizer,
} from "../codec/product_additive_quantizer.ts";
import { ResidualQuantizer } from "../codec/residual_quantizer.ts";
import { Metric } from "../metric.ts";
import { additiveParameters, additiveToken, copyAdditive } from "./additive_copies.ts";
import type { Index } from "./index.ts";
import { IndexIVFCodes, type IVFCodesOptions } from "./ivf_codes.ts";

/** Options of an index with lists of additive codes. */
export type IVFAdditiveOptions = IVFCodesOptions & Pick<AdditiveQuantizerOptions, "searchType">;

/** Vectors kept as sums of rows of codebooks, in the lists of their nearest centroids. */
export abstract class IndexIVFAdditiveQuantizer<
  Q extends AdditiveQuantizer = AdditiveQuantizer,
> extends IndexIVFCodes {
  /** The quantizer of what is in the lists. */
  readonly aq: Q;

  /** An index without vectors. */
  constructor(
    quantizer: Index,
    aq: Q,
    nlist: number,
    metric: Metric,
    options: IVFCodesOptions = {},
  ) {
    super(quantizer, aq, nlist, metric, options);
    this.aq = aq;
  }

  /** @internal */
  protected override codeName(): string | undefined {
    return this.byResidual ? additiveToken(this.aq, this.metric) : undefined;
  }

  /** @internal */
  protected override parameters(): Record<string, unknown> {
    return { ...super.parameters(), ...additiveParameters(this.aq) };
  }

  /** @internal */
  protected override encoderVectors(): number {
    return 1024 * 2 ** this.aq.nbits[0]!;
  }

  /** @internal */
  protected override makeEmpty(quantizer: Index): IndexIVFCodes {
    const { byResidual, aq: { searchType } } = this;
    const copy = this.makeLike(quantizer, { byResidual, searchType });
    copyAdditive(this.aq, copy.aq);
    return copy;
  }

  /** An index of the same kind. @internal */
  protected abstract makeLike(
    quantizer: Index,
    options: IVFAdditiveOptions,
  ): IndexIVFAdditiveQuantizer;
}

/** Where a quantizer runs. */
function onBackend(quantizer: Index, options: IVFAdditiveOptions): AdditiveQuantizerOptions {
  return { backend: options.backend ?? quantizer.backend, searchType: options.searchType };
}

/**
 * Vectors kept as one row each of several codebooks, each found for what those before leave, in the lists
 * of their nearest centroids. Codes are of residuals, unless `byResidual` is false.
 *
 * @example
 * ```ts
 * import { IndexFlatL2, IndexIVFResidualQuantizer, Random } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * const random = new Random(1);
 * const x = Float32Array.from({ length: 640 * 8 }, () => random.normal());
 * using index = new IndexIVFResidualQuantizer(new IndexFlatL2(8), 8, 4, 2, 4);
 * index.ownFields = true;
 * await index.train(x);
 * await index.add(x);
 * const found = await index.search(x.subarray(0, 8), 3, { nprobe: 4 });
 * assert.equal(found.labels.length, 3);
 * ```
 */
export class IndexIVFResidualQuantizer extends IndexIVFAdditiveQuantizer<ResidualQuantizer> {
  /**
   * An index without vectors.
   *
   * @param quantizer Index that holds the centroids; empty until trained.
   * @param d Dimension.
   * @param nlist Number of lists.
   * @param M Codebooks, if `nbits` is one number.
   * @param nbits Bits of an index, 1 to 16: of all codebooks or of each.
   * @param metric {@linkcode Metric.L2}, {@linkcode Metric.InnerProduct} or
   * {@linkcode Metric.Cosine}.
   * @param options Backend, `byResidual`, and what codes hold of norms.
   * @throws {RangeError} If a number is out of range, or there is no such metric.
   * @throws {TypeError} If the quantizer has another dimension.
   * @throws {UnsupportedError} If the backend is the GPU.
   */
  constructor(
    quantizer: Index,
    d: number,
    nlist: number,
    M: number,
    nbits: number | readonly number[],
    metric: Metric = Metric.L2,
    options: IVFAdditiveOptions = {},
  ) {
    const aq = new ResidualQuantizer(d, M, nbits, onBackend(quantizer, options));
    super(quantizer, aq, nlist, metric, options);
  }

  /** The quantizer of what is in the lists, by FAISS's name. */
  get rq(): ResidualQuantizer {
    return this.aq;
  }

  /** @internal */
  protected override makeLike(
    quantizer: Index,
    options: IVFAdditiveOptions,
  ): IndexIVFResidualQuantizer {
    const { d, nlist, metric } = this;
    return new IndexIVFResidualQuantizer(
      quantizer,
      d,
      nlist,
      this.rq.M,
      this.rq.nbits,
      metric,
      options,
    );
  }
}

/**
 * Vectors kept as one row each of several codebooks that are found together, in the lists
 * of their nearest centroids. Codes are of residuals, unless `byResidual` is false.
 *
 * @example
 * ```ts
 * import { IndexFlatL2, IndexIVFLocalSearchQuantizer, Random } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * const random = new Random(1);
 * const x = Float32Array.from({ length: 640 * 8 }, () => random.normal());
 * using index = new IndexIVFLocalSearchQuantizer(new IndexFlatL2(8), 8, 4, 2, 4);
 * index.ownFields = true;
 * index.lsq.trainIters = 3;
 * await index.train(x);
 * await index.add(x);
 * const found = await index.search(x.subarray(0, 8), 3, { nprobe: 4 });
 * assert.equal(found.labels.length, 3);
 * ```
 */
export class IndexIVFLocalSearchQuantizer extends IndexIVFAdditiveQuantizer<LocalSearchQuantizer> {
  /**
   * An index without vectors.
   *
   * @param quantizer Index that holds the centroids; empty until trained.
   * @param d Dimension.
   * @param nlist Number of lists.
   * @param M Codebooks.
   * @param nbits Bits of an index, 1 to 16.
   * @param metric {@linkcode Metric.L2}, {@linkcode Metric.InnerProduct} or
   * {@linkcode Metric.Cosine}.
   * @param options Backend, `byResidual`, and what codes hold of norms.
   * @throws {RangeError} If a number is out of range, or there is no such metric.
   * @throws {TypeError} If the quantizer has another dimension.
   * @throws {UnsupportedError} If the backend is the GPU.
   */
  constructor(
    quantizer: Index,
    d: number,
    nlist: number,
    M: number,
    nbits: number,
    metric: Metric = Metric.L2,
    options: IVFAdditiveOptions = {},
  ) {
    const aq = new LocalSearchQuantizer(d, M, nbits, onBackend(quantizer, options));
    super(quantizer, aq, nlist, metric, options);
  }

  /** The quantizer of what is in the lists, by FAISS's name. */
  get lsq(): LocalSearchQuantizer {
    return this.aq;
  }

  /** @internal */
  protected override encoderVectors(): number {
    return this.lsq.M * super.encoderVectors();
  }

  /** @internal */
  protected override makeLike(
    quantizer: Index,
    options: IVFAdditiveOptions,
  ): IndexIVFLocalSearchQuantizer {
    const { d, nlist, metric } = this;
    return new IndexIVFLocalSearchQuantizer(
      quantizer,
      d,
      nlist,
      this.lsq.M,
      this.lsq.nbits[0]!,
      metric,
      options,
    );
  }
}

/**
 * Vectors kept as parts, each of them one row each of several codebooks, each found for what those before leave, in the lists
 * of their nearest centroids. Codes are of residuals, unless `byResidual` is false.
 *
 * @example
 * ```ts
 * import { IndexFlatL2, IndexIVFProductResidualQuantizer, Random } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * const random = new Random(1);
 * const x = Float32Array.from({ length: 640 * 8 }, () => random.normal());
 * using index = new IndexIVFProductResidualQuantizer(new IndexFlatL2(8), 8, 4, 2, 1, 4);
 * index.ownFields = true;
 * await index.train(x);
 * await index.add(x);
 * const found = await index.search(x.subarray(0, 8), 3, { nprobe: 4 });
 * assert.equal(found.labels.length, 3);
 * ```
 */
export class IndexIVFProductResidualQuantizer
  extends IndexIVFAdditiveQuantizer<ProductResidualQuantizer> {
  /**
   * An index without vectors.
   *
   * @param quantizer Index that holds the centroids; empty until trained.
   * @param d Dimension.
   * @param nlist Number of lists.
   * @param nsplits Parts of a vector; divides `d`.
   * @param Msub Codebooks of a part.
   * @param nbits Bits of an index, 1 to 16.
   * @param metric {@linkcode Metric.L2}, {@linkcode Metric.InnerProduct} or
   * {@linkcode Metric.Cosine}.
   * @param options Backend, `byResidual`, and what codes hold of norms.
   * @throws {RangeError} If a number is out of range, or there is no such metric.
   * @throws {TypeError} If the quantizer has another dimension.
   * @throws {UnsupportedError} If the backend is the GPU.
   */
  constructor(
    quantizer: Index,
    d: number,
    nlist: number,
    nsplits: number,
    Msub: number,
    nbits: number,
    metric: Metric = Metric.L2,
    options: IVFAdditiveOptions = {},
  ) {
    const aq = new ProductResidualQuantizer(d, nsplits, Msub, nbits, onBackend(quantizer, options));
    super(quantizer, aq, nlist, metric, options);
  }

  /** The quantizer of what is in the lists, by FAISS's name. */
  get prq(): ProductResidualQuantizer {
    return this.aq;
  }

  /** @internal */
  protected override makeLike(
    quantizer: Index,
    options: IVFAdditiveOptions,
  ): IndexIVFProductResidualQuantizer {
    const { d, nlist, metric } = this;
    return new IndexIVFProductResidualQuantizer(
      quantizer,
      d,
      nlist,
      this.prq.nsplits,
      this.prq.quantizers[0]!.M,
      this.prq.nbits[0]!,
      metric,
      options,
    );
  }
}

/**
 * Vectors kept as parts, each of them one row each of several codebooks that are found together, in the lists
 * of their nearest centroids. Codes are of residuals, unless `byResidual` is false.
 *
 * @example
 * ```ts
 * import { IndexFlatL2, IndexIVFProductLocalSearchQuantizer, Random } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * const random = new Random(1);
 * const x = Float32Array.from({ length: 640 * 8 }, () => random.normal());
 * using index = new IndexIVFProductLocalSearchQuantizer(new IndexFlatL2(8), 8, 4, 2, 1, 4);
 * index.ownFields = true;
 * for (const lsq of index.plsq.quantizers) lsq.trainIters = 3;
 * await index.train(x);
 * await index.add(x);
 * const found = await index.search(x.subarray(0, 8), 3, { nprobe: 4 });
 * assert.equal(found.labels.length, 3);
 * ```
 */
export class IndexIVFProductLocalSearchQuantizer
  extends IndexIVFAdditiveQuantizer<ProductLocalSearchQuantizer> {
  /**
   * An index without vectors.
   *
   * @param quantizer Index that holds the centroids; empty until trained.
   * @param d Dimension.
   * @param nlist Number of lists.
   * @param nsplits Parts of a vector; divides `d`.
   * @param Msub Codebooks of a part.
   * @param nbits Bits of an index, 1 to 16.
   * @param metric {@linkcode Metric.L2}, {@linkcode Metric.InnerProduct} or
   * {@linkcode Metric.Cosine}.
   * @param options Backend, `byResidual`, and what codes hold of norms.
   * @throws {RangeError} If a number is out of range, or there is no such metric.
   * @throws {TypeError} If the quantizer has another dimension.
   * @throws {UnsupportedError} If the backend is the GPU.
   */
  constructor(
    quantizer: Index,
    d: number,
    nlist: number,
    nsplits: number,
    Msub: number,
    nbits: number,
    metric: Metric = Metric.L2,
    options: IVFAdditiveOptions = {},
  ) {
    const aq = new ProductLocalSearchQuantizer(
      d,
      nsplits,
      Msub,
      nbits,
      onBackend(quantizer, options),
    );
    super(quantizer, aq, nlist, metric, options);
  }

  /** The quantizer of what is in the lists, by FAISS's name. */
  get plsq(): ProductLocalSearchQuantizer {
    return this.aq;
  }

  /** @internal */
  protected override makeLike(
    quantizer: Index,
    options: IVFAdditiveOptions,
  ): IndexIVFProductLocalSearchQuantizer {
    const { d, nlist, metric } = this;
    return new IndexIVFProductLocalSearchQuantizer(
      quantizer,
      d,
      nlist,
      this.plsq.nsplits,
      this.plsq.quantizers[0]!.M,
      this.plsq.nbits[0]!,
      metric,
      options,
    );
  }
}
