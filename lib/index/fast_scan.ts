/**
 * Search over vectors of 4-bit parts, 32 codes at once.
 *
 * @module
 */

import { copyProduct } from "./code_checks.ts";
import type { Backend } from "../backend/backend.ts";
import { isBlockSize, MAX_BBS } from "../codec/code_blocks.ts";
import type { CodecSpec } from "../codec/codec.ts";
import { ProductQuantizer } from "../codec/product_quantizer.ts";
import { Metric } from "../metric.ts";
import { IndexFlatCodes } from "./flat_codes.ts";
import type { Index, IndexOptions } from "./index.ts";
import { IndexIVFCodes, type IVFCodesOptions } from "./ivf_codes.ts";

/** Bits of a part. */
const NBITS = 4;
/** Codes of a block where nothing else is said. */
const BBS = 32;

/** Options of an {@linkcode IndexPQFastScan}. */
export interface FastScanOptions extends IndexOptions {
  /** Codes of a block in files, a multiple of 32; 32 by default. In memory it is always 32. */
  bbs?: number | undefined;
}

/** Options of an {@linkcode IndexIVFPQFastScan}. */
export interface IVFFastScanOptions extends FastScanOptions, IVFCodesOptions {
  /** Whether codes are of what a vector differs from its list's centroid by; false by default. */
  byResidual?: boolean | undefined;
}

function fastQuantizer(d: number, M: number, nbits: number, backend?: Backend): ProductQuantizer {
  if (nbits !== NBITS) {
    throw new RangeError(`Cannot make an index: a fast scan is of ${NBITS} bits, not ${nbits}`);
  }
  return new ProductQuantizer(d, M, nbits, { backend });
}

function checkBBS(bbs = BBS): number {
  if (!isBlockSize(bbs)) {
    throw new RangeError(
      `Cannot make an index: bbs ${bbs} is no multiple of 32 from 32 to ${MAX_BBS}`,
    );
  }
  return bbs;
}

function tokenOf({ M }: ProductQuantizer, bbs: number, residual: boolean): string {
  return `PQ${M}x${NBITS}fs${residual ? "r" : ""}${bbs === BBS ? "" : `_${bbs}`}`;
}

function specOf(pq: ProductQuantizer): CodecSpec {
  return { ...pq.spec, inBlocks: true };
}

/**
 * Vectors of which each of `M` parts takes 4 bits, all of which a search looks at: 32 codes at
 * once, by tables of bytes that tell which of them cannot be near. The others are compared
 * exactly, so that results are those of an {@linkcode IndexPQ} of 4 bits; FAISS returns the
 * bytes' own, rounded distances.
 *
 * @example
 * ```ts
 * import { IndexPQFastScan, Random } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * const random = new Random(1);
 * const x = Float32Array.from({ length: 640 * 8 }, () => random.normal());
 * using index = new IndexPQFastScan(8, 4);
 * await index.train(x);
 * await index.add(x);
 * assert.equal(index.saCodeSize, 2);
 * assert.equal((await index.search(x.subarray(0, 8), 3)).labels.length, 3);
 * ```
 */
export class IndexPQFastScan extends IndexFlatCodes {
  /** The quantizer. */
  readonly pq: ProductQuantizer;
  /** FAISS's choice of kernel: kept for its files, no search here looks at it. */
  implem = 0;
  /** FAISS's sizes of groups of queries: kept for its files, no search here looks at it. */
  qbs = 0;
  /** Codes of a block in files. */
  readonly bbs: number;

  /**
   * An index that has to be trained.
   *
   * @param d Dimension.
   * @param M Parts of a vector; divides `d`.
   * @param nbits Bits of a part's number: 4.
   * @param metric {@linkcode Metric.L2}, {@linkcode Metric.InnerProduct} or
   * {@linkcode Metric.Cosine}.
   * @param options Backend, and codes of a block.
   * @throws {RangeError} If a number is out of range, `d` is not divisible by `M`, or there is
   * no such metric.
   * @throws {UnsupportedError} If the backend is the GPU.
   */
  constructor(
    d: number,
    M: number,
    nbits = NBITS,
    metric: Metric = Metric.L2,
    options: FastScanOptions = {},
  ) {
    const pq = fastQuantizer(d, M, nbits, options.backend);
    const bbs = checkBBS(options.bbs);
    super(pq, metric, options);
    this.pq = pq;
    this.bbs = bbs;
  }

  /** @internal */
  protected override storeSpec(): CodecSpec {
    return specOf(this.pq);
  }

  /** @internal */
  override factoryString(): string | undefined {
    return tokenOf(this.pq, this.bbs, false);
  }

  /** @internal */
  protected override parameters(): Record<string, unknown> {
    return { M: this.pq.M, nbits: NBITS };
  }

  /** @internal */
  protected override makeEmpty(backend: Backend): IndexPQFastScan {
    const { d, bbs, metric, implem, qbs, pq: { M } } = this;
    const copy = new IndexPQFastScan(d, M, NBITS, metric, { backend, bbs });
    copyProduct(this.pq, copy.pq);
    return Object.assign(copy, { implem, qbs });
  }
}

/**
 * Vectors of which each of `M` parts takes 4 bits, in the lists of their nearest centroids, as
 * {@linkcode IndexPQFastScan} looks at them. Codes are of the vectors themselves, unless
 * `byResidual` is true: tables of a query are then made once for all lists.
 *
 * @example
 * ```ts
 * import { IndexFlatL2, IndexIVFPQFastScan, Random } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * const random = new Random(1);
 * const x = Float32Array.from({ length: 640 * 8 }, () => random.normal());
 * using index = new IndexIVFPQFastScan(new IndexFlatL2(8), 8, 4, 4);
 * await index.train(x);
 * await index.add(x);
 * const found = await index.search(x.subarray(0, 8), 3, { nprobe: 4 });
 * assert.equal(found.labels.length, 3);
 * ```
 */
export class IndexIVFPQFastScan extends IndexIVFCodes {
  /** The quantizer of what is in the lists. */
  readonly pq: ProductQuantizer;
  /** FAISS's choice of kernel: kept for its files, no search here looks at it. */
  implem = 0;
  /** FAISS's sizes of groups of queries: kept for its files, no search here looks at it. */
  qbs2 = 0;
  /** Codes of a block in files. */
  readonly bbs: number;

  /**
   * An index without vectors.
   *
   * @param quantizer Index that holds the centroids; empty until trained.
   * @param d Dimension.
   * @param nlist Number of lists.
   * @param M Parts of a vector; divides `d`.
   * @param nbits Bits of a part's number: 4.
   * @param metric {@linkcode Metric.L2}, {@linkcode Metric.InnerProduct} or
   * {@linkcode Metric.Cosine}.
   * @param options Backend, `byResidual`, and codes of a block.
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
    nbits = NBITS,
    metric: Metric = Metric.L2,
    options: IVFFastScanOptions = {},
  ) {
    const pq = fastQuantizer(d, M, nbits, options.backend ?? quantizer.backend);
    const bbs = checkBBS(options.bbs);
    super(quantizer, pq, nlist, metric, { ...options, byResidual: options.byResidual ?? false });
    this.pq = pq;
    this.bbs = bbs;
  }

  /** @internal */
  protected override storeSpec(): CodecSpec {
    return specOf(this.pq);
  }

  /** @internal */
  protected override codeName(): string | undefined {
    return tokenOf(this.pq, this.bbs, this.byResidual);
  }

  /** @internal */
  protected override parameters(): Record<string, unknown> {
    return { ...super.parameters(), M: this.pq.M, nbits: NBITS };
  }

  /** @internal */
  protected override encoderVectors(): number {
    return this.pq.ksub * (this.pq.cp.maxPointsPerCentroid ?? 256);
  }

  /** @internal */
  protected override makeEmpty(quantizer: Index): IndexIVFPQFastScan {
    const { d, nlist, metric, byResidual, bbs, implem, qbs2, pq: { M } } = this;
    const options = { byResidual, bbs };
    const copy = new IndexIVFPQFastScan(quantizer, d, nlist, M, NBITS, metric, options);
    copyProduct(this.pq, copy.pq);
    return Object.assign(copy, { implem, qbs2 });
  }
}
