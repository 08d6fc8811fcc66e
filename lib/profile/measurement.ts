/**
 * Measurements that say what ran, how right and how near to the device's limits it was.
 *
 * @module
 */

import type { Execution } from "../backend/linalg.ts";
import { withDisplay } from "../display.ts";
import { measurementsBundle } from "./display.ts";
import { environment, type EnvironmentRecord } from "./environment.ts";
import { compare, type MeasureOptions, repeat, type Sample, type Timing } from "./measure.ts";
import { type RoofFraction, roofFraction, type Roofline } from "./roofline.ts";

/** Work to be measured. */
export interface Subject<T = unknown> {
  /** Name that results are filed under. */
  name: string;
  /** Subjects of one group are variants: those far behind the group's best are left out early. */
  group?: string;
  /**
   * Does the work once; it is done when the promise is fulfilled. What it returns may have times of the
   * GPU (`gpuSeconds`) or say what ran (`run`, as results of linear algebra and indexes do).
   */
  work: () => T | Promise<T>;
  /** Bytes that one call has to move. */
  bytes?: number;
  /** Floating-point operations of one call. */
  flops?: number;
  /** What ran, where the result itself does not say. */
  execution?: (value: T) => Execution;
  /** Error of a result against a float64 reference; without it, results are not checked. */
  error?: (value: T) => number | Promise<number>;
  /** Largest error that is valid; 1e-5 by default. */
  tolerance?: number;
  /** What must be among the variants that ran. */
  expects?: RegExp;
  /** Frees a result. */
  release?: (value: T) => void;
}

/** How {@linkcode rank} measures. */
export interface RankOptions extends MeasureOptions {
  /** Limits of the device, as {@linkcode roofline} has them: results then say how near they came. */
  limits?: Roofline;
  /** Where this runs; by default it is looked up. */
  environment?: EnvironmentRecord;
}

/** What was measured of one subject. */
export interface Measurement {
  /** Name of the subject. */
  name: string;
  /** Place among the valid ones, from 1; null of one that is not valid, or was left out early. */
  rank: number | null;
  /** Whether the result is right and the variant is the one meant; only such subjects are timed. */
  valid: boolean;
  /** Why not; empty where it is valid. */
  reason: string;
  /** Every sample by the host's clock, and under `gpu` by the GPU's; null where it is not valid. */
  timing: Timing | null;
  /** Whose time counts in what follows: the GPU's, where there is one. */
  clock: "gpu" | "cpu";
  /** Median in milliseconds by that clock. */
  median: number | null;
  /** Bytes by the median, in GB/s. */
  gbps: number | null;
  /** Operations by the median, in GFLOP/s. */
  gflops: number | null;
  /** Fraction of the limit that binds. */
  roof: RoofFraction | null;
  /** What ran. */
  execution: Execution | null;
  /** Error against float64. */
  error: number | null;
  /** Largest error that was accepted. */
  tolerance: number | null;
  /** Where it was measured. */
  environment: EnvironmentRecord;
}

const TOLERANCE = 1e-5;

/**
 * Times one function, or measures one subject. See {@linkcode compare} and {@linkcode rank}.
 *
 * @param work Done once a sample.
 * @param options How long and how often.
 * @returns Its samples; of a subject, all that was found.
 * @throws {RangeError} If a GPU says that a call took no time.
 *
 * @example
 * ```ts
 * import { measure } from "@metalfaiss/metalfaiss/profile";
 * import assert from "node:assert/strict";
 *
 * const x = new Float32Array(1 << 16).fill(1);
 * const found = await measure({
 *   name: "sum",
 *   work: () => x.reduce((sum, value) => sum + value, 0),
 *   bytes: x.byteLength,
 *   error: (sum) => Math.abs(sum - x.length) / x.length,
 * }, { budget: 20 });
 * assert.ok(found.valid && found.error === 0 && found.gbps! > 0);
 * ```
 */
export function measure(work: () => unknown, options?: MeasureOptions): Promise<Timing>;
/**
 * Measures one subject.
 *
 * @param subject What to measure.
 * @param options How long and how often.
 * @returns All that was found.
 */
export function measure<T>(subject: Subject<T>, options?: RankOptions): Promise<Measurement>;
export async function measure<T>(
  what: (() => unknown) | Subject<T>,
  options?: RankOptions,
): Promise<Timing | Measurement> {
  if (typeof what !== "function") return (await rank([what], options))[0]!;
  return (await compare([{ name: "", run: repeat(what) }], options)).get("")!;
}

/**
 * Checks subjects against float64, times the valid ones in turns, and ranks them by their medians. What
 * fails or errs too much is never timed and has no rank.
 *
 * @param subjects What to measure; names are distinct.
 * @param options How long and how often; what the device could do.
 * @returns The fastest first, then what is not valid.
 * @throws {RangeError} If a GPU says that a call took no time.
 *
 * @example
 * ```ts
 * import { rank } from "@metalfaiss/metalfaiss/profile";
 * import assert from "node:assert/strict";
 *
 * const x = Float32Array.from({ length: 4096 }, (_, i) => i % 7);
 * const expected = 3 * x.reduce((sum, value) => sum + value, 0);
 * const error = (sum: number) => Math.abs(sum / expected - 1);
 * const [first, second] = await rank([
 *   { name: "once", work: () => 3 * x.reduce((sum, value) => sum + value, 0), error },
 *   { name: "wrong", work: () => 42, error },
 * ], { budget: 10 });
 * assert.deepEqual([first!.name, first!.rank], ["once", 1]);
 * assert.deepEqual([second!.valid, second!.rank, second!.timing], [false, null, null]);
 * ```
 */
export async function rank<T>(
  subjects: readonly Subject<T>[],
  options: RankOptions = {},
): Promise<Measurement[]> {
  const { limits } = options;
  const where = options.environment ?? await environment();
  const all = new Map<Subject<T>, Measurement>();
  for (const subject of subjects) all.set(subject, await check(subject, where));
  const valid = subjects.filter((subject) => all.get(subject)!.valid);
  const contenders = valid.map((subject) => ({
    name: subject.name,
    ...(subject.group === undefined ? {} : { group: subject.group }),
    run: (count: number) => sample(subject, count),
  }));
  const timings = await compare(contenders, options);
  for (const subject of valid) {
    const measured = all.get(subject)!;
    const timing = timings.get(subject.name)!;
    const own = timing.gpu ?? timing;
    measured.timing = timing;
    measured.clock = timing.gpu ? "gpu" : "cpu";
    measured.median = own.median;
    if (subject.bytes !== undefined) measured.gbps = subject.bytes / own.median / 1e6;
    if (subject.flops !== undefined) measured.gflops = subject.flops / own.median / 1e6;
    const { gbps, gflops } = measured;
    if (limits && (gbps !== null || gflops !== null)) {
      measured.roof = roofFraction({ gbps: gbps ?? 0, gflops: gflops ?? 0 }, limits);
    }
  }
  const ordered = valid.map((subject) => all.get(subject)!)
    .sort((a, b) => a.median! - b.median!);
  ordered.forEach((measured, place) => measured.rank = place + 1);
  const found = [...ordered, ...[...all.values()].filter((measured) => !measured.valid)];
  return withDisplay(found, measurementsBundle);
}

/** Does the work once and looks at the result. */
async function check<T>(subject: Subject<T>, where: EnvironmentRecord): Promise<Measurement> {
  const { name, error, tolerance = TOLERANCE, expects } = subject;
  const measured = withDisplay<Measurement>({
    ...{ name, rank: null, valid: false, reason: "", timing: null, clock: "cpu", median: null },
    ...{ gbps: null, gflops: null, roof: null, execution: null, error: null },
    tolerance: error ? tolerance : null,
    environment: where,
  }, (one) => measurementsBundle([one]));
  try {
    const value = await subject.work();
    const ran = subject.execution?.(value) ?? executionOf(value);
    measured.execution = ran ?? null;
    if (error) measured.error = await error(value);
    subject.release?.(value);
    // Not `>`: an error that is NaN is one, too.
    if (error && !(measured.error! <= tolerance)) {
      measured.reason = `its error is ${measured.error}, at most ${tolerance} is valid`;
    } else if (expects && !ran?.variants.some((variant) => expects.test(variant))) {
      measured.reason = `it ran ${ran?.variants.join(", ") || "nothing that it names"}, ` +
        `not ${expects.source}`;
    } else measured.valid = true;
  } catch (failure) {
    if (!(failure instanceof Error)) throw failure;
    measured.reason = `${failure.name}: ${failure.message}`;
  }
  return measured;
}

async function sample<T>(subject: Subject<T>, count: number): Promise<Sample[]> {
  const samples: Sample[] = [];
  for (let i = 0; i < count; i++) {
    const start = performance.now();
    const done = subject.work();
    const value = done instanceof Promise ? await done : done;
    const ms = performance.now() - start;
    const gpuSeconds = gpuSecondsOf(value);
    samples.push(gpuSeconds === undefined ? ms : { cpuSeconds: ms / 1e3, gpuSeconds });
    subject.release?.(value);
  }
  return samples;
}

/** What ran, where a result says it. */
function executionOf(value: unknown): Execution | undefined {
  const run = (value as { run?: Partial<Execution> } | null | undefined)?.run;
  return run?.backend !== undefined && Array.isArray(run.variants) ? run as Execution : undefined;
}

/** Time on the GPU, where a result says it. */
function gpuSecondsOf(value: unknown): number | undefined {
  const times = value as { gpuSeconds?: number; run?: { gpuSeconds?: number } } | null | undefined;
  return times?.gpuSeconds ?? times?.run?.gpuSeconds;
}
