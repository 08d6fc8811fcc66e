/**
 * What an experiment is, where it runs, and what comes of it.
 *
 * @module
 */

import type { Backend } from "../backend/backend.ts";
import { backend as defaultBackend } from "../backend/select.ts";
import type { MeasureOptions, Timing } from "../profile/measure.ts";
import type { GpuDevice } from "../kernel/device.ts";
import type { Published, PublishedFilter } from "./published.ts";
import type { Rival } from "./rival.ts";

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
  /** Stops it between samples. */
  signal?: AbortSignal | undefined;
  /** Called before each variant is checked. */
  onVariant?: ((shape: string, variant: string) => void) | undefined;
  /** Other libraries that competitive tables show beside this one. */
  rivals?: readonly Rival[] | undefined;
}

/** Whose time counts. */
export type Clock = "gpu" | "host";

/** One variant on one shape. */
export interface JournalRow {
  /** Id of the experiment. */
  experiment: string;
  /** Sizes, as the journal writes them. */
  shape: string;
  /** The way it was done. */
  variant: string;
  /** Backend that did it. */
  backend: string;
  /** What executed it. */
  engine: string;
  /** Instruction set; a GPU's name. */
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
  /** Floating-point operations by time, in GFLOP/s. */
  gflops: number | null;
  /** Bytes by time, in GB/s. */
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
  /** Whether the conclusion holds here. */
  outcome: "confirmed" | "refuted" | "not testable";
  /** What it rests on: measured times, or results, which are the same wherever they are computed. */
  basis: "time" | "result";
  /** The ratio that it rests on, or null. */
  ratio: number | null;
  /** What that ratio may as well be, by the spread of the samples. */
  interval?: readonly [low: number, high: number];
  /** In one sentence. */
  text: string;
}

/** A published experiment. */
export interface Experiment {
  /** Id, as the journal has it. */
  id: string;
  /** Figures of `data/published.csv` that it reproduces. */
  published: readonly PublishedFilter[];
  /** What of its rows corresponds to a published figure, in the figure's unit; null: nothing does. */
  reproduce?: (figure: Published, rows: readonly JournalRow[]) => number | null;
  /** What else there is to say of it here, e.g. why some figures cannot be reproduced. */
  remark?: (context: JournalContext) => string;
  /** What it is about. */
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
