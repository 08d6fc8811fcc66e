/**
 * Codes of signs in plain TypeScript: a bit a number, whether it is not below its threshold.
 *
 * @module
 */

import type { SignSpec } from "./codec.ts";
import { bitAt } from "./rabitq_codes.ts";

/** Bytes of a code of `d` signs. */
export function signCodeSize(d: number): number {
  return Math.ceil(d / 8);
}

/** Codes of `n × d` numbers. */
export function encodeSigns({ d, thresholds }: SignSpec, x: Float32Array): Uint8Array {
  const size = signCodeSize(d);
  const codes = new Uint8Array(x.length / d * size);
  for (let i = 0; i < x.length; i++) {
    const j = i % d;
    if (!(Math.fround(x[i]! - (thresholds[j] ?? 0)) >= 0)) continue;
    codes[Math.floor(i / d) * size + (j >> 3)]! |= 1 << (j & 7);
  }
  return codes;
}

/** A number of 1 or −1 a bit, past the threshold. */
export function decodeSigns(
  { d, thresholds }: SignSpec,
  codes: Uint8Array,
  out: Float32Array,
): void {
  const size = signCodeSize(d);
  for (let i = 0; i < out.length; i++) {
    const [at, j] = [Math.floor(i / d) * size, i % d];
    out[i] = 2 * bitAt(codes, at, j) - 1 + (thresholds[j] ?? 0);
  }
}

/** How many bits of the code that starts at a byte differ from those of a query. */
export function compareSigns(
  spec: SignSpec,
  codes: Uint8Array,
  query: Float32Array,
): (at: number) => number {
  const own = encodeSigns(spec, query);
  return (at) => {
    let count = 0;
    own.forEach((byte, i) => {
      for (let bits = byte ^ codes[at + i]!; bits > 0; bits &= bits - 1) count++;
    });
    return count;
  };
}
