/**
 * What is done to vectors before an index gets them.
 *
 * @module
 */

import type { Backend } from "../backend/backend.ts";
import { run as runSteps, type Steps } from "../backend/reference/steps.ts";
import { NotTrainedError, UnsupportedError } from "../errors.ts";
import { toRows, type VectorInput } from "../matrix.ts";

/** What computes a transform. */
export interface TransformOptions {
  /** What computes products; by default what `backend()` returns. */
  backend?: Backend | undefined;
  /** Stops it. */
  signal?: AbortSignal | undefined;
}

/** Numbers that are transformed between two looks at the event loop. */
const STEP = 2 ** 18;

/** The largest dimension that FAISS's files hold. */
const MOST = 2 ** 20;

/**
 * Vectors of `dIn` numbers to vectors of `dOut`. It lies on the host, and takes the backend that
 * computes with every call: an index passes its own.
 */
export abstract class VectorTransform {
  /** Dimension of what it takes. */
  readonly dIn: number;
  /** Dimension of what it gives. */
  readonly dOut: number;
  /** Whether it can be applied. */
  isTrained = true;

  /**
   * Checks what every transform has.
   *
   * @param dIn Dimension of what it takes.
   * @param dOut Dimension of what it gives.
   * @throws {RangeError} If one is no integer from 1 to 2^20.
   */
  constructor(dIn: number, dOut: number) {
    for (const [name, value] of [["dIn", dIn], ["dOut", dOut]] as const) {
      if (!Number.isInteger(value) || value < 1 || value > MOST) {
        throw new RangeError(
          `Cannot make a transform: ${name} ${value} is no integer from 1 to 2^20`,
        );
      }
    }
    this.dIn = dIn;
    this.dOut = dOut;
  }

  /**
   * Learns from vectors; does nothing where there is nothing to learn. If it throws, the transform
   * is as it was.
   *
   * @param x `n × dIn` vectors.
   * @param options What computes.
   * @throws {RangeError} If there are too few vectors, or a number is NaN or infinite.
   * @throws {TypeError} If `x` is empty or not in rows of `dIn`.
   */
  async train(x: VectorInput, options: TransformOptions = {}): Promise<void> {
    const rows = toRows(x, this.dIn, "x");
    options.signal?.throwIfAborted();
    const before = this.clone();
    try {
      await this.doTrain(rows, options);
      options.signal?.throwIfAborted();
    } catch (error) {
      Object.assign(this, before);
      throw error;
    }
  }

  /**
   * Transforms vectors.
   *
   * @param x `n × dIn` vectors.
   * @param options What computes.
   * @returns `n × dOut` numbers.
   * @throws {NotTrainedError} If it has to be trained first.
   * @throws {TypeError} If `x` is empty or not in rows of `dIn`.
   */
  async apply(x: VectorInput, options: TransformOptions = {}): Promise<Float32Array> {
    this.assertTrained("apply");
    const rows = toRows(x, this.dIn, "x");
    options.signal?.throwIfAborted();
    return await this.doApply(rows, options);
  }

  /**
   * {@linkcode apply} on this thread: for few vectors. Products are in double precision, so that
   * results may differ in the last digit.
   *
   * @param x `n × dIn` vectors.
   */
  applySync(x: VectorInput): Float32Array {
    this.assertTrained("apply");
    const rows = toRows(x, this.dIn, "x");
    const out = new Float32Array(rows.length / this.dIn * this.dOut);
    this.compute(rows, out);
    return out;
  }

  /**
   * Vectors from transformed ones, as near as they can be found.
   *
   * @param y `n × dOut` numbers.
   * @param options What computes.
   * @returns `n × dIn` numbers.
   * @throws {UnsupportedError} If the transform cannot be reversed.
   */
  async reverse(y: VectorInput, options: TransformOptions = {}): Promise<Float32Array> {
    this.assertTrained("reverse");
    const rows = toRows(y, this.dOut, "y");
    options.signal?.throwIfAborted();
    return await this.doReverse(rows, options);
  }

  /**
   * {@linkcode reverse} on this thread: for few vectors.
   *
   * @param y `n × dOut` numbers.
   */
  reverseSync(y: VectorInput): Float32Array {
    this.assertTrained("reverse");
    const rows = toRows(y, this.dOut, "y");
    const out = new Float32Array(rows.length / this.dOut * this.dIn);
    this.invert(rows, out);
    return out;
  }

  /** A copy that is trained apart from this one. */
  clone(): this {
    return Object.assign(Object.create(Object.getPrototypeOf(this)), this);
  }

  /** Bytes that what it learnt takes. */
  memoryUsage(): number {
    return 0;
  }

  /** Throws unless another transform does the same, so that indexes behind both can be merged. @internal */
  checkIdentical(other: VectorTransform): void {
    if (
      other.constructor !== this.constructor || other.dIn !== this.dIn || other.dOut !== this.dOut
    ) {
      throw new TypeError("Cannot mergeFrom: transforms of the two indexes differ in kind or size");
    }
  }

  /** FAISS's token, of kinds that have one. @internal */
  factoryString(): string | undefined {
    return undefined;
  }

  /** Learns from checked rows. @internal */
  protected doTrain(_x: Float32Array, _options: TransformOptions): Promise<void> {
    return Promise.resolve();
  }

  /** Transforms rows into `out`. @internal */
  protected abstract compute(x: Float32Array, out: Float32Array): void;

  /** Transforms transformed rows back into `out`. @internal */
  protected invert(_y: Float32Array, _out: Float32Array): void {
    throw new UnsupportedError(`Cannot reverse a ${this.constructor.name}: it loses what it takes`);
  }

  /** Transforms rows. @internal */
  protected async doApply(x: Float32Array, { signal }: TransformOptions): Promise<Float32Array> {
    const { dIn, dOut } = this;
    return await runSteps(inParts(x, dIn, dOut, (from, to) => this.compute(from, to)), signal);
  }

  /** Transforms rows back. @internal */
  protected async doReverse(y: Float32Array, { signal }: TransformOptions): Promise<Float32Array> {
    const { dIn, dOut } = this;
    return await runSteps(inParts(y, dOut, dIn, (from, to) => this.invert(from, to)), signal);
  }

  /** Throws if it was not trained. @internal */
  protected assertTrained(name: string): void {
    if (!this.isTrained) {
      throw new NotTrainedError(`Cannot ${name} a ${this.constructor.name}: call train() first`);
    }
  }
}

/** Rows of `from` numbers to rows of `to`, some at a time. */
function* inParts(
  x: Float32Array,
  from: number,
  to: number,
  compute: (x: Float32Array, out: Float32Array) => void,
): Steps<Float32Array> {
  const n = x.length / from;
  const out = new Float32Array(n * to);
  const rows = Math.max(1, Math.floor(STEP / Math.max(from, to)));
  for (let row = 0; row < n; row += rows) {
    const end = Math.min(n, row + rows);
    compute(x.subarray(row * from, end * from), out.subarray(row * to, end * to));
    yield;
  }
  return out;
}

/** Whether two arrays hold the same numbers. @internal */
export function same(a: ArrayLike<number>, b: ArrayLike<number>): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) {
    if (a[i] !== b[i]) return false;
  }
  return true;
}

/**
 * Checks that vectors to train on are finite.
 *
 * @throws {RangeError} If one is not, naming its row.
 * @internal
 */
export function checkTraining(x: Float32Array, d: number): void {
  for (let i = 0; i < x.length; i++) {
    if (Number.isFinite(x[i]!)) continue;
    throw new RangeError(`Cannot train: row ${Math.floor(i / d)} holds ${x[i]} at column ${i % d}`);
  }
}
