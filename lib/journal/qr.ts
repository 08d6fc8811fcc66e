/** QR and its kernels: J1a, Q2. @module */

import type { Computed, Dense, QrOptions, QrParts } from "../backend/linalg.ts";
import { gaussian } from "../profile/datasets.ts";
import type { Experiment, JournalContext } from "./experiment.ts";
import { reproduceBy } from "./figures.ts";
import { Operands, orthogonalityError, productRow, rowsError, sampledRows } from "./operands.ts";
import { runTrial, type Variant } from "./trial.ts";
import { inverse, judge, judgeParts, meanRatio } from "./verdict.ts";

/** Largest of ‖A − QR‖ / ‖A‖ in some rows and max |QᵀQ − I|. */
function qrError(a: Float32Array, m: number, n: number, { q, r }: QrParts): number {
  const residual = rowsError(a, n, sampledRows(m, 64), (i) => productRow(q, r, i, [m, n, n]));
  return Math.max(residual, orthogonalityError(q, m, n));
}

function qrVariants(context: JournalContext, a: Dense): Variant<QrParts>[] {
  const { linalg } = context.backend;
  const variant = (name: string, options: QrOptions, expects: RegExp, baseline = false) => ({
    ...{ name, expects, baseline },
    run: () => linalg.qr(a, options),
  });
  if (context.device === undefined) {
    return [
      variant("householder", { method: "householder" }, /householder/, true),
      variant("column by column", { method: "mgs" }, /mgs/),
      variant("blocked", { method: "blocked" }, /blocked/),
    ];
  }
  return [
    variant("library", { method: "mgs", dot: "library" }, /vendor|library/, true),
    variant("kernel per column", { method: "mgs", dot: "simple" }, /simple/),
    variant("simdgroup per column", { method: "mgs", dot: "simd" }, /simd/),
    variant("blocked", { method: "blocked" }, /blocked|panel/),
  ];
}

/** J1a. */
export const qrProjections: Experiment = {
  id: "J1a",
  published: [{ id: "J1", experiment: /^QR/ }],
  reproduce: reproduceBy({
    "MLX ops": "library",
    "kernel projection (qr_col_dot)": "kernel per column",
  }),
  title: "QR by two-pass modified Gram–Schmidt: projections by library or by kernel",
  conclusion: "The kernel is slightly faster; QᵀQ ≈ I holds",
  async *run(context) {
    for (const [m, n] of context.quick ? [[64, 32]] : [[256, 128]] as const) {
      const numbers = gaussian(m!, n!, 11);
      using operands = new Operands(context);
      yield* runTrial("J1a", {
        shape: `m=${m} n=${n} f32`,
        variants: qrVariants(context, operands.dense(numbers, m!, n!)),
        error: (parts) => qrError(numbers, m!, n!, parts),
        findings: ({ q }) => ({ orthogonality: orthogonalityError(q, m!, n!) }),
        tolerance: 2e-5,
        // Two passes of projections and updates.
        flops: 4 * m! * n! * n!,
      }, context);
    }
  },
  verdict: (rows) =>
    judge(
      meanRatio(rows, /^(kernel|simdgroup) /),
      1.02,
      "The kernel's projections against the library's",
    ),
};

type Step = { name: string; run: () => Promise<Computed<Float32Array>>; expects?: RegExp };

/** Q2. */
export const qrUpdate: Experiment = {
  id: "Q2",
  published: [],
  title: "QR's update v ← v − Qc beside its dot kernel c = Qᵀv",
  conclusion:
    "Nothing, it was only planned; judged here: a simdgroup's dot is as fast as the library's",
  async *run(context) {
    const { linalg } = context.backend;
    const shapes = context.quick ? [[256, 32]] : [[1024, 64], [4096, 128]] as const;
    for (const [m, k] of shapes as [number, number][]) {
      const q = gaussian(m, k, 12);
      const v = gaussian(1, m, 13);
      const c = gaussian(1, k, 14);
      using operands = new Operands(context);
      const basis = operands.dense(q, m, k);
      const dots: Step[] = context.device === undefined
        ? [{ name: "dot", run: () => linalg.projectCoeffs(basis, v) }]
        : (["library", "simple", "simd"] as const).map((dot) => ({
          name: `dot, ${dot}`,
          run: () => linalg.projectCoeffs(basis, v, dot),
          expects: dot === "library" ? /vendor|library/ : new RegExp(dot),
        }));
      yield* runTrial("Q2", {
        shape: `m=${m} k=${k} dot`,
        variants: dots.map((step, i) => ({ ...step, baseline: i === 0 })),
        error: (found) => rowsError(found, k, [0], () => productRow(v, q, 0, [1, m, k])),
        tolerance: 1e-5,
        flops: 2 * m * k,
        bytes: 4 * m * k,
      }, context);
      yield* runTrial("Q2", {
        shape: `m=${m} k=${k} update`,
        variants: [{ name: "update", run: () => linalg.updateVector(basis, c, v), baseline: true }],
        error: (found) =>
          rowsError(found, m, [0], () =>
            Float64Array.from(v, (value, i) => {
              let sum = value;
              for (let j = 0; j < k; j++) sum -= q[i * k + j]! * c[j]!;
              return sum;
            })),
        tolerance: 1e-5,
        flops: 2 * m * k,
        bytes: 4 * m * k,
      }, context);
    }
  },
  verdict: (rows) => judge(meanRatio(rows, /simd/), 1, "The simdgroup dot against the library's"),
};

/** R4. */
export const projectionCrossover: Experiment = {
  id: "R4",
  published: [],
  title: "QR projection by simdgroup reduction",
  conclusion: "Switch to simdgroups at m ≥ 512",
  needsGpu: true,
  async *run(context) {
    const { linalg } = context.backend;
    const lengths = context.quick ? [64, 512] : [64, 256, 512, 1024, 4096, 16_384];
    for (const k of context.quick ? [32] : [32, 64, 128]) {
      for (const m of lengths) {
        const q = gaussian(m, k, 15);
        const v = gaussian(1, m, 16);
        using operands = new Operands(context);
        const basis = operands.dense(q, m, k);
        yield* runTrial("R4", {
          shape: `m=${m} k=${k}`,
          variants: (["simple", "simd"] as const).map((dot) => ({
            name: dot,
            run: () => linalg.projectCoeffs(basis, v, dot),
            expects: new RegExp(dot),
            baseline: dot === "simple",
          })),
          error: (found) => rowsError(found, k, [0], () => productRow(v, q, 0, [1, m, k])),
          tolerance: 1e-5,
          flops: 2 * m * k,
          bytes: 4 * m * k,
        }, context);
      }
    }
  },
  verdict: (rows) => {
    const long = meanRatio(rows, /^simd$/, /m=(512|1024|4096|16384) /);
    const short = inverse(meanRatio(rows, /^simd$/, /m=(64|256) /));
    return judgeParts([
      judge(long, 1, "Simdgroups against single threads from m = 512 on"),
      judge(short, 1, "Single threads against simdgroups below"),
    ]);
  },
};
