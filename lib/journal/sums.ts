/** Compensated arithmetic: H1. @module */

import type { Summation, SumParts } from "../backend/linalg.ts";
import { Random } from "../random.ts";
import type { Experiment } from "./experiment.ts";
import { runTrial } from "./trial.ts";
import { byResult } from "./verdict.ts";

const SUMMATIONS: readonly Summation[] = ["plain", "kahan", "two-float", "limbs"];

/** Vectors that lose digits, and their sums in float64 or exactly. */
function vectors(n: number): { shape: string; x: Float32Array; exact: number }[] {
  const random = new Random(41);
  const noise = Float32Array.from({ length: n }, () => random.normal());
  const around = (offset: number) => noise.map((value) => value + offset);
  // Partners lie far apart, and 1 is what is left.
  const half = (n - 1) >> 1;
  const cancelling = new Float32Array(n);
  for (let i = 0; i < half; i++) {
    cancelling[i] = noise[i]! * 1e8;
    cancelling[half + i] = -cancelling[i]!;
  }
  cancelling[n - 1] = 1;
  const hilbert = Float32Array.from({ length: n }, (_, i) => (i % 2 === 0 ? 1 : -1) / (i + 1));
  return [
    { shape: `normal, n=${n}`, x: noise },
    { shape: `1e8 + normal, n=${n}`, x: around(1e8) },
    { shape: `Hilbert row, alternating, n=${n}`, x: hilbert },
    { shape: `Läuchli: 1 and 1e-8, n=${n}`, x: around(0).map((_, i) => i === 0 ? 1 : 1e-8) },
    { shape: `pairs that cancel and 1, n=${n}`, x: cancelling },
  ].map((vector) => ({ ...vector, exact: exactSum(vector.x) }));
}

/** Σ x by Shewchuk's expansion: every rounding error is kept. */
function exactSum(x: Float32Array): number {
  let parts: number[] = [];
  for (let value of x as Iterable<number>) {
    const next: number[] = [];
    for (let part of parts) {
      if (Math.abs(value) < Math.abs(part)) [value, part] = [part, value];
      const high = value + part;
      const low = part - (high - value);
      if (low !== 0) next.push(low);
      value = high;
    }
    parts = [...next, value];
  }
  return parts.reduce((sum, part) => sum + part, 0);
}

/** H1. */
export const compensation: Experiment = {
  id: "H1",
  published: [],
  title: "HPC16x8: sums in two floats, by Kahan and in limbs, against plain ones",
  conclusion: "Scaffolding only, nothing measured; judged here: plain sums drift, limbs do not",
  async *run(context) {
    for (const { shape, x, exact } of vectors(context.quick ? 4097 : 1_000_000)) {
      yield* runTrial<SumParts>("H1", {
        shape,
        variants: SUMMATIONS.map((summation, i) => ({
          name: summation,
          run: () => context.backend.linalg.sum(x, summation),
          baseline: i === 0,
        })),
        error: ({ value }) => Math.abs(value - exact) / Math.max(Math.abs(exact), 1e-300),
        // Plain sums may lose everything: the error is what is measured.
        tolerance: Infinity,
        findings: ({ condition }) => ({ condition }),
        flops: x.length,
        bytes: x.byteLength,
      }, context);
    }
  },
  verdict: (rows) => {
    const worst = (name: Summation) =>
      Math.max(...rows.filter((row) => row.variant === name).map((row) => row.error ?? Infinity));
    const text = SUMMATIONS.map((name) => `${name} ${worst(name).toExponential(1)}`).join(", ");
    const helps = worst("limbs") < 1e-6 && worst("plain") > 1e-6;
    return byResult(helps, `Largest relative errors: ${text}`);
  },
};
