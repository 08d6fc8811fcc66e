/**
 * Indexes from FAISS's factory strings, and back.
 *
 * @module
 */

import { UnsupportedError } from "../errors.ts";
import { Metric } from "../metric.ts";
import {
  isCodes,
  isGraph,
  isIVFCodes,
  makeCodes,
  makeGraph,
  makeIVFCodes,
} from "./factory_codes.ts";
import { isComposite, makeComposite } from "./factory_composites.ts";
import { laterGraph, laterIndex, laterIVFCode, laterQuantizer } from "./factory_tokens.ts";
import { IndexFlat, IndexFlatIP, IndexFlatL2 } from "./flat.ts";
import { IndexIDMap, IndexIDMap2 } from "./id_map.ts";
import type { Index, IndexOptions } from "./index.ts";
import type { IndexIVF } from "./ivf.ts";
import { IndexIVFFlat } from "./ivf_flat.ts";
import { MOST_NESTED } from "./nesting.ts";

const idMaps = { IDMap: IndexIDMap, IDMap2: IndexIDMap2 } as const;

/**
 * An index by its factory string: `Flat`, `PQ<M>x<nbits>`, `PQ<M>x4fs[_<bbs>]` (of residuals after
 * `IVF<n>,`: `PQ<M>x4fsr`), `SQ8` and its like,
 * `RaBitQ[fs][<nbits>]`, `RQ<M>x<nbits>`, `LSQ…`, `PRQ<s>x<M>x<nbits>` and `PLSQ…`, the last four perhaps
 * with a norm like `_Nqint8`, and these after `IVF<n>,`, `IVF<n>_HNSW<M>,`, `IVF<n>_NSG<R>,` or
 * `IVF<n>(<quantizer>),` (`n` may end in `k` or `M`; `nbits` is 8 if left out);
 * `LSH[<nbits>][r][t]`; `HNSW<M>` or `NSG<R>`, alone or before `,Flat` or a code; transforms before
 * these (`PCA[W][R]<n>`, `OPQ<M>[_<n>]`, `ITQ[<n>]`, `RR[<n>]`, `HR[<seed>]`, `L2norm`, `Pad<n>`),
 * `RFlat` or `Refine(<index>)` after them, and `IDMap` or `IDMap2` before or after all.
 *
 * @param d Dimension.
 * @param description FAISS's factory string.
 * @param metric How vectors are compared.
 * @param options Backend, and `metricArg` of {@linkcode Metric.Lp}.
 * @throws {UnsupportedError} If a token is FAISS's but not available yet, naming it.
 * @throws {RangeError} If a token is unknown or out of place, naming it.
 *
 * @example
 * ```ts
 * import { indexFactory, reverseIndexFactory } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * using index = indexFactory(16, "IDMap,IVF4,Flat");
 * assert.equal(index.isTrained, false);
 * assert.equal(reverseIndexFactory(index), "IDMap,IVF4,Flat");
 * ```
 */
export function indexFactory(
  d: number,
  description: string,
  metric: Metric = Metric.L2,
  options: IndexOptions = {},
): Index {
  let depth = 0;
  const make = (tokens: string[], d: number): Index => {
    const fail = (reason: string) => new RangeError(`Cannot parse "${description}": ${reason}`);
    if (++depth > MOST_NESTED) throw fail(`more than ${MOST_NESTED} indexes in it`);
    const empty = tokens.indexOf("");
    if (empty >= 0) throw fail(`token ${empty + 1} is empty`);
    const [first, ...rest] = tokens as [string, ...string[]];
    for (const name of ["IDMap", "IDMap2"] as const) {
      const inner = first === name
        ? rest
        : tokens.at(-1) === name
        ? tokens.slice(0, -1)
        : undefined;
      if (inner === undefined) continue;
      if (inner.length === 0) throw fail(`${name} wraps nothing`);
      const wrapped = make(inner, d);
      if (wrapped instanceof IndexIDMap) throw fail(`${name} wraps another IDMap`);
      return owning(new idMaps[name](wrapped));
    }
    const composite = makeComposite(tokens, d, {
      tokens: make,
      nested: (text) => make(splitTokens(text), d),
    });
    if (composite !== undefined) return composite;
    if (first === "Flat" && rest.length === 0) return makeFlat(d, metric, options);
    const graph = makeGraph(tokens, d, metric, options);
    if (graph !== undefined) return graph;
    const codes = rest.length === 0 ? makeCodes(first, d, metric, options) : undefined;
    if (codes !== undefined) return codes;
    const list = /^IVF(\d+)([kM]?)(?:\((.*)\)|_(HNSW\d*|NSG\d+))?$/.exec(first);
    if (list && rest.length === 1) {
      const nlist = Number(list[1]) * { "": 1, k: 1024, M: 1024 ** 2 }[list[2] as "" | "k" | "M"];
      const quantizer = () => make(splitTokens(list[3] ?? list[4] ?? "Flat"), d);
      if (rest[0] === "Flat") {
        return owning(new IndexIVFFlat(quantizer(), d, nlist, metric, options));
      }
      const codes = makeIVFCodes(rest[0]!, quantizer, d, nlist, metric, options);
      if (codes !== undefined) return owning(codes);
    }
    if (list && rest.length === 0) throw fail(`${first} needs a code after it, like ${first},Flat`);
    throw explain(description, tokens);
  };
  return make(splitTokens(description), d);
}

function makeFlat(d: number, metric: Metric, options: IndexOptions): IndexFlat {
  if (metric === Metric.L2) return new IndexFlatL2(d, options);
  if (metric === Metric.InnerProduct) return new IndexFlatIP(d, options);
  return new IndexFlat(d, metric, options);
}

function owning<T extends IndexIDMap | IndexIVF>(index: T): T {
  index.ownFields = true;
  return index;
}

/** Splits at the commas outside parentheses. */
function splitTokens(description: string): string[] {
  const tokens = [""];
  let depth = 0;
  for (const letter of description) {
    if (letter === "(") depth++;
    if (letter === ")") depth--;
    if (letter === "," && depth === 0) tokens.push("");
    else tokens[tokens.length - 1] += letter;
  }
  return tokens;
}

/** The error that names the first token which cannot be made. */
function explain(description: string, tokens: string[]): Error {
  const afterIVF = tokens[0]!.startsWith("IVF");
  const storage = laterGraph(tokens);
  if (storage !== undefined) {
    return new UnsupportedError(
      `Cannot parse "${description}": ${tokens.join()} (${storage}) is not available yet`,
    );
  }
  for (const token of tokens) {
    const later = laterQuantizer(token) ?? (afterIVF ? laterIVFCode(token) : undefined) ??
      laterIndex(token);
    if (later !== undefined) {
      return new UnsupportedError(
        `Cannot parse "${description}": ${token} (${later}) is not available yet`,
      );
    }
    if (!isAvailable(token)) {
      const hint = /^B(Flat|IVF|HNSW|Hash)/.test(token) ? "; indexBinaryFactory knows it" : "";
      return new RangeError(`Cannot parse "${description}": unknown token "${token}"${hint}`);
    }
  }
  const at = tokens.findIndex((token, i) => {
    if (i === 0) return isComposite(token);
    return !(i === 1 && afterIVF && (token === "Flat" || isIVFCodes(token)));
  });
  const token = tokens[Math.max(at, 0)];
  return new RangeError(`Cannot parse "${description}": token "${token}" is out of place`);
}

/** Whether there is something to make of a token in its place. */
function isAvailable(token: string): boolean {
  return /^(Flat|IVF\d+[kM]?(\(.*\)|_HNSW\d*|_NSG\d+)?|IDMap2?)$/.test(token) ||
    isGraph([token]) || isComposite(token) || isCodes(token);
}

/**
 * The factory string of an index.
 *
 * @param index The index.
 * @returns A string that {@linkcode indexFactory} makes the same kind of index of.
 * @throws {UnsupportedError} If the index has no factory string.
 */
export function reverseIndexFactory(index: Index): string {
  const name = index.factoryString();
  if (name !== undefined) return name;
  throw new UnsupportedError(`Cannot name a ${index.constructor.name}: it has no factory string`);
}
