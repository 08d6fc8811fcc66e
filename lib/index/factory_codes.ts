/**
 * Indexes of codes by their tokens.
 *
 * @module
 */

import { quantizerShapes, type QuantizerType } from "../codec/quantizer_type.ts";
import type { Metric } from "../metric.ts";
import { IndexIVFPQFastScan, IndexPQFastScan } from "./fast_scan.ts";
import type { Index, IndexOptions } from "./index.ts";
import type { IndexIVF } from "./ivf.ts";
import { IndexIVFPQ, IndexPQ } from "./product_quantizer.ts";
import { IndexIVFScalarQuantizer, IndexScalarQuantizer } from "./scalar_quantizer.ts";

/** Bits of a part's number where the token has none. */
const NBITS = 8;

/** Bits of a part of a fast scan. */
const FAST_NBITS = 4;

/** `PQ<M>`, `PQ<M>x<nbits>`; `np` is FAISS's for training that is never done here. */
const PRODUCT = /^PQ(\d+)(?:x(\d+))?(?:np)?$/;

/** `PQ<M>x4fs[_<bbs>]`, after an IVF token also `PQ<M>x4fsr[_<bbs>]`, of residuals. */
const FAST_SCAN = /^PQ(\d+)x4fs(r?)(?:_(\d+))?$/;

/** Scalar quantizers by their tokens: `SQ8`, `SQfp16` … */
const SCALAR: ReadonlyMap<string, QuantizerType> = new Map(
  Object.entries(quantizerShapes).flatMap(([qtype, { token }]) => {
    return token === undefined ? [] : [[token, Number(qtype) as QuantizerType]];
  }),
);

/** Whether a token is of codes that are there. */
export function isCodes(token: string): boolean {
  return SCALAR.has(token) || PRODUCT.test(token) || FAST_SCAN.test(token);
}

/** The index that a token of codes makes. */
export function makeCodes(
  token: string,
  d: number,
  metric: Metric,
  options: IndexOptions,
): Index | undefined {
  const scalar = SCALAR.get(token);
  if (scalar !== undefined) return new IndexScalarQuantizer(d, scalar, metric, options);
  const fast = FAST_SCAN.exec(token);
  if (fast?.[2] === "") {
    const bbs = fast[3] === undefined ? undefined : Number(fast[3]);
    return new IndexPQFastScan(d, Number(fast[1]), FAST_NBITS, metric, { ...options, bbs });
  }
  const product = PRODUCT.exec(token);
  if (product === null) return undefined;
  return new IndexPQ(d, Number(product[1]), Number(product[2] ?? NBITS), metric, options);
}

/** The index with lists that a token of codes makes. */
export function makeIVFCodes(
  token: string,
  quantizer: () => Index,
  d: number,
  nlist: number,
  metric: Metric,
  options: IndexOptions,
): IndexIVF | undefined {
  const scalar = SCALAR.get(token);
  if (scalar !== undefined) {
    return new IndexIVFScalarQuantizer(quantizer(), d, nlist, scalar, metric, options);
  }
  const fast = FAST_SCAN.exec(token);
  if (fast !== null) {
    const bbs = fast[3] === undefined ? undefined : Number(fast[3]);
    const fastOptions = { ...options, byResidual: fast[2] === "r", bbs };
    const M = Number(fast[1]);
    return new IndexIVFPQFastScan(quantizer(), d, nlist, M, FAST_NBITS, metric, fastOptions);
  }
  const product = PRODUCT.exec(token);
  if (product === null) return undefined;
  const [M, nbits] = [Number(product[1]), Number(product[2] ?? NBITS)];
  return new IndexIVFPQ(quantizer(), d, nlist, M, nbits, metric, options);
}
