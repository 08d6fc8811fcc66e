/**
 * Codes of product quantizers in plain TypeScript: each part's nearest centroid.
 *
 * @module
 */

import type { ProductSpec } from "./codec.ts";

/** Bytes of a code of `m` numbers of `nbits` bits. */
export function productCodeSize(m: number, nbits: number): number {
  return Math.ceil(m * nbits / 8);
}

/** What a product quantizer does, on this thread. */
export function productCodec(spec: ProductSpec): {
  codeSize: number;
  encode(x: Float32Array): Uint8Array;
  decode(codes: Uint8Array, out: Float32Array): void;
} {
  const { d, m, nbits, centroids } = spec;
  const codeSize = productCodeSize(m, nbits);
  const [dsub, ksub] = [d / m, 2 ** nbits];
  const nearest = (x: Float32Array, row: number, part: number): number => {
    let [best, least] = [0, Infinity];
    for (let k = 0; k < ksub; k++) {
      let distance = 0;
      for (let j = 0; j < dsub; j++) {
        distance += (x[row * d + part * dsub + j]! -
          centroids[(part * ksub + k) * dsub + j]!) ** 2;
      }
      if (distance < least) [best, least] = [k, distance];
    }
    return best;
  };
  return {
    codeSize,
    encode(x) {
      const n = x.length / d;
      const codes = new Uint8Array(n * codeSize);
      for (let row = 0; row < n; row++) {
        for (let part = 0; part < m; part++) {
          const code = nearest(x, row, part);
          // Least significant bits first.
          for (let bit = 0; bit < nbits; bit++) {
            const at = part * nbits + bit;
            codes[row * codeSize + (at >> 3)]! |= (code >> bit & 1) << (at & 7);
          }
        }
      }
      return codes;
    },
    decode(codes, out) {
      const n = out.length / d;
      for (let row = 0; row < n; row++) {
        for (let part = 0; part < m; part++) {
          let code = 0;
          for (let bit = 0; bit < nbits; bit++) {
            const at = part * nbits + bit;
            code |= (codes[row * codeSize + (at >> 3)]! >> (at & 7) & 1) << bit;
          }
          const from = (part * ksub + code) * dsub;
          out.set(centroids.subarray(from, from + dsub), row * d + part * dsub);
        }
      }
    },
  };
}
