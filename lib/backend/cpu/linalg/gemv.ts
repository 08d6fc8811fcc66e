/**
 * Products of matrices and vectors by the native library.
 *
 * @module
 */

import { invoke, invokeAsync } from "../../../../ffi/call.ts";
import { vectorsRecord } from "../../../../ffi/gemm.ts";
import { library } from "../../../../ffi/library.ts";
import { gemvShape } from "../../../linalg/checks.ts";
import { decodeNumbers, encodeNumbers, zeroNumbers } from "../../../linalg/numbers.ts";
import type { Computed, Dense, GemvOptions, HostNumbers } from "../../linalg.ts";
import { isShort } from "../work.ts";
import { execution, hostNumbers, typeName, typeOf } from "./operands.ts";

/** `LinearAlgebra.gemv`. */
export async function gemv(
  w: Dense,
  x: Dense,
  options: GemvOptions = {},
): Promise<Computed<Dense>> {
  const { layout = "nt", alpha = 1, beta = 0, y, bias, variant } = options;
  const { n, k, batch } = gemvShape(w, x, options);
  const name = `gemv_${layout}_${typeName(w)}`;
  if (variant !== undefined && variant !== name) {
    throw new RangeError(
      `Cannot multiply: the cpu backend has no variant "${variant}" for this, only "${name}"`,
    );
  }
  const [inW, inX] = [hostNumbers(w, "W"), hostNumbers(x, "x")];
  const inBias = bias === undefined ? null : hostNumbers(bias, "the bias");
  const out = y === undefined || beta === 0
    ? zeroNumbers(batch * n, x.dtype)
    : copyAs(x, y, hostNumbers(y, "y"));
  const record = vectorsRecord({
    n,
    k,
    batch,
    line: layout === "nn" ? n : k,
    lineBias: bias !== undefined && bias.rows > 1 ? n : 0,
    alpha,
    beta,
    typeW: typeOf(w),
    typeX: typeOf(x),
    typeBias: bias === undefined ? 0 : typeOf(bias),
    columns: layout === "nn",
  });
  const { symbols } = library();
  const report = isShort(batch * n * k)
    ? invoke((call) => symbols.mf_linalg_gemv(record, inW, inX, inBias, out, call))
    : await invokeAsync((call) =>
      symbols.mf_linalg_gemv_async(record, inW, inX, inBias, out, call)
    );
  return {
    value: { data: out, rows: batch, columns: n, dtype: x.dtype },
    run: execution(name, report.threads),
  };
}

/** Numbers of y in x's type, which the result is written over. */
function copyAs(x: Dense, y: Dense, numbers: HostNumbers): HostNumbers {
  if (x.dtype === y.dtype) return numbers.slice();
  return encodeNumbers(decodeNumbers(numbers, y.dtype), x.dtype).slice();
}
