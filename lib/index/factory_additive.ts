/**
 * Indexes of additive codes by their tokens.
 *
 * @module
 */

import { searchTypeOf } from "../codec/additive_type.ts";
import type { Metric } from "../metric.ts";
import {
  type AdditiveIndexOptions,
  IndexLocalSearchQuantizer,
  IndexProductLocalSearchQuantizer,
  IndexProductResidualQuantizer,
  IndexResidualQuantizer,
} from "./additive_quantizer.ts";
import { usualSearchType } from "./additive_copies.ts";
import type { Index, IndexOptions } from "./index.ts";
import type { IndexIVF } from "./ivf.ts";
import {
  IndexIVFLocalSearchQuantizer,
  IndexIVFProductLocalSearchQuantizer,
  IndexIVFProductResidualQuantizer,
  IndexIVFResidualQuantizer,
} from "./ivf_additive_quantizer.ts";

/** `RQ<M>x<b>[_<M>x<b>…]`, `LSQ<M>x<b>`, `PRQ<s>x<M>x<b>`, `PLSQ<s>x<M>x<b>`, and what codes hold of norms. */
const ADDITIVE =
  /^(?:(RQ)(\d+x\d+(?:_\d+x\d+)*)|(LSQ)(\d+x\d+)|(PRQ|PLSQ)(\d+x\d+x\d+))(_N[a-z\d]+)?$/;

interface Parsed {
  name: string;
  sizes: number[];
  nbits: number[];
  options: AdditiveIndexOptions;
}

function parse(token: string, metric: Metric, options: IndexOptions): Parsed | undefined {
  const match = ADDITIVE.exec(token);
  if (match === null) return undefined;
  const [, rq, stages, lsq, shape, product, parts, suffix] = match;
  const searchType = suffix === undefined ? usualSearchType(metric) : searchTypeOf(suffix);
  if (searchType === undefined) return undefined;
  const sizes = (stages ?? shape ?? parts)!.split("_")[0]!.split("x").map(Number);
  const nbits = (stages ?? "").split("_").filter((stage) => stage !== "").flatMap((stage) => {
    const [count, bits] = stage.split("x").map(Number);
    return Array.from({ length: Math.min(count!, 2 ** 16) }, () => bits!);
  });
  return { name: (rq ?? lsq ?? product)!, sizes, nbits, options: { ...options, searchType } };
}

/** Whether a token is of additive codes. */
export function isAdditive(token: string): boolean {
  const suffix = ADDITIVE.exec(token)?.at(-1);
  return ADDITIVE.test(token) && (suffix === undefined || searchTypeOf(suffix) !== undefined);
}

/** The index that a token of additive codes makes. */
export function makeAdditive(
  token: string,
  d: number,
  metric: Metric,
  given: IndexOptions,
): Index | undefined {
  const parsed = parse(token, metric, given);
  if (parsed === undefined) return undefined;
  const { name, nbits, options } = parsed;
  const [a, b, c] = parsed.sizes as [number, number, number];
  switch (name) {
    case "RQ":
      return new IndexResidualQuantizer(d, nbits.length, nbits, metric, options);
    case "LSQ":
      return new IndexLocalSearchQuantizer(d, a, b, metric, options);
    case "PRQ":
      return new IndexProductResidualQuantizer(d, a, b, c, metric, options);
  }
  return new IndexProductLocalSearchQuantizer(d, a, b, c, metric, options);
}

/** The index with lists that a token of additive codes makes. */
export function makeIVFAdditive(
  token: string,
  quantizer: () => Index,
  d: number,
  nlist: number,
  metric: Metric,
  given: IndexOptions,
): IndexIVF | undefined {
  const parsed = parse(token, metric, given);
  if (parsed === undefined) return undefined;
  const { name, nbits, options } = parsed;
  const [a, b, c] = parsed.sizes as [number, number, number];
  const coarse = quantizer();
  switch (name) {
    case "RQ":
      return new IndexIVFResidualQuantizer(coarse, d, nlist, nbits.length, nbits, metric, options);
    case "LSQ":
      return new IndexIVFLocalSearchQuantizer(coarse, d, nlist, a, b, metric, options);
    case "PRQ":
      return new IndexIVFProductResidualQuantizer(coarse, d, nlist, a, b, c, metric, options);
  }
  return new IndexIVFProductLocalSearchQuantizer(coarse, d, nlist, a, b, c, metric, options);
}
