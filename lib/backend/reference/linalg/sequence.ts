/**
 * Layer norms, soft caps, products a head and recurrent scans, in double precision.
 *
 * @module
 */

import { encodeNumbers } from "../../../linalg/numbers.ts";
import type { Computed, Dense, RecurrentInput, RecurrentOptions } from "../../linalg.ts";
import { run, type Steps } from "../steps.ts";
import { computed, hostNumbers } from "./operands.ts";
import { checkCap, checkRecurrent, headShape, normPeriod } from "./sequence_checks.ts";

/** `LinearAlgebra.layerNorm`. */
export function layerNorm(
  x: Dense,
  eps: number,
  weight?: Float32Array,
  bias?: Float32Array,
): Promise<Computed<Dense>> {
  return run(normalizeRows(x, eps, weight, bias));
}

function* normalizeRows(
  x: Dense,
  eps: number,
  weight: Float32Array | undefined,
  bias: Float32Array | undefined,
): Steps<Computed<Dense>> {
  const period = normPeriod(x, eps, weight, bias);
  const { rows, columns, dtype } = x;
  const numbers = hostNumbers(x);
  const out = new Float64Array(numbers.length);
  for (let row = 0; row < rows; row++) {
    const from = numbers.subarray(row * columns, (row + 1) * columns);
    let total = 0;
    for (const value of from) total += value;
    const mean = total / columns;
    let squares = 0;
    for (const value of from) squares += (value - mean) ** 2;
    const root = Math.sqrt(squares / columns + eps);
    for (let j = 0; j < columns; j++) {
      const at = row % period * columns + j;
      out[row * columns + j] = (from[j]! - mean) / root * (weight?.[at] ?? 1) + (bias?.[at] ?? 0);
    }
    yield;
  }
  return computed({ ...x, data: encodeNumbers(out, dtype) }, "layer_norm_f64");
}

/** `LinearAlgebra.softCap`. */
// deno-lint-ignore require-await -- errors are rejections, as on the other backends
export async function softCap(x: Dense, cap: number): Promise<Computed<Dense>> {
  checkCap(cap);
  const out = Float64Array.from(hostNumbers(x), (value) => cap * Math.tanh(value / cap));
  return computed({ ...x, data: encodeNumbers(out, x.dtype) }, "soft_cap_f64");
}

/** `LinearAlgebra.headLinear`. */
export function headLinear(x: Dense, w: Dense, heads: number): Promise<Computed<Dense>> {
  return run(multiplyHeads(x, w, heads));
}

function* multiplyHeads(x: Dense, w: Dense, heads: number): Steps<Computed<Dense>> {
  const { d, outputs } = headShape(x, w, heads);
  const [inputs, weights] = [hostNumbers(x), hostNumbers(w)];
  const out = new Float64Array(x.rows * outputs);
  for (let row = 0; row < x.rows; row++) {
    const head = row % heads;
    for (let i = 0; i < outputs; i++) {
      out[row * outputs + i] = dotAt(weights, (head * outputs + i) * d, inputs, row * d, d);
    }
    yield;
  }
  const { dtype } = x;
  const value = { data: encodeNumbers(out, dtype), rows: x.rows, columns: outputs, dtype };
  return computed(value, "head_linear_f64");
}

function dotAt(
  a: ArrayLike<number>,
  fromA: number,
  b: ArrayLike<number>,
  fromB: number,
  n: number,
): number {
  let sum = 0;
  for (let j = 0; j < n; j++) sum += a[fromA + j]! * b[fromB + j]!;
  return sum;
}

/** `LinearAlgebra.recurrentScan`: chunks and streams change nothing of what it computes. */
export function recurrentScan(
  input: RecurrentInput,
  options: RecurrentOptions = {},
): Promise<Computed<Float32Array>> {
  return run(scan(input, options), options.signal);
}

function* scan(
  input: RecurrentInput,
  options: RecurrentOptions,
): Steps<Computed<Float32Array>> {
  checkRecurrent(input, options);
  const { x, w, r, bias, h0, batch, steps, d } = input;
  const out = new Float32Array(x.length);
  for (let b = 0; b < batch; b++) {
    let state = new Float64Array(d);
    if (h0) state.set(h0.subarray(b * d, (b + 1) * d));
    for (let t = 0; t < steps; t++) {
      const at = (b * steps + t) * d;
      const next = new Float64Array(d);
      for (let i = 0; i < d; i++) {
        next[i] = Math.tanh(dotAt(w, i * d, x, at, d) + dotAt(r, i * d, state, 0, d) + bias[i]!);
      }
      out.set(next, at);
      state = next;
      yield;
    }
  }
  return computed(out, "recurrent_scan_f64");
}
