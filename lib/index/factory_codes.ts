/**
 * Indexes of codes by their tokens.
 *
 * @module
 */

import { quantizerShapes, type QuantizerType } from "../codec/quantizer_type.ts";
import { Metric } from "../metric.ts";
import { isAdditive, makeAdditive, makeIVFAdditive } from "./factory_additive.ts";
import { IndexIVFPQFastScan, IndexPQFastScan } from "./fast_scan.ts";
import { IndexHNSWFlat } from "./hnsw.ts";
import { IndexHNSWPQ, IndexHNSWSQ } from "./hnsw_codes.ts";
import type { Index, IndexOptions } from "./index.ts";
import type { IndexIVF } from "./ivf.ts";
import { IndexLSH } from "./lsh.ts";
import { IndexNSGFlat, IndexNSGPQ, IndexNSGSQ } from "./nsg.ts";
import { IndexIVFPQ, IndexPQ } from "./product_quantizer.ts";
import { IndexIVFRaBitQ, IndexRaBitQ } from "./rabitq.ts";
import { IndexIVFRaBitQFastScan, IndexRaBitQFastScan } from "./rabitq_fast_scan.ts";
import { IndexIVFScalarQuantizer, IndexScalarQuantizer } from "./scalar_quantizer.ts";

/** Bits of a part's number where the token has none. */
const NBITS = 8;

/** Bits of a part of a fast scan. */
const FAST_NBITS = 4;

/** `PQ<M>`, `PQ<M>x<nbits>`; `np` is FAISS's for training that is never done here. */
const PRODUCT = /^PQ(\d+)(?:x(\d+))?(?:np)?$/;

/** `PQ<M>x4fs[_<bbs>]`, after an IVF token also `PQ<M>x4fsr[_<bbs>]`, of residuals. */
const FAST_SCAN = /^PQ(\d+)x4fs(r?)(?:_(\d+))?$/;

/** `LSH[<nbits>][r][t]`: of a rotation, with thresholds. Not in lists. */
const SIGNS = /^LSH(\d*)(r?)(t?)$/;

/** `RaBitQ[fs]`, perhaps with the bits of a number, and of a fast scan the codes of a block after it. */
const RABITQ = /^RaBitQ(?:(fs)?([1-9])?|fs([1-9])?_(\d+))$/;

/** Scalar quantizers by their tokens: `SQ8`, `SQfp16` … */
const SCALAR: ReadonlyMap<string, QuantizerType> = new Map(
  Object.entries(quantizerShapes).flatMap(([qtype, { token }]) => {
    return token === undefined ? [] : [[token, Number(qtype) as QuantizerType]];
  }),
);

/** What a token of RaBitQ says. */
function rabitqOf([, fast, bits, blockBits, bbs]: RegExpExecArray) {
  return {
    isFast: fast !== undefined || bbs !== undefined,
    bits: Number(bits ?? blockBits ?? 1),
    bbs: bbs === undefined ? undefined : Number(bbs),
  };
}

/** Whether a token is of codes that are there. */
export function isCodes(token: string): boolean {
  return SCALAR.has(token) || isAdditive(token) ||
    [PRODUCT, FAST_SCAN, RABITQ, SIGNS].some((pattern) => pattern.test(token));
}

/** Whether a token is of codes that lists can hold. */
export function isIVFCodes(token: string): boolean {
  return isCodes(token) && !SIGNS.test(token);
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
  const signs = SIGNS.exec(token);
  if (signs !== null) {
    if (metric !== Metric.L2) {
      throw new RangeError(`Cannot make an index: ${token} compares by L2 alone`);
    }
    const [, nbits, r, t] = signs;
    const how = { rotateData: r === "r", trainThresholds: t === "t" };
    return new IndexLSH(d, Number(nbits || d), { ...options, ...how });
  }
  const rabitq = RABITQ.exec(token);
  if (rabitq !== null) {
    const { isFast, bits, bbs } = rabitqOf(rabitq);
    return isFast
      ? new IndexRaBitQFastScan(d, metric, bits, { ...options, bbs })
      : new IndexRaBitQ(d, metric, bits, options);
  }
  const product = PRODUCT.exec(token);
  if (product === null) return makeAdditive(token, d, metric, options);
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
  const rabitq = RABITQ.exec(token);
  if (rabitq !== null) {
    const { isFast, bits, bbs } = rabitqOf(rabitq);
    return isFast
      ? new IndexIVFRaBitQFastScan(quantizer(), d, nlist, metric, bits, { ...options, bbs })
      : new IndexIVFRaBitQ(quantizer(), d, nlist, metric, bits, options);
  }
  const product = PRODUCT.exec(token);
  if (product === null) return makeIVFAdditive(token, quantizer, d, nlist, metric, options);
  const [M, nbits] = [Number(product[1]), Number(product[2] ?? NBITS)];
  return new IndexIVFPQ(quantizer(), d, nlist, M, nbits, metric, options);
}

/** `HNSW<M>` or `NSG<R>`, then perhaps what it is over, after a `,` or a `_`. */
const GRAPH = /^(HNSW|NSG)(\d*)(?:[,_](.+))?$/;
/** Links where the token has no number. */
const LINKS = 32;

/** Whether tokens are of a graph. */
export function isGraph(tokens: readonly string[]): boolean {
  const over = GRAPH.exec(tokens.join());
  const code = over?.[3] ?? "Flat";
  return over !== null && (code === "Flat" || SCALAR.has(code) || PRODUCT.test(code));
}

/** The graph that tokens make. */
export function makeGraph(
  tokens: readonly string[],
  d: number,
  metric: Metric,
  options: IndexOptions,
): Index | undefined {
  if (!isGraph(tokens)) return undefined;
  const [, kind, links, over = "Flat"] = GRAPH.exec(tokens.join())!;
  const M = Number(links || LINKS);
  const isNSG = kind === "NSG";
  if (over === "Flat") return new (isNSG ? IndexNSGFlat : IndexHNSWFlat)(d, M, metric, options);
  const scalar = SCALAR.get(over);
  if (scalar !== undefined) {
    return new (isNSG ? IndexNSGSQ : IndexHNSWSQ)(d, scalar, M, metric, options);
  }
  const [, parts, nbits = NBITS] = PRODUCT.exec(over)!;
  const make = isNSG ? IndexNSGPQ : IndexHNSWPQ;
  return new make(d, Number(parts), M, Number(nbits), metric, options);
}
