/**
 * Norms of few bits that additive quantizers keep with codes.
 *
 * @module
 */

import { AdditiveSearchType, normBits } from "./additive_type.ts";

/** Of more norms than this a value, some stand for all. */
const MOST_EACH = 256;

/** What training finds of norms. */
export interface TrainedNorms {
  /** The least one. */
  normMin: number;
  /** The greatest one. */
  normMax: number;
  /** Those that codes choose among, unless they are at equal steps; then none. */
  qnorm: Float32Array;
  /** Two times 16 numbers whose sums those are, if so; else none. */
  normTabs: Float32Array;
}

/** What codes of norms stand for; nothing for norms of 32 bits, or where there are none. */
export function decodedNorms(type: AdditiveSearchType, norms: TrainedNorms): Float32Array {
  const { NormQint8, NormQint4 } = AdditiveSearchType;
  if (type !== NormQint8 && type !== NormQint4) return norms.qnorm;
  const steps = 2 ** normBits(type);
  const range = Math.fround(norms.normMax - norms.normMin);
  return Float32Array.from({ length: steps }, (_, i) => (i + 0.5) / steps * range + norms.normMin);
}

/** How many norms a quantizer's codes choose among, unless they are at equal steps. */
export function countNorms(type: AdditiveSearchType): number {
  return type >= AdditiveSearchType.NormCqint8 ? 2 ** normBits(type) : 0;
}

/** Whether norms are sums of two. */
export function areSums(type: AdditiveSearchType): boolean {
  return type === AdditiveSearchType.NormLSQ2x4 || type === AdditiveSearchType.NormRQ2x4;
}

/** Sums of two times 16 numbers, the first of them changing fastest. */
export function sumsOf(normTabs: Float32Array): Float32Array {
  return Float32Array.from({ length: 256 }, (_, i) => normTabs[i & 15]! + normTabs[16 + (i >> 4)]!);
}

/**
 * The `k` numbers with the least squared error to others, in order: dynamic programming over
 * sorted numbers, where the best cut moves right with the end.
 *
 * @throws {RangeError} If there are fewer numbers than that.
 */
export function cluster1D(x: Float32Array, k: number): Float32Array {
  if (x.length < k) {
    throw new RangeError(`Cannot train: ${x.length} norms are fewer than ${k} to choose among`);
  }
  const sorted = x.toSorted();
  const n = Math.min(sorted.length, k * MOST_EACH);
  const step = sorted.length / n;
  const [sums, squares] = [new Float64Array(n + 1), new Float64Array(n + 1)];
  const middle = sorted[sorted.length >> 1]!;
  for (let i = 0; i < n; i++) {
    const value = sorted[Math.floor(i * step)]! - middle;
    sums[i + 1] = sums[i]! + value;
    squares[i + 1] = squares[i]! + value * value;
  }
  /** Squared error of numbers from one to below another about their mean. */
  const error = (from: number, to: number) => {
    const sum = sums[to]! - sums[from]!;
    return Math.max(0, squares[to]! - squares[from]! - sum * sum / (to - from));
  };
  let best = Float64Array.from({ length: n + 1 }, (_, end) => end === 0 ? Infinity : error(0, end));
  const cuts: Uint32Array[] = [];
  for (let parts = 2; parts <= k; parts++) {
    const [next, cut] = [new Float64Array(n + 1).fill(Infinity), new Uint32Array(n + 1)];
    const solve = (from: number, to: number, low: number, high: number) => {
      if (from > to) return;
      const end = (from + to) >> 1;
      for (let at = Math.max(low, parts - 1); at <= Math.min(high, end - 1); at++) {
        const sum = best[at]! + error(at, end);
        if (sum < next[end]!) [next[end], cut[end]] = [sum, at];
      }
      solve(from, end - 1, low, cut[end]!);
      solve(end + 1, to, cut[end]!, high);
    };
    solve(parts, n, parts - 1, n - 1);
    best = next;
    cuts.push(cut);
  }
  const found = new Float32Array(k);
  for (let part = k - 1, end = n; part >= 0; part--) {
    const from = part === 0 ? 0 : cuts[part - 1]![end]!;
    found[part] = (sums[end]! - sums[from]!) / (end - from) + middle;
    end = from;
  }
  return found;
}
