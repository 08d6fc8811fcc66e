import { invokeAsync } from "../../../../ffi/call.ts";
import { library } from "../../../../ffi/library.ts";
import { checkLength } from "../work.ts";

/** `LinearAlgebra.eigenSymmetric`. */
export async function eigenSymmetric(
  a: Float64Array,
  n: number,
  signal?: AbortSignal,
): Promise<{ values: Float64Array; vectors: Float64Array }> {
  checkLength(a, n * n, "a");
  const [values, vectors] = [new Float64Array(n), new Float64Array(n * n)];
  const { symbols } = library();
  await invokeAsync((call) => {
    return symbols.mf_linalg_eigen_symmetric_async(n, a, values, vectors, call);
  }, signal);
  return { values, vectors };
}
