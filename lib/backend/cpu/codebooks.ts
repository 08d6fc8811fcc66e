/**
 * Codebooks of given indices, in native code.
 *
 * @module
 */

import { invokeAsync } from "../../../ffi/call.ts";
import { library } from "../../../ffi/library.ts";
import { sizesRecord } from "../../../ffi/record.ts";
import type { CodebookFit } from "../backend.ts";
import { checkLength, countRows } from "./work.ts";

/** `Backend.fitCodebooks`. */
export async function fitCodebooks(
  x: Float32Array,
  indices: Uint32Array,
  { d, m, ksub, lambda }: CodebookFit,
  signal?: AbortSignal,
): Promise<Float32Array> {
  const nx = countRows(x, d, "x");
  checkLength(indices, nx * m, "indices");
  const codebooks = new Float32Array(m * ksub * d);
  const sizes = sizesRecord({ nx, ny: ksub, d, k: m, metricArg: lambda });
  await invokeAsync((call) => {
    return library().symbols.mf_additive_fit_async(sizes, x, indices, codebooks, call);
  }, signal);
  return codebooks;
}
