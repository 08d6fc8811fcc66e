/** Every variant of data/variants at some shapes, the best of each family a row: `gemv` has the m = 1 probes. @module */

import { DeviceError } from "../mod.ts";
import { gpu, type GpuDevice } from "../lib/kernel/mod.ts";
import {
  formatVariants,
  type OperationName,
  probeProblems,
  type Problem,
  runVariants,
  type VariantReport,
  type VariantResult,
  variantsCsv,
} from "../lib/profile/mod.ts";
import { OURS, type Row, toRow } from "./rows.ts";
import type { Suite } from "./suite.ts";

/** The m = 1 probes. */
export const gemvSuite: Suite = variantSuite("gemv", probeProblems);

/** Square and tall, slim products. */
export const gemmVariantsSuite: Suite = variantSuite("gemm", (quick) => {
  const sizes = quick ? [[48, 40, 56]] : [[1024, 1024, 1024], [512, 32, 256], [4096, 64, 512]];
  return sizes.map(([m, n, k]) => ({ layout: "nn", m: m!, n: n!, k: k!, dtype: "float32" }));
});

/** Measures every variant of an operation at some sizes. */
function variantSuite(operation: OperationName, problems: (quick: boolean) => Problem[]): Suite {
  return async function* (context) {
    const device = deviceOrNone();
    const reports: VariantReport[] = [];
    for (const problem of problems(context.quick)) {
      if (!context.filter.test(caseName(operation, problem))) continue;
      const report = await runVariants(operation, problem, {
        device,
        ...(context.quick ? { iterations: 3, warmup: 2, dispatches: 2 } : {}),
      });
      console.log(formatVariants(report));
      reports.push(report);
      if (context.csv !== undefined) await Deno.writeTextFile(context.csv, variantsCsv(reports));
      yield* rowsOf(report);
    }
  };
}

function caseName(operation: string, { layout, m = 1, n, k, batch = 1 }: Problem): string {
  return operation === "gemv"
    ? `gemv ${batch}x${n}x${k} ${layout}`
    : `gemm variants ${m}x${n}x${k} ${layout}`;
}

/** The GPU, or null where there is none. */
function deviceOrNone(): GpuDevice | null {
  try {
    return gpu();
  } catch (error) {
    if (error instanceof DeviceError) return null;
    throw error;
  }
}

function* rowsOf(report: VariantReport): Generator<Row> {
  const { problem, results, device } = report;
  const { n, k, batch, alpha, beta } = problem;
  const valid = results.filter((result) => result.valid);
  const vendor = valid.find(({ kind }) => kind === "vendor");
  for (const [family, variants] of Map.groupBy(valid, (result) => result.family)) {
    const best = variants[0]!;
    const time = (result: VariantResult) => (result.gpu ?? result.cpu)!;
    const timings = new Map([[OURS, time(best)]]);
    if (vendor) timings.set(vendor.name, time(vendor));
    if (best.gpu && best.cpu) timings.set("from the host", best.cpu);
    const onGpu = best.kind !== "cpu";
    const run = {
      backend: onGpu ? "gpu" : "cpu",
      engine: onGpu ? device!.engine : "native",
      isa: onGpu ? device!.name : "",
      variants: [best.name],
      threads: best.threads ?? 0,
      scanned: 0,
      recomputed: 0,
    } as const;
    yield toRow({
      suite: report.operation,
      case: `${caseName(report.operation, problem)} ${family}`,
      run: { ...run, variants: [...run.variants] },
      ...{ n, d: k, nq: batch, k: 1 },
      params: { alpha, beta, bias: Number(problem.bias), sets: report.method.sets },
      ...(best.error === null ? {} : { error: best.error }),
      timings,
      ...(vendor ? { rival: vendor.name } : {}),
      flops: 2 * problem.m * n * k * batch,
      bytes: report.bytes,
    }, undefined);
  }
}
