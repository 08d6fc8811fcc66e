/**
 * Trials: variants are checked against float64, and then timed in turns.
 *
 * @module
 */

import type { Computed, Execution } from "../backend/linalg.ts";
import { compare, summarize, type Timing } from "../profile/measure.ts";
import type { Clock, JournalContext, JournalRow } from "./experiment.ts";
import { timeOf } from "./verdict.ts";

/** One way to do a trial's work. */
export interface Variant<T = unknown> {
  /** Its name in the journal. */
  name: string;
  /** Does the work once; all of it is done when the promise is fulfilled. */
  run: () => Promise<Computed<T>>;
  /** What must be among the kernels that ran. */
  expects?: RegExp;
  /** Whether the others are compared with it. */
  baseline?: boolean;
  /** Times it by another clock, that of another process: milliseconds of each of so many runs. */
  time?: (count: number) => Promise<number[]>;
}

/** Variants that do the same work on the same data. */
export interface Trial<T = unknown> {
  /** Sizes, as the journal writes them. */
  shape: string;
  variants: readonly Variant<T>[];
  /** Spoils outputs that variants share, before each is checked: what one leaves is no other's result. */
  poison?: () => Promise<void>;
  /** Relative error against float64, of a variant's result. */
  error: (value: T) => number | Promise<number>;
  /** Largest error that is valid. */
  tolerance: number;
  /** Frees a result that nobody looks at any more. */
  release?: (value: T) => void;
  /** Other findings about a result, by name. */
  findings?: (value: T) => Record<string, number> | Promise<Record<string, number>>;
  /** Floating-point operations of the work. */
  flops?: number;
  /** Bytes it has to move at least. */
  bytes?: number;
  /** What variants are ranked by: the GPU's time, or the caller's, where what differs is on the host. */
  clock?: Clock;
}

/** Checks every variant of a trial, then times the valid ones in turns. */
export async function* runTrial<T>(
  experiment: string,
  trial: Trial<T>,
  context: JournalContext,
): AsyncGenerator<JournalRow> {
  const checked: { variant: Variant<T>; row: JournalRow; gpu: number[] }[] = [];
  for (const variant of trial.variants) {
    context.signal?.throwIfAborted();
    context.onVariant?.(trial.shape, variant.name);
    checked.push({ variant, row: await check(experiment, trial, variant, context), gpu: [] });
  }
  const valid = checked.filter(({ row }) => row.valid);
  const contenders = valid.map(({ variant, gpu }) => ({
    name: variant.name,
    run: async (count: number) => {
      context.signal?.throwIfAborted();
      if (variant.time) return await variant.time(count);
      const times: number[] = [];
      for (let i = 0; i < count; i++) {
        context.signal?.throwIfAborted();
        const start = performance.now();
        const { value, run } = await variant.run();
        times.push(performance.now() - start);
        trial.release?.(value);
        if (run.gpuSeconds !== undefined) gpu.push(run.gpuSeconds * 1e3);
      }
      return times;
    },
  }));
  const timings = valid.length === 0 ? new Map() : await compare(contenders, context.measure);
  for (const { variant, row, gpu } of valid) {
    row.time = timings.get(variant.name)!;
    if (gpu.length > 0) row.gpuTime = gpuTiming(gpu);
    if (row.gpuTime === null || row.engine === "emulator") row.clock = "host";
    const median = timeOf(row)!;
    if (trial.flops !== undefined) row.gflops = trial.flops / median / 1e6;
    if (trial.bytes !== undefined) row.gbps = trial.bytes / median / 1e6;
  }
  const base = checked.find(({ variant, row }) => variant.baseline && row.valid)?.row;
  for (const { row } of checked) {
    const [own, theirs] = [timeOf(row), base && timeOf(base)];
    if (own && theirs) row.ratio = theirs / own;
    yield row;
  }
}

/** Times on the GPU; one of 0 was not measured and is an error. */
function gpuTiming(samples: number[]): Timing {
  const zero = samples.findIndex((ms) => !(ms > 0));
  if (zero >= 0) throw new RangeError(`Cannot use a GPU time of ${samples[zero]} ms`);
  return summarize(samples);
}

async function check<T>(
  experiment: string,
  trial: Trial<T>,
  variant: Variant<T>,
  context: JournalContext,
): Promise<JournalRow> {
  const { name: backend, engine, isa } = context.backend;
  const row: JournalRow = {
    ...{ experiment, shape: trial.shape, variant: variant.name, backend, engine, isa },
    ...{ kernels: [], threads: 0, error: null, valid: false, note: "", findings: {} },
    ...{ time: null, gpuTime: null, gflops: null, gbps: null, ratio: null },
    ...{ baseline: variant.baseline ?? false, clock: trial.clock ?? "gpu" },
  };
  try {
    await trial.poison?.();
    const { value, run } = await variant.run();
    try {
      setRun(row, run);
      row.error = await trial.error(value);
      if (trial.findings) row.findings = await trial.findings(value);
    } finally {
      trial.release?.(value);
    }
    row.note = fault(row, trial, variant);
    row.valid = row.note === "";
  } catch (error) {
    if (!(error instanceof Error) || context.signal?.aborted) throw error;
    row.note = `${error.name}: ${error.message}`;
  }
  return row;
}

function setRun(row: JournalRow, { backend, engine, isa, variants, threads }: Execution): void {
  Object.assign(row, { backend, engine, isa, kernels: variants, threads });
}

/** Why a row does not count; empty if it does. */
function fault<T>(row: JournalRow, trial: Trial<T>, variant: Variant<T>): string {
  if (!(row.error! <= trial.tolerance)) {
    return `error ${row.error!.toExponential(1)} is above ${trial.tolerance}`;
  }
  if (row.threads < 1) return "no thread ran";
  if (variant.expects && !row.kernels.some((kernel) => variant.expects!.test(kernel))) {
    return `ran ${row.kernels.join(", ")}, not ${variant.expects.source}`;
  }
  return "";
}
