/**
 * Indices of additive quantizers by local search, in plain TypeScript: some change at random, then
 * each in turn is set to the best beside the others, as long as that betters their sum.
 *
 * @module
 */

import { MersenneTwister } from "../transform/faiss_random.ts";
import { rowOffsets } from "./additive_type.ts";
import type { AdditiveSpec, LocalSearch } from "./codec.ts";

/**
 * An integer from 0 to below a limit, as C++'s standard library draws it: the upper half of a
 * product, once the lower one favours none.
 */
function below(twister: MersenneTwister, limit: number): number {
  const wide = BigInt(limit);
  const least = 2n ** 32n % wide;
  for (;;) {
    const product = BigInt(twister.next()) * wide;
    if ((product & 0xffffffffn) >= least) return Number(product >> 32n);
  }
}

/** Indices to start from, `n × m`, as FAISS draws them. */
export function randomIndices(spec: AdditiveSpec, how: LocalSearch, n: number): Uint32Array {
  const m = spec.nbits.length;
  const each = m / spec.splits;
  const indices = new Uint32Array(n * m);
  for (let part = 0; part < spec.splits; part++) {
    const twister = new MersenneTwister(how.seed);
    for (let row = 0; row < n; row++) {
      for (let j = 0; j < each; j++) {
        indices[row * m + part * each + j] = below(twister, 2 ** spec.nbits[0]!);
      }
    }
  }
  return indices;
}

/**
 * Betters indices of rows.
 *
 * @param isFresh Whether {@linkcode randomIndices} made them: random numbers go on after those.
 */
export function betterIndices(
  spec: AdditiveSpec,
  how: LocalSearch,
  x: Float32Array,
  indices: Uint32Array,
  isFresh: boolean,
): Uint32Array {
  const { d, splits, nbits, codebooks } = spec;
  const [n, m, dsub] = [x.length / d, nbits.length, d / splits];
  const [each, ksub] = [m / splits, 2 ** nbits[0]!];
  const offsets = rowOffsets(nbits);
  const changes = Math.min(how.changes, each);
  const found = indices.slice();
  for (let part = 0; part < splits; part++) {
    const twister = new MersenneTwister(how.seed);
    for (let i = 0; isFresh && i < n * each; i++) below(twister, ksub);
    const rowAt = (book: number, index: number) => {
      return (offsets[part * each + book]! + index) * dsub;
    };
    /** Squared L2 of what indices leave of a row, with the coordinates of one codebook apart. */
    const restOf = (row: number, tried: number[], without: number): Float64Array => {
      const at = row * d + part * dsub;
      const rest = Float64Array.from(x.subarray(at, at + dsub));
      tried.forEach((index, book) => {
        if (book === without) return;
        const from = rowAt(book, index);
        for (let j = 0; j < dsub; j++) rest[j]! -= codebooks[from + j]!;
      });
      return rest;
    };
    const errorOf = (row: number, tried: number[]) => {
      return Math.fround(restOf(row, tried, -1).reduce((sum, value) => sum + value * value, 0));
    };
    const sweep = (row: number, tried: number[]) => {
      for (let book = 0; book < each; book++) {
        const rest = restOf(row, tried, book);
        let [best, least] = [0, Infinity];
        for (let index = 0; index < ksub; index++) {
          const from = rowAt(book, index);
          let error = 0;
          for (let j = 0; j < dsub; j++) error += (rest[j]! - codebooks[from + j]!) ** 2;
          if (error < least) [best, least] = [index, error];
        }
        tried[book] = best;
      }
    };
    for (let from = 0; from < n; from += how.chunk) {
      const to = Math.min(n, from + how.chunk);
      for (let round = 0; round < how.rounds; round++) {
        for (let row = from; row < to; row++) {
          const at = row * m + part * each;
          const kept = [...found.subarray(at, at + each)];
          const tried = kept.slice();
          for (let i = 0; i < changes; i++) tried[below(twister, each)] = below(twister, ksub);
          for (let i = 0; i < how.sweeps; i++) sweep(row, tried);
          if (errorOf(row, tried) < errorOf(row, kept)) found.set(tried, at);
        }
      }
    }
  }
  return found;
}
