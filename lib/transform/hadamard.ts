/**
 * Fast pseudo-random rotations.
 *
 * @module
 */

import { backend as defaultBackend } from "../backend/select.ts";
import { randomSigns } from "./faiss_random.ts";
import { type TransformOptions, VectorTransform } from "./transform.ts";

/** Times that signs are flipped and a Hadamard transform is done. */
const ROUNDS = 3;

/** Seed of FAISS's factory. */
const DEFAULT_SEED = 12345;

/**
 * Three rounds of random signs and a Walsh–Hadamard transform: a rotation in d log d steps (Ailon and
 * Chazelle, "The fast Johnson–Lindenstrauss transform", 2009). Vectors are filled up with zeros to the
 * next power of two. A seed gives FAISS's numbers, to the last bit.
 *
 * @example
 * ```ts
 * import { HadamardRotation } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * const rotation = new HadamardRotation(3);
 * const y = await rotation.apply([[1, 2, 2]]);
 * assert.equal(y.length, 4);
 * assert.ok(Math.abs(Math.hypot(...y) - 3) < 1e-5);
 * ```
 */
export class HadamardRotation extends VectorTransform {
  /** Seed of the signs. */
  readonly seed: number;
  // Made when first needed: a file has only the seed.
  private signs: Float32Array | undefined;

  /**
   * A rotation.
   *
   * @param d Dimension of what it takes.
   * @param seed Seed of the signs.
   * @throws {RangeError} If `d` is no integer from 1 to 2^20, or the seed none from 0 to 2^32 − 1.
   */
  constructor(d: number, seed: number = DEFAULT_SEED) {
    super(d, 2 ** Math.ceil(Math.log2(Math.max(1, d))));
    if (!Number.isInteger(seed) || seed < 0 || seed >= 2 ** 32) {
      throw new RangeError(`Cannot rotate: seed ${seed} is no integer from 0 to 2^32 - 1`);
    }
    this.seed = seed;
  }

  /** Bytes that the signs take. */
  override memoryUsage(): number {
    return ROUNDS * this.dOut * 4;
  }

  /** @internal */
  override factoryString(): string {
    return this.seed === DEFAULT_SEED ? "HR" : `HR${this.seed}`;
  }

  /** @internal */
  override checkIdentical(other: VectorTransform): void {
    super.checkIdentical(other);
    if ((other as HadamardRotation).seed !== this.seed) {
      throw new TypeError("Cannot mergeFrom: the seeds of the two indexes' rotations differ");
    }
  }

  /** @internal */
  protected override doApply(x: Float32Array, options: TransformOptions): Promise<Float32Array> {
    return this.native(x, false, options) ?? super.doApply(x, options);
  }

  /** @internal */
  protected override doReverse(y: Float32Array, options: TransformOptions): Promise<Float32Array> {
    return this.native(y, true, options) ?? super.doReverse(y, options);
  }

  /** Not of `#`: a clone has no such names. @internal */
  private native(
    x: Float32Array,
    isBack: boolean,
    { backend = defaultBackend(), signal }: TransformOptions,
  ): Promise<Float32Array> | undefined {
    const signs = this.signs ??= randomSigns(ROUNDS * this.dOut, this.seed);
    return backend.rotateHadamard?.(x, this.dIn, signs, isBack, signal);
  }

  /** @internal */
  protected override compute(x: Float32Array, out: Float32Array): void {
    const { dIn, dOut } = this;
    const signs = this.signs ??= randomSigns(ROUNDS * dOut, this.seed);
    const factor = scaleOf(dOut);
    for (let from = 0, to = 0; from < x.length; from += dIn, to += dOut) {
      const row = out.subarray(to, to + dOut);
      row.fill(0);
      row.set(x.subarray(from, from + dIn));
      for (let round = 0; round < ROUNDS; round++) {
        for (let i = 0; i < dOut; i++) row[i]! *= signs[round * dOut + i]!;
        walshHadamard(row);
      }
      for (let i = 0; i < dOut; i++) row[i]! *= factor;
    }
  }

  /** @internal */
  protected override invert(y: Float32Array, out: Float32Array): void {
    const { dIn, dOut } = this;
    const signs = this.signs ??= randomSigns(ROUNDS * dOut, this.seed);
    const factor = scaleOf(dOut);
    for (let from = 0, to = 0; from < y.length; from += dOut, to += dIn) {
      const row = y.slice(from, from + dOut);
      for (let round = ROUNDS - 1; round >= 0; round--) {
        walshHadamard(row);
        for (let i = 0; i < dOut; i++) row[i]! *= signs[round * dOut + i]!;
      }
      for (let i = 0; i < dIn; i++) out[to + i] = row[i]! * factor;
    }
  }
}

/** 1 / n^1.5 in the steps of single precision in which FAISS computes it. */
function scaleOf(n: number): number {
  return Math.fround(1 / Math.fround(n * Math.fround(Math.sqrt(n))));
}

/** In place, without a factor: lengths grow by √n. */
function walshHadamard(row: Float32Array): void {
  for (let step = 1; step < row.length; step *= 2) {
    for (let start = 0; start < row.length; start += 2 * step) {
      for (let i = start; i < start + step; i++) {
        // No destructuring: in this loop it takes six times as long.
        const a = row[i]!;
        const b = row[i + step]!;
        row[i] = a + b;
        row[i + step] = a - b;
      }
    }
  }
}
