/**
 * What sequence models are made of: layer norms, soft caps, products a head, recurrent scans.
 *
 * @module
 */

import type { Dense, RecurrentOptions } from "../backend/linalg.ts";
import { checkCap, headShape, normPeriod } from "../backend/reference/linalg/sequence_checks.ts";
import { Tensor } from "../kernel/tensor.ts";
import { Matrix } from "../matrix.ts";
import { checkCount, checkLength } from "./checks.ts";
import {
  backendOf,
  floatMatrix,
  floatVector,
  hostMatrix,
  type LinalgOptions,
  type MatrixInput,
  matrixResult,
  type NumberVector,
  tensorResult,
} from "./operands.ts";

/** How {@linkcode layerNorm} normalises. */
export interface LayerNormOptions extends LinalgOptions {
  /** Added to the variance; 1e-6 by default. */
  eps?: number | undefined;
  /** Factors: a row, or some rows that the rows take in turns, as heads do. */
  weight?: NumberVector | undefined;
  /** Added: as many as factors. */
  bias?: NumberVector | undefined;
}

/** A Tensor whose last axis is rows, contiguous. */
function tensorRows(tensor: Tensor, what: string): Dense<Tensor> {
  const { dtype, shape } = tensor;
  if (dtype !== "float32" && dtype !== "float16" && dtype !== "bfloat16") {
    throw new TypeError(`Cannot read ${what}: its dtype is ${dtype}, no floating one`);
  }
  const columns = shape.at(-1);
  if (columns === undefined || columns === 0 || !tensor.isContiguous) {
    throw new TypeError(
      `Cannot read ${what}: a tensor [${shape.join(", ")}] has no rows that follow each other`,
    );
  }
  return { data: tensor, rows: tensor.size / columns, columns, dtype };
}

/** Numbers as rows: a vector is one. */
function rowsOf(input: MatrixInput | Float32Array | Tensor, what: string): Dense {
  if (input instanceof Tensor) return tensorRows(input, what);
  if (!(input instanceof Float32Array)) return hostMatrix(input, what);
  return { data: input, rows: 1, columns: input.length, dtype: "float32" };
}

function tensorOf({ data }: Dense): Tensor | undefined {
  return data instanceof Tensor ? data : undefined;
}

/**
 * Normalises rows: (x − mean) / √(variance + eps), by a weight and plus a bias.
 *
 * @param x Rows; of a Tensor, along its last axis.
 * @param options eps, weight, bias.
 * @returns Of the shape of x; a Tensor has its dtype, a matrix is in float32.
 * @throws {RangeError} If eps is not above 0.
 * @throws {TypeError} If weight or bias do not fit the rows.
 *
 * @example
 * ```ts
 * import { layerNorm } from "@metalfaiss/metalfaiss/linalg";
 * import assert from "node:assert/strict";
 *
 * const y = await layerNorm([[1, 3], [1e6, 1e6 + 2]], { weight: [2, 2], bias: [0, 1] });
 * assert.deepEqual([...y.data].map(Math.round), [-2, 3, -2, 3]);
 * ```
 */
export function layerNorm(x: Tensor, options?: LayerNormOptions): Promise<Tensor>;
/** Normalises rows of the host. */
export function layerNorm(x: MatrixInput, options?: LayerNormOptions): Promise<Matrix>;
export async function layerNorm(
  x: MatrixInput | Tensor,
  options: LayerNormOptions = {},
): Promise<Matrix | Tensor> {
  const { eps = 1e-6 } = options;
  const rows = rowsOf(x, "x");
  const weight = options.weight && floatVector(options.weight, "weight");
  const bias = options.bias && floatVector(options.bias, "bias");
  normPeriod(rows, eps, weight, bias);
  const { linalg } = backendOf(options, tensorOf(rows));
  const found = await linalg.layerNorm(rows, eps, weight, bias);
  return x instanceof Tensor ? tensorResult(found) : matrixResult(found);
}

/**
 * Normalises each head of each row on its own.
 *
 * @param x Batch × (heads · d).
 * @param heads Heads that a row has.
 * @param options eps; weight and bias of heads · d numbers, or of d.
 * @returns Batch × (heads · d).
 * @throws {TypeError} If the heads do not divide a row.
 * @throws {RangeError} If eps is not above 0.
 *
 * @example
 * ```ts
 * import { mhLayerNorm } from "@metalfaiss/metalfaiss/linalg";
 * import assert from "node:assert/strict";
 *
 * const y = await mhLayerNorm([[1, 3, 10, 30]], 2);
 * assert.deepEqual([...y.data].map(Math.round), [-1, 1, -1, 1]);
 * ```
 */
export async function mhLayerNorm(
  x: MatrixInput,
  heads: number,
  options: LayerNormOptions = {},
): Promise<Matrix> {
  const { data, rows, columns, dtype } = hostMatrix(x, "x");
  checkCount(heads, "heads", "normalize rows");
  if (columns % heads !== 0) {
    throw new TypeError(
      `Cannot normalize rows: ${heads} heads do not divide rows of ${columns} numbers`,
    );
  }
  const split = { data, rows: rows * heads, columns: columns / heads, dtype };
  const found = await layerNorm(split, options);
  return new Matrix(found.data, columns, found.run);
}

/**
 * Normalises each (batch, head) row, a simdgroup a row on a GPU.
 *
 * @param x Batch × heads × d, or its rows: (batch · heads) × d.
 * @param eps Added to the variance; 1e-6 by default.
 * @param options What computes.
 * @throws {RangeError} If eps is not above 0.
 *
 * @example
 * ```ts
 * import { gpu, Tensor } from "@metalfaiss/metalfaiss/kernel";
 * import { mhLayernormSimd } from "@metalfaiss/metalfaiss/linalg";
 * import assert from "node:assert/strict";
 *
 * using x = Tensor.from([[[1, 3], [10, 30]]], undefined, "float32", gpu("emulator"));
 * using y = await mhLayernormSimd(x, 1e-6);
 * assert.deepEqual(y.shape, [1, 2, 2]);
 * assert.deepEqual([...await y.data<Float32Array>()].map(Math.round), [-1, 1, -1, 1]);
 * ```
 */
export function mhLayernormSimd(
  x: Tensor,
  eps?: number,
  options?: LinalgOptions,
): Promise<Tensor>;
/** Normalises rows of the host. */
export function mhLayernormSimd(
  x: MatrixInput,
  eps?: number,
  options?: LinalgOptions,
): Promise<Matrix>;
export async function mhLayernormSimd(
  x: MatrixInput | Tensor,
  eps = 1e-6,
  options: LinalgOptions = {},
): Promise<Matrix | Tensor> {
  const how = { ...options, eps };
  return x instanceof Tensor ? await layerNorm(x, how) : await layerNorm(x, how);
}

/**
 * Caps numbers softly: cap · tanh(x / cap), to 4 units in the last place; odd, monotone, and
 * never beyond the cap. NaN stays.
 *
 * @param x Numbers.
 * @param cap Where they end, above 0.
 * @param options What computes.
 * @returns Of the shape of x; a vector becomes a matrix of one row.
 * @throws {RangeError} If the cap is not above 0 and finite.
 *
 * @example
 * ```ts
 * import { softCap } from "@metalfaiss/metalfaiss/linalg";
 * import assert from "node:assert/strict";
 *
 * const y = await softCap(new Float32Array([0, 1e9, -Infinity]), 15);
 * assert.deepEqual([...y.data], [0, 15, -15]);
 * ```
 */
export function softCap(x: Tensor, cap: number, options?: LinalgOptions): Promise<Tensor>;
/** Caps numbers of the host. */
export function softCap(
  x: MatrixInput | Float32Array,
  cap: number,
  options?: LinalgOptions,
): Promise<Matrix>;
export async function softCap(
  x: MatrixInput | Float32Array | Tensor,
  cap: number,
  options: LinalgOptions = {},
): Promise<Matrix | Tensor> {
  const rows = rowsOf(x, "x");
  checkCap(cap);
  const found = await backendOf(options, tensorOf(rows)).linalg.softCap(rows, cap);
  return x instanceof Tensor ? tensorResult(found) : matrixResult(found);
}

/**
 * Products with a matrix a head: y[b, h] = W[h] x[b, h].
 *
 * @param x Batch × heads × d, or its rows: (batch · heads) × d.
 * @param w Heads × outputs × d, or its rows: (heads · outputs) × d.
 * @param heads How many.
 * @param options What computes.
 * @returns Batch × heads × outputs, as x has them. A Tensor has x's dtype.
 * @throws {TypeError} If the shapes do not fit, the heads do not divide the rows, or types differ.
 *
 * @example
 * ```ts
 * import { headLinear } from "@metalfaiss/metalfaiss/linalg";
 * import assert from "node:assert/strict";
 *
 * const w = [[1, 1], [2, 0]]; // a row for each of two heads
 * const y = await headLinear([[1, 2], [3, 4]], w, 2);
 * assert.deepEqual([...y.data], [3, 6]);
 * ```
 */
export function headLinear(
  x: Tensor,
  w: Tensor,
  heads: number,
  options?: LinalgOptions,
): Promise<Tensor>;
/** Products of the host. */
export function headLinear(
  x: MatrixInput,
  w: MatrixInput,
  heads: number,
  options?: LinalgOptions,
): Promise<Matrix>;
export async function headLinear(
  x: MatrixInput | Tensor,
  w: MatrixInput | Tensor,
  heads: number,
  options: LinalgOptions = {},
): Promise<Matrix | Tensor> {
  if (x instanceof Tensor !== w instanceof Tensor) {
    throw new TypeError("Cannot multiply heads: one of x and w is a Tensor, the other is none");
  }
  const [inputs, weights] = [rowsOf(x, "x"), rowsOf(w, "w")];
  const { outputs } = headShape(inputs, weights, heads);
  const { linalg } = backendOf(options, tensorOf(inputs));
  const found = await linalg.headLinear(inputs, weights, heads);
  const made = tensorOf(found.value);
  if (!(x instanceof Tensor) || made === undefined) return matrixResult(found);
  using rows = made;
  const data = rows.reshape([...x.shape.slice(0, -1), outputs]);
  return tensorResult({ value: { ...found.value, data }, run: found.run });
}

/** What {@linkcode recurrentScan} takes. */
export interface RecurrentSequences {
  /** Batch × steps × d numbers. */
  x: Float32Array | Matrix;
  /** d × d: of inputs. */
  w: MatrixInput;
  /** d × d: of states. */
  r: MatrixInput;
  /** d numbers; zeros by default. */
  bias?: NumberVector | undefined;
  /** Batch × d: states before the first step; zeros by default. */
  h0?: Float32Array | Matrix | undefined;
  /** Sequences in x; 1 by default. */
  batch?: number | undefined;
}

/** How {@linkcode recurrentScan} runs. */
export interface RecurrentScanOptions extends RecurrentOptions, LinalgOptions {}

/**
 * All states of h_t = tanh(W x_t + R h_(t−1) + b).
 *
 * @param input Sequences and weights.
 * @param options Whether inputs are multiplied beforehand, how many steps at once, on how many
 * streams: ways to the same result.
 * @returns (batch · steps) × d.
 * @throws {TypeError} If lengths do not fit.
 * @throws {RangeError} If chunk, streams or batch are no positive integers.
 *
 * @example
 * ```ts
 * import { recurrentScan } from "@metalfaiss/metalfaiss/linalg";
 * import assert from "node:assert/strict";
 *
 * const x = new Float32Array([0.5, 0, 0]); // three steps of one number
 * const h = await recurrentScan({ x, w: [[1]], r: [[2]] });
 * const first = Math.tanh(0.5);
 * assert.ok(Math.abs(h.data[1]! - Math.tanh(2 * first)) < 1e-6);
 * ```
 */
export async function recurrentScan(
  input: RecurrentSequences,
  options: RecurrentScanOptions = {},
): Promise<Matrix> {
  const { batch = 1 } = input;
  checkCount(batch, "batch", "scan");
  const [w, r] = [floatMatrix(input.w, "w"), floatMatrix(input.r, "r")];
  const d = w.columns;
  for (const [what, matrix] of [["w", w], ["r", r]] as const) {
    if (matrix.rows === d && matrix.columns === d) continue;
    throw new TypeError(
      `Cannot scan: ${what} is ${matrix.rows} × ${matrix.columns}, not ${d} × ${d}`,
    );
  }
  const x = input.x instanceof Matrix ? input.x.data : input.x;
  const steps = x.length / (batch * d);
  if (!Number.isInteger(steps)) {
    throw new TypeError(
      `Cannot scan: x has ${x.length} numbers, no multiple of ${batch} sequences of ${d}`,
    );
  }
  const bias = input.bias === undefined ? new Float32Array(d) : floatVector(input.bias, "bias");
  checkLength(bias, d, "bias");
  const h0 = input.h0 instanceof Matrix ? input.h0.data : input.h0;
  const { backend: _given, ...how } = options;
  const sequences = { x, w: w.data, r: r.data, bias, h0, batch, steps, d };
  const { value, run } = await backendOf(options).linalg.recurrentScan(sequences, how);
  return new Matrix(value, d, run);
}
