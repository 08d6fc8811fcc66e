/**
 * Search over vectors that are sums of rows of codebooks.
 *
 * @module
 */

import type { Backend } from "../backend/backend.ts";
import type { AdditiveQuantizer, AdditiveQuantizerOptions } from "../codec/additive_quantizer.ts";
import { LocalSearchQuantizer } from "../codec/local_search_quantizer.ts";
import {
  ProductLocalSearchQuantizer,
  ProductResidualQuantizer,
} from "../codec/product_additive_quantizer.ts";
import { ResidualQuantizer } from "../codec/residual_quantizer.ts";
import { Metric } from "../metric.ts";
import { additiveParameters, additiveToken, copyAdditive } from "./additive_copies.ts";
import { IndexFlatCodes } from "./flat_codes.ts";
import type { IndexOptions } from "./index.ts";

/** Options of an index of additive codes. */
export type AdditiveIndexOptions = IndexOptions & Pick<AdditiveQuantizerOptions, "searchType">;

/** Vectors kept as sums of rows of codebooks, all of which a search looks at. */
export abstract class IndexAdditiveQuantizer<
  Q extends AdditiveQuantizer = AdditiveQuantizer,
> extends IndexFlatCodes {
  /** The quantizer. */
  readonly aq: Q;

  /** An index without vectors. */
  constructor(aq: Q, metric: Metric, options: IndexOptions = {}) {
    super(aq, metric, options);
    this.aq = aq;
  }

  /** @internal */
  override factoryString(): string | undefined {
    return additiveToken(this.aq, this.metric);
  }

  /** @internal */
  protected override parameters(): Record<string, unknown> {
    return additiveParameters(this.aq);
  }

  /** @internal */
  protected override makeEmpty(backend: Backend): IndexFlatCodes {
    const copy = this.makeLike(backend);
    copyAdditive(this.aq, copy.aq);
    return copy;
  }

  /** An index of the same kind. @internal */
  protected abstract makeLike(backend: Backend): IndexAdditiveQuantizer;
}

/**
 * Vectors kept as one row each of several codebooks, each found for what those before leave; a search
 * looks at all of them.
 *
 * @example
 * ```ts
 * import { IndexResidualQuantizer, Random } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * const random = new Random(1);
 * const x = Float32Array.from({ length: 640 * 8 }, () => random.normal());
 * using index = new IndexResidualQuantizer(8, 2, 4);
 * await index.train(x);
 * await index.add(x);
 * assert.equal(index.saCodeSize, 1);
 * assert.equal((await index.search(x.subarray(0, 8), 3)).labels.length, 3);
 * ```
 */
export class IndexResidualQuantizer extends IndexAdditiveQuantizer<ResidualQuantizer> {
  /**
   * An index that has to be trained.
   *
   * @param d Dimension.
   * @param M Codebooks, if `nbits` is one number.
   * @param nbits Bits of an index, 1 to 16: of all codebooks or of each.
   * @param metric {@linkcode Metric.L2}, {@linkcode Metric.InnerProduct} or
   * {@linkcode Metric.Cosine}.
   * @param options Backend, and what codes hold of norms.
   * @throws {RangeError} If a number is out of range, or there is no such metric.
   * @throws {UnsupportedError} If the backend is the GPU.
   */
  constructor(
    d: number,
    M: number,
    nbits: number | readonly number[],
    metric: Metric = Metric.L2,
    options: AdditiveIndexOptions = {},
  ) {
    super(new ResidualQuantizer(d, M, nbits, options), metric, options);
  }

  /** The quantizer, by FAISS's name. */
  get rq(): ResidualQuantizer {
    return this.aq;
  }

  /** @internal */
  protected override makeLike(backend: Backend): IndexResidualQuantizer {
    const options = { backend, searchType: this.rq.searchType };
    return new IndexResidualQuantizer(this.d, this.rq.M, this.rq.nbits, this.metric, options);
  }
}

/**
 * Vectors kept as one row each of several codebooks that are found together; a search
 * looks at all of them.
 *
 * @example
 * ```ts
 * import { IndexLocalSearchQuantizer, Random } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * const random = new Random(1);
 * const x = Float32Array.from({ length: 640 * 8 }, () => random.normal());
 * using index = new IndexLocalSearchQuantizer(8, 2, 4);
 * index.lsq.trainIters = 3;
 * await index.train(x);
 * await index.add(x);
 * assert.equal(index.saCodeSize, 1);
 * assert.equal((await index.search(x.subarray(0, 8), 3)).labels.length, 3);
 * ```
 */
export class IndexLocalSearchQuantizer extends IndexAdditiveQuantizer<LocalSearchQuantizer> {
  /**
   * An index that has to be trained.
   *
   * @param d Dimension.
   * @param M Codebooks.
   * @param nbits Bits of an index, 1 to 16.
   * @param metric {@linkcode Metric.L2}, {@linkcode Metric.InnerProduct} or
   * {@linkcode Metric.Cosine}.
   * @param options Backend, and what codes hold of norms.
   * @throws {RangeError} If a number is out of range, or there is no such metric.
   * @throws {UnsupportedError} If the backend is the GPU.
   */
  constructor(
    d: number,
    M: number,
    nbits: number,
    metric: Metric = Metric.L2,
    options: AdditiveIndexOptions = {},
  ) {
    super(new LocalSearchQuantizer(d, M, nbits, options), metric, options);
  }

  /** The quantizer, by FAISS's name. */
  get lsq(): LocalSearchQuantizer {
    return this.aq;
  }

  /** @internal */
  protected override makeLike(backend: Backend): IndexLocalSearchQuantizer {
    const options = { backend, searchType: this.lsq.searchType };
    return new IndexLocalSearchQuantizer(
      this.d,
      this.lsq.M,
      this.lsq.nbits[0]!,
      this.metric,
      options,
    );
  }
}

/**
 * Vectors kept as parts, each of them one row each of several codebooks, each found for what those before leave; a search
 * looks at all of them.
 *
 * @example
 * ```ts
 * import { IndexProductResidualQuantizer, Random } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * const random = new Random(1);
 * const x = Float32Array.from({ length: 640 * 8 }, () => random.normal());
 * using index = new IndexProductResidualQuantizer(8, 2, 1, 4);
 * await index.train(x);
 * await index.add(x);
 * assert.equal(index.saCodeSize, 1);
 * assert.equal((await index.search(x.subarray(0, 8), 3)).labels.length, 3);
 * ```
 */
export class IndexProductResidualQuantizer
  extends IndexAdditiveQuantizer<ProductResidualQuantizer> {
  /**
   * An index that has to be trained.
   *
   * @param d Dimension.
   * @param nsplits Parts of a vector; divides `d`.
   * @param Msub Codebooks of a part.
   * @param nbits Bits of an index, 1 to 16.
   * @param metric {@linkcode Metric.L2}, {@linkcode Metric.InnerProduct} or
   * {@linkcode Metric.Cosine}.
   * @param options Backend, and what codes hold of norms.
   * @throws {RangeError} If a number is out of range, or there is no such metric.
   * @throws {UnsupportedError} If the backend is the GPU.
   */
  constructor(
    d: number,
    nsplits: number,
    Msub: number,
    nbits: number,
    metric: Metric = Metric.L2,
    options: AdditiveIndexOptions = {},
  ) {
    super(new ProductResidualQuantizer(d, nsplits, Msub, nbits, options), metric, options);
  }

  /** The quantizer, by FAISS's name. */
  get prq(): ProductResidualQuantizer {
    return this.aq;
  }

  /** @internal */
  protected override makeLike(backend: Backend): IndexProductResidualQuantizer {
    const options = { backend, searchType: this.prq.searchType };
    return new IndexProductResidualQuantizer(
      this.d,
      this.prq.nsplits,
      this.prq.quantizers[0]!.M,
      this.prq.nbits[0]!,
      this.metric,
      options,
    );
  }
}

/**
 * Vectors kept as parts, each of them one row each of several codebooks that are found together; a search
 * looks at all of them.
 *
 * @example
 * ```ts
 * import { IndexProductLocalSearchQuantizer, Random } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * const random = new Random(1);
 * const x = Float32Array.from({ length: 640 * 8 }, () => random.normal());
 * using index = new IndexProductLocalSearchQuantizer(8, 2, 1, 4);
 * for (const lsq of index.plsq.quantizers) lsq.trainIters = 3;
 * await index.train(x);
 * await index.add(x);
 * assert.equal(index.saCodeSize, 1);
 * assert.equal((await index.search(x.subarray(0, 8), 3)).labels.length, 3);
 * ```
 */
export class IndexProductLocalSearchQuantizer
  extends IndexAdditiveQuantizer<ProductLocalSearchQuantizer> {
  /**
   * An index that has to be trained.
   *
   * @param d Dimension.
   * @param nsplits Parts of a vector; divides `d`.
   * @param Msub Codebooks of a part.
   * @param nbits Bits of an index, 1 to 16.
   * @param metric {@linkcode Metric.L2}, {@linkcode Metric.InnerProduct} or
   * {@linkcode Metric.Cosine}.
   * @param options Backend, and what codes hold of norms.
   * @throws {RangeError} If a number is out of range, or there is no such metric.
   * @throws {UnsupportedError} If the backend is the GPU.
   */
  constructor(
    d: number,
    nsplits: number,
    Msub: number,
    nbits: number,
    metric: Metric = Metric.L2,
    options: AdditiveIndexOptions = {},
  ) {
    super(new ProductLocalSearchQuantizer(d, nsplits, Msub, nbits, options), metric, options);
  }

  /** The quantizer, by FAISS's name. */
  get plsq(): ProductLocalSearchQuantizer {
    return this.aq;
  }

  /** @internal */
  protected override makeLike(backend: Backend): IndexProductLocalSearchQuantizer {
    const options = { backend, searchType: this.plsq.searchType };
    return new IndexProductLocalSearchQuantizer(
      this.d,
      this.plsq.nsplits,
      this.plsq.quantizers[0]!.M,
      this.plsq.nbits[0]!,
      this.metric,
      options,
    );
  }
}
