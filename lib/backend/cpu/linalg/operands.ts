/**
 * What operations of linear algebra give the native library, and what they say ran.
 *
 * @module
 */

import { checkNumbers } from "../../../linalg/numbers.ts";
import type { Dense, Element, Execution, HostNumbers } from "../../linalg.ts";
import { runInfo } from "../native.ts";

/** Names of element types, in the order of their numbers in the ABI (`mf_linalg_type`). */
const types: readonly Element[] = ["float32", "float16", "bfloat16"];
/** As kernels name them. */
const names = ["f32", "f16", "bf16"] as const;

/** Number of an element type in the ABI. */
export function typeOf({ dtype }: Dense): number {
  return types.indexOf(dtype);
}

/** An operand's element type, as kernels name it. */
export function typeName(x: Dense): string {
  return names[typeOf(x)]!;
}

/** Numbers of an operand, all of which are there. */
export function hostNumbers({ data, rows, columns, dtype }: Dense, what: string): HostNumbers {
  if (!ArrayBuffer.isView(data)) {
    throw new TypeError(`Cannot read ${what}: the cpu backend takes arrays of the host, no Tensor`);
  }
  if (data.length !== rows * columns) {
    throw new TypeError(
      `Cannot read ${what}: ${data.length} numbers are no matrix of ${rows} × ${columns}`,
    );
  }
  checkNumbers(data, dtype);
  return data;
}

/** What a call ran. */
export function execution(variant: string, threads: number): Execution {
  const { isa } = runInfo({ variants: 0, threads, scanned: 0, recomputed: 0 });
  return { backend: "cpu", engine: "native", isa, variants: [variant], threads };
}
