/**
 * The codec that keeps the sign of every number, or a few bits of it, and what distances need.
 *
 * @module
 */

import type { Backend, BackendCodec } from "../backend/backend.ts";
import { backend as defaultBackend } from "../backend/select.ts";
import { DisposedError, NotTrainedError } from "../errors.ts";
import { Metric, metricName } from "../metric.ts";
import type { Codec, RaBitQSpec } from "./codec.ts";
import { rabitqLayout } from "./rabitq_codes.ts";

/** Options of a {@linkcode RaBitQuantizer}. */
export interface RaBitQuantizerOptions {
  /** What encodes and decodes; by default what `backend()` returns. */
  backend?: Backend | undefined;
  /**
   * Whether training finds the mean of vectors, which codes are then about. By default codes are
   * about zeros, or about what {@linkcode RaBitQuantizer.encode} is given.
   */
  aboutMean?: boolean | undefined;
}

/** Most bits of a number. */
export const MAX_RABITQ_BITS = 9;

/**
 * Keeps of each number its sign, or up to nine bits, and of each vector a few factors: its distance
 * from a query is estimated without bias. Numbers of a vector should be about as large, as a
 * random rotation makes them.
 *
 * @example
 * ```ts
 * import { Metric, RaBitQuantizer } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * using quantizer = new RaBitQuantizer(16, 1, Metric.L2);
 * const codes = await quantizer.encode(new Float32Array(16).fill(1));
 * assert.equal(codes.length, 2 + 8);
 * assert.deepEqual([...await quantizer.decode(codes)], new Array(16).fill(1));
 * ```
 */
export class RaBitQuantizer implements Codec {
  /** Dimension. */
  readonly d: number;
  /** Bits of a number. */
  readonly nbBits: number;
  /** What distances codes are for. */
  readonly metric: Metric;
  /** Whether training finds the mean of vectors, which codes are then about. */
  readonly aboutMean: boolean;
  readonly #backend: Backend;
  #center: Float32Array | undefined;
  #codec: BackendCodec | undefined;
  #disposed = false;

  /**
   * A quantizer.
   *
   * @param d Dimension.
   * @param nbBits Bits of a number, 1 to 9.
   * @param metric {@linkcode Metric.L2}, {@linkcode Metric.InnerProduct} or, of vectors of length
   * 1, {@linkcode Metric.Cosine}.
   * @param options Backend, and whether codes are about the mean.
   * @throws {RangeError} If a number is out of range, or there is no such metric.
   */
  constructor(
    d: number,
    nbBits = 1,
    metric: Metric = Metric.L2,
    options: RaBitQuantizerOptions = {},
  ) {
    const fail = (reason: string) => new RangeError(`Cannot make a RaBitQ quantizer: ${reason}`);
    if (!Number.isInteger(d) || d < 1 || d > 2 ** 20) {
      throw fail(`d ${d} is no integer from 1 to 2^20`);
    }
    if (!Number.isInteger(nbBits) || nbBits < 1 || nbBits > MAX_RABITQ_BITS) {
      throw fail(`nbBits ${nbBits} is no integer from 1 to ${MAX_RABITQ_BITS}`);
    }
    if (metric !== Metric.L2 && metric !== Metric.InnerProduct && metric !== Metric.Cosine) {
      throw fail(`it is for L2, inner product or cosine, not for ${metricName(metric)}`);
    }
    this.d = d;
    this.nbBits = nbBits;
    this.metric = metric;
    this.aboutMean = options.aboutMean ?? false;
    this.#backend = options.backend ?? defaultBackend();
  }

  /** Bytes of a code. */
  get codeSize(): number {
    return rabitqLayout(this.d, this.nbBits).codeSize;
  }

  /** Whether vectors can be encoded. */
  get isTrained(): boolean {
    return !this.aboutMean || this.#center !== undefined;
  }

  /** The mean that codes are about; empty where there is none. */
  get center(): Float32Array {
    return this.#center?.slice() ?? new Float32Array();
  }

  /** The quantizer as plain data. @internal */
  get spec(): RaBitQSpec {
    this.#check("use the quantizer");
    const { d, nbBits: nbits, metric, center } = this;
    return { kind: "rabitq", d, nbits, inner: metric !== Metric.L2, center };
  }

  /** Takes over the mean that another training found. @internal */
  restore(center: Float32Array): void {
    if (center.length !== this.d) {
      throw new TypeError(`Cannot restore: ${center.length} numbers of a mean of ${this.d}`);
    }
    this.#center = center.slice();
    this.#codec?.[Symbol.dispose]();
    this.#codec = undefined;
  }

  /**
   * Finds the mean of vectors; does nothing where codes are not about it.
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
    const { d } = this;
    if (x.length === 0 || x.length % d !== 0) {
      throw new TypeError(`Cannot train: ${x.length} numbers are no rows of ${d}`);
    }
    if (!this.aboutMean) return;
    const sums = new Float64Array(d);
    for (let i = 0; i < x.length; i++) sums[i % d]! += x[i]!;
    const bad = sums.findIndex((sum) => !Number.isFinite(sum));
    if (bad >= 0) throw new RangeError(`Cannot train: column ${bad} is not finite in every row`);
    this.restore(Float32Array.from(sums, (sum) => sum / (x.length / d)));
  }

  /**
   * Codes of vectors.
   *
   * @param x `n × d` numbers.
   * @param about What each code is about, `n × d` numbers; by default the mean, if there is one,
   * or else zeros.
   * @returns `n × codeSize` bytes.
   * @throws {NotTrainedError} If the quantizer has to be trained first.
   * @throws {TypeError} If `about` has another length than `x`.
   */
  async encode(x: Float32Array, about?: Float32Array): Promise<Uint8Array> {
    if (about !== undefined && about.length !== x.length) {
      throw new TypeError(
        `Cannot encode: ${x.length} numbers about ${about.length} of them: lengths differ`,
      );
    }
    return await this.#native("encode").encode(x, about);
  }

  /**
   * What codes stand for, less what they are about unless that is the mean. As in FAISS only signs
   * count.
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
