/**
 * QR decompositions, and their projections, by the native library.
 *
 * @module
 */

import { invoke, invokeAsync } from "../../../../ffi/call.ts";
import { factorVariants, qrRecord } from "../../../../ffi/factor.ts";
import { library } from "../../../../ffi/library.ts";
import { type Report, sizesRecord } from "../../../../ffi/record.ts";
import { checkLength, checkTall, checkTolerance } from "../../../linalg/checks.ts";
import { decodeNumbers } from "../../../linalg/numbers.ts";
import { linalgSettings } from "../../../linalg/settings.ts";
import type { Computed, Dense, Execution, QrOptions, QrParts } from "../../linalg.ts";
import { runInfo } from "../native.ts";
import { cpuDevice } from "../tuned.ts";
import { isShort } from "../work.ts";

/** Methods, as `mf_linalg_qr_options` numbers them. */
const methods: readonly string[] = ["auto", "mgs", "blocked", "householder"];

/** Columns, and rows, up to which columns one by one are fastest. */
const NARROW = 8;
const SHORT = 64;
/** How much faster blocked products are than what {@linkcode isShort} counts in. */
export const BLOCKED_RATE = 5;

/** What a factorization ran. */
export function factorRun({ variants, threads }: Report): Execution {
  const { isa } = runInfo({ variants: 0, threads, scanned: 0, recomputed: 0 });
  return {
    backend: "cpu",
    engine: "native",
    isa,
    variants: factorVariants.filter((_, bit) => variants & (1 << bit)),
    threads,
  };
}

/** Numbers of an operand as float32. */
export function hostFloats({ data, rows, columns, dtype }: Dense, action: string): Float32Array {
  if (!ArrayBuffer.isView(data)) {
    throw new TypeError(`Cannot ${action}: the cpu backend takes arrays of the host, no Tensor`);
  }
  if (data.length !== rows * columns) {
    throw new TypeError(
      `Cannot ${action}: ${data.length} numbers are no matrix of ${rows} × ${columns}`,
    );
  }
  return decodeNumbers(data, dtype);
}

/** Refuses kernels of a GPU. */
function checkDot(kernel: QrOptions["dot"], action: string): void {
  if (kernel === undefined || kernel === "auto") return;
  throw new RangeError(
    `Cannot ${action}: the cpu backend has no "${kernel}" kernel of projections`,
  );
}

/** The method asked for, else what is fastest for the shape. */
function chooseMethod(rows: number, columns: number, method: QrOptions["method"]): string {
  if (method !== undefined && method !== "auto") return method;
  const { forceQr, qrMethod } = linalgSettings({ device: cpuDevice(), rows, columns });
  if (forceQr !== undefined) return forceQr;
  // Panels of 16 columns that are mostly padding, or of few rows, cost more than columns one by one.
  if (columns <= NARROW || rows <= SHORT) return "mgs";
  return qrMethod ?? "blocked";
}

/** `LinearAlgebra.qr`. */
export async function qr(a: Dense, options: QrOptions = {}): Promise<Computed<QrParts>> {
  checkTall(a);
  checkDot(options.dot, "decompose");
  const { rows: m, columns: n } = a;
  if (options.tolerance !== undefined) checkTolerance(options.tolerance, "decompose");
  const wanted = chooseMethod(m, n, options.method);
  const method = methods.indexOf(wanted);
  if (method < 0) throw new RangeError(`Cannot decompose: there is no method "${wanted}"`);
  const data = hostFloats(a, "decompose");
  const record = qrRecord({ m, n, tolerance: options.tolerance ?? -1, method });
  const work = 2 * m * n * n;
  const [q, r, rank] = [new Float32Array(m * n), new Float32Array(n * n), new Uint32Array(1)];
  const { symbols } = library();
  options.signal?.throwIfAborted();
  const report = isShort(wanted === "mgs" || wanted === "householder" ? work : work / BLOCKED_RATE)
    ? invoke((call) => symbols.mf_linalg_qr(record, data, q, r, rank, call))
    : await invokeAsync(
      (call) => symbols.mf_linalg_qr_async(record, data, q, r, rank, call),
      options.signal,
    );
  return { value: { q, r, rank: rank[0]! }, run: factorRun(report) };
}

/** `LinearAlgebra.projectCoeffs`. */
export async function projectCoeffs(
  q: Dense,
  v: Float32Array,
  kernel?: QrOptions["dot"],
): Promise<Computed<Float32Array>> {
  checkDot(kernel, "project");
  checkLength(v, q.rows, "v");
  const data = hostFloats(q, "project");
  const c = new Float32Array(q.columns);
  const sizes = sizesRecord({ nx: q.rows, ny: 1, d: q.columns });
  const { symbols } = library();
  const report = isShort(data.length)
    ? invoke((call) => symbols.mf_linalg_project(sizes, data, v, c, call))
    : await invokeAsync((call) => symbols.mf_linalg_project_async(sizes, data, v, c, call));
  return { value: c, run: factorRun(report) };
}

/** `LinearAlgebra.updateVector`. */
export async function updateVector(
  q: Dense,
  c: Float32Array,
  v: Float32Array,
): Promise<Computed<Float32Array>> {
  checkLength(v, q.rows, "v");
  checkLength(c, q.columns, "c");
  const data = hostFloats(q, "update");
  const out = new Float32Array(q.rows);
  const sizes = sizesRecord({ nx: q.rows, ny: 1, d: q.columns });
  const { symbols } = library();
  const report = isShort(data.length)
    ? invoke((call) => symbols.mf_linalg_update(sizes, data, c, v, out, call))
    : await invokeAsync((call) => symbols.mf_linalg_update_async(sizes, data, c, v, out, call));
  return { value: out, run: factorRun(report) };
}
