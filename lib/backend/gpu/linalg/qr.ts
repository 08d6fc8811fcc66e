import type { GpuBuffer } from "../../../kernel/buffer.ts";
import { checkLength, checkTall, checkTolerance } from "../../../linalg/checks.ts";
import { linalgSettings } from "../../../linalg/settings.ts";
import type { Computed, Dense, QrOptions, QrParts } from "../../linalg.ts";
import { toColumns } from "../../reference/linalg/columns.ts";
import { mgs } from "../../reference/linalg/qr.ts";
import { runSync as runReference } from "../../reference/steps.ts";
import type { GpuContext } from "../context.ts";
import { run, type Steps } from "../steps.ts";
import { type Operand, operand } from "./operands.ts";
import { blockedOps, panelMemory } from "./qr_blocked.ts";
import {
  completeOps,
  type DotKernel,
  householderOps,
  inspectOps,
  lengthsOp,
  loadOp,
  mgsROp,
  recordProjection,
  recordUpdate,
  stepOp,
} from "./qr_kernels.ts";
import { type Op, Work } from "./work.ts";

const methods = ["mgs", "blocked", "householder"] as const;
/** Operations a command buffer: an abort waits for one. */
const BATCH = 2048;

/** The method: the one asked for, or that of settings; one that projects as asked; else blocked. */
function methodOf(context: GpuContext, { rows, columns }: Dense, options: QrOptions) {
  const { method = "auto", dot } = options;
  const { forceQr, qrMethod, qrDot } = linalgSettings({ device: context.device, rows, columns });
  if (method !== "auto") {
    if (methods.includes(method)) return method;
    throw new RangeError(
      `Cannot decompose: there is no method ${method}; there are ${methods.join(", ")}`,
    );
  }
  const projects = (dot ?? qrDot) !== "auto";
  return forceQr ?? (projects ? "mgs" : qrMethod ?? "blocked");
}

/** Kernel of projections of m rows. */
function dotOf(context: GpuContext, m: number, dot: QrOptions["dot"]): DotKernel {
  const { qrDot, qrSimdFrom } = linalgSettings({ device: context.device });
  const asked = dot ?? qrDot;
  if (asked === "auto") return m >= qrSimdFrom ? "simd" : "simple";
  if (asked === "simple" || asked === "simd" || asked === "library") return asked;
  throw new RangeError(
    `Cannot project: there is no kernel ${asked}; there are auto, simple, simd, library`,
  );
}

/** `LinearAlgebra.qr`. */
export async function qr(
  context: GpuContext,
  a: Dense,
  options: QrOptions = {},
): Promise<Computed<QrParts>> {
  checkTall(a);
  const { rows: m, columns: n } = a;
  const tolerance = options.tolerance ?? n * 2 ** -23;
  checkTolerance(tolerance, "decompose");
  const method = methodOf(context, a, options);
  const dot = dotOf(context, m, options.dot);
  using work = new Work(context, "qr");
  work.ran(`qr_${method}`);
  const from = await operand(work, a, "A");
  return await run(steps(work, from, { method, dot, tolerance }), options.signal);
}

interface How {
  method: typeof methods[number];
  dot: DotKernel;
  tolerance: number;
}

function* steps(
  work: Work,
  a: Operand,
  { method, dot, tolerance }: How,
): Steps<Computed<QrParts>> {
  const { context, memory } = work;
  const { rows: m, columns: n } = a;
  const largest = memory.scratch(n * 4, "largest of columns");
  const first = memory.output(4, "first row that is not finite");
  const loaded = memory.scratch(m * n * 4, "columns");
  const lengths = memory.scratch(n * 4, "lengths");
  const r = memory.scratch(n * n * 4, "R");
  const shape = { m, n };
  yield* inBatches(work, [
    ...inspectOps(context, a, largest, first),
    loadOp(context, a, loaded, largest),
    lengthsOp(context, loaded, lengths, shape),
  ]);
  refuseNotFinite(first);
  let q = loaded;
  if (method === "householder") {
    q = memory.scratch(m * n * 4, "Q");
    yield* inBatches(work, householderOps(work, loaded, largest, q, r, shape));
  } else if (method === "blocked") {
    const panels = panelMemory(context, shape, (bytes, label) => memory.scratch(bytes, label));
    work.run((commands) => {
      commands.fill(r, 0, n * n * 4, 0);
      return [];
    });
    const how = { m, n, q, r, lengths, largest, tolerance };
    yield* inBatches(work, blockedOps(context, panels, how));
  } else {
    yield* inBatches(work, mgsOps(work, { q, r, lengths, largest }, shape, dot, tolerance));
  }
  const factor = r.readSync(new Float32Array(n * n));
  const dependent = dependentColumns(factor, n, method, tolerance);
  if (method !== "householder") {
    yield* inBatches(work, completeOps(work, q, shape, dependent));
  }
  // A reflection of a dependent column takes a row that later columns may need: R has the rank all the same.
  const rank = method === "householder" && dependent.length > 0
    ? runReference(mgs(toColumns(factor, n, n), tolerance)).rank
    : n - dependent.length;
  const value = { q: q.readSync(new Float32Array(m * n)), r: factor, rank };
  return { value, run: work.execution() };
}

/** Columns without a part of their own. Householder's have one at the level of rounding. */
function dependentColumns(
  r: Float32Array,
  n: number,
  method: How["method"],
  tolerance: number,
): number[] {
  const found: number[] = [];
  for (let j = 0; j < n; j++) {
    let least = 0;
    if (method === "householder") {
      const column = Array.from({ length: j + 1 }, (_, i) => r[i * n + j]!);
      least = tolerance * Math.hypot(...column);
    }
    if (!(r[j * n + j]! > least)) found.push(j);
  }
  return found;
}

/** Fails where `inspectOps` found a row. */
export function refuseNotFinite(first: GpuBuffer): void {
  const row = first.readSync(new Uint32Array(1))[0]!;
  if (row !== 2 ** 32 - 1) {
    throw new RangeError(`Cannot decompose: row ${row} holds NaN or infinity`);
  }
}

function* inBatches(work: Work, ops: readonly Op[]): Steps<void> {
  for (let at = 0; at < ops.length; at += BATCH) {
    work.run(...ops.slice(at, at + BATCH));
    yield* work.finish();
  }
}

/** Two-pass Gram–Schmidt: for every column, projection and update twice, then its length. */
function mgsOps(
  { context, memory }: Work,
  { q, r, lengths, largest }: Record<"q" | "r" | "lengths" | "largest", GpuBuffer>,
  { m, n }: { m: number; n: number },
  dot: DotKernel,
  tolerance: number,
): Op[] {
  const passes = [1, 2].map((pass) => memory.scratch(n * n * 4, `projections of pass ${pass}`));
  const v = memory.scratch(m * 4, "column");
  const diagonal = memory.scratch(n * 4, "diagonal");
  const vector = { buffer: v, line: 1 };
  const buffers = { q, v, diagonal, lengths };
  const ops: Op[] = [stepOp(context, buffers, { m, n, next: 0 })];
  for (let column = 0; column < n; column++) {
    const basis: Operand = { buffer: q, line: n, rows: m, columns: column, dtype: "float32" };
    if (column > 0) {
      for (const buffer of passes) {
        const c = { buffer, offset: column * n * 4, line: 1 };
        ops.push((commands) => recordProjection(context, commands, basis, vector, c, dot));
        ops.push((commands) => recordUpdate(context, commands, basis, c, vector));
      }
    }
    const next = column + 1 < n ? { next: column + 1 } : {};
    ops.push(stepOp(context, buffers, { m, n, column, tolerance, ...next }));
  }
  ops.push(mgsROp(context, [...passes, diagonal, largest, r], { m, n }));
  return ops;
}

/** `LinearAlgebra.projectCoeffs`. */
export async function projectCoeffs(
  context: GpuContext,
  q: Dense,
  v: Float32Array,
  dot?: QrOptions["dot"],
): Promise<Computed<Float32Array>> {
  checkLength(v, q.rows, "v");
  const kernel = dotOf(context, q.rows, dot);
  using work = new Work(context, "project_coeffs");
  const basis = await operand(work, q, "Q");
  const vector = { buffer: await work.upload(v, "v"), line: 1 };
  const c = { buffer: work.memory.output(q.columns * 4, "c"), line: 1 };
  work.run((commands) => recordProjection(context, commands, basis, vector, c, kernel));
  await run(work.finish());
  const value = c.buffer.readSync(new Float32Array(q.columns));
  return { value, run: work.execution() };
}

/** `LinearAlgebra.updateVector`. */
export async function updateVector(
  context: GpuContext,
  q: Dense,
  c: Float32Array,
  v: Float32Array,
): Promise<Computed<Float32Array>> {
  checkLength(v, q.rows, "v");
  checkLength(c, q.columns, "c");
  using work = new Work(context, "update_vector");
  const basis = await operand(work, q, "Q");
  const factors = { buffer: await work.upload(c, "c"), line: 1 };
  const result = { buffer: await work.upload(v, "v"), line: 1 };
  work.run((commands) => recordUpdate(context, commands, basis, factors, result));
  await run(work.finish());
  const value = result.buffer.readSync(new Float32Array(q.rows));
  return { value, run: work.execution() };
}
