/**
 * The ranges that scalar quantizers keep numbers in, learnt from vectors.
 *
 * @module
 */

import { quantizerShapes, type QuantizerType, RangeStat } from "./quantizer_type.ts";

const { fround } = Math;

/** Steps of the search for the range with the least squared error. */
const MOST_STEPS = 2000;
/** Steps without a change after which it ends. */
const STILL_STEPS = 16;

/** What ranges are learnt from and how. */
export interface RangeTraining {
  /** How numbers are kept. */
  qtype: QuantizerType;
  /** Dimension. */
  d: number;
  /** How the range is found. */
  rangeStat: RangeStat;
  /** What it means depends on {@linkcode rangeStat}. */
  rangeStatArg: number;
}

/**
 * The least value and the length of the range: of each dimension, or of all.
 *
 * @param x `n × d` numbers.
 * @param how How the range is found.
 */
export function trainRanges(x: Float32Array, how: RangeTraining): Float32Array {
  const { qtype, d } = how;
  const { bits, range } = quantizerShapes[qtype];
  if (range === "none") return new Float32Array();
  const levels = 2 ** bits;
  if (range === "all") return Float32Array.from(rangeOf(x, levels, how));
  const trained = new Float32Array(2 * d);
  const column = new Float32Array(x.length / d);
  for (let j = 0; j < d; j++) {
    for (let i = 0; i < column.length; i++) column[i] = x[i * d + j]!;
    [trained[j], trained[d + j]] = rangeOf(column, levels, how);
  }
  return trained;
}

/** The range of some numbers. */
function rangeOf(
  x: Float32Array,
  levels: number,
  { rangeStat, rangeStatArg }: RangeTraining,
): [least: number, range: number] {
  switch (rangeStat) {
    case RangeStat.MinMax: {
      const [least, most] = ends(x);
      const more = fround(fround(most - least) * fround(rangeStatArg));
      return between(least - more, most + more);
    }
    case RangeStat.MeanStd: {
      let [sum, squares] = [0, 0];
      for (const value of x) {
        sum += value;
        squares += fround(value * value);
      }
      const mean = fround(sum / x.length);
      const variance = fround(squares / x.length - fround(mean * mean));
      const more = fround(
        (variance <= 0 ? 1 : fround(Math.sqrt(variance))) * fround(rangeStatArg),
      );
      return between(mean - more, mean + more);
    }
    case RangeStat.Quantiles: {
      const sorted = x.slice().sort();
      const n = sorted.length;
      let cut = Math.max(0, Math.trunc(fround(fround(rangeStatArg) * n)));
      if (cut > n - cut) cut = Math.floor(n / 2);
      return between(sorted[cut]!, sorted[Math.max(0, n - 1 - cut)]!);
    }
    case RangeStat.Optim:
      return leastError(x, levels);
  }
}

function between(least: number, most: number): [least: number, range: number] {
  return [fround(least), fround(fround(most) - fround(least))];
}

function ends(x: Float32Array): [least: number, most: number] {
  let [least, most] = [Infinity, -Infinity];
  for (const value of x) {
    if (value < least) least = value;
    if (value > most) most = value;
  }
  return [least, most];
}

/** The evenly spaced levels with the least squared error: each fits a line to the last's levels. */
function leastError(x: Float32Array, levels: number): [least: number, range: number] {
  const n = x.length;
  const [least, most] = ends(x);
  let start = least;
  let step = (most - least) / (levels - 1);
  if (step === 0) return [least, 0];
  let sum = 0;
  for (const value of x) sum += value;
  let [before, still] = [-1, 0];
  for (let turn = 0; turn < MOST_STEPS && still < STILL_STEPS; turn++) {
    let [numbers, squares, products, error] = [0, 0, 0, 0];
    for (const value of x) {
      const number = Math.min(levels - 1, Math.max(0, Math.floor((value - start) / step + 0.5)));
      error += (value - (number * step + start)) ** 2;
      numbers += number;
      squares += number * number;
      products += number * value;
    }
    still = error === before ? still + 1 : 0;
    before = error;
    const determinant = numbers * numbers - squares * n;
    // All at one level: no line is better than another.
    if (determinant === 0) break;
    start = (numbers * products - squares * sum) / determinant;
    step = (numbers * sum - n * products) / determinant;
  }
  return between(start, start + step * (levels - 1));
}
