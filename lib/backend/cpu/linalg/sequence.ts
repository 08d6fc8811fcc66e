/**
 * Layer norms, soft caps, products a head and recurrent scans by the native library.
 *
 * @module
 */

import { invoke, invokeAsync } from "../../../../ffi/call.ts";
import { library } from "../../../../ffi/library.ts";
import type { Report } from "../../../../ffi/record.ts";
import { recurrenceRecord, rowsRecord } from "../../../../ffi/sequence.ts";
import { zeroNumbers } from "../../../linalg/numbers.ts";
import type { Computed, Dense, RecurrentInput, RecurrentOptions } from "../../linalg.ts";
import {
  checkCap,
  checkRecurrent,
  headShape,
  normPeriod,
} from "../../reference/linalg/sequence_checks.ts";
import { isShort } from "../work.ts";
import { execution, hostNumbers, typeName, typeOf } from "./operands.ts";

/** What a number costs in multiply-adds, about, in a norm or under a cap. */
const NUMBER_WORK = 8;

/** `LinearAlgebra.layerNorm`. */
export async function layerNorm(
  x: Dense,
  eps: number,
  weight?: Float32Array,
  bias?: Float32Array,
): Promise<Computed<Dense>> {
  const heads = normPeriod(x, eps, weight, bias);
  const { rows, columns, dtype } = x;
  const data = hostNumbers(x, "x");
  const out = zeroNumbers(data.length, dtype);
  const record = rowsRecord({ rows, columns, heads, number: eps, type: typeOf(x) });
  const { symbols } = library();
  const [w, b] = [weight ?? null, bias ?? null];
  const report = isShort(data.length * NUMBER_WORK)
    ? invoke((call) => symbols.mf_linalg_layer_norm(record, data, w, b, out, call))
    : await invokeAsync((call) =>
      symbols.mf_linalg_layer_norm_async(record, data, w, b, out, call)
    );
  return result({ ...x, data: out }, "layer_norm", report);
}

/** `LinearAlgebra.softCap`. */
export async function softCap(x: Dense, cap: number): Promise<Computed<Dense>> {
  checkCap(cap);
  const { rows, columns, dtype } = x;
  const data = hostNumbers(x, "x");
  const out = zeroNumbers(data.length, dtype);
  const record = rowsRecord({ rows, columns, number: cap, type: typeOf(x) });
  const { symbols } = library();
  const report = isShort(data.length * NUMBER_WORK)
    ? invoke((call) => symbols.mf_linalg_soft_cap(record, data, out, call))
    : await invokeAsync((call) => symbols.mf_linalg_soft_cap_async(record, data, out, call));
  return result({ ...x, data: out }, "soft_cap", report);
}

/** `LinearAlgebra.headLinear`. */
export async function headLinear(x: Dense, w: Dense, heads: number): Promise<Computed<Dense>> {
  const { batch, d, outputs } = headShape(x, w, heads);
  const { rows, dtype } = x;
  const [data, weights] = [hostNumbers(x, "x"), hostNumbers(w, "w")];
  const out = zeroNumbers(rows * outputs, dtype);
  const record = rowsRecord({ rows: batch, columns: d, heads, outputs, type: typeOf(x) });
  const { symbols } = library();
  const report = isShort(rows * outputs * d)
    ? invoke((call) => symbols.mf_linalg_head_linear(record, data, weights, out, call))
    : await invokeAsync((call) =>
      symbols.mf_linalg_head_linear_async(record, data, weights, out, call)
    );
  return result({ data: out, rows, columns: outputs, dtype }, "head_linear", report);
}

function result(value: Dense, op: string, { threads }: Report): Computed<Dense> {
  return { value, run: execution(`${op}_${typeName(value)}`, threads) };
}

/** `LinearAlgebra.recurrentScan`. */
export async function recurrentScan(
  input: RecurrentInput,
  options: RecurrentOptions = {},
): Promise<Computed<Float32Array>> {
  const chunk = checkRecurrent(input, options);
  const { x, w, r, bias, h0, batch, steps, d } = input;
  options.signal?.throwIfAborted();
  const weights = new Float32Array(2 * d * d + d + (h0?.length ?? 0));
  weights.set(w);
  weights.set(r, d * d);
  weights.set(bias, 2 * d * d);
  if (h0) weights.set(h0, 2 * d * d + d);
  const out = new Float32Array(x.length);
  const precompute = options.precompute ?? true;
  const record = recurrenceRecord({ batch, steps, d, chunk, precompute, hasInitial: !!h0 });
  const { symbols } = library();
  const report = isShort(x.length * (2 * d + NUMBER_WORK))
    ? invoke((call) => symbols.mf_linalg_recurrent(record, x, weights, out, call))
    : await invokeAsync(
      (call) => symbols.mf_linalg_recurrent_async(record, x, weights, out, call),
      options.signal,
    );
  const variant = precompute ? "recurrent_chunks_f32" : "recurrent_steps_f32";
  return { value: out, run: execution(variant, report.threads) };
}
