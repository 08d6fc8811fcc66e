/** The m = 1 probes: every variant of data/variants/gemv.json at every shape, the best of each family a row. @module */

import { DeviceError } from "../mod.ts";
import { gpu, type GpuDevice } from "../lib/kernel/mod.ts";
import {
  formatVariants,
  probeProblems,
  runVariants,
  type VariantReport,
  type VariantResult,
} from "../lib/profile/mod.ts";
import { OURS, type Row, toRow } from "./rows.ts";
import type { Context } from "./suite.ts";

/** Runs the suite. */
export async function* gemvSuite(context: Context): AsyncGenerator<Row> {
  const device = deviceOrNone();
  for (const problem of probeProblems(context.quick)) {
    if (!context.filter.test(caseName(problem))) continue;
    const report = await runVariants("gemv", problem, {
      device,
      ...(context.quick ? { iterations: 3, warmup: 2, dispatches: 2 } : {}),
    });
    console.log(formatVariants(report));
    yield* rowsOf(report);
  }
}

function caseName({ layout, n, k, batch = 1 }: ReturnType<typeof probeProblems>[number]): string {
  return `gemv ${batch}x${n}x${k} ${layout}`;
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
      suite: "gemv",
      case: `${caseName(problem as Parameters<typeof caseName>[0])} ${family}`,
      run: { ...run, variants: [...run.variants] },
      ...{ n, d: k, nq: batch, k: 1 },
      params: { alpha, beta, bias: Number(problem.bias), sets: report.method.sets },
      ...(best.error === null ? {} : { error: best.error }),
      timings,
      ...(vendor ? { rival: vendor.name } : {}),
      flops: 2 * n * k * batch,
      bytes: report.bytes,
    }, undefined);
  }
}
