/**
 * Numbers of any count that need no memory of that size, so that references of large problems can be computed.
 *
 * @module
 */

import { toBfloat16 } from "../../linalg/numbers.ts";
import type { Element, HostNumbers } from "../../backend/linalg.ts";

/** A prime: rows of no matrix are alike, however long they are. */
const PERIOD = 1_000_003;

/** Uniform numbers from −1 to 1 that repeat after a prime count, as a type rounds them. */
export class Pattern {
  /** One period. */
  readonly values: Float32Array;
  readonly #stored: HostNumbers;

  /**
   * @param dtype The type.
   * @param seed What it starts from.
   * @param most The most numbers that will be asked for.
   */
  constructor(dtype: Element, seed: number, most: number) {
    const count = Math.min(PERIOD, Math.max(most, 1));
    const stored = dtype === "float32"
      ? new Float32Array(count)
      : dtype === "float16"
      ? new Float16Array(count)
      : new Uint16Array(count);
    this.values = new Float32Array(count);
    const word = new Float32Array(1);
    const bits = new Uint32Array(word.buffer);
    let state = (seed * 2654435761 + 88172645) >>> 0 || 1;
    for (let i = 0; i < count; i++) {
      // xorshift32
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      state >>>= 0;
      const value = state / 2 ** 31 - 1;
      if (dtype === "bfloat16") {
        stored[i] = toBfloat16(value);
        bits[0] = stored[i]! << 16;
        this.values[i] = word[0]!;
      } else {
        stored[i] = value;
        this.values[i] = stored[i]!;
      }
    }
    this.#stored = stored;
  }

  /** Numbers until they repeat. */
  get period(): number {
    return this.#stored.length;
  }

  /** Any number. */
  at(i: number): number {
    return this.values[i % this.period]!;
  }

  /** The first `count` numbers, as stored. */
  fill(count: number): HostNumbers {
    const stored = this.#stored;
    if (count <= stored.length) return stored.slice(0, count);
    const out = stored instanceof Float32Array
      ? new Float32Array(count)
      : stored instanceof Float16Array
      ? new Float16Array(count)
      : new Uint16Array(count);
    for (let at = 0; at < count; at += stored.length) {
      out.set(stored.subarray(0, Math.min(stored.length, count - at)) as never, at);
    }
    return out;
  }
}
