import type { GpuBuffer } from "../../../kernel/buffer.ts";
import type { Computed, Dense, SvdParts, TopkSvdOptions } from "../../linalg.ts";
import type { GpuContext } from "../context.ts";
import { run, type Steps } from "../steps.ts";
import { type Operand, operand, type Place } from "./operands.ts";
import { refuseNotFinite } from "./qr.ts";
import { blockedOps, panelMemory } from "./qr_blocked.ts";
import { completeOps, inspectOps, loadOp } from "./qr_kernels.ts";
import { smallSvd } from "./ritz.ts";
import { SvdIteration } from "./svd_iteration.ts";
import { type SvdPlan, svdPlan } from "./svd_settings.ts";
import { recordGemmAV, type TallShape } from "./tall.ts";
import { type Op, Work } from "./work.ts";

/** Iterations handed over at a time: an abort waits for them. */
const BATCH = 16;

/** `LinearAlgebra.topkSvd`. */
export async function topkSvd(
  context: GpuContext,
  a: Dense,
  k: number,
  options: TopkSvdOptions = {},
): Promise<Computed<SvdParts>> {
  const plan = svdPlan(context, a, k, options);
  using work = new Work(context, "topk_svd");
  const from = await operand(work, a, "A");
  return await run(steps(work, from, k, plan), options.signal);
}

/** A as floats near 1, and what it was multiplied by. */
function* scaled(work: Work, a: Operand): Steps<{ a: Place; scale: number }> {
  const { context, memory } = work;
  const { rows: m, columns: n, dtype } = a;
  const largest = memory.output(n * 4, "largest of columns");
  const first = memory.output(4, "first row that is not finite");
  work.run(...inspectOps(context, a, largest, first));
  yield* work.finish();
  refuseNotFinite(first);
  const most = largest.readSync(new Float32Array(n)).reduce((a, b) => Math.max(a, b), 0);
  const isNear = most === 0 || (most > 2 ** -20 && most < 2 ** 20);
  if (isNear && dtype === "float32") return { a, scale: 1 };
  const power = isNear ? 0 : Math.max(-126, Math.min(126, -Math.floor(Math.log2(most))));
  const buffer = memory.scratch(m * n * 4, "A, scaled");
  work.run(loadOp(context, a, buffer, 2 ** power));
  return { a: { buffer, line: n }, scale: 2 ** power };
}

function* steps(work: Work, from: Operand, k: number, plan: SvdPlan): Steps<Computed<SvdParts>> {
  const { memory, context } = work;
  const { a, scale } = yield* scaled(work, from);
  const shape: TallShape = { m: from.rows, n: from.columns, k };
  const v = memory.scratch(shape.n * k * 4, "V");
  v.writeSync(plan.start);
  const basis = orthonormal(work, v, { m: shape.n, n: k });
  using iteration = new SvdIteration(work, { a, v }, shape, plan, basis);
  const { iterations, converged } = yield* iterate(work, iteration, basis.r, k, plan);

  const b = memory.scratch(shape.m * k * 4, "A·V");
  const product: Op = (commands) => {
    const buffers = { a, b: { buffer: v, line: k }, c: { buffer: b, line: k } };
    const kernel = plan.product === "vendor" || plan.product === "naive" ? plan.product : undefined;
    return recordGemmAV(context, commands, buffers, shape, { kernel });
  };
  // What A maps to 0 left columns of 0.
  yield* work.finish();
  const missing = zerosOf(basis.r.readSync(new Float32Array(k * k)), k);
  work.run(...completeOps(work, v, { m: shape.n, n: k }, missing), product);
  const found = plan.rayleighRitz
    ? yield* rotate(work, b, v, shape)
    : yield* lengths(work, b, v, shape);
  const s = Float32Array.from(found.s, (value) => value / scale);
  const rank = s.filter((value) => value > shape.n * 2 ** -23 * s[0]!).length;
  const value = { u: found.u, s, v: found.v, iterations, converged, rank };
  return { value, run: work.execution() };
}

/** Steps until the tolerance is met or there are enough. */
function* iterate(
  work: Work,
  iteration: SvdIteration,
  r: GpuBuffer,
  k: number,
  { iterations, tolerance }: SvdPlan,
): Steps<{ iterations: number; converged: boolean }> {
  let before = new Float64Array(k);
  for (let step = 1; step <= iterations; step++) {
    iteration.run();
    if (tolerance === 0) {
      if (step % BATCH === 0) yield* work.finish();
      continue;
    }
    yield* work.finish();
    // AᵀA V = V′R: the diagonal of R approaches the squares of singular values.
    const factor = r.readSync(new Float32Array(k * k));
    const values = Float64Array.from({ length: k }, (_, j) => Math.sqrt(factor[j * k + j]!));
    const change = values.reduce((most, x, j) => Math.max(most, Math.abs(x - before[j]!)), 0);
    const largest = values.reduce((most, x) => Math.max(most, x), 0);
    if (step > 1 && change <= tolerance * largest) return { iterations: step, converged: true };
    before = values;
  }
  return { iterations, converged: false };
}

/** What makes the columns of a matrix orthonormal, again and again. */
export interface Orthonormal {
  /** n × n: what its columns were, in those that they became. */
  r: GpuBuffer;
  /** The operations, with memory of their own or that of before. */
  ops(scratch?: (bytes: number, label: string) => GpuBuffer): Op[];
}

/** Columns that are left with nothing become 0. */
function orthonormal(work: Work, q: GpuBuffer, { m, n }: { m: number; n: number }): Orthonormal {
  const { context, memory } = work;
  const scratch = (bytes: number, label: string) => memory.scratch(bytes, label);
  const r = scratch(n * n * 4, "R");
  const lengths = scratch(n * 4, "lengths");
  const largest = memory.input(new Float32Array(n).fill(1), "scales");
  work.run((commands) => {
    commands.fill(r, 0, n * n * 4, 0).fill(lengths, 0, n * 4, 0);
    return [];
  });
  const how = { m, n, q, r, lengths, largest, tolerance: 0 };
  let own: ReturnType<typeof panelMemory> | undefined;
  return {
    r,
    ops(fresh) {
      const panels = fresh
        ? panelMemory(context, { m, n }, fresh)
        : own ??= panelMemory(context, { m, n }, scratch);
      return blockedOps(context, panels, how);
    },
  };
}

/** Columns of 0, by the diagonal of R. */
function zerosOf(r: Float32Array, n: number): number[] {
  return Array.from({ length: n }, (_, j) => j).filter((j) => !(r[j * n + j]! > 0));
}

interface Triplets {
  u: Float32Array;
  s: Float64Array;
  v: Float32Array;
}

/** Rayleigh–Ritz: AV = QR and R = X diag(s) Yᵀ, so U = QX and V ← VY. */
function* rotate(work: Work, b: GpuBuffer, v: GpuBuffer, { m, n, k }: TallShape): Steps<Triplets> {
  const { context, memory } = work;
  const image = orthonormal(work, b, { m, n: k });
  work.run(...image.ops());
  yield* work.finish();
  const r = image.r.readSync(new Float32Array(k * k));
  work.run(...completeOps(work, b, { m, n: k }, zerosOf(r, k)));
  const { s, x, y } = smallSvd(r, k);
  const rotated = (from: GpuBuffer, rows: number, by: Float32Array, label: string) => {
    const to = memory.scratch(rows * k * 4, label);
    const place = (buffer: GpuBuffer) => ({ buffer, line: k });
    const buffers = { a: place(from), b: place(memory.input(by, "rotation")), c: place(to) };
    const shape = { m: rows, n: k, k };
    work.run((commands) => recordGemmAV(context, commands, buffers, shape, { kernel: "fast" }));
    return to;
  };
  const left = rotated(b, m, x, "U");
  const right = rotated(v, n, y, "V, rotated");
  yield* work.finish();
  const u = left.readSync(new Float32Array(m * k));
  return { u, s, v: right.readSync(new Float32Array(n * k)) };
}

/** Without Rayleigh–Ritz: values are lengths of AV's columns, which only V makes orthogonal in the end. */
function* lengths(work: Work, b: GpuBuffer, v: GpuBuffer, { m, n, k }: TallShape): Steps<Triplets> {
  yield* work.finish();
  const image = b.readSync(new Float32Array(m * k));
  const basis = v.readSync(new Float32Array(n * k));
  const all = new Float64Array(k);
  image.forEach((value, i) => all[i % k]! += value * value);
  const order = Array.from(all.keys()).sort((i, j) => all[j]! - all[i]! || i - j);
  const s = Float64Array.from(order, (j) => Math.sqrt(all[j]!));
  const pick = (from: Float32Array, scale: (to: number) => number) =>
    from.map((_, i) => from[i - i % k + order[i % k]!]! * scale(i % k));
  const u = pick(image, (to) => s[to] === 0 ? 0 : 1 / s[to]!);
  return { u, s, v: pick(basis, () => 1) };
}
