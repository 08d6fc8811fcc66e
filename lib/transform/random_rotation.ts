/**
 * Random rotations.
 *
 * @module
 */

import { run as runSteps, type Steps } from "../backend/reference/steps.ts";
import { randomNormals } from "./faiss_random.ts";
import { LinearTransform } from "./linear.ts";
import type { TransformOptions } from "./transform.ts";

/** Seed of training, as in FAISS. */
const TRAINING_SEED = 12345;

/**
 * A random rotation; with fewer numbers out, rows of one, with more, columns. A seed gives FAISS's
 * matrix, but for rounding.
 *
 * @example
 * ```ts
 * import { RandomRotationMatrix } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * const rotation = new RandomRotationMatrix(3);
 * await rotation.init(7);
 * const y = await rotation.apply([[1, 2, 2]]);
 * assert.ok(Math.abs(Math.hypot(...y) - 3) < 1e-5);
 * ```
 */
export class RandomRotationMatrix extends LinearTransform {
  /**
   * A rotation that is chosen by {@linkcode init} or by training.
   *
   * @param dIn Dimension of what it takes.
   * @param dOut Dimension of what it gives; by default the same.
   * @throws {RangeError} If a dimension is no integer from 1 to 2^20.
   */
  constructor(dIn: number, dOut: number = dIn) {
    super(dIn, dOut);
  }

  /**
   * Chooses the rotation.
   *
   * @param seed An integer; its low 32 bits count.
   * @param options What stops it.
   * @throws {RangeError} If the seed is no integer from 0.
   */
  async init(seed: number, options: Pick<TransformOptions, "signal"> = {}): Promise<void> {
    if (!Number.isSafeInteger(seed) || seed < 0) {
      throw new RangeError(`Cannot rotate: seed ${seed} is no integer from 0`);
    }
    this.setMatrix(
      await randomRotation(this.dIn, this.dOut, seed, options.signal),
      undefined,
      true,
    );
  }

  /** @internal */
  override factoryString(): string {
    return this.dOut === this.dIn ? "RR" : `RR${this.dOut}`;
  }

  /** @internal */
  protected override async doTrain(_x: Float32Array, options: TransformOptions): Promise<void> {
    await this.init(TRAINING_SEED, options);
  }
}

/**
 * FAISS's random matrix of orthonormal rows, or columns where it has more rows.
 *
 * @returns `dOut × dIn` numbers.
 * @internal
 */
export async function randomRotation(
  dIn: number,
  dOut: number,
  seed: number,
  signal?: AbortSignal,
): Promise<Float32Array> {
  const length = Math.max(dIn, dOut);
  const rows = Float64Array.from(randomNormals(dOut * length, seed));
  const q = await runSteps(orthonormalize(rows, dOut, length), signal);
  const a = new Float32Array(dOut * dIn);
  for (let i = 0; i < dOut; i++) a.set(q.subarray(i * length, i * length + dIn), i * dIn);
  return a;
}

/**
 * Makes `n` rows of `m ≥ n` numbers orthonormal in place by Householder reflections, with LAPACK's
 * signs: each reflection turns a row's rest against the sign of its first number.
 */
function* orthonormalize(rows: Float64Array, n: number, m: number): Steps<Float64Array> {
  const factors = new Float64Array(n);
  for (let k = 0; k < n; k++) {
    factors[k] = makeReflector(rows.subarray(k * m + k, (k + 1) * m));
    for (let row = k + 1; row < n; row++) reflect(rows, k, row, m, factors[k]!);
    yield;
  }
  for (let k = n - 1; k >= 0; k--) {
    for (let row = k + 1; row < n; row++) reflect(rows, k, row, m, factors[k]!);
    const own = rows.subarray(k * m, (k + 1) * m);
    own.fill(0, 0, k);
    for (let i = k; i < m; i++) own[i] = (i === k ? 1 : 0) - factors[k]! * own[i]!;
    yield;
  }
  return rows;
}

/** x becomes v, with v[0] = 1, and (I − τ v vᵀ) x has one number; returns τ. */
function makeReflector(x: Float64Array): number {
  const first = x[0]!;
  let rest = 0;
  for (let i = 1; i < x.length; i++) rest += x[i]! * x[i]!;
  x[0] = 1;
  if (rest === 0) return 0;
  const length = Math.sqrt(first * first + rest) * (first >= 0 ? -1 : 1);
  for (let i = 1; i < x.length; i++) x[i]! /= first - length;
  return (length - first) / length;
}

/** A row ← (I − τ v vᵀ) row, where v lies in row k from column k on. */
function reflect(rows: Float64Array, k: number, row: number, m: number, factor: number): void {
  const v = rows.subarray(k * m + k, (k + 1) * m);
  const x = rows.subarray(row * m + k, (row + 1) * m);
  let sum = 0;
  for (let i = 0; i < v.length; i++) sum += v[i]! * x[i]!;
  sum *= factor;
  for (let i = 0; i < v.length; i++) x[i]! -= sum * v[i]!;
}
