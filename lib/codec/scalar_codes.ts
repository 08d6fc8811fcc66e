/**
 * Codes of scalar quantizers in plain TypeScript, number by number.
 *
 * @module
 */

import type { ScalarSpec } from "./codec.ts";
import { quantizerShapes, QuantizerType, scalarCodeSize } from "./quantizer_type.ts";

const { fround } = Math;
const word = new DataView(new ArrayBuffer(4));

/** The nearest half, and of two the one away from zero, as FAISS rounds: its bits. */
function halfBits(value: number): number {
  word.setFloat16(0, value);
  const bits = word.getUint16(0);
  const [chosen, next] = [Math.abs(ofHalf(bits)), Math.abs(ofHalf(bits + 1))];
  const size = Math.abs(value);
  return size > chosen && size - chosen === next - size ? bits + 1 : bits;
}

/** The upper half of a float after half of its last bit was added, as FAISS rounds. */
function upperBits(value: number): number {
  word.setFloat32(0, value);
  return ((word.getUint32(0) + 0x8000) >>> 16) & 0xffff;
}

function ofHalf(bits: number): number {
  word.setUint16(0, bits);
  return word.getFloat16(0);
}

function ofUpper(bits: number): number {
  word.setUint32(0, bits << 16);
  return word.getFloat32(0);
}

/** Where the range of dimension `j` starts, and how long it is. */
function rangeOf({ qtype, d, trained }: ScalarSpec, j: number): [least: number, range: number] {
  if (quantizerShapes[qtype].range === "all") return [trained[0]!, trained[1]!];
  return [trained[j]!, trained[d + j]!];
}

/** The integer that stands for a number. */
function encodeNumber(spec: ScalarSpec, j: number, value: number): number {
  switch (spec.qtype) {
    case QuantizerType.QTfp16:
      return halfBits(value);
    case QuantizerType.QTbf16:
      return upperBits(value);
    case QuantizerType.QT8bitDirect:
      return Math.min(255, Math.max(0, Math.trunc(value)));
    case QuantizerType.QT8bitDirectSigned:
      return Math.min(255, Math.max(0, Math.trunc(fround(value + 128))));
  }
  const [least, range] = rangeOf(spec, j);
  const part = range === 0 ? 0 : Math.min(1, Math.max(0, fround(fround(value - least) / range)));
  const { bits } = quantizerShapes[spec.qtype];
  // As in FAISS, of which only the product by 255 is rounded to a float.
  return bits === 8 ? Math.trunc(fround(255 * part)) : Math.trunc((2 ** bits - 1) * part);
}

/** The number that an integer stands for. */
function decodeNumber(spec: ScalarSpec, j: number, code: number): number {
  switch (spec.qtype) {
    case QuantizerType.QTfp16:
      return ofHalf(code);
    case QuantizerType.QTbf16:
      return ofUpper(code);
    case QuantizerType.QT8bitDirect:
      return code;
    case QuantizerType.QT8bitDirectSigned:
      return code - 128;
  }
  // What a code of 0 stands for, and what one more adds: the middles of equal parts of the range.
  const [least, range] = rangeOf(spec, j);
  const step = range / (2 ** quantizerShapes[spec.qtype].bits - 1);
  return fround(fround(code * fround(step)) + fround(least + 0.5 * step));
}

/** Codes of `n × d` numbers. */
export function encodeScalar(spec: ScalarSpec, x: Float32Array): Uint8Array {
  const { d, qtype } = spec;
  const size = scalarCodeSize(qtype, d);
  const { bits } = quantizerShapes[qtype];
  const codes = new Uint8Array(x.length / d * size);
  for (let i = 0; i < x.length; i++) {
    const j = i % d;
    const code = encodeNumber(spec, j, x[i]!);
    // Least significant bits first, and never more than two bytes.
    const at = Math.floor(i / d) * size + Math.floor(j * bits / 8);
    const shifted = code << (j * bits % 8);
    codes[at]! |= shifted;
    if (shifted > 255) codes[at + 1]! |= shifted >> 8;
  }
  return codes;
}

/** The numbers that codes stand for, into `out`. */
export function decodeScalar(spec: ScalarSpec, codes: Uint8Array, out: Float32Array): void {
  const { d, qtype } = spec;
  const size = scalarCodeSize(qtype, d);
  const { bits } = quantizerShapes[qtype];
  for (let i = 0; i < out.length; i++) {
    const j = i % d;
    const at = Math.floor(i / d) * size + Math.floor(j * bits / 8);
    const both = codes[at]! | (codes[at + 1] ?? 0) << 8;
    out[i] = decodeNumber(spec, j, (both >> (j * bits % 8)) & (2 ** bits - 1));
  }
}
