/**
 * Products with a matrix.
 *
 * @module
 */

import { gemm } from "../linalg/products.ts";
import { Matrix } from "../matrix.ts";
import { UnsupportedError } from "../errors.ts";
import { same, type TransformOptions, VectorTransform } from "./transform.ts";

/** Products of rows of an orthonormal matrix differ from 0 and 1 by less. */
const ORTHONORMAL = 4e-5;

/**
 * y = A x + b.
 *
 * @example
 * ```ts
 * import { LinearTransform } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * const swap = LinearTransform.of(Float32Array.of(0, 1, 1, 0), 2);
 * assert.deepEqual([...await swap.apply([[3, 4]])], [4, 3]);
 * assert.deepEqual([...await swap.reverse([[4, 3]])], [3, 4]);
 * ```
 */
export class LinearTransform extends VectorTransform {
  /** Whether `b` is added. */
  haveBias: boolean;
  /** The matrix, `dOut × dIn`; empty until trained. */
  a: Float32Array = new Float32Array(0);
  /** What is added, `dOut` numbers; empty where nothing is. */
  b: Float32Array = new Float32Array(0);
  /** Whether rows, or else columns, of `a` are orthonormal; undefined until looked at. @internal */
  orthonormal: boolean | undefined;

  /**
   * A transform without a matrix yet.
   *
   * @param dIn Dimension of what it takes.
   * @param dOut Dimension of what it gives.
   * @param haveBias Whether `b` is added.
   * @throws {RangeError} If a dimension is no integer from 1 to 2^20.
   */
  constructor(dIn: number, dOut: number, haveBias = false) {
    super(dIn, dOut);
    this.haveBias = haveBias;
    this.isTrained = false;
  }

  /**
   * A transform of numbers that are known.
   *
   * @param a The matrix, `dOut × dIn`.
   * @param dIn Dimension of what it takes.
   * @param b What is added; by default nothing.
   * @throws {TypeError} If the numbers are no rows of `dIn`, or `b` has another length.
   */
  static of(a: Float32Array, dIn: number, b?: Float32Array): LinearTransform {
    const dOut = new Matrix(a, dIn).rows;
    if (b !== undefined && b.length !== dOut) {
      throw new TypeError(`Cannot make a transform: b has ${b.length} numbers, not ${dOut}`);
    }
    const transform = new LinearTransform(dIn, dOut, b !== undefined);
    transform.setMatrix(a, b);
    return transform;
  }

  /**
   * Whether `Aᵀ` reverses `A`: its rows are orthonormal, or, where it has more rows than columns,
   * its columns.
   */
  get isOrthonormal(): boolean {
    return this.orthonormal ??= this.isTrained && isOrthonormal(this.a, this.dOut, this.dIn);
  }

  /** Gives the matrix, and says that it is trained. @internal */
  setMatrix(
    a: Float32Array,
    b: Float32Array = new Float32Array(0),
    orthonormal?: boolean,
  ): void {
    this.a = a;
    this.b = b;
    this.orthonormal = orthonormal;
    this.isTrained = true;
  }

  /** Bytes that the matrix takes. */
  override memoryUsage(): number {
    return this.a.byteLength + this.b.byteLength;
  }

  /** @internal */
  override checkIdentical(other: VectorTransform): void {
    super.checkIdentical(other);
    const { a, b } = other as LinearTransform;
    if (!same(a, this.a) || !same(b, this.b)) {
      throw new TypeError("Cannot mergeFrom: matrices of the two indexes' transforms differ");
    }
  }

  /** @internal */
  protected override doTrain(_x: Float32Array, _options: TransformOptions): Promise<void> {
    if (this.isTrained) return Promise.resolve();
    throw new UnsupportedError("Cannot train a LinearTransform: it is given its matrix");
  }

  /** @internal */
  protected override async doApply(
    x: Float32Array,
    { backend, signal }: TransformOptions,
  ): Promise<Float32Array> {
    const [rows, matrix] = [new Matrix(x, this.dIn), new Matrix(this.a, this.dIn)];
    const { data } = await gemm(rows, matrix, { transposeB: true, backend, signal });
    addBias(data, this.b, 1);
    return data;
  }

  /** @internal */
  protected override async doReverse(
    y: Float32Array,
    { backend, signal }: TransformOptions,
  ): Promise<Float32Array> {
    this.assertReversible();
    const rows = this.haveBias ? y.slice() : y;
    addBias(rows, this.b, -1);
    const matrix = new Matrix(this.a, this.dIn);
    return (await gemm(new Matrix(rows, this.dOut), matrix, { backend, signal })).data;
  }

  /** @internal */
  protected override compute(x: Float32Array, out: Float32Array): void {
    const { dIn, dOut, a, b, haveBias } = this;
    for (let from = 0, to = 0; from < x.length; from += dIn, to += dOut) {
      for (let i = 0; i < dOut; i++) {
        let sum = haveBias ? b[i]! : 0;
        for (let j = 0; j < dIn; j++) sum += a[i * dIn + j]! * x[from + j]!;
        out[to + i] = sum;
      }
    }
  }

  /** @internal */
  protected override invert(y: Float32Array, out: Float32Array): void {
    this.assertReversible();
    const { dIn, dOut, a, b, haveBias } = this;
    const sums = new Float64Array(dIn);
    for (let from = 0, to = 0; from < y.length; from += dOut, to += dIn) {
      sums.fill(0);
      for (let i = 0; i < dOut; i++) {
        const factor = y[from + i]! - (haveBias ? b[i]! : 0);
        for (let j = 0; j < dIn; j++) sums[j]! += a[i * dIn + j]! * factor;
      }
      out.set(sums, to);
    }
  }

  /** Not of `#`: a clone has no such names. @internal */
  private assertReversible(): void {
    if (this.isOrthonormal) return;
    throw new UnsupportedError(
      `Cannot reverse a ${this.constructor.name}: its matrix is not orthonormal`,
    );
  }
}

function addBias(rows: Float32Array, b: Float32Array, sign: 1 | -1): void {
  if (b.length === 0) return;
  for (let from = 0; from < rows.length; from += b.length) {
    for (let i = 0; i < b.length; i++) rows[from + i]! += sign * b[i]!;
  }
}

/** Whether the shorter side of a matrix is orthonormal. */
function isOrthonormal(a: Float32Array, rows: number, columns: number): boolean {
  const [n, length] = [Math.min(rows, columns), Math.max(rows, columns)];
  // Row i of the shorter side, and the step from one of its numbers to the next.
  const [line, step] = rows <= columns ? [columns, 1] : [1, columns];
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = i === j ? -1 : 0;
      for (let c = 0; c < length; c++) sum += a[i * line + c * step]! * a[j * line + c * step]!;
      if (!(Math.abs(sum) <= ORTHONORMAL)) return false;
    }
  }
  return true;
}
