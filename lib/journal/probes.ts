/** The m = 1 matmul probes: M. @module */

import { probeProblems } from "../profile/variants/problems.ts";
import {
  runVariants,
  type VariantOptions,
  type VariantReport,
  type VariantResult,
} from "../profile/variants/run.ts";
import type { Problem } from "../profile/variants/select.ts";
import type { Experiment, JournalContext, JournalRow, Verdict } from "./experiment.ts";
import { reproduceProbe } from "./probe_figures.ts";
import { fastest, inverse, judge, judgeParts, type Pair, ratioOf } from "./verdict.ts";

/** Milliseconds for each group of variants, where nobody asks for less. */
const BUDGET = 1000;

/** M: every variant of the harness at every shape of the probes, half precision, against the vendor. */
export const matmulProbes: Experiment = {
  id: "M",
  published: ["M0", "M2", "M3", "M4", "M5"].map((id) => ({ id })),
  reproduce: reproduceProbe,
  title: "m = 1 products: every kernel variant against the vendor's",
  conclusion: "The vendor stays ahead but for (9728, 896); K-split wins small n; tiling regresses",
  async *run(context) {
    const { budget = BUDGET } = context.measure;
    for (const problem of probeProblems(context.quick)) {
      const report = await runVariants("gemv", problem, {
        device: context.device ?? null,
        signal: context.signal,
        onVariant: (name) => context.onVariant?.(shapeOf(problem), name),
        // The probes are in half precision; others are the harness's own.
        filter: /^(?!.*(_bf16|_f32)).*/,
        ...(context.quick
          ? { iterations: 1, warmup: 0, dispatches: 1, names: QUICK }
          : shortened(problem, budget)),
      });
      yield* rowsOf(report, context);
    }
  },
  verdict: (rows) => {
    const shapes = [...Map.groupBy(rows, (row) => row.shape)];
    // K-split against whole columns where n is small.
    const split = shapes.filter(([shape]) => /\bn=896 /.test(shape))
      .flatMap(([, own]) => pairOf(own, /^v2/, /largek/));
    const tiles = shapes.flatMap(([, own]) => pairOf(own, /^v2 col_bt/, /^v2 col_vec4/));
    const judged = judgeParts([
      judge(ratioOf(split), 1.1, "K-split against whole columns at n = 896"),
      judge(ratioOf(tiles), 1.02, "The matrix from memory against tiles of it"),
      vendorAhead(shapes),
    ]);
    const ours = speedups(shapes, /^(v\d|next|tiled)/);
    if (ours === "") return judged;
    return { ...judged, text: `${judged.text}. With the kernels made here: ${ours}` };
  },
};

type Shapes = readonly (readonly [shape: string, rows: JournalRow[]])[];

/** Kernels that were published, not those that were listed as next. */
const PUBLISHED = /^(v\d|tiled)/;

/** Whether the vendor is ahead of what was published but for (9728, 896). */
function vendorAhead(shapes: Shapes): Verdict {
  const verdict = judgeParts(shapes.map(([shape, own]) => {
    const ratio = ratioOf(pairOf(own, /^vendor/, PUBLISHED));
    return judge(/\bn=9728 /.test(shape) ? ratio : inverse(ratio), 1, shape);
  }));
  const text = `The published kernels' best against the vendor: ${speedups(shapes, PUBLISHED)}`;
  return { ...verdict, text };
}

/** How many times as fast as the vendor the best of some families are, shape by shape. */
function speedups(shapes: Shapes, family: RegExp): string {
  return shapes.flatMap(([shape, own]) => {
    const ratio = ratioOf(pairOf(own, /^vendor/, family));
    return ratio ? [`${shape} ${ratio.value.toFixed(2)}×`] : [];
  }).join(", ");
}

/** Fewer samples of fewer products, where there is less time than usual. */
function shortened({ n, k, batch = 1 }: Problem, budget: number): VariantOptions {
  const share = Math.max(1 / 8, budget / BUDGET);
  if (share >= 1) return {};
  // At least 512 MiB: matrices of 256 MiB go round, and all have to have their turn.
  const dispatches = Math.min(512, Math.max(32, Math.ceil(share * 2 ** 32 / (2 * n * k * batch))));
  return { iterations: Math.max(5, Math.round(20 * share)), dispatches };
}

/** The fastest of two families. */
function pairOf(rows: readonly JournalRow[], base: RegExp, own: RegExp): Pair[] {
  const [first, second] = [base, own]
    .map((family) => fastest(rows, ({ note }) => family.test(note)));
  return first && second ? [[first, second]] : [];
}

/** One variant a family. */
const QUICK = [
  "gemv_nt_f16_col_bn64_bk64_tg64",
  "gemv_nt_f16_largek_smalln_bn4_tg128",
  "gemv_nt_f16_bn8_tg128_l16_u7",
  "gemv_nn_f16_bn64_tg256_l8_u4",
  "vendor_f16",
  "cpu_f16",
];

function* rowsOf(report: VariantReport, context: JournalContext): Generator<JournalRow> {
  const { problem, results, device } = report;
  const vendor = results.find(({ kind, valid }) => kind === "vendor" && valid);
  const shape = shapeOf(problem);
  for (const result of results) {
    const onGpu = result.kind !== "cpu";
    const median = result.gpu?.median ?? result.cpu?.median;
    const base = vendor?.gpu?.median ?? vendor?.cpu?.median;
    yield {
      experiment: "M",
      shape,
      variant: result.name,
      backend: onGpu ? "gpu" : context.backend.name,
      engine: onGpu && device ? device.engine : context.backend.engine,
      isa: onGpu && device ? device.name : context.backend.isa,
      kernels: [result.name],
      threads: result.threads ?? 0,
      error: result.error,
      valid: result.valid,
      note: note(result),
      time: result.cpu,
      gpuTime: result.gpu,
      gflops: result.gflops,
      gbps: result.gbps,
      baseline: result === vendor,
      clock: result.gpu && device?.engine !== "emulator" ? "gpu" : "host",
      ratio: median && base ? base / median : null,
      findings: result.hostGap === null ? {} : { hostGapMs: result.hostGap },
    };
  }
}

function shapeOf({ layout, n, k, batch = 1, bias }: Problem): string {
  return `${batch > 1 ? `${batch} × ` : ""}n=${n} k=${k} ${layout}${bias ? " bias" : ""}`;
}

function note({ family, tags, why }: VariantResult): string {
  return [family, ...tags, ...(why === null ? [] : [why])].join(", ");
}
