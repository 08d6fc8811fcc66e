/**
 * How queries are compared with codes of RaBitQ, in plain TypeScript.
 *
 * @module
 */

import type { RaBitQSpec } from "./codec.ts";
import { bitAt, rabitqLayout } from "./rabitq_codes.ts";

const { fround } = Math;

/** How a query is rounded before it is compared. */
export interface QueryRounding {
  /** Bits of its numbers, 1 to 8; 0 where they stay as they are. */
  qb: number;
  /** Whether its levels lie about zero; otherwise between its least and its greatest number. */
  centered: boolean;
}

/** Widest range of a query's levels, in deviations, by bits: that of the least squared error. */
const WIDTHS = [0.79688, 1.49375, 2.05078, 2.50938, 2.9125, 3.26406, 3.59844, 3.91016];

/** Added to the bits of a query in {@linkcode packRounding} where levels lie about zero. */
const CENTERED = 16;

/** A rounding as the one number that searches of stores take. */
export function packRounding({ qb, centered }: QueryRounding): number {
  return qb + (centered ? CENTERED : 0);
}

/** The rounding of {@linkcode packRounding}. */
export function unpackRounding(packed: number): QueryRounding {
  return { qb: packed % CENTERED, centered: packed >= CENTERED };
}

/** Numbers of a query, less what codes are about, rounded to levels; then what a product counts for. */
interface Levels {
  values: ArrayLike<number>;
  /** Of the sum of the values at a code's ones. */
  perLevel: number;
  /** Of the ones of a code. */
  perBit: number;
  /** Of every code. */
  always: number;
}

function roundQuery(rest: Float32Array, square: number, { qb, centered }: QueryRounding): Levels {
  const d = rest.length;
  const root = fround(1 / fround(Math.sqrt(d)));
  if (qb === 0) {
    const sum = rest.reduce((total, value) => total + value, 0);
    return { values: rest, perLevel: 2 * root, perBit: 0, always: -sum * root };
  }
  const most = 2 ** qb - 1;
  const radius = fround(fround(WIDTHS[qb - 1]!) * fround(Math.sqrt(fround(fround(square) / d))));
  const least = centered ? -radius : rest.reduce((a, b) => Math.min(a, b), Infinity);
  const greatest = centered ? radius : rest.reduce((a, b) => Math.max(a, b), -Infinity);
  const step = fround(fround(greatest - least) / most);
  const inverse = fround(1 / step);
  const values = Array.from(rest, (value) => {
    if (!(step > 0) || inverse === Infinity) return 0;
    const level = fround(fround(value - least) * inverse);
    return level > 0 ? Math.trunc(fround((level < most ? level : most) + 0.5)) : 0;
  });
  const sum = values.reduce((total, value) => total + value, 0);
  if (!centered) {
    return {
      values,
      perLevel: 2 * step * root,
      perBit: 2 * least * root,
      always: -root * (step * sum + d * least),
    };
  }
  const squares = values.reduce((total, value) => total + (2 * value - most) ** 2, 0);
  const scale = Math.sqrt(square / (squares * d));
  return {
    values,
    perLevel: 4 * scale,
    perBit: -2 * most * scale,
    always: (most * d - 2 * sum) * scale,
  };
}

/**
 * How near codes are to a query: their distance, or their product.
 *
 * @param about What the codes are about: `d` numbers, or none.
 * @returns The number of the code that starts at a byte.
 */
export function compareRaBitQ(
  { d, nbits, inner }: RaBitQSpec,
  codes: Uint8Array,
  query: Float32Array,
  about: Float32Array,
  rounding: QueryRounding,
): (at: number) => number {
  const { signs, more, bits, codeSize } = rabitqLayout(d, nbits);
  const view = new DataView(codes.buffer, codes.byteOffset, codes.length);
  const rest = query.map((value, j) => value - (about[j] ?? 0));
  let [square, length, product] = [0, 0, 0];
  for (let j = 0; j < d; j++) {
    square += rest[j]! * rest[j]!;
    length += query[j]! * query[j]!;
    product += query[j]! * (about[j] ?? 0);
  }
  if (bits > 0) {
    const zero = 2 ** bits - 0.5;
    return (at) => {
      let sum = 0;
      for (let j = 0; j < d; j++) {
        let level = bitAt(codes, at, j) << bits;
        for (let bit = 0; bit < bits; bit++) {
          level |= bitAt(codes, at + more, j * bits + bit) << bit;
        }
        sum += rest[j]! * (level - zero);
      }
      const end = at + codeSize - 8;
      const found = view.getFloat32(end, true) + view.getFloat32(end + 4, true) * sum;
      return inner ? product + found : Math.max(0, square + found);
    };
  }
  const { values, perLevel, perBit, always } = roundQuery(rest, square, rounding);
  return (at) => {
    let [sum, ones] = [0, 0];
    for (let j = 0; j < 8 * signs; j++) {
      if (bitAt(codes, at, j) === 0) continue;
      sum += values[j] ?? 0;
      ones++;
    }
    const found = perLevel * sum + perBit * ones + always;
    const apart = view.getFloat32(at + signs, true) + square -
      2 * view.getFloat32(at + signs + 4, true) * found;
    return inner ? -0.5 * (apart - length) : Math.max(0, apart);
  };
}
