/**
 * Transforms that look at one number, or the length, of a vector at a time.
 *
 * @module
 */

import { UnsupportedError } from "../errors.ts";
import { checkTraining, same, type TransformOptions, VectorTransform } from "./transform.ts";

/**
 * Vectors of length 1; a zero vector stays. Reversing leaves them as they are.
 *
 * @example
 * ```ts
 * import { NormalizationTransform } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * const unit = await new NormalizationTransform(2).apply([[3, 4]]);
 * assert.deepEqual([...unit], [...Float32Array.of(0.6, 0.8)]);
 * ```
 */
export class NormalizationTransform extends VectorTransform {
  /** The norm that becomes 1: 2, the Euclidean one. */
  readonly norm: number;

  /**
   * Normalises vectors.
   *
   * @param d Dimension.
   * @param norm The norm: only 2, as in FAISS.
   * @throws {RangeError} If `d` is no integer from 1 to 2^20.
   * @throws {UnsupportedError} If it is another norm than 2.
   */
  constructor(d: number, norm = 2) {
    super(d, d);
    if (norm !== 2) throw new UnsupportedError(`Cannot normalise: norm ${norm} is not 2`);
    this.norm = norm;
  }

  /** @internal */
  override factoryString(): string {
    return "L2norm";
  }

  /** @internal */
  protected override compute(x: Float32Array, out: Float32Array): void {
    out.set(x);
    normalize(out, this.dIn);
  }

  /** @internal */
  protected override invert(y: Float32Array, out: Float32Array): void {
    out.set(y);
  }
}

/** Makes rows of length 1; zero rows stay. @internal */
export function normalize(x: Float32Array, d: number): void {
  for (let from = 0; from < x.length; from += d) {
    let square = 0;
    for (let i = from; i < from + d; i++) square += x[i]! * x[i]!;
    if (square === 0) continue;
    const factor = 1 / Math.sqrt(square);
    for (let i = from; i < from + d; i++) x[i]! *= factor;
  }
}

/**
 * Vectors about their mean.
 *
 * @example
 * ```ts
 * import { CenteringTransform } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * const centering = new CenteringTransform(2);
 * await centering.train([[0, 0], [2, 4]]);
 * assert.deepEqual([...await centering.apply([[2, 4]])], [1, 2]);
 * ```
 */
export class CenteringTransform extends VectorTransform {
  /** The mean; empty until trained. */
  mean: Float32Array = new Float32Array(0);

  /**
   * A transform without a mean yet.
   *
   * @param d Dimension.
   * @throws {RangeError} If `d` is no integer from 1 to 2^20.
   */
  constructor(d: number) {
    super(d, d);
    this.isTrained = false;
  }

  /** Bytes that the mean takes. */
  override memoryUsage(): number {
    return this.mean.byteLength;
  }

  /** @internal */
  override checkIdentical(other: VectorTransform): void {
    super.checkIdentical(other);
    if (!same((other as CenteringTransform).mean, this.mean)) {
      throw new TypeError("Cannot mergeFrom: the means of the two indexes' transforms differ");
    }
  }

  /** @internal */
  protected override doTrain(x: Float32Array, _options: TransformOptions): Promise<void> {
    checkTraining(x, this.dIn);
    this.mean = Float32Array.from(meanOf(x, this.dIn));
    this.isTrained = true;
    return Promise.resolve();
  }

  /** @internal */
  protected override compute(x: Float32Array, out: Float32Array): void {
    out.set(x);
    addTo(out, this.mean, -1);
  }

  /** @internal */
  protected override invert(y: Float32Array, out: Float32Array): void {
    out.set(y);
    addTo(out, this.mean, 1);
  }
}

/** The mean of rows, in double precision. @internal */
export function meanOf(x: Float32Array, d: number): Float64Array {
  const mean = new Float64Array(d);
  for (let from = 0; from < x.length; from += d) {
    for (let i = 0; i < d; i++) mean[i]! += x[from + i]!;
  }
  return mean.map((sum) => sum / (x.length / d));
}

/** Adds a row to all rows, `factor` times. @internal */
export function addTo(x: Float32Array, row: ArrayLike<number>, factor: number): void {
  for (let from = 0; from < x.length; from += row.length) {
    for (let i = 0; i < row.length; i++) x[from + i]! += factor * row[i]!;
  }
}

/**
 * Takes numbers from other places, or zeros. Reversing is right for numbers that were kept; the
 * others become 0.
 *
 * @example
 * ```ts
 * import { RemapDimensionsTransform } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * const pad = RemapDimensionsTransform.pad(2, 4);
 * assert.deepEqual([...await pad.apply([[7, 8]])], [7, 8, 0, 0]);
 * const swap = new RemapDimensionsTransform(2, [1, 0, -1]);
 * assert.deepEqual([...await swap.apply([[7, 8]])], [8, 7, 0]);
 * ```
 */
export class RemapDimensionsTransform extends VectorTransform {
  /** Where each number comes from; −1: it is 0. */
  readonly map: Int32Array;

  /**
   * Takes numbers from places that are given.
   *
   * @param dIn Dimension of what it takes.
   * @param map For each number that it gives, where it comes from; −1 for a zero.
   * @throws {RangeError} If an entry is no integer from −1 to dIn − 1, or a dimension is wrong.
   */
  constructor(dIn: number, map: Int32Array | readonly number[]) {
    super(dIn, map.length);
    for (let i = 0; i < map.length; i++) {
      if (Number.isInteger(map[i]) && map[i]! >= -1 && map[i]! < dIn) continue;
      throw new RangeError(
        `Cannot remap: entry ${i} is ${map[i]}, no integer from -1 to ${dIn - 1}`,
      );
    }
    this.map = Int32Array.from(map);
  }

  /**
   * The first numbers, then zeros.
   *
   * @param dIn Dimension of what it takes.
   * @param dOut Dimension of what it gives.
   */
  static pad(dIn: number, dOut: number): RemapDimensionsTransform {
    const map = Array.from({ length: dOut }, (_, i) => i < dIn ? i : -1);
    return new RemapDimensionsTransform(dIn, map);
  }

  /**
   * Numbers spread evenly: zeros among all of them, or some of them at even distances.
   *
   * @param dIn Dimension of what it takes.
   * @param dOut Dimension of what it gives.
   */
  static uniform(dIn: number, dOut: number): RemapDimensionsTransform {
    const map = new Int32Array(dOut).fill(-1);
    if (dIn < dOut) {
      for (let i = 0; i < dIn; i++) map[Math.floor(i * dOut / dIn)] = i;
    } else {
      for (let i = 0; i < dOut; i++) map[i] = Math.floor(i * dIn / dOut);
    }
    return new RemapDimensionsTransform(dIn, map);
  }

  /** Bytes that the map takes. */
  override memoryUsage(): number {
    return this.map.byteLength;
  }

  /** @internal */
  override factoryString(): string | undefined {
    const isPad = this.dOut >= this.dIn &&
      this.map.every((from, i) => from === (i < this.dIn ? i : -1));
    return isPad ? `Pad${this.dOut}` : undefined;
  }

  /** @internal */
  override checkIdentical(other: VectorTransform): void {
    super.checkIdentical(other);
    if (!same((other as RemapDimensionsTransform).map, this.map)) {
      throw new TypeError("Cannot mergeFrom: the maps of the two indexes' transforms differ");
    }
  }

  /** @internal */
  protected override compute(x: Float32Array, out: Float32Array): void {
    const { dIn, dOut, map } = this;
    for (let from = 0, to = 0; from < x.length; from += dIn, to += dOut) {
      for (let i = 0; i < dOut; i++) out[to + i] = map[i]! < 0 ? 0 : x[from + map[i]!]!;
    }
  }

  /** @internal */
  protected override invert(y: Float32Array, out: Float32Array): void {
    const { dIn, dOut, map } = this;
    out.fill(0);
    for (let from = 0, to = 0; from < y.length; from += dOut, to += dIn) {
      for (let i = 0; i < dOut; i++) {
        if (map[i]! >= 0) out[to + map[i]!] = y[from + i]!;
      }
    }
  }
}
