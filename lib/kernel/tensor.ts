/**
 * Arrays on a GPU.
 *
 * @module
 */

import { DisposedError } from "../errors.ts";
import type { MimeBundle } from "../display.ts";
import type { GpuBuffer } from "./buffer.ts";
import { gpu, type GpuDevice } from "./device.ts";
import {
  checkDType,
  decode,
  type DType,
  dtypeBytes,
  dtypeOf,
  encode,
  storedArray,
  type TensorData,
} from "./dtype.ts";
import {
  checkShape,
  extentOf,
  flatten,
  forEachPlace,
  isRowContiguous,
  type Nested,
  rowStrides,
  type Scalar,
  sizeOf,
} from "./nested.ts";
import { disposedBundle, tensorBundle, tensorLine } from "./tensor_display.ts";

/** What {@linkcode Tensor.from} takes: a number, nested arrays of numbers, or a typed array. */
export type TensorInput = Nested | ArrayBufferView;

/** Memory that tensors share; the last one frees it. */
interface Shared {
  buffer: GpuBuffer;
  owners: number;
}

/**
 * An array of any shape in a GPU's memory.
 *
 * @example
 * ```ts
 * import { gpu, Tensor } from "@metalfaiss/metalfaiss/kernel";
 * import assert from "node:assert/strict";
 *
 * using x = Tensor.from([[1, 2, 3], [4, 5, 6]], undefined, "float32", gpu("emulator"));
 * using columns = x.transpose();
 * assert.deepEqual(columns.shape, [3, 2]);
 * assert.deepEqual([...await columns.data()], [1, 4, 2, 5, 3, 6]);
 * ```
 */
export class Tensor implements Disposable {
  /** Lengths along each axis. */
  readonly shape: readonly number[];
  /** Type of its elements. */
  readonly dtype: DType;
  /** Elements from one to the next along each axis. */
  readonly strides: readonly number[];
  /** Where its first element lies in the buffer, in bytes. */
  readonly offset: number;
  #shared: Shared | undefined;

  private constructor(
    shared: Shared,
    shape: readonly number[],
    dtype: DType,
    strides: readonly number[],
    offset: number,
  ) {
    shared.owners++;
    this.#shared = shared;
    this.shape = shape;
    this.dtype = dtype;
    this.strides = strides;
    this.offset = offset;
  }

  /**
   * Memory whose contents are arbitrary.
   *
   * @param shape Lengths along each axis; `[]` is a scalar.
   * @param dtype Type of its elements.
   * @param device Where it lies.
   */
  static empty(shape: readonly number[], dtype: DType = "float32", device?: GpuDevice): Tensor {
    checkShape(shape, "make a tensor");
    checkDType(dtype, "make a tensor");
    const bytes = sizeOf(shape) * dtypeBytes(dtype);
    const buffer = (device ?? gpu()).createBuffer(bytes);
    return new Tensor({ buffer, owners: 0 }, [...shape], dtype, rowStrides(shape), 0);
  }

  /**
   * A tensor of given values.
   *
   * @param values A number, nested arrays, or a typed array, row by row.
   * @param shape Its shape; by default that of the nesting, or one axis.
   * @param dtype Type of its elements; by default that of the typed array, float32 for
   * numbers, int64 for bigints, bool for booleans.
   * @param device Where it lies; by default {@linkcode gpu}`()`.
   * @throws {TypeError} If rows differ in length, or values do not fit the shape.
   * @throws {RangeError} If the type lacks a value.
   */
  static from(
    values: TensorInput,
    shape?: readonly number[],
    dtype?: DType,
    device?: GpuDevice,
  ): Tensor {
    const { flat, own } = read(values);
    const type = dtype ?? inferDType(values, flat);
    checkDType(type, "make a tensor");
    const wanted = shape ?? own;
    checkShape(wanted, "make a tensor");
    if (sizeOf(wanted) !== flat.length) {
      throw new TypeError(
        `Cannot make a tensor: ${flat.length} values do not fill the shape [${wanted.join(", ")}]`,
      );
    }
    const isStored = ArrayBuffer.isView(values) && !(values instanceof Float64Array) &&
      dtypeOf(values) === type;
    const stored = isStored ? values : encode(flat, type);
    const tensor = Tensor.empty(wanted, type, device);
    tensor.buffer.writeSync(stored);
    return tensor;
  }

  /** A tensor of zeros. */
  static zeros(shape: readonly number[], dtype: DType = "float32", device?: GpuDevice): Tensor {
    return Tensor.full(shape, 0, dtype, device);
  }

  /** A tensor of one value. */
  static full(
    shape: readonly number[],
    value: Scalar,
    dtype: DType = "float32",
    device?: GpuDevice,
  ): Tensor {
    const tensor = Tensor.empty(shape, dtype, device);
    try {
      tensor.buffer.writeSync(filled(value, dtype, tensor.size));
      return tensor;
    } catch (error) {
      tensor.dispose();
      throw error;
    }
  }

  /** The memory it lies in. */
  get buffer(): GpuBuffer {
    if (this.#shared === undefined) {
      throw new DisposedError("Cannot use the tensor: it has been disposed");
    }
    return this.#shared.buffer;
  }

  /** The device it lies on. */
  get device(): GpuDevice {
    return this.buffer.device;
  }

  /** How many axes it has. */
  get ndim(): number {
    return this.shape.length;
  }

  /** How many elements it has. */
  get size(): number {
    return sizeOf(this.shape);
  }

  /** Bytes of its elements. */
  get byteLength(): number {
    return this.size * dtypeBytes(this.dtype);
  }

  /** Whether its elements lie one after the other, row by row. */
  get isContiguous(): boolean {
    return isRowContiguous(this.shape, this.strides);
  }

  /**
   * The same memory with axes in another order.
   *
   * @param axes The axes in their new order; by default reversed.
   */
  transpose(...axes: number[]): Tensor {
    const order = axes.length > 0 ? axes : this.shape.map((_, axis) => this.ndim - 1 - axis);
    if (
      [...order].sort((a, b) => a - b).some((axis, i) => axis !== i) || order.length !== this.ndim
    ) {
      throw new RangeError(
        `Cannot transpose: [${order.join(", ")}] is no order of ${this.ndim} axes`,
      );
    }
    const pick = (values: readonly number[]) => order.map((axis) => values[axis]!);
    return this.#view(pick(this.shape), pick(this.strides), this.offset);
  }

  /**
   * Rows `start` to `end`, without `end`, in the same memory.
   *
   * @param start The first; counted from the end where it is negative.
   * @param end Behind the last; by default all that follow.
   */
  slice(start: number, end: number = this.shape[0] ?? 0): Tensor {
    const rows = this.shape[0];
    if (rows === undefined) throw new RangeError("Cannot slice: a scalar has no rows");
    const from = start < 0 ? start + rows : start;
    const to = end < 0 ? end + rows : end;
    if (!Number.isInteger(from) || !Number.isInteger(to) || from < 0 || to < from || to > rows) {
      throw new RangeError(`Cannot slice: rows ${start} to ${end} are not all among ${rows}`);
    }
    const offset = this.offset + from * this.strides[0]! * dtypeBytes(this.dtype);
    const shape = [to - from, ...this.shape.slice(1)];
    // An empty view may begin behind the last byte.
    return this.#view(shape, this.strides, Math.min(offset, this.buffer.byteLength));
  }

  /** The same memory with another shape of as many elements; rows must follow each other. */
  reshape(shape: readonly number[]): Tensor {
    checkShape(shape, "reshape");
    if (sizeOf(shape) !== this.size) {
      throw new TypeError(
        `Cannot reshape: [${shape.join(", ")}] has not ${this.size} elements`,
      );
    }
    if (!this.isContiguous) {
      throw new TypeError("Cannot reshape: the rows of this view do not follow each other");
    }
    return this.#view([...shape], rowStrides(shape), this.offset);
  }

  #view(shape: readonly number[], strides: readonly number[], offset: number): Tensor {
    void this.buffer; // fails after dispose
    return new Tensor(this.#shared!, shape, this.dtype, strides, offset);
  }

  /**
   * Its elements, row by row.
   *
   * @typeParam T The array that its dtype comes as, e.g. `Float32Array`.
   */
  async data<T extends ArrayBufferView = TensorData>(): Promise<T> {
    const stored = this.#stored();
    return this.#gather(await this.buffer.read(stored, this.offset)) as ArrayBufferView as T;
  }

  /**
   * Its elements, row by row; blocks while it reads them.
   *
   * @typeParam T The array that its dtype comes as, e.g. `Float32Array`.
   */
  dataSync<T extends ArrayBufferView = TensorData>(): T {
    return this.#gather(this.buffer.readSync(this.#stored(), this.offset)) as ArrayBufferView as T;
  }

  #stored(): TensorData {
    return storedArray(this.dtype, extentOf(this.shape, this.strides));
  }

  #gather(stored: TensorData): TensorData {
    if (this.isContiguous) return decode(stored, this.dtype);
    const out = storedArray(this.dtype, this.size);
    forEachPlace(this.shape, this.strides, (place, index) => {
      out[index] = stored[place]!;
    });
    return decode(out, this.dtype);
  }

  /**
   * The only element.
   *
   * @throws {TypeError} If there is not exactly one.
   */
  item(): Scalar {
    if (this.size !== 1) {
      throw new TypeError(`Cannot take the item of a tensor of ${this.size} elements`);
    }
    const value = this.dataSync()[0]!;
    return this.dtype === "bool" ? value !== 0 : value;
  }

  /** A copy with elements of another type; integers that do not fit are refused. */
  async astype(dtype: DType): Promise<Tensor> {
    return Tensor.from(await this.data(), this.shape, dtype, this.device);
  }

  /** A copy on another device, of the same strides. */
  async to(device: GpuDevice): Promise<Tensor> {
    const stored = await this.buffer.read(this.#stored(), this.offset);
    const buffer = device.createBuffer(stored.byteLength);
    await buffer.write(stored);
    return new Tensor({ buffer, owners: 0 }, this.shape, this.dtype, this.strides, 0);
  }

  /** Frees the memory, unless views of it are left. */
  dispose(): void {
    const shared = this.#shared;
    this.#shared = undefined;
    if (shared && --shared.owners === 0) shared.buffer.dispose();
  }

  /** Same as `dispose`, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Shows its first rows in a notebook. */
  async [Symbol.for("Jupyter.display")](): Promise<MimeBundle> {
    if (this.#shared === undefined) return disposedBundle();
    return tensorBundle(this, await this.data());
  }

  /** Shows its first elements. */
  [Symbol.for("Deno.customInspect")](): string {
    if (this.#shared === undefined) return "Tensor (disposed)";
    return tensorLine(this, this.size <= 10_000 ? this.dataSync() : undefined);
  }
}

function read(values: TensorInput): { flat: ArrayLike<Scalar>; own: number[] } {
  if (!ArrayBuffer.isView(values)) {
    const { flat, shape } = flatten(values);
    return { flat, own: shape };
  }
  if (dtypeOf(values) === undefined) {
    throw new TypeError("Cannot make a tensor: a DataView has no elements");
  }
  const flat = values as unknown as ArrayLike<number>;
  return { flat, own: [flat.length] };
}

function inferDType(values: TensorInput, flat: ArrayLike<Scalar>): DType {
  if (ArrayBuffer.isView(values)) return dtypeOf(values)!;
  const first = flat[0];
  return typeof first === "boolean" ? "bool" : typeof first === "bigint" ? "int64" : "float32";
}

/** `size` stored elements of one value. */
export function filled(value: Scalar, dtype: DType, size: number): TensorData {
  const out = storedArray(dtype, size);
  const one = encode([value], dtype)[0]!;
  return (out.fill as (value: number | bigint) => TensorData).call(out, one);
}
