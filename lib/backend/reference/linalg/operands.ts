import { decodeNumbers } from "../../../linalg/numbers.ts";
import type { Computed, Dense, Execution } from "../../linalg.ts";

/** Numbers of an operand. */
export function hostNumbers({ data, rows, columns, dtype }: Dense): Float32Array {
  if (!ArrayBuffer.isView(data)) {
    throw new TypeError(
      "Cannot compute: the reference backend takes arrays of the host, no Tensor",
    );
  }
  if (data.length !== rows * columns) {
    throw new TypeError(
      `Cannot compute: ${data.length} numbers are no matrix of ${rows} × ${columns}`,
    );
  }
  return decodeNumbers(data, dtype);
}

/** A result, and what ran. */
export function computed<T>(value: T, variant: string): Computed<T> {
  const run: Execution = {
    backend: "reference",
    engine: "typescript",
    isa: "none",
    variants: [variant],
    threads: 1,
  };
  return { value, run };
}

/** Fails where another kernel is asked for than the only one. */
export function checkVariant(variant: string | undefined, only: string): void {
  if (variant === undefined || variant === only) return;
  throw new RangeError(
    `Cannot multiply: the reference backend has no variant "${variant}", only "${only}"`,
  );
}
