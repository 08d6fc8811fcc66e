/**
 * Indexes of codes by their tokens.
 *
 * @module
 */

import { quantizerShapes, type QuantizerType } from "../codec/quantizer_type.ts";
import type { Metric } from "../metric.ts";
import { IndexHNSWFlat } from "./hnsw.ts";
import { IndexHNSWPQ, IndexHNSWSQ } from "./hnsw_codes.ts";
import type { Index, IndexOptions } from "./index.ts";
import type { IndexIVF } from "./ivf.ts";
import { IndexNSGFlat, IndexNSGPQ, IndexNSGSQ } from "./nsg.ts";
import { IndexIVFPQ, IndexPQ } from "./product_quantizer.ts";
import { IndexIVFScalarQuantizer, IndexScalarQuantizer } from "./scalar_quantizer.ts";

/** Bits of a part's number where the token has none. */
const NBITS = 8;

/** `PQ<M>`, `PQ<M>x<nbits>`; `np` is FAISS's for training that is never done here. */
const PRODUCT = /^PQ(\d+)(?:x(\d+))?(?:np)?$/;

/** Scalar quantizers by their tokens: `SQ8`, `SQfp16` … */
const SCALAR: ReadonlyMap<string, QuantizerType> = new Map(
  Object.entries(quantizerShapes).flatMap(([qtype, { token }]) => {
    return token === undefined ? [] : [[token, Number(qtype) as QuantizerType]];
  }),
);

/** Whether a token is of codes that are there. */
export function isCodes(token: string): boolean {
  return SCALAR.has(token) || PRODUCT.test(token);
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
  const product = PRODUCT.exec(token);
  if (product === null) return undefined;
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
  return over !== null && (over[3] === undefined || over[3] === "Flat" || isCodes(over[3]));
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
