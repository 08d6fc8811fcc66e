/**
 * What an experiment is, and how its variants are checked, measured and judged.
 *
 * @module
 */

import type { Backend } from "../backend/backend.ts";
import type { Computed, Execution } from "../backend/linalg.ts";
import { backend as defaultBackend } from "../backend/select.ts";
import { compare, type MeasureOptions, summarize, type Timing } from "../profile/measure.ts";
import type { GpuDevice } from "../kernel/device.ts";

/** Where and how experiments run. */
export interface JournalContext {
  /** What computes. */
  backend: Backend;
  /** Its GPU, where it is one. */
  device: GpuDevice | undefined;
  /** Smaller shapes, less time: for the emulator and for tests. */
  quick: boolean;
  /** Time for each group of variants. */
  measure: MeasureOptions;
}

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

/** Whose time counts. */
export type Clock = "gpu" | "host";

/** One variant on one shape. */
export interface JournalRow {
  /** Id of the experiment. */
  experiment: string;
  shape: string;
  variant: string;
  backend: string;
  engine: string;
  isa: string;
  /** Kernels that ran. */
  kernels: string[];
  /** Threads that took part; of a GPU, threads dispatched. */
  threads: number;
  /** Relative error against float64. */
  error: number | null;
  /** Whether the result is right and the kernel is the one meant: only such variants are timed. */
  valid: boolean;
  /** Why not, or what else there is to say. */
  note: string;
  /** Milliseconds from call to finished result. */
  time: Timing | null;
  /** Milliseconds on the GPU. */
  gpuTime: Timing | null;
  gflops: number | null;
  gbps: number | null;
  /** Whether the others of its shape are compared with it. */
  baseline: boolean;
  /** Whose time ranks; of the emulator, the host's always. */
  clock: Clock;
  /** The baseline's median by this one's: above 1 this is faster. */
  ratio: number | null;
  /** Other findings. */
  findings: Record<string, number>;
}

/** What a reproduction says of a published conclusion. */
export interface Verdict {
  outcome: "confirmed" | "refuted" | "not testable";
  /** The ratio that it rests on, or null. */
  ratio: number | null;
  /** In one sentence. */
  text: string;
}

/** A published experiment. */
export interface Experiment {
  /** Id, as the journal has it. */
  id: string;
  /** Ids of `data/published.csv` that it reproduces. */
  published: readonly string[];
  title: string;
  /** What was published. */
  conclusion: string;
  /** Runs on a GPU only. */
  needsGpu?: boolean;
  /** Measures; rows come as they are ready. */
  run: (context: JournalContext) => AsyncGenerator<JournalRow>;
  /** Judges the conclusion by the rows of a run on a real device. */
  verdict: (rows: readonly JournalRow[]) => Verdict;
}

/** The context of a backend. */
export function journalContext(
  backend: Backend = defaultBackend(),
  options: Partial<JournalContext> = {},
): JournalContext {
  const device = options.device;
  return { backend, device, quick: false, measure: { budget: 1000 }, ...options };
}

/** Checks every variant of a trial, then times the valid ones in turns. */
export async function* runTrial<T>(
  experiment: string,
  trial: Trial<T>,
  context: JournalContext,
): AsyncGenerator<JournalRow> {
  const checked: { variant: Variant<T>; row: JournalRow; gpu: number[] }[] = [];
  for (const variant of trial.variants) {
    checked.push({ variant, row: await check(experiment, trial, variant, context), gpu: [] });
  }
  const valid = checked.filter(({ row }) => row.valid);
  const contenders = valid.map(({ variant, gpu }) => ({
    name: variant.name,
    run: async (count: number) => {
      const times: number[] = [];
      for (let i = 0; i < count; i++) {
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

/** The time that variants are ranked by, in milliseconds. */
export function timeOf(row: JournalRow): number | undefined {
  return (row.clock === "gpu" ? row.gpuTime : row.time)?.median;
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
    setRun(row, run);
    row.error = await trial.error(value);
    if (trial.findings) row.findings = await trial.findings(value);
    trial.release?.(value);
    row.note = fault(row, trial, variant);
    row.valid = row.note === "";
  } catch (error) {
    if (!(error instanceof Error)) throw error;
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

/** How a variant did against its baseline, over shapes: the geometric mean of the ratios. */
export function meanRatio(
  rows: readonly JournalRow[],
  variant: RegExp,
  shape = /./,
): number | null {
  const ratios = rows.filter((row) =>
    row.valid && !row.baseline && row.ratio !== null && variant.test(row.variant) &&
    shape.test(row.shape)
  ).map((row) => row.ratio!);
  if (ratios.length === 0) return null;
  return Math.exp(ratios.reduce((sum, ratio) => sum + Math.log(ratio), 0) / ratios.length);
}

/** A verdict by a ratio: confirmed from `least` on, where a device was measured that says something. */
export function judge(
  rows: readonly JournalRow[],
  ratio: number | null,
  least: number,
  claim: string,
): Verdict {
  if (rows.some((row) => row.engine === "emulator")) {
    return {
      outcome: "not testable",
      ratio: null,
      text: "The emulator's times say nothing of GPUs",
    };
  }
  if (ratio === null) {
    return { outcome: "not testable", ratio, text: "No valid variants to compare ran here" };
  }
  const outcome = ratio >= least ? "confirmed" : "refuted";
  return {
    outcome,
    ratio,
    text: `${claim}: ${ratio.toFixed(2)}×, where ${least}× would confirm it`,
  };
}
