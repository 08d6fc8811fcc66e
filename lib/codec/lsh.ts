/**
 * The codec that keeps the sign of every number, perhaps after a rotation.
 *
 * @module
 */

import type { Backend, BackendCodec } from "../backend/backend.ts";
import { backend as defaultBackend } from "../backend/select.ts";
import { DisposedError, NotTrainedError } from "../errors.ts";
import { RandomRotationMatrix } from "../transform/random_rotation.ts";
import { checkTraining } from "../transform/transform.ts";
import type { Codec, SignSpec } from "./codec.ts";
import { signCodeSize } from "./sign_codes.ts";

/** Options of an {@linkcode LSHQuantizer}. */
export interface LSHQuantizerOptions {
  /** What encodes and decodes; by default what `backend()` returns. */
  backend?: Backend | undefined;
  /** Whether vectors are rotated first; by default they are not. */
  rotateData?: boolean | undefined;
  /** Whether training finds thresholds, the medians; by default they are zeros. */
  trainThresholds?: boolean | undefined;
}

/** Seed of the rotation, as in FAISS. */
const SEED = 5;

/**
 * Keeps one bit of each number of a vector, or of its rotation: whether it is not below a
 * threshold.
 *
 * @example
 * ```ts
 * import { LSHQuantizer } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * using quantizer = new LSHQuantizer(4, 4);
 * assert.deepEqual([...await quantizer.encode(Float32Array.of(1, -1, 0, -3))], [0b0101]);
 * ```
 */
export class LSHQuantizer implements Codec {
  /** Dimension. */
  readonly d: number;
  /** Bits of a code. */
  readonly nbits: number;
  /** Whether vectors are rotated first. */
  readonly rotateData: boolean;
  /** Whether training finds thresholds. */
  readonly trainThresholds: boolean;
  /** The rotation, from `d` numbers to `nbits`; without numbers where there is none. */
  readonly rotation: RandomRotationMatrix;
  readonly #backend: Backend;
  #thresholds: Float32Array | undefined;
  #codec: BackendCodec | undefined;
  #disposed = false;

  /**
   * A quantizer; one with thresholds has to be trained.
   *
   * @param d Dimension.
   * @param nbits Bits of a code, at most `d` unless vectors are rotated.
   * @param options Backend, whether to rotate, and whether to train thresholds.
   * @throws {RangeError} If a number is out of range.
   */
  constructor(d: number, nbits: number, options: LSHQuantizerOptions = {}) {
    for (const [name, value] of Object.entries({ d, nbits })) {
      if (Number.isInteger(value) && value >= 1 && value <= 2 ** 20) continue;
      throw new RangeError(
        `Cannot make a quantizer: ${name} ${value} is no integer from 1 to 2^20`,
      );
    }
    const { rotateData = false, trainThresholds = false } = options;
    if (!rotateData && nbits > d) {
      throw new RangeError(
        `Cannot make a quantizer: nbits ${nbits} is more than d ${d}, and there is no rotation`,
      );
    }
    this.d = d;
    this.nbits = nbits;
    this.rotateData = rotateData;
    this.trainThresholds = trainThresholds;
    this.rotation = new RandomRotationMatrix(d, nbits);
    this.#backend = options.backend ?? defaultBackend();
  }

  /** Bytes of a code. */
  get codeSize(): number {
    return signCodeSize(this.nbits);
  }

  /** Whether vectors can be encoded. */
  get isTrained(): boolean {
    return !this.trainThresholds || this.#thresholds !== undefined;
  }

  /** The thresholds, one a bit; empty where there are none. */
  get thresholds(): Float32Array {
    return this.#thresholds?.slice() ?? new Float32Array();
  }

  /** The codec of what {@linkcode project} makes, as plain data. @internal */
  get spec(): SignSpec {
    this.#check("use the quantizer");
    return { kind: "signs", d: this.nbits, thresholds: this.thresholds };
  }

  /** Takes over what another training found, and a rotation that was not made by FAISS's seed. @internal */
  restore(thresholds: Float32Array | undefined, matrix?: Float32Array): void {
    if (thresholds !== undefined) this.#thresholds = thresholds.slice();
    if (matrix !== undefined) this.rotation.setMatrix(matrix);
    this.#codec?.[Symbol.dispose]();
    this.#codec = undefined;
  }

  /** Makes the rotation, if there is to be one and it is not there. @internal */
  async prepare(signal?: AbortSignal): Promise<void> {
    if (this.rotateData && !this.rotation.isTrained) await this.rotation.init(SEED, { signal });
  }

  /**
   * The numbers whose signs, past thresholds, are kept.
   *
   * @param x `n × d` numbers.
   * @returns `n × nbits` numbers.
   */
  async project(x: Float32Array): Promise<Float32Array> {
    if (!this.rotateData) return this.#first(x);
    await this.prepare();
    if (x.length === 0) return x;
    return await this.rotation.apply(x, { backend: this.#backend });
  }

  /** {@linkcode project} on this thread, in double precision. @internal */
  projectSync(x: Float32Array): Float32Array {
    if (!this.rotateData) return this.#first(x);
    // Nothing was encoded yet, so that nothing will be compared.
    if (!this.rotation.isTrained) return new Float32Array(x.length / this.d * this.nbits);
    return this.rotation.applySync(x);
  }

  #first(x: Float32Array): Float32Array {
    const { d, nbits } = this;
    if (nbits === d) return x;
    const n = x.length / d;
    const out = new Float32Array(n * nbits);
    for (let row = 0; row < n; row++) {
      out.set(x.subarray(row * d, row * d + nbits), row * nbits);
    }
    return out;
  }

  /** Rows of `nbits` numbers back to rows of `d`, on this thread. @internal */
  unproject(y: Float32Array, out: Float32Array): void {
    const { d, nbits } = this;
    if (this.rotateData) {
      if (y.length > 0) out.set(this.rotation.reverseSync(y));
      return;
    }
    out.fill(0);
    for (let row = 0; row < y.length / nbits; row++) {
      out.set(y.subarray(row * nbits, (row + 1) * nbits), row * d);
    }
  }

  /**
   * Finds the thresholds, if there are to be any, and makes the rotation.
   *
   * @param x `n × d` numbers.
   * @param signal Stops the training; the quantizer stays as it was.
   * @throws {RangeError} If a number is NaN or infinite.
   * @throws {TypeError} If `x` is empty or not in rows of `d`.
   */
  async train(x: Float32Array, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (this.#disposed) throw new DisposedError("Cannot train: the quantizer was disposed");
    if (x.length === 0 || x.length % this.d !== 0) {
      throw new TypeError(`Cannot train: ${x.length} numbers are no rows of ${this.d}`);
    }
    await this.prepare(signal);
    if (!this.trainThresholds) return;
    checkTraining(x, this.d);
    const { nbits } = this;
    const rows = await this.project(x);
    signal?.throwIfAborted();
    const column = new Float32Array(rows.length / nbits);
    this.restore(Float32Array.from({ length: nbits }, (_, j) => {
      for (let i = 0; i < column.length; i++) column[i] = rows[i * nbits + j]!;
      return medianOf(column);
    }));
  }

  /**
   * Codes of vectors.
   *
   * @param x `n × d` numbers.
   * @returns `n × codeSize` bytes, bits from the lowest up.
   * @throws {NotTrainedError} If the quantizer has to be trained first.
   */
  async encode(x: Float32Array): Promise<Uint8Array> {
    const codec = this.#native("encode");
    return await codec.encode(await this.project(x));
  }

  /**
   * What codes stand for: 1 or −1 a bit, past its threshold, rotated back.
   *
   * @param codes `n × codeSize` bytes.
   * @returns `n × d` numbers.
   * @throws {NotTrainedError} If the quantizer has to be trained first.
   */
  async decode(codes: Uint8Array): Promise<Float32Array> {
    const y = await this.#native("decode").decode(codes);
    await this.prepare();
    const out = new Float32Array(y.length / this.nbits * this.d);
    this.unproject(y, out);
    return out;
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

/** The median, of an even number the mean of the middle two. Sorts the numbers. */
function medianOf(x: Float32Array): number {
  x.sort();
  const middle = x.length >> 1;
  return x.length % 2 === 1 ? x[middle]! : (x[middle]! + x[middle - 1]!) / 2;
}
