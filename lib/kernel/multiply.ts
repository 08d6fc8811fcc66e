/**
 * Products of matrices by the vendor's library.
 *
 * @module
 */

import { GpuBuffer } from "./buffer.ts";

/** Type of a matrix that a product takes or makes. */
export type ProductDType = "float32" | "float16";

/** A product `c = alpha · op(a) op(b) + beta · c` of matrices in rows. */
export interface MultiplyOptions {
  /** Holds op(a), `m × k`: stored so, or `k × m` where `transposeA`. */
  a: GpuBuffer;
  /** Holds op(b), `k × n`: stored so, or `n × k` where `transposeB`. */
  b: GpuBuffer;
  /** Gets the product, `m × n`; shares no element with `a` or `b`. */
  c: GpuBuffer;
  /** Rows of op(a) and c, at least 1. */
  m: number;
  /** Columns of op(b) and c, at least 1. */
  n: number;
  /** Columns of op(a), rows of op(b), at least 1. */
  k: number;
  /** Whether `a` is stored transposed; false by default. */
  transposeA?: boolean;
  /** Whether `b` is stored transposed; false by default. */
  transposeB?: boolean;
  /** Factor of the product; 1 by default. */
  alpha?: number;
  /** Factor of what `c` holds; with 0, the default, that does not count, NaN included. */
  beta?: number;
  /** Type of `a` and `b`; float32 by default. Sums are float32 in any case. */
  dtype?: ProductDType;
  /** Type of `c`, by default `dtype`; float16 only where `a` and `b` are. */
  dtypeC?: ProductDType;
  /** Elements from a stored row of `a` to the next; by default its columns. */
  lineA?: number;
  /** Elements from a stored row of `b` to the next; by default its columns. */
  lineB?: number;
  /** Elements from a row of `c` to the next; by default `n`. */
  lineC?: number;
  /** Bytes before the first element of `a`; 0 by default. */
  offsetA?: number;
  /** Bytes before the first element of `b`; 0 by default. */
  offsetB?: number;
  /** Bytes before the first element of `c`; 0 by default. */
  offsetC?: number;
}

/** A product that was checked: its buffers, and the rest as `ProgramWriter` takes it. */
export interface CheckedProduct {
  /** a, b and c. */
  buffers: readonly [a: GpuBuffer, b: GpuBuffer, c: GpuBuffer];
  /** Bits of `mf_gpu_multiply.flags`. */
  flags: number;
  /** Bytes before each. */
  offsets: readonly [a: number, b: number, c: number];
  /** Elements between rows of each. */
  lines: readonly [a: number, b: number, c: number];
  /** m, n and k. */
  sizes: readonly [m: number, n: number, k: number];
  /** Factor of the product. */
  alpha: number;
  /** Factor of what c holds. */
  beta: number;
}

/**
 * Checks a product and fills in what was left out.
 *
 * @throws {RangeError} If a size, line or offset is none, or a matrix does not lie within its buffer.
 * @throws {TypeError} If a buffer or type is none, or float16 is asked of float32.
 */
export function checkProduct(options: MultiplyOptions): CheckedProduct {
  const { a, b, c, m, n, k, alpha = 1, beta = 0, dtype = "float32", dtypeC = dtype } = options;
  const { transposeA = false, transposeB = false, offsetA = 0, offsetB = 0, offsetC = 0 } = options;
  for (const [name, buffer] of Object.entries({ a, b, c })) {
    if (!(buffer instanceof GpuBuffer)) fail(TypeError, `${name} must be a GpuBuffer`);
  }
  for (const [name, size] of Object.entries({ m, n, k })) whole(name, size, 1);
  for (const [name, factor] of Object.entries({ alpha, beta })) {
    if (typeof factor !== "number") fail(TypeError, `${name} must be a number`);
  }
  const bytes = elementBytes("dtype", dtype);
  const bytesC = elementBytes("dtypeC", dtypeC);
  if (bytesC < bytes) fail(TypeError, "dtypeC can be float16 only where dtype is");
  const [rowsA, columnsA] = transposeA ? [k, m] : [m, k];
  const [rowsB, columnsB] = transposeB ? [n, k] : [k, n];
  const { lineA = columnsA, lineB = columnsB, lineC = n } = options;
  checkMatrix("A", a, rowsA, columnsA, lineA, offsetA, bytes);
  checkMatrix("B", b, rowsB, columnsB, lineB, offsetB, bytes);
  checkMatrix("C", c, m, n, lineC, offsetC, bytesC);
  return {
    buffers: [a, b, c],
    flags: (transposeA ? 1 : 0) | (transposeB ? 2 : 0) | (bytes === 2 ? 4 : 0) |
      (bytesC === 2 ? 8 : 0),
    offsets: [offsetA, offsetB, offsetC],
    lines: [lineA, lineB, lineC],
    sizes: [m, n, k],
    alpha,
    beta,
  };
}

function fail(type: ErrorConstructor, reason: string): never {
  throw new type(`Cannot multiply: ${reason}`);
}

function whole(name: string, value: number, least: number): void {
  if (Number.isSafeInteger(value) && value >= least) return;
  fail(RangeError, `${name} must be an integer of at least ${least}, got ${value}`);
}

function elementBytes(name: string, dtype: ProductDType): number {
  if (dtype === "float32") return 4;
  if (dtype === "float16") return 2;
  return fail(TypeError, `${name} must be float32 or float16, got ${String(dtype)}`);
}

function checkMatrix(
  name: string,
  buffer: GpuBuffer,
  rows: number,
  columns: number,
  line: number,
  offset: number,
  bytes: number,
): void {
  whole(`line${name}`, line, 1);
  whole(`offset${name}`, offset, 0);
  if (rows > 1 && line < columns) {
    fail(RangeError, `line${name} must be at least ${columns}, its columns, got ${line}`);
  }
  if (offset % bytes !== 0) {
    fail(RangeError, `offset${name} must be a multiple of ${bytes} bytes, got ${offset}`);
  }
  const end = offset + ((rows - 1) * line + columns) * bytes;
  if (end <= buffer.byteLength) return;
  fail(
    RangeError,
    `${name.toLowerCase()}, stored as ${rows} × ${columns}, ends at byte ${end} of a buffer of ` +
      `${buffer.byteLength}`,
  );
}
