/**
 * Products of matrices, and of matrices and vectors.
 *
 * @module
 */

import type { Backend } from "../backend/backend.ts";
import type { Dense, GemmOptions, GemvOptions } from "../backend/linalg.ts";
import { Tensor } from "../kernel/tensor.ts";
import type { Matrix } from "../matrix.ts";
import { gemvShape, productShape } from "./checks.ts";
import { encodeNumbers } from "./numbers.ts";
import {
  backendOf,
  castMatrix,
  contiguousMatrix,
  type HostMatrix,
  hostMatrix,
  type LinalgOptions,
  type MatrixInput,
  matrixResult,
  type NumberVector,
  tensorMatrix,
  tensorResult,
} from "./operands.ts";

/** How {@linkcode gemm} multiplies. */
export interface ProductOptions<Operand = MatrixInput>
  extends Omit<GemmOptions, "c">, LinalgOptions {
  /** Added, `beta` times: m × n; it is left as it is. */
  c?: Operand | undefined;
}

/**
 * The product alpha · op(A) op(B) + beta · C. Products of Tensors stay on their device.
 *
 * @param a m × k; k × m with `transposeA`.
 * @param b k × n; n × k with `transposeB`.
 * @param options Transposes, factors, C.
 * @returns m × n, in float32; its `run` says what computed it. For a Tensor, `runOf` does.
 * @throws {TypeError} If the shapes do not fit, or only some operands are Tensors.
 *
 * @example
 * ```ts
 * import { gemm } from "@metalfaiss/metalfaiss/linalg";
 * import assert from "node:assert/strict";
 *
 * const c = await gemm([[1, 2], [3, 4]], [[5, 6], [7, 8]]);
 * assert.deepEqual([...c.data], [19, 22, 43, 50]);
 * assert.ok(c.run!.variants.length > 0);
 * ```
 */
export function gemm(a: Tensor, b: Tensor, options?: ProductOptions<Tensor>): Promise<Tensor>;
/** The product of matrices of the host. */
export function gemm(a: MatrixInput, b: MatrixInput, options?: ProductOptions): Promise<Matrix>;
export async function gemm(
  a: MatrixInput | Tensor,
  b: MatrixInput | Tensor,
  options: ProductOptions<MatrixInput> | ProductOptions<Tensor> = {},
): Promise<Matrix | Tensor> {
  const { backend: _given, c, ...how } = options;
  if (!isTensor(a, b, c)) {
    const backend = backendOf(options);
    const [inA, inB] = alike(
      backend,
      hostMatrix(a as MatrixInput, "A"),
      hostMatrix(b as MatrixInput, "B"),
    );
    const inC = c && hostMatrix(c as MatrixInput, "C");
    productShape(inA, inB, { ...how, c: inC });
    return matrixResult(await backend.linalg.gemm(inA, inB, { ...how, c: inC }));
  }
  using inA = tensorMatrix(a as Tensor, "A");
  using inB = tensorMatrix(b as Tensor, "B");
  const inC = c && contiguousMatrix(c as Tensor, "C");
  const all = {
    ...how,
    c: inC,
    transposeA: inA.transposed !== (how.transposeA ?? false),
    transposeB: inB.transposed !== (how.transposeB ?? false),
  };
  productShape(inA.dense, inB.dense, all);
  const { linalg } = backendOf(options, a as Tensor);
  return tensorResult(await linalg.gemm(inA.dense, inB.dense, all));
}

/**
 * A V: a matrix by a tall, slim one, the first half of a step of subspace iteration. Tiles are those
 * of `getGemmTiles().av`.
 *
 * @param a m × n.
 * @param v n × k.
 * @param options What computes.
 * @returns m × k, in float32.
 * @throws {TypeError} If the shapes do not fit.
 *
 * @example
 * ```ts
 * import { gemmAV } from "@metalfaiss/metalfaiss/linalg";
 * import assert from "node:assert/strict";
 *
 * const b = await gemmAV([[1, 2], [3, 4], [5, 6]], [[1], [1]]);
 * assert.deepEqual([...b.data], [3, 7, 11]);
 * ```
 */
export function gemmAV(a: Tensor, v: Tensor, options?: LinalgOptions): Promise<Tensor>;
/** The product of matrices of the host. */
export function gemmAV(a: MatrixInput, v: MatrixInput, options?: LinalgOptions): Promise<Matrix>;
export function gemmAV(
  a: MatrixInput | Tensor,
  v: MatrixInput | Tensor,
  options: LinalgOptions = {},
): Promise<Matrix | Tensor> {
  return half("gemmAV", a, v, options);
}

/**
 * Aᵀ B: the second half of a step of subspace iteration. Tiles are those of `getGemmTiles().atb`.
 *
 * @param a m × n.
 * @param b m × k, tall and slim.
 * @param options What computes.
 * @returns n × k, in float32.
 * @throws {TypeError} If the shapes do not fit.
 *
 * @example
 * ```ts
 * import { gemmAtB } from "@metalfaiss/metalfaiss/linalg";
 * import assert from "node:assert/strict";
 *
 * const z = await gemmAtB([[1, 2], [3, 4], [5, 6]], [[1], [0], [1]]);
 * assert.deepEqual([...z.data], [6, 8]);
 * ```
 */
export function gemmAtB(a: Tensor, b: Tensor, options?: LinalgOptions): Promise<Tensor>;
/** The product of matrices of the host. */
export function gemmAtB(a: MatrixInput, b: MatrixInput, options?: LinalgOptions): Promise<Matrix>;
export function gemmAtB(
  a: MatrixInput | Tensor,
  b: MatrixInput | Tensor,
  options: LinalgOptions = {},
): Promise<Matrix | Tensor> {
  return half("gemmAtB", a, b, options);
}

/** Operands of one type, where kernels take no others: as float32, which holds all numbers exactly. */
function alike(backend: Backend, a: HostMatrix, b: HostMatrix): [HostMatrix, HostMatrix] {
  if (a.dtype === b.dtype || backend.name !== "gpu") return [a, b];
  return [castMatrix(a, "float32"), castMatrix(b, "float32")];
}

/** One of the products of a Z-step. */
async function half(
  name: "gemmAV" | "gemmAtB",
  a: MatrixInput | Tensor,
  b: MatrixInput | Tensor,
  options: LinalgOptions,
): Promise<Matrix | Tensor> {
  const transposeA = name === "gemmAtB";
  const other = transposeA ? "B" : "V";
  if (isTensor(a, b)) {
    const [inA, inB] = [contiguousMatrix(a as Tensor, "A"), contiguousMatrix(b as Tensor, other)];
    productShape(inA, inB, { transposeA });
    return tensorResult(await backendOf(options, a as Tensor).linalg[name](inA, inB));
  }
  const backend = backendOf(options);
  const [inA, inB] = alike(
    backend,
    hostMatrix(a as MatrixInput, "A"),
    hostMatrix(b as MatrixInput, other),
  );
  productShape(inA, inB, { transposeA });
  return matrixResult(await backend.linalg[name](inA, inB));
}

/** How {@linkcode gemv} multiplies. */
export interface VectorProductOptions<Operand = MatrixInput | NumberVector>
  extends Omit<GemvOptions, "y" | "bias">, LinalgOptions {
  /** Added, `beta` times: batch × n; it is left as it is. */
  y?: Operand | undefined;
  /** Added: n numbers, or batch × n. */
  bias?: Operand | undefined;
}

/**
 * y = alpha · W x + beta · y + bias: a matrix by a vector, or each of a batch of matrices by a vector
 * of its own. Products of Tensors stay on their device.
 *
 * @param w n × k, or with `layout: "nn"` k × n; of a batch, the matrices one after the other.
 * @param x k numbers, or batch × k. The result is rounded to its type.
 * @param options Layout, factors, bias, batch, and the kernel by name.
 * @returns batch × n: one row where there is no batch; its `run` says what computed it.
 * @throws {TypeError} If the shapes do not fit.
 * @throws {RangeError} If there is no such variant.
 *
 * @example
 * ```ts
 * import { gemv } from "@metalfaiss/metalfaiss/linalg";
 * import assert from "node:assert/strict";
 *
 * const w = [[1, 2], [3, 4], [5, 6]];
 * const y = await gemv(w, [1, 10], { alpha: 2, bias: [0.5, 0.5, 0.5] });
 * assert.deepEqual([...y.data], [42.5, 86.5, 130.5]);
 * ```
 */
export function gemv(w: Tensor, x: Tensor, options?: VectorProductOptions<Tensor>): Promise<Tensor>;
/** The product of a matrix and a vector of the host. */
export function gemv(
  w: MatrixInput,
  x: MatrixInput | NumberVector,
  options?: VectorProductOptions,
): Promise<Matrix>;
export async function gemv(
  w: MatrixInput | Tensor,
  x: MatrixInput | NumberVector | Tensor,
  options: VectorProductOptions | VectorProductOptions<Tensor> = {},
): Promise<Matrix | Tensor> {
  const { backend: _given, y, bias, ...how } = options;
  const onDevice = isTensor(w, x, y, bias);
  const batch = how.batch ?? 1;
  const readRows = (operand: MatrixInput | NumberVector | Tensor, what: string) =>
    onDevice
      ? deviceRows(operand as Tensor, what)
      : hostRows(operand as MatrixInput | NumberVector, batch, what);
  const inW: Dense = onDevice ? deviceRows(w as Tensor, "W") : hostMatrix(w as MatrixInput, "W");
  const inX = readRows(x, "x");
  const all: GemvOptions = {
    ...how,
    y: y === undefined ? undefined : readRows(y, "y"),
    bias: bias === undefined ? undefined : readBias(readRows(bias, "bias"), inW, inX, how),
  };
  gemvShape(inW, inX, all);
  const { linalg } = backendOf(options, onDevice ? w as Tensor : undefined);
  const result = await linalg.gemv(inW, inX, all);
  return onDevice ? tensorResult(result) : matrixResult(result);
}

/** A bias of n numbers for a batch comes as one row, not as `batch` short ones. */
function readBias(bias: Dense, w: Dense, x: Dense, { layout, batch = 1 }: GemvOptions): Dense {
  const n = layout === "nn" ? w.columns : w.rows / batch;
  const isShared = bias.rows * bias.columns === n && x.rows === batch;
  return isShared ? { ...bias, rows: 1, columns: n } : bias;
}

/** Rows of a batch, of a matrix or of numbers one after the other. */
function hostRows(input: MatrixInput | NumberVector, batch: number, what: string): HostMatrix {
  const isVector = input instanceof Float32Array || input instanceof Float64Array ||
    (Array.isArray(input) && typeof input[0] === "number");
  if (!isVector) return hostMatrix(input as MatrixInput, what);
  const numbers = input as ArrayLike<number>;
  const rows = numbers.length % batch === 0 ? batch : 1;
  return {
    data: encodeNumbers(numbers, "float32"),
    rows,
    columns: numbers.length / rows,
    dtype: "float32",
  };
}

/** A Tensor as a matrix: a vector is a row, matrices of a batch follow each other. */
function deviceRows(tensor: Tensor, what: string): Dense<Tensor> {
  if (!(tensor instanceof Tensor) || tensor.ndim === 2) return contiguousMatrix(tensor, what);
  using flat = tensor.reshape([tensor.size / tensor.shape.at(-1)!, tensor.shape.at(-1)!]);
  return { ...contiguousMatrix(flat, what), data: tensor };
}

/** Whether operands lie on a device: then all must, as those that read them check. */
function isTensor(...operands: unknown[]): boolean {
  return operands.some((operand) => operand instanceof Tensor);
}
