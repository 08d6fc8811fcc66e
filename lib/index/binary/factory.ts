/**
 * Indexes of bits from FAISS's factory strings, and back.
 *
 * @module
 */

import { UnsupportedError } from "../../errors.ts";
import { IndexBinaryFlat } from "./flat.ts";
import { IndexBinaryHash, IndexBinaryMultiHash } from "./hash.ts";
import { IndexBinaryHNSW } from "./hnsw.ts";
import { IndexBinaryIDMap, IndexBinaryIDMap2 } from "./id_map.ts";
import type { BinaryIndexOptions, IndexBinary } from "./index_binary.ts";
import { IndexBinaryIVF } from "./ivf.ts";

/** What makes each index, of its string. */
const makers: readonly [
  RegExp,
  (match: RegExpExecArray, d: number, options: BinaryIndexOptions) => IndexBinary,
][] = [
  [/^BFlat$/, (_, d, options) => new IndexBinaryFlat(d, options)],
  [/^BIVF(\d+)(?:_HNSW(\d*))?$/, ([, nlist, M], d, options) => {
    const quantizer = M === undefined
      ? new IndexBinaryFlat(d, options)
      : new IndexBinaryHNSW(d, Number(M || 32), options);
    try {
      const index = new IndexBinaryIVF(quantizer, d, Number(nlist), options);
      index.ownFields = true;
      return index;
    } catch (error) {
      quantizer.dispose();
      throw error;
    }
  }],
  [/^BHNSW(\d*)$/, ([, M], d, options) => new IndexBinaryHNSW(d, Number(M || 32), options)],
  [/^BHash(\d+)$/, ([, b], d, options) => new IndexBinaryHash(d, Number(b), options)],
  [/^BHash(\d+)x(\d+)$/, ([, nhash, b], d, options) => {
    return new IndexBinaryMultiHash(d, Number(nhash), Number(b), options);
  }],
];

/**
 * An index of bits by its factory string: `BFlat`, `BIVF<n>`, `BIVF<n>_HNSW<M>`, `BHNSW<M>`, `BHash<b>`,
 * `BHash<nhash>x<b>`, and `IDMap` or `IDMap2` before or after these (`M` is 32 if left out).
 *
 * @param d Bits of a vector: a multiple of 8.
 * @param description FAISS's factory string.
 * @param options Backend.
 * @throws {RangeError} If a token is unknown or out of place, naming it.
 *
 * @example
 * ```ts
 * import { indexBinaryFactory, reverseIndexBinaryFactory } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * using index = indexBinaryFactory(64, "IDMap,BHash4x8");
 * assert.equal(index.codeSize, 8);
 * assert.equal(reverseIndexBinaryFactory(index), "IDMap,BHash4x8");
 * ```
 */
export function indexBinaryFactory(
  d: number,
  description: string,
  options: BinaryIndexOptions = {},
): IndexBinary {
  const fail = (reason: string) => new RangeError(`Cannot parse "${description}": ${reason}`);
  const tokens = description.split(",");
  const empty = tokens.indexOf("");
  if (empty >= 0) throw fail(`token ${empty + 1} is empty`);
  const maps = tokens.filter((token) => /^IDMap2?$/.test(token));
  if (maps.length > 1) throw fail(`${maps[0]} wraps another IDMap`);
  const rest = tokens.filter((token) => !maps.includes(token));
  const isBetween = maps.length > 0 && ![tokens[0], tokens.at(-1)].includes(maps[0]);
  if (rest.length === 0) throw fail(`${maps[0]} wraps nothing`);
  const index = makeIndex(rest[0]!, d, options);
  if (index === undefined) throw fail(`unknown token "${rest[0]}"`);
  if (rest.length > 1 || isBetween) {
    index.dispose();
    throw fail(`"${rest[1]}" has no place after ${rest[0]}`);
  }
  if (maps.length === 0) return index;
  const map = maps[0] === "IDMap" ? new IndexBinaryIDMap(index) : new IndexBinaryIDMap2(index);
  map.ownFields = true;
  return map;
}

function makeIndex(token: string, d: number, options: BinaryIndexOptions): IndexBinary | undefined {
  for (const [pattern, make] of makers) {
    const match = pattern.exec(token);
    if (match !== null) return make(match, d, options);
  }
  return undefined;
}

/**
 * The factory string of an index of bits.
 *
 * @param index The index.
 * @throws {UnsupportedError} If its kind has none.
 */
export function reverseIndexBinaryFactory(index: IndexBinary): string {
  const text = index.factoryString();
  if (text === undefined) {
    throw new UnsupportedError(
      `Cannot name a ${index.constructor.name}: it has no factory string`,
    );
  }
  return text;
}
