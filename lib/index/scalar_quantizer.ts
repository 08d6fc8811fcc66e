/**
 * Search over vectors whose numbers take 4 to 16 bits.
 *
 * @module
 */

import type { Backend } from "../backend/backend.ts";
import { quantizerShapes, QuantizerType, type RangeStat } from "../codec/quantizer_type.ts";
import { ScalarQuantizer } from "../codec/scalar_quantizer.ts";
import { Metric } from "../metric.ts";
import { copyScalar } from "./code_checks.ts";
import { IndexFlatCodes } from "./flat_codes.ts";
import type { Index, IndexOptions } from "./index.ts";
import { IndexIVFCodes, type IVFCodesOptions } from "./ivf_codes.ts";

/** How the range of what a scalar quantizer keeps is found. */
export interface RangeOptions {
  /** How it is found; from the least to the greatest by default. */
  rangeStat?: RangeStat | undefined;
  /** See {@linkcode RangeStat}; 0 by default. */
  rangeStatArg?: number | undefined;
}

/**
 * Vectors whose numbers take 4 to 16 bits, all of which a search looks at. Search is exact for
 * what the codes stand for.
 *
 * @example
 * ```ts
 * import { IndexScalarQuantizer, QuantizerType } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * using index = new IndexScalarQuantizer(2, QuantizerType.QTfp16);
 * await index.add([[0, 0], [3, 4]]);
 * assert.deepEqual((await index.search([[3, 3]], 1)).row(0), [{ id: 1, distance: 1 }]);
 * assert.equal(index.saCodeSize, 4);
 * ```
 */
export class IndexScalarQuantizer extends IndexFlatCodes {
  /** The quantizer. */
  readonly sq: ScalarQuantizer;

  /**
   * An index without vectors.
   *
   * @param d Dimension.
   * @param qtype How a number is kept.
   * @param metric {@linkcode Metric.L2}, {@linkcode Metric.InnerProduct} or
   * {@linkcode Metric.Cosine}.
   * @param options Backend, and how the range of numbers is found.
   * @throws {RangeError} If `d` is out of range, or there is no such type or metric.
   * @throws {UnsupportedError} If the backend is the GPU.
   */
  constructor(
    d: number,
    qtype: QuantizerType = QuantizerType.QT8bit,
    metric: Metric = Metric.L2,
    options: IndexOptions & RangeOptions = {},
  ) {
    const sq = new ScalarQuantizer(d, qtype, options);
    super(sq, metric, options);
    this.sq = sq;
  }

  /** @internal */
  override factoryString(): string | undefined {
    return quantizerShapes[this.sq.qtype].token;
  }

  /** @internal */
  protected override parameters(): Record<string, unknown> {
    return { codeSize: this.saCodeSize };
  }

  /** @internal */
  protected override makeEmpty(backend: Backend): IndexScalarQuantizer {
    const { d, qtype, rangeStat, rangeStatArg } = this.sq;
    const options = { backend, rangeStat, rangeStatArg };
    const copy = new IndexScalarQuantizer(d, qtype, this.metric, options);
    copyScalar(this.sq, copy.sq);
    return copy;
  }
}

/**
 * Vectors whose numbers take 4 to 16 bits, in the lists of their nearest centroids.
 *
 * @example
 * ```ts
 * import { IndexFlatL2, IndexIVFScalarQuantizer, QuantizerType, Random } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * const random = new Random(1);
 * const x = Float32Array.from({ length: 500 * 8 }, () => random.normal());
 * using index = new IndexIVFScalarQuantizer(new IndexFlatL2(8), 8, 10, QuantizerType.QT8bit);
 * await index.train(x);
 * await index.add(x);
 * const found = await index.search(x.subarray(0, 8), 3, { nprobe: 4 });
 * assert.equal(found.row(0)[0]!.id, 0);
 * ```
 */
export class IndexIVFScalarQuantizer extends IndexIVFCodes {
  /** The quantizer of what is in the lists. */
  readonly sq: ScalarQuantizer;

  /**
   * An index without vectors.
   *
   * @param quantizer Index that holds the centroids; empty until trained.
   * @param d Dimension.
   * @param nlist Number of lists.
   * @param qtype How a number is kept.
   * @param metric {@linkcode Metric.L2}, {@linkcode Metric.InnerProduct} or
   * {@linkcode Metric.Cosine}.
   * @param options Backend, `byResidual`, and how the range of numbers is found.
   * @throws {RangeError} If `d` or `nlist` is out of range, or there is no such type or metric.
   * @throws {TypeError} If the quantizer has another dimension.
   * @throws {UnsupportedError} If the backend is the GPU.
   */
  constructor(
    quantizer: Index,
    d: number,
    nlist: number,
    qtype: QuantizerType = QuantizerType.QT8bit,
    metric: Metric = Metric.L2,
    options: IVFCodesOptions & RangeOptions = {},
  ) {
    const backend = options.backend ?? quantizer.backend;
    const sq = new ScalarQuantizer(d, qtype, { ...options, backend });
    super(quantizer, sq, nlist, metric, options);
    this.sq = sq;
  }

  /** @internal */
  protected override codeName(): string | undefined {
    return this.byResidual ? quantizerShapes[this.sq.qtype].token : undefined;
  }

  /** @internal */
  protected override makeEmpty(quantizer: Index): IndexIVFScalarQuantizer {
    const { d, nlist, metric, byResidual, sq: { qtype, rangeStat, rangeStatArg } } = this;
    const options = { byResidual, rangeStat, rangeStatArg };
    const copy = new IndexIVFScalarQuantizer(quantizer, d, nlist, qtype, metric, options);
    copyScalar(this.sq, copy.sq);
    return copy;
  }
}
