/**
 * Codes of a bit a number.
 *
 * @module
 */

/** Bytes of a code of `d` bits. */
export function binaryCodeSize(d: number): number {
  return Math.ceil(d / 8);
}

/** What comparing two codes of so many bytes takes as long as, in multiply-adds. */
export function pairCost(codeSize: number): number {
  return Math.max(16, codeSize / 2);
}

/** Bits set in a byte. */
export function bitsOf(byte: number): number {
  let count = 0;
  for (let left = byte; left > 0; left >>= 1) count += left & 1;
  return count;
}

/** What makes bits of numbers above 0, and of bits 1 and −1. */
export function binaryCodec(d: number): {
  codeSize: number;
  encode(x: Float32Array): Uint8Array;
  decode(codes: Uint8Array, out: Float32Array): void;
} {
  const codeSize = binaryCodeSize(d);
  return {
    codeSize,
    encode(x) {
      const codes = new Uint8Array(x.length / d * codeSize);
      x.forEach((value, i) => {
        if (value > 0) codes[Math.floor(i / d) * codeSize + (i % d >> 3)]! |= 1 << (i % d & 7);
      });
      return codes;
    },
    decode(codes, out) {
      for (let i = 0; i < codes.length / codeSize * d; i++) {
        const byte = codes[Math.floor(i / d) * codeSize + (i % d >> 3)]!;
        out[i] = (byte >> (i % d & 7)) & 1 ? 1 : -1;
      }
    },
  };
}
