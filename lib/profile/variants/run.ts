/**
 * Measuring variants against each other.
 *
 * @module
 */

import { createCpuBackend } from "../../backend/cpu/mod.ts";
import { GpuContext } from "../../backend/gpu/context.ts";
import type { LinearAlgebra } from "../../backend/linalg.ts";
import { withDisplay } from "../../display.ts";
import { integerVariable, readVariable } from "../../env.ts";
import { DeviceError } from "../../errors.ts";
import type { GpuDevice } from "../../kernel/device.ts";
import { gpu } from "../../kernel/device.ts";
import type { Recording } from "../../kernel/recording.ts";
import { checkCount } from "../../linalg/checks.ts";
import { summarize, type Timing } from "../measure.ts";
import type { Bench, Check } from "./bench.ts";
import { GemmBench } from "./gemm_bench.ts";
import { GemvBench } from "./gemv_bench.ts";
import {
  builtInManifest,
  type Manifest,
  type OperationName,
  type Variant,
  type VariantKind,
} from "./manifest.ts";
import { variantsBundle } from "./report.ts";
import { type FullProblem, fullProblem, type Problem, selectVariants } from "./select.ts";
import type { Choice, Skipped } from "./select.ts";

/** How {@linkcode runVariants} measures. */
export interface VariantOptions extends Choice {
  /** The variants; by default those that come with the library. */
  manifest?: Manifest | undefined;
  /** The GPU; by default {@linkcode gpu}`()`. `null`: none, only variants of kind `cpu` run. */
  device?: GpuDevice | null | undefined;
  /** Samples a variant; by default `METALFAISS_BENCH_ITERS`, else 20. */
  iterations?: number | undefined;
  /** Samples before them that do not count; by default `METALFAISS_BENCH_WARMUP`, else 3. */
  warmup?: number | undefined;
  /** Products a command buffer; by default as many as move 4 GiB, 32 to 512; on the emulator 4. */
  dispatches?: number | undefined;
  /**
   * Bytes of matrices that products go round, so that each reads memory and no cache: by default 256 MiB
   * a GPU, and nothing to go round on the emulator, which has no such cache.
   */
  footprint?: number | undefined;
  /** Stops it between samples. */
  signal?: AbortSignal | undefined;
  /** Called before each variant is checked. */
  onVariant?: ((name: string) => void) | undefined;
}

/** What one variant did. */
export interface VariantResult {
  /** Name of the variant. */
  name: string;
  /** What ran it. */
  kind: VariantKind;
  /** What it belongs to. */
  family: string;
  /** Whether its results are right; the others are never timed, nor ranked. */
  valid: boolean;
  /** What is wrong with it. */
  why: string | null;
  /** Largest error by the largest result, with factors that show. */
  error: number | null;
  /** Threads of a product. */
  threads: number | null;
  /** Place among the valid ones, from 1; by GPU time, and where there is none by the host's. */
  rank: number | null;
  /** Milliseconds of a product on the GPU. */
  gpu: Timing | null;
  /** Milliseconds of a product from commit to completion; of kind `cpu`, of the call. */
  cpu: Timing | null;
  /** Median milliseconds of the host beyond the GPU's. */
  hostGap: number | null;
  /** Bytes that a product has to move, by its time, in GB/s. */
  gbps: number | null;
  /** Operations by time, in GFLOP/s. */
  gflops: number | null;
  /** The vendor's time by its own: above 1 it is faster. */
  vendorRatio: number | null;
  /** `best GPU`: least GPU time of our kernels; `best CPU`: least time seen from the host of all. */
  tags: string[];
}

/** A problem, and how variants did. */
export interface VariantReport {
  /** What was computed. */
  operation: OperationName;
  /** Its sizes. */
  problem: FullProblem;
  /** The GPU's engine and name; null where none was used. */
  device: { engine: string; name: string } | null;
  /** How it was measured. */
  method: { iterations: number; warmup: number; dispatches: number; sets: number };
  /** Bytes that a product has to move at least. */
  bytes: number;
  /** Best first; invalid ones last. */
  results: VariantResult[];
  /** Variants that were left out, by what they declare. */
  skipped: Skipped[];
}

/** Something that takes a sample: seconds of one product. */
interface Contender {
  variant: Variant;
  check: Check;
  sample(): Promise<{ gpu?: number; cpu: number }>;
  gpu: number[];
  cpu: number[];
}

const allKinds: readonly VariantKind[] = ["gpu", "vendor", "cpu"];

/** Kinds that `METALFAISS_BENCH_BACKENDS` names. */
function kindsVariable(): VariantKind[] | undefined {
  const text = readVariable("METALFAISS_BENCH_BACKENDS");
  return text?.split(",").map((word) => {
    const found = allKinds.find((kind) => kind === word.trim());
    if (found) return found;
    throw new RangeError(
      `Cannot use METALFAISS_BENCH_BACKENDS: expected some of ${allKinds.join(",")}, got "${text}"`,
    );
  });
}

/**
 * Measures every variant that declares that it takes a problem. Each is first checked against float64,
 * with alpha, beta and bias that show and its output poisoned; what is wrong is reported and never ranked.
 * The others take turns, several products a command buffer, on operands that go round.
 *
 * @param operation What they compute.
 * @param problem The sizes.
 * @param options Which variants, and how they are measured.
 * @returns Times, errors and ranks of all, and what was skipped.
 * @throws {RangeError} If a variant is unknown, its threadgroup is larger than the device allows, or a size
 * or count has no sense.
 *
 * @example
 * ```ts
 * import { formatVariants, runVariants } from "@metalfaiss/metalfaiss/profile";
 * import { gpu } from "@metalfaiss/metalfaiss/kernel";
 * import assert from "node:assert/strict";
 *
 * const report = await runVariants("gemv", { layout: "nt", n: 16, k: 64 }, {
 *   device: gpu("emulator"),
 *   names: ["gemv_nt_f16_bn8_tg128_l16_u7", "vendor_f16"],
 *   iterations: 3,
 * });
 * assert.ok(report.results.every(({ valid }) => valid));
 * console.log(formatVariants(report));
 * ```
 */
export async function runVariants(
  operation: OperationName,
  problem: Problem,
  options: VariantOptions = {},
): Promise<VariantReport> {
  const {
    manifest = builtInManifest(operation),
    iterations = integerVariable("METALFAISS_BENCH_ITERS", 1) ?? 20,
    warmup = integerVariable("METALFAISS_BENCH_WARMUP") ?? 3,
    kinds = kindsVariable() ?? allKinds,
    signal,
  } = options;
  if (manifest.operation !== operation) {
    throw new RangeError(
      `Cannot measure ${operation}: the manifest is of ${manifest.operation}`,
    );
  }
  checkCount(iterations, "iterations", "measure");
  checkCount(warmup, "warmup", "measure", 0);
  const full = fullProblem(problem);
  if (operation === "gemv" && full.m !== 1) {
    throw new RangeError(`Cannot measure gemv: m is 1, got ${full.m}`);
  }
  const { chosen, skipped } = selectVariants(manifest, full, { ...options, kinds });
  const usesGpu = chosen.some(({ kind }) => kind !== "cpu");
  const device = options.device === null || !usesGpu ? undefined : options.device ?? gpu();
  const host = chosen.some(({ kind }) => kind === "cpu") ? nativeHost() : undefined;
  const runnable = chosen.filter(({ name, kind }) => {
    const missing = kind !== "cpu"
      ? device === undefined && "there is no GPU"
      : host === undefined && "there is no native library";
    if (missing) skipped.push({ name, why: missing });
    return !missing;
  });
  if (device) { for (const variant of runnable) checkThreads(variant, device); }
  const { footprint = device && device.engine !== "emulator" ? 2 ** 28 : 0 } = options;
  const context = device && new GpuContext(device);
  const Operation = operation === "gemv" ? GemvBench : GemmBench;
  using bench: Bench = new Operation(full, { context, host, footprint });
  const { dispatches = Math.max(bench.sets, productsOf(bench.bytes, device)) } = options;
  if (!Number.isInteger(dispatches) || dispatches < 1) {
    throw new RangeError(`Cannot measure: ${dispatches} dispatches is not a positive integer`);
  }
  using recordings = new DisposableStack();
  const contenders: Contender[] = [];
  const results: VariantResult[] = [];
  for (const variant of runnable) {
    signal?.throwIfAborted();
    options.onVariant?.(variant.name);
    const check = await checked(bench, variant);
    if (!check.valid) {
      results.push(resultOf(variant, check, bench));
      continue;
    }
    const sample = variant.kind === "cpu"
      ? hostSampler(bench, variant)
      : gpuSampler(bench, variant, device!, dispatches, recordings);
    contenders.push({ variant, check, sample, gpu: [], cpu: [] });
  }
  for (let round = 0; round < warmup + iterations; round++) {
    for (const contender of contenders) {
      signal?.throwIfAborted();
      const { gpu, cpu } = await contender.sample();
      if (round < warmup) continue;
      contender.cpu.push(cpu * 1e3);
      if (gpu !== undefined) contender.gpu.push(gpu * 1e3);
    }
  }
  results.unshift(...contenders.map((c) => resultOf(c.variant, c.check, bench, c)));
  rank(results);
  return withDisplay<VariantReport>({
    operation,
    problem: full,
    device: device ? { engine: device.engine, name: device.name } : null,
    method: { iterations, warmup, dispatches, sets: bench.sets },
    bytes: bench.bytes,
    results,
    skipped,
  }, variantsBundle);
}

/** Products on the CPU; undefined without the native library, whose products the variants are. */
function nativeHost(): LinearAlgebra | undefined {
  try {
    return createCpuBackend().linalg;
  } catch (error) {
    if (error instanceof DeviceError) return undefined;
    throw error;
  }
}

/** Products a command buffer: about a millisecond of them, so that what it takes to start one is little of it. */
function productsOf(bytes: number, device: GpuDevice | undefined): number {
  if (device === undefined || device.engine === "emulator") return 4;
  return Math.min(512, Math.max(32, Math.ceil(2 ** 32 / bytes)));
}

/** Fails where a threadgroup is larger than the device allows. */
function checkThreads({ name, geometry }: Variant, device: GpuDevice): void {
  if (geometry === undefined || geometry.tg <= device.maxThreadsPerThreadgroup) return;
  throw new RangeError(
    `Cannot measure ${name}: its threadgroup has ${geometry.tg} threads, ` +
      `${device.name} runs at most ${device.maxThreadsPerThreadgroup}`,
  );
}

/** A check; a variant that cannot even run is wrong, and says why. */
async function checked(bench: Bench, variant: Variant): Promise<Check> {
  try {
    return await bench.check(variant);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return { valid: false, error: NaN, threads: 0, why };
  }
}

/** A command buffer of many products, recorded once. */
function gpuSampler(
  bench: Bench,
  variant: Variant,
  device: GpuDevice,
  count: number,
  recordings: DisposableStack,
): Contender["sample"] {
  let recording: Recording | undefined;
  const expected = { threads: 0, dispatches: 0 };
  return async () => {
    if (recording === undefined) {
      const commands = device.stream.commands(variant.name);
      for (let i = 0; i < count; i++) {
        const { threads, dispatches } = bench.encode(commands, variant, i % bench.sets);
        expected.threads += threads;
        expected.dispatches += dispatches;
      }
      recording = recordings.use(commands.record());
    }
    const times = await device.stream.replay(recording).completed;
    const { threads, dispatches, gpuSeconds, cpuSeconds } = times;
    if (threads !== expected.threads || dispatches !== expected.dispatches) {
      throw new Error(
        `Cannot measure ${variant.name}: ${threads} threads of ${dispatches} dispatches ran, ` +
          `not ${expected.threads} of ${expected.dispatches}`,
      );
    }
    if (gpuSeconds <= 0) throw new Error(`Cannot measure ${variant.name}: its GPU time is 0`);
    return { gpu: gpuSeconds / count, cpu: cpuSeconds / count };
  };
}

function hostSampler(bench: Bench, variant: Variant): Contender["sample"] {
  let set = 0;
  return async () => {
    const start = performance.now();
    await bench.compute(variant, set++ % bench.sets);
    return { cpu: (performance.now() - start) / 1e3 };
  };
}

function resultOf(
  { name, kind, family = "" }: Variant,
  { valid, error, threads, why }: Check,
  bench: Bench,
  samples?: { gpu: number[]; cpu: number[] },
): VariantResult {
  const cpu = samples ? summarize(samples.cpu) : null;
  const onGpu = samples && samples.gpu.length > 0 ? summarize(samples.gpu) : null;
  const time = (onGpu ?? cpu)?.median;
  return {
    name,
    kind,
    family,
    valid,
    why: why ?? null,
    error: Number.isFinite(error) ? error : null,
    threads: threads || null,
    rank: null,
    gpu: onGpu,
    cpu,
    hostGap: onGpu && cpu ? cpu.median - onGpu.median : null,
    gbps: time === undefined ? null : bench.bytes / time / 1e6,
    gflops: time === undefined ? null : bench.flops / time / 1e6,
    vendorRatio: null,
    tags: [],
  };
}

/** Sorts results, and tags them. */
function rank(results: VariantResult[]): void {
  const time = ({ gpu, cpu }: VariantResult) => (gpu ?? cpu)?.median ?? Infinity;
  results.sort((a, b) => Number(b.valid) - Number(a.valid) || time(a) - time(b));
  const valid = results.filter((result) => result.valid);
  valid.forEach((result, i) => result.rank = i + 1);
  const vendor = valid.find(({ kind }) => kind === "vendor");
  if (vendor) { for (const result of valid) result.vendorRatio = time(vendor) / time(result); }
  valid.find(({ kind }) => kind === "gpu")?.tags.push("best GPU");
  const byHost = [...valid].sort((a, b) => a.cpu!.median - b.cpu!.median)[0];
  byHost?.tags.push("best CPU");
}
