/**
 * What operations take, in the form that backends take it, and what they give.
 *
 * @module
 */

import type { Backend } from "../backend/backend.ts";
import { createGpuBackend } from "../backend/gpu/mod.ts";
import type { Computed, Dense, Element, Execution, HostNumbers } from "../backend/linalg.ts";
import { backend as defaultBackend } from "../backend/select.ts";
import type { GpuDevice } from "../kernel/device.ts";
import { Tensor } from "../kernel/tensor.ts";
import { Matrix } from "../matrix.ts";
import { shapeText } from "./checks.ts";
import { checkNumbers, decodeNumbers, encodeNumbers } from "./numbers.ts";

/** A matrix of the host whose numbers may be float16, or bfloat16 as bits in a Uint16Array. */
export type HostMatrix = Dense<HostNumbers>;

/** A matrix: a {@linkcode Matrix}, an array a row, or numbers of another type with their shape. */
export type MatrixInput = Matrix | HostMatrix | readonly (readonly number[] | Float32Array)[];

/** A vector. */
export type NumberVector = Float32Array | Float64Array | readonly number[];

/** What every operation takes. */
export interface LinalgOptions {
  /** What computes; by default what `backend()` returns, or the backend of a Tensor's device. */
  backend?: Backend | undefined;
}

const backends = new WeakMap<GpuDevice, Backend>();

/** The backend that computes with some operands. */
export function backendOf(options: LinalgOptions, tensor?: Tensor): Backend {
  if (options.backend !== undefined || tensor === undefined) {
    return options.backend ?? defaultBackend();
  }
  let backend = backends.get(tensor.device);
  if (backend === undefined) backends.set(tensor.device, backend = createGpuBackend(tensor.device));
  return backend;
}

/**
 * A matrix of the host, as backends take it.
 *
 * @param input The matrix.
 * @param what Its name, for errors.
 * @throws {TypeError} If it is none.
 */
export function hostMatrix(input: MatrixInput, what: string): HostMatrix {
  if (input instanceof Matrix) return { ...shapeOf(input), data: input.data, dtype: "float32" };
  if (Array.isArray(input) && typeof input[0] === "object" && input[0].length > 0) {
    const matrix = Matrix.from(input);
    return { ...shapeOf(matrix), data: matrix.data, dtype: "float32" };
  }
  const { data, rows, columns, dtype } = (input ?? {}) as HostMatrix;
  if (!ArrayBuffer.isView(data)) {
    throw new TypeError(
      `Cannot read ${what}: it is no Matrix, no array of rows, and no { data, rows, columns, dtype }`,
    );
  }
  checkNumbers(data, dtype);
  if (data.length !== rows * columns || columns < 1) {
    throw new TypeError(
      `Cannot read ${what}: ${data.length} numbers are no matrix of ${rows} × ${columns}`,
    );
  }
  return { data, rows, columns, dtype };
}

function shapeOf({ rows, columns }: Matrix): { rows: number; columns: number } {
  return { rows, columns };
}

/**
 * A matrix with numbers of another type, for operations that take less memory than with float32.
 *
 * @param input The matrix.
 * @param dtype The type: numbers are rounded to the nearest.
 *
 * @example
 * ```ts
 * import { castMatrix, gemv } from "@metalfaiss/metalfaiss/linalg";
 * import assert from "node:assert/strict";
 *
 * const half = castMatrix([[1, 2], [3, 4]], "float16");
 * const y = await gemv(half, [1, 1]);
 * assert.deepEqual([...y.data], [3, 7]);
 * ```
 */
export function castMatrix(input: MatrixInput, dtype: Element): HostMatrix {
  const from = hostMatrix(input, "the matrix");
  const data = encodeNumbers(decodeNumbers(from.data, from.dtype), dtype);
  return { data, rows: from.rows, columns: from.columns, dtype };
}

/** A matrix of the host in float32. */
export function floatMatrix(input: MatrixInput, what: string): Matrix {
  if (input instanceof Matrix) return input;
  const { data, columns, dtype } = hostMatrix(input, what);
  return new Matrix(decodeNumbers(data, dtype), columns);
}

/** A vector in float32. */
export function floatVector(input: NumberVector, what: string): Float32Array {
  if (input instanceof Float32Array) return input;
  if (input instanceof Float64Array || Array.isArray(input)) return Float32Array.from(input);
  throw new TypeError(`Cannot read ${what}: it is no array of numbers`);
}

/** A Tensor as backends take it, and whether it is the transpose of that. */
export interface TensorOperand extends Disposable {
  dense: Dense<Tensor>;
  transposed: boolean;
}

/**
 * A Tensor of two axes.
 *
 * @throws {TypeError} If its type is no floating one, it has other axes, or neither its rows nor its
 * columns follow each other.
 */
export function tensorMatrix(tensor: Tensor, what: string): TensorOperand {
  if (!(tensor instanceof Tensor)) {
    throw new TypeError(`Cannot mix: ${what} is no Tensor, others are`);
  }
  const { dtype, shape, strides } = tensor;
  if (dtype !== "float32" && dtype !== "float16" && dtype !== "bfloat16") {
    throw new TypeError(`Cannot read ${what}: its dtype is ${dtype}, no floating one`);
  }
  const [rows, columns] = shape;
  if (shape.length !== 2 || rows === undefined || columns === undefined) {
    throw new TypeError(`Cannot read ${what}: its shape is [${shape.join(", ")}], no matrix's`);
  }
  if (tensor.isContiguous) {
    const dense = { data: tensor, rows, columns, dtype };
    return { dense, transposed: false, [Symbol.dispose]() {} };
  }
  if (strides[0] === 1 && strides[1] === rows) {
    // The memory holds the transpose, row by row.
    const view = tensor.transpose();
    const dense = { data: view, rows: columns, columns: rows, dtype };
    return { dense, transposed: true, [Symbol.dispose]: () => view.dispose() };
  }
  throw new TypeError(
    `Cannot read ${what}: neither rows nor columns of this view follow each other`,
  );
}

/** {@linkcode tensorMatrix}, rows only. */
export function contiguousMatrix(tensor: Tensor, what: string): Dense<Tensor> {
  using operand = tensorMatrix(tensor, what);
  if (!operand.transposed) return operand.dense;
  throw new TypeError(`Cannot read ${what}: it is transposed; gemm takes it so`);
}

const runs = new WeakMap<Tensor, Execution>();

/**
 * What computed a result: a matrix has it as `run`, for a Tensor it is here.
 *
 * @param result What an operation of linear algebra gave.
 * @returns Undefined where none made it.
 */
export function runOf(result: Matrix | Tensor): Execution | undefined {
  return result instanceof Tensor ? runs.get(result) : result.run;
}

/** A result on the device. */
export function tensorResult({ value, run }: Computed<Dense>): Tensor {
  const { data } = value;
  if (!(data instanceof Tensor)) {
    throw new TypeError(`Cannot keep ${shapeText(value)} numbers on the device: they came back`);
  }
  runs.set(data, run);
  return data;
}

/** A result on the host. */
export function matrixResult({ value, run }: Computed<Dense>): Matrix {
  const data = value.data as HostNumbers;
  return new Matrix(decodeNumbers(data, value.dtype), value.columns, run);
}

/** What several calls ran, as one. */
export function joinRuns(first: Execution, ...others: (Execution | undefined)[]): Execution {
  const all = [first, ...others.filter((run) => run !== undefined)];
  const seconds = all.flatMap(({ gpuSeconds }) => gpuSeconds ?? []);
  return {
    ...first,
    variants: [...new Set(all.flatMap(({ variants }) => variants))],
    threads: Math.max(...all.map(({ threads }) => threads)),
    ...(seconds.length > 0 && { gpuSeconds: seconds.reduce((sum, value) => sum + value) }),
  };
}
