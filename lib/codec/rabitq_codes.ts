/**
 * Codes of RaBitQ in plain TypeScript: the sign of each number, perhaps more of its bits, and the
 * factors that make distances of them. Floats are rounded where FAISS rounds them.
 *
 * @module
 */

import type { RaBitQSpec } from "./codec.ts";

const { fround } = Math;

/** Where the parts of a code are, in bytes. */
export interface RaBitQLayout {
  /** Bytes of the signs, which come first; then the factors of a code of one bit. */
  signs: number;
  /** Where the other bits are, and after them their two factors; the end where there are none. */
  more: number;
  /** Bits of a number besides its sign. */
  bits: number;
  /** Bytes of all. */
  codeSize: number;
}

/** The layout of codes of `d` numbers of `nbits` bits. */
export function rabitqLayout(d: number, nbits: number): RaBitQLayout {
  const signs = Math.ceil(d / 8);
  const bits = nbits - 1;
  if (bits === 0) return { signs, more: signs + 8, bits, codeSize: signs + 8 };
  const more = signs + 12;
  return { signs, more, bits, codeSize: more + Math.ceil(d * bits / 8) + 8 };
}

/** A code's bit of a number. */
export function bitAt(codes: Uint8Array, at: number, bit: number): number {
  return codes[at + (bit >> 3)]! >> (bit & 7) & 1;
}

/** Codes of rows, each taken about a row of `about`, or all about the only one, or about zeros. */
export function encodeRaBitQ(spec: RaBitQSpec, x: Float32Array, about: Float32Array): Uint8Array {
  const { d, nbits, inner } = spec;
  const layout = rabitqLayout(d, nbits);
  const n = x.length / d;
  const codes = new Uint8Array(n * layout.codeSize);
  const rest = new Float32Array(d);
  for (let row = 0; row < n; row++) {
    const own = x.subarray(row * d, (row + 1) * d);
    const at = about.length > d ? row * d : 0;
    const center = about.length === 0 ? undefined : about.subarray(at, at + d);
    const code = codes.subarray(row * layout.codeSize, (row + 1) * layout.codeSize);
    const view = new DataView(code.buffer, code.byteOffset, code.length);
    let [square, length, sum] = [0, 0, 0];
    for (let j = 0; j < d; j++) {
      const value = rest[j] = own[j]! - (center?.[j] ?? 0);
      const rounded = rest[j]!;
      square = fround(square + fround(rounded * rounded));
      length = fround(length + fround(own[j]! * own[j]!));
      sum = fround(sum + Math.abs(rounded));
      if (value > 0) code[j >> 3]! |= 1 << (j & 7);
    }
    signFactors(d, square, sum, inner, layout.bits > 0).forEach((factor, i) => {
      const moved = i === 0 && inner ? fround(square - length) : factor;
      view.setFloat32(layout.signs + 4 * i, moved, true);
    });
    if (layout.bits > 0) encodeMore(layout, rest, center, inner, code, view);
  }
  return codes;
}

/** Squared length, what the product with the signs is multiplied by, and how far that may be off. */
function signFactors(d: number, square: number, sum: number, inner: boolean, withError: boolean) {
  const epsilon = 2 ** -23;
  const root = fround(1 / fround(Math.sqrt(d)));
  const length = fround(Math.sqrt(square));
  const inverse = square < epsilon ? 1 : fround(1 / length);
  const product = fround(fround(sum * inverse) * root);
  const multiplier = fround((Math.abs(product) < epsilon ? 1 : fround(1 / product)) * length);
  if (!withError) return [square, multiplier];
  const half = fround(0.5 * sum);
  let error = 0;
  if (half > epsilon) {
    const ratio = fround(fround(square * fround(d * 0.25)) / fround(half * half));
    if (ratio > 1) {
      const over = d === 1 ? fround(ratio - 1) : fround(fround(ratio - 1) / (d - 1));
      error = fround(fround(length * fround(1.9)) * fround(Math.sqrt(over)));
    }
  }
  return [square, multiplier, inner ? error : fround(2 * error)];
}

/** The bits besides the sign, and their factors. */
function encodeMore(
  { more, bits }: RaBitQLayout,
  rest: Float32Array,
  center: Float32Array | undefined,
  inner: boolean,
  code: Uint8Array,
  view: DataView,
): void {
  let [square, product] = [0, 0];
  rest.forEach((value, j) => {
    square += value * value;
    product += value * (center?.[j] ?? 0);
  });
  const length = fround(Math.sqrt(fround(square)));
  if (length < 1e-10) return;
  const sizes = rest.map((value) => Math.abs(fround(value / length)));
  const scale = bestScale(sizes, bits);
  const most = 2 ** bits - 1;
  let sum = 0;
  rest.forEach((value, j) => {
    const level = Math.min(Math.trunc(fround(scale * sizes[j]!) + EPSILON), most);
    sum += (level + 0.5) * sizes[j]!;
    const kept = value < 0 ? most - level : level;
    for (let bit = 0; bit < bits; bit++) {
      const at = j * bits + bit;
      code[more + (at >> 3)]! |= (kept >> bit & 1) << (at & 7);
    }
  });
  const inverse = fround(1 / sum);
  const factor = Number.isFinite(inverse) && Math.abs(inverse) >= 2 ** -126 ? inverse : 1;
  const end = code.length - 8;
  view.setFloat32(end, inner ? product : length * length, true);
  view.setFloat32(end + 4, inner ? factor * length : fround(factor * -2) * length, true);
}

/** What is added before a level is cut off to an integer. */
const EPSILON = 1e-5;
/** Levels past the last that scales are tried for. */
const PAST = 10;
/** The part of the largest scale that the search starts at, by bits. */
const START = [0, 0.15, 0.2, 0.52, 0.59, 0.71, 0.75, 0.77, 0.81];

/**
 * The scale whose levels, each size times it cut off, lie nearest to the sizes in direction: of
 * all scales at which a level changes, in order, FAISS's choice, with its rounding.
 */
function bestScale(sizes: Float32Array, bits: number): number {
  const most = 2 ** bits - 1;
  const end = fround((most + PAST) / sizes.reduce((a, b) => Math.max(a, b), 0));
  const start = fround(end * fround(START[bits]!));
  const inverses = sizes.map((size) => 1 / size);
  const levels = new Int32Array(sizes.length);
  let [square, product] = [fround(sizes.length * 0.25), 0];
  // Of each number the next scale at which its level changes, the least on top.
  const heap: [scale: number, at: number][] = [];
  const before = (a: [number, number], b: [number, number]) =>
    a[0] < b[0] || a[0] === b[0] && a[1] < b[1];
  const sift = (from: number): void => {
    for (let at = from, child; (child = 2 * at + 1) < heap.length; at = child) {
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
      if (!before(heap[child]!, heap[at]!)) return;
      [heap[at], heap[child]] = [heap[child]!, heap[at]!];
    }
  };
  sizes.forEach((size, j) => {
    const level = levels[j] = Math.trunc(fround(start * size) + EPSILON);
    square = fround(square + (level * level + level));
    product = fround(product + fround((level + 0.5) * size));
    const next = fround((level + 1) * inverses[j]!);
    if (next < end) heap.push([next, j]);
  });
  for (let at = heap.length >> 1; at-- > 0;) sift(at);
  let inverse = fround(1 / fround(Math.sqrt(square)));
  let [best, scale] = [0, 0];
  while (heap.length > 0) {
    const [now, j] = heap[0]!;
    const level = ++levels[j]!;
    const step = 2 * level;
    square = fround(square + step);
    product = fround(product + sizes[j]!);
    const old = fround(square - step);
    const part = fround(fround(0.5 * step) / fround(old + step * 0.5));
    inverse = fround(inverse * fround(1 - part));
    const likeness = fround(product * inverse);
    if (likeness > best) [best, scale] = [likeness, now];
    const next = fround((level + 1) * inverses[j]!);
    if (level < most && next < end) {
      heap[0] = [next, j];
    } else {
      const last = heap.pop()!;
      if (heap.length > 0) heap[0] = last;
    }
    sift(0);
  }
  return scale;
}

/** What codes stand for, by their signs alone as in FAISS, about the center. */
export function decodeRaBitQ(spec: RaBitQSpec, codes: Uint8Array, out: Float32Array): void {
  const { d, nbits, center } = spec;
  const { signs, codeSize } = rabitqLayout(d, nbits);
  const view = new DataView(codes.buffer, codes.byteOffset, codes.length);
  const root = fround(1 / fround(Math.sqrt(d)));
  for (let row = 0; row < out.length / d; row++) {
    const at = row * codeSize;
    const size = view.getFloat32(at + signs + 4, true);
    for (let j = 0; j < d; j++) {
      const half = fround(fround((bitAt(codes, at, j) - 0.5) * size) * 2);
      out[row * d + j] = fround(half * root) + (center[j] ?? 0);
    }
  }
}
