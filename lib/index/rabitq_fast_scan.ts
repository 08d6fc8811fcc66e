/**
 * RaBitQ as FAISS's fast scan keeps it in files.
 *
 * @module
 */

import type { Backend } from "../backend/backend.ts";
import { Metric } from "../metric.ts";
import { checkBBS, type FastScanOptions } from "./fast_scan.ts";
import type { Index } from "./index.ts";
import { IndexIVFRaBitQ, IndexRaBitQ } from "./rabitq.ts";

/** Bits of a query's number where nobody says. */
const QUERY_BITS = 8;

/** FAISS's token. */
function tokenOf(nbBits: number, bbs: number): string {
  return `RaBitQfs${nbBits === 1 ? "" : nbBits}${bbs === 32 ? "" : `_${bbs}`}`;
}

/**
 * An {@linkcode IndexRaBitQ} whose files are those of FAISS's IndexRaBitQFastScan. It finds what
 * the other does: bits are counted for many codes at once there too, and no table is rounded.
 *
 * @example
 * ```ts
 * import { IndexRaBitQFastScan, Random } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * const random = new Random(1);
 * const x = Float32Array.from({ length: 200 * 64 }, () => random.normal());
 * using index = new IndexRaBitQFastScan(64);
 * await index.train(x);
 * await index.add(x);
 * assert.equal((await index.search(x.subarray(0, 64), 3)).labels[0], 0n);
 * ```
 */
export class IndexRaBitQFastScan extends IndexRaBitQ {
  /** Codes of a block in files. */
  readonly bbs: number;
  /** Bits that numbers of a query are rounded to, 1 to 8; 0 leaves them as they are. */
  override qb: number = QUERY_BITS;

  /**
   * An index that has to be trained.
   *
   * @param d Dimension.
   * @param metric {@linkcode Metric.L2}, {@linkcode Metric.InnerProduct} or
   * {@linkcode Metric.Cosine}.
   * @param nbBits Bits of a number, 1 to 9.
   * @param options Backend, and codes of a block.
   * @throws {RangeError} If a number is out of range, or there is no such metric.
   * @throws {UnsupportedError} If the backend is the GPU.
   */
  constructor(d: number, metric: Metric = Metric.L2, nbBits = 1, options: FastScanOptions = {}) {
    const bbs = checkBBS(options.bbs);
    super(d, metric, nbBits, options);
    this.bbs = bbs;
  }

  /** @internal */
  override factoryString(): string | undefined {
    return tokenOf(this.rabitq.nbBits, this.bbs);
  }

  /** @internal */
  protected override makeEmpty(backend: Backend): IndexRaBitQFastScan {
    const { d, metric, rabitq, qb, centered, bbs } = this;
    const copy = new IndexRaBitQFastScan(d, metric, rabitq.nbBits, { backend, bbs });
    if (rabitq.isTrained) copy.rabitq.restore(rabitq.center);
    return Object.assign(copy, { qb, centered });
  }
}

/**
 * An {@linkcode IndexIVFRaBitQ} whose files are those of FAISS's IndexIVFRaBitQFastScan.
 *
 * @example
 * ```ts
 * import { IndexFlatL2, IndexIVFRaBitQFastScan, Random } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * const random = new Random(1);
 * const x = Float32Array.from({ length: 500 * 32 }, () => random.normal());
 * using index = new IndexIVFRaBitQFastScan(new IndexFlatL2(32), 32, 4);
 * await index.train(x);
 * await index.add(x);
 * assert.equal((await index.search(x.subarray(0, 32), 3, { nprobe: 4 })).labels.length, 3);
 * ```
 */
export class IndexIVFRaBitQFastScan extends IndexIVFRaBitQ {
  /** Codes of a block in files. */
  readonly bbs: number;
  /** Bits that numbers of a query are rounded to, 1 to 8; 0 leaves them as they are. */
  override qb: number = QUERY_BITS;
  /** FAISS's choice of kernel: kept for its files, no search here looks at it. */
  implem = 0;
  /** FAISS's sizes of groups of queries: kept for its files, no search here looks at it. */
  qbs2 = 0;

  /**
   * An index without vectors.
   *
   * @param quantizer Index that holds the centroids; empty until trained.
   * @param d Dimension.
   * @param nlist Number of lists.
   * @param metric {@linkcode Metric.L2}, {@linkcode Metric.InnerProduct} or
   * {@linkcode Metric.Cosine}.
   * @param nbBits Bits of a number, 1 to 9.
   * @param options Backend, and codes of a block.
   * @throws {RangeError} If a number is out of range, or there is no such metric.
   * @throws {TypeError} If the quantizer has another dimension.
   * @throws {UnsupportedError} If the backend is the GPU.
   */
  constructor(
    quantizer: Index,
    d: number,
    nlist: number,
    metric: Metric = Metric.L2,
    nbBits = 1,
    options: FastScanOptions = {},
  ) {
    const bbs = checkBBS(options.bbs);
    super(quantizer, d, nlist, metric, nbBits, options);
    this.bbs = bbs;
  }

  /** @internal */
  protected override codeName(): string | undefined {
    return tokenOf(this.rabitq.nbBits, this.bbs);
  }

  /** @internal */
  protected override makeEmpty(quantizer: Index): IndexIVFRaBitQFastScan {
    const { d, nlist, metric, rabitq, qb, centered, bbs, implem, qbs2 } = this;
    const copy = new IndexIVFRaBitQFastScan(quantizer, d, nlist, metric, rabitq.nbBits, { bbs });
    return Object.assign(copy, { qb, centered, implem, qbs2 });
  }
}
