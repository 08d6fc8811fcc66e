/** The m = 1 matmul probes: M. @module */

import { probeProblems } from "../profile/variants/problems.ts";
import { runVariants, type VariantReport, type VariantResult } from "../profile/variants/run.ts";
import { type Experiment, type JournalContext, type JournalRow, judge } from "./experiment.ts";

/** M: every variant of the harness at every shape of the probes, half precision, against the vendor. */
export const matmulProbes: Experiment = {
  id: "M",
  published: ["M0", "M2", "M3", "M4", "M5"],
  title: "m = 1 products: every kernel variant against the vendor's",
  conclusion: "The vendor stays ahead but for (9728, 896); K-split wins small n; tiling regresses",
  async *run(context) {
    for (const problem of probeProblems(context.quick)) {
      const report = await runVariants("gemv", problem, {
        device: context.device ?? null,
        // The probes are in half precision; others are the harness's own.
        filter: /^(?!.*(_bf16|_f32)).*/,
        ...(context.quick ? { iterations: 1, warmup: 0, dispatches: 1, names: QUICK } : {}),
      });
      yield* rowsOf(report, context);
    }
  },
  verdict: (rows) => {
    const shapes = [...Map.groupBy(rows, (row) => row.shape)];
    const best = (own: readonly JournalRow[], family: RegExp) =>
      Math.min(...own.filter((row) => row.valid && family.test(row.note)).map((row) => time(row)));
    // K-split against whole columns where n is small.
    const small = shapes.filter(([shape]) => /\bn=896 /.test(shape))
      .map(([, own]) => best(own, /^v2/) / best(own, /largek/))
      .filter((ratio) => ratio > 0 && ratio < Infinity);
    const mean = small.reduce((a, b) => a * b, 1) ** (1 / small.length);
    const ratio = Number.isFinite(mean) && small.length > 0 ? mean : null;
    const judged = judge(rows, ratio, 1.1, "K-split against whole columns at n = 896");
    const against = shapes.flatMap(([shape, own]) => {
      const vendor = best(own, /^vendor/) / best(own, /^(v\d|next|tiled)/);
      return Number.isFinite(vendor) && vendor > 0 ? [`${shape}: ${vendor.toFixed(2)}`] : [];
    });
    if (against.length === 0) return judged;
    return { ...judged, text: `${judged.text}. Vendor by our best: ${against.join("; ")}` };
  },
};

/** One variant a family. */
const QUICK = [
  "gemv_nt_f16_col_bn64_bk64_tg64",
  "gemv_nt_f16_largek_smalln_bn4_tg128",
  "gemv_nt_f16_bn8_tg128_l16_u7",
  "gemv_nn_f16_bn64_tg256_l8_u4",
  "vendor_f16",
  "cpu_f16",
];

function time(row: JournalRow): number {
  return (row.gpuTime ?? row.time)?.median ?? Infinity;
}

function* rowsOf(report: VariantReport, context: JournalContext): Generator<JournalRow> {
  const { problem, results, device } = report;
  const vendor = results.find(({ kind, valid }) => kind === "vendor" && valid);
  const { layout, n, k, batch, bias } = problem;
  const shape = `${batch > 1 ? `${batch} × ` : ""}n=${n} k=${k} ${layout}${bias ? " bias" : ""}`;
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

function note({ family, tags, why }: VariantResult): string {
  return [family, ...tags, ...(why === null ? [] : [why])].join(", ");
}
