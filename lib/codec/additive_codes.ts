/**
 * Codes of additive quantizers in plain TypeScript: sums of rows, in double precision.
 *
 * @module
 */

import { additiveCodeSize, AdditiveSearchType, normBits, rowOffsets } from "./additive_type.ts";
import { betterIndices, randomIndices } from "./additive_search.ts";
import type { AdditiveSpec } from "./codec.ts";

/** Indices and norms in codes, from the lowest bit up. */
function writeBits(code: Uint8Array, at: number, bits: number, value: number): void {
  for (let bit = 0; bit < bits; bit++) {
    const place = at + bit;
    code[place >> 3]! |= (value >>> bit & 1) << (place & 7);
  }
}

function readBits(code: Uint8Array, at: number, bits: number): number {
  let value = 0;
  for (let bit = 0; bit < bits; bit++) {
    value |= (code[at + bit >> 3]! >> (at + bit & 7) & 1) << bit;
  }
  return value >>> 0;
}

function floatOf(bits: number): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint32(0, bits);
  return view.getFloat32(0);
}

function bitsOf(value: number): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setFloat32(0, value);
  return view.getUint32(0);
}

/** What codes hold of a norm. */
function encodeNorm(spec: AdditiveSpec, norm: number): number {
  const { searchType, normMin, normMax, norms } = spec;
  const { NormFloat, NormQint8, NormQint4 } = AdditiveSearchType;
  if (searchType === NormFloat) return bitsOf(norm);
  if (searchType === NormQint8 || searchType === NormQint4) {
    const steps = norms.length;
    const part = Math.fround(
      Math.fround(Math.fround(norm) - normMin) / Math.fround(normMax - normMin),
    );
    const at = Math.floor(Math.fround(part * steps));
    return Number.isNaN(at) ? 0 : Math.max(0, Math.min(steps - 1, at));
  }
  let best = 0;
  norms.forEach((value, i) => {
    const [apart, least] = [value, norms[best]!].map((other) => {
      return Math.abs(Math.fround(other - Math.fround(norm)));
    });
    // Of two as near the larger, as FAISS does.
    if (apart! < least! || apart === least && value > norms[best]!) best = i;
  });
  return best;
}

/** What an additive quantizer does, on this thread. */
export interface PlainAdditive {
  /** Bytes of a code. */
  codeSize: number;
  /** Codes of whole rows. */
  encode(x: Float32Array): Uint8Array;
  /** The vectors of whole codes, into `out`. */
  decode(codes: Uint8Array, out: Float32Array): void;
  /** The norm that a code holds, for those that hold one. */
  norm(code: Uint8Array): number;
}

/** What an additive quantizer does, on this thread. */
export function additiveCodec(spec: AdditiveSpec): PlainAdditive {
  const { d, splits, nbits, codebooks, searchType, norms } = spec;
  const codeSize = additiveCodeSize(nbits, searchType);
  const offsets = rowOffsets(nbits);
  const [m, dsub, bits] = [nbits.length, d / splits, normBits(searchType)];
  const each = m / splits;
  const total = nbits.reduce((sum, value) => sum + value, 0);
  const rowOf = (book: number, index: number) => {
    const row = offsets[book]! + index;
    return codebooks.subarray(row * dsub, (row + 1) * dsub);
  };
  const decodeOne = (code: Uint8Array, out: Float32Array) => {
    out.fill(0);
    for (let book = 0, at = 0; book < m; at += nbits[book++]!) {
      const part = Math.floor(book / each) * dsub;
      rowOf(book, readBits(code, at, nbits[book]!)).forEach((value, j) => {
        out[part + j]! += value;
      });
    }
  };
  return {
    codeSize,
    encode(x) {
      const n = x.length / d;
      const indices = "beam" in spec.encoding
        ? beamIndices(spec, x, spec.encoding.beam)
        : betterIndices(spec, spec.encoding, x, randomIndices(spec, spec.encoding, n), true);
      const codes = new Uint8Array(n * codeSize);
      const room = new Float32Array(d);
      for (let row = 0; row < n; row++) {
        const code = codes.subarray(row * codeSize, (row + 1) * codeSize);
        for (let book = 0, at = 0; book < m; at += nbits[book++]!) {
          writeBits(code, at, nbits[book]!, indices[row * m + book]!);
        }
        if (bits === 0) continue;
        decodeOne(code, room);
        const norm = room.reduce((sum, value) => sum + value * value, 0);
        writeBits(code, total, bits, encodeNorm(spec, norm));
      }
      return codes;
    },
    decode(codes, out) {
      for (let row = 0; row < out.length / d; row++) {
        const code = codes.subarray(row * codeSize, (row + 1) * codeSize);
        decodeOne(code, out.subarray(row * d, (row + 1) * d));
      }
    },
    norm(code) {
      const value = readBits(code, total, bits);
      const norm = searchType === AdditiveSearchType.NormFloat ? floatOf(value) : norms[value]!;
      // One that is no number is past all others.
      return Number.isFinite(norm) ? norm : Infinity;
    },
  };
}

interface Candidate {
  path: number[];
  rest: Float64Array;
  distance: number;
}

/** Indices of rows, `n × m`: codebook after codebook, the `beam` nearest sums of rows are kept. */
function beamIndices(spec: AdditiveSpec, x: Float32Array, beam: number): Uint32Array {
  const { d, splits, nbits, codebooks } = spec;
  const [n, m, dsub, each] = [x.length / d, nbits.length, d / splits, nbits.length / splits];
  const offsets = rowOffsets(nbits);
  const indices = new Uint32Array(n * m);
  for (let part = 0; part < n * splits; part++) {
    const first = part % splits * each;
    const rest = Float64Array.from(x.subarray(part * dsub, (part + 1) * dsub));
    let kept: Candidate[] = [{ path: [], rest, distance: 0 }];
    for (let book = first; book < first + each; book++) {
      const next: { from: Candidate; index: number; distance: number }[] = [];
      for (const from of kept) {
        for (let index = 0; index < 2 ** nbits[book]!; index++) {
          const row = (offsets[book]! + index) * dsub;
          let distance = 0;
          for (let j = 0; j < dsub; j++) distance += (from.rest[j]! - codebooks[row + j]!) ** 2;
          next.push({ from, index, distance });
        }
      }
      next.sort((a, b) => a.distance - b.distance);
      kept = next.slice(0, beam).map(({ from, index, distance }) => {
        const row = (offsets[book]! + index) * dsub;
        const rest = from.rest.map((value, j) => value - codebooks[row + j]!);
        return { path: [...from.path, index], rest, distance };
      });
    }
    indices.set(kept[0]!.path, Math.floor(part / splits) * m + first);
  }
  return indices;
}
