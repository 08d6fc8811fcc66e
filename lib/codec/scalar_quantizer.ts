/**
 * The codec that keeps every number in a few bits.
 *
 * @module
 */

import type { Backend, BackendCodec } from "../backend/backend.ts";
import { backend as defaultBackend } from "../backend/select.ts";
import { DisposedError, NotTrainedError } from "../errors.ts";
import { checkTraining } from "../transform/transform.ts";
import type { Codec, ScalarSpec } from "./codec.ts";
import {
  isQuantizerType,
  type QuantizerType,
  RangeStat,
  scalarCodeSize,
  trainedLength,
} from "./quantizer_type.ts";
import { trainRanges } from "./scalar_training.ts";

/** Options of a {@linkcode ScalarQuantizer}. */
export interface ScalarQuantizerOptions {
  /** What encodes and decodes; by default what `backend()` returns. */
  backend?: Backend | undefined;
  /** How training finds the range of numbers; the least and the greatest by default. */
  rangeStat?: RangeStat | undefined;
  /** See {@linkcode RangeStat}; 0 by default. */
  rangeStatArg?: number | undefined;
}

/**
 * Keeps every number of a vector in 4 to 16 bits.
 *
 * @example
 * ```ts
 * import { QuantizerType, ScalarQuantizer } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * using quantizer = new ScalarQuantizer(2, QuantizerType.QT8bit);
 * await quantizer.train(Float32Array.of(0, 0, 255, 51));
 * assert.deepEqual([...await quantizer.encode(Float32Array.of(10, 10))], [10, 50]);
 * ```
 */
export class ScalarQuantizer implements Codec {
  /** Dimension. */
  readonly d: number;
  /** How a number is kept. */
  readonly qtype: QuantizerType;
  /** How training finds the range of numbers. */
  readonly rangeStat: RangeStat;
  /** See {@linkcode RangeStat}. */
  readonly rangeStatArg: number;
  readonly #backend: Backend;
  #trained: Float32Array;
  #codec: BackendCodec | undefined;
  #disposed = false;

  /**
   * A quantizer; types without a range need no training.
   *
   * @param d Dimension.
   * @param qtype How a number is kept.
   * @param options Backend, and how the range of numbers is found.
   * @throws {RangeError} If `d` is not an integer from 1 to 2^20, or there is no such type.
   */
  constructor(d: number, qtype: QuantizerType, options: ScalarQuantizerOptions = {}) {
    if (!Number.isInteger(d) || d < 1 || d > 2 ** 20) {
      throw new RangeError(`Cannot make a quantizer: d ${d} is no integer from 1 to 2^20`);
    }
    if (!isQuantizerType(qtype)) {
      throw new RangeError(`Cannot make a quantizer: there is no type ${qtype}`);
    }
    const { rangeStat = RangeStat.MinMax, rangeStatArg = 0 } = options;
    if (!Object.values(RangeStat).includes(rangeStat) || !Number.isFinite(rangeStatArg)) {
      throw new RangeError(
        `Cannot make a quantizer: there is no range ${rangeStat} of ${rangeStatArg}`,
      );
    }
    this.d = d;
    this.qtype = qtype;
    this.rangeStat = rangeStat;
    this.rangeStatArg = rangeStatArg;
    this.#backend = options.backend ?? defaultBackend();
    this.#trained = new Float32Array();
  }

  /** Takes over what another training found. @internal */
  restore(trained: Float32Array): void {
    this.#trained = trained.slice();
    this.#codec?.[Symbol.dispose]();
    this.#codec = undefined;
  }

  /** Bytes of a code. */
  get codeSize(): number {
    return scalarCodeSize(this.qtype, this.d);
  }

  /** Whether vectors can be encoded. */
  get isTrained(): boolean {
    return this.#trained.length === trainedLength(this.qtype, this.d);
  }

  /** Least values and ranges, of a trained quantizer that has any. */
  get trained(): Float32Array {
    return this.#trained.slice();
  }

  /** The quantizer as plain data. @internal */
  get spec(): ScalarSpec {
    this.#check("use the quantizer");
    return { kind: "sq", d: this.d, qtype: this.qtype, trained: this.#trained.slice() };
  }

  /**
   * Finds the range of numbers; does nothing for types that need none.
   *
   * @param x `n × d` numbers.
   * @param signal Stops the training.
   * @throws {RangeError} If a number is NaN or infinite.
   * @throws {TypeError} If `x` is empty or not in rows of `d`.
   */
  // deno-lint-ignore require-await
  async train(x: Float32Array, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (this.#disposed) throw new DisposedError("Cannot train: the quantizer was disposed");
    if (x.length === 0 || x.length % this.d !== 0) {
      throw new TypeError(`Cannot train: ${x.length} numbers are no rows of ${this.d}`);
    }
    checkTraining(x, this.d);
    const { d, qtype, rangeStat, rangeStatArg } = this;
    this.restore(trainRanges(x, { d, qtype, rangeStat, rangeStatArg }));
  }

  /**
   * Codes of vectors.
   *
   * @param x `n × d` numbers.
   * @returns `n × codeSize` bytes.
   * @throws {NotTrainedError} If the quantizer has to be trained first.
   */
  async encode(x: Float32Array): Promise<Uint8Array> {
    return await this.#native("encode").encode(x);
  }

  /**
   * What codes stand for.
   *
   * @param codes `n × codeSize` bytes.
   * @returns `n × d` numbers.
   * @throws {NotTrainedError} If the quantizer has to be trained first.
   */
  async decode(codes: Uint8Array): Promise<Float32Array> {
    return await this.#native("decode").decode(codes);
  }

  /** Frees what the backend holds. */
  [Symbol.dispose](): void {
    this.#codec?.[Symbol.dispose]();
    this.#codec = undefined;
    this.#disposed = true;
  }

  #check(name: string): void {
    if (this.#disposed) throw new DisposedError(`Cannot ${name}: the quantizer was disposed`);
    if (!this.isTrained) throw new NotTrainedError(`Cannot ${name}: call train() first`);
  }

  #native(name: string): BackendCodec {
    this.#check(name);
    return this.#codec ??= this.#backend.createCodec(this.spec);
  }
}
