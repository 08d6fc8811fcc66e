/**
 * Timing: warm-up until stable, every sample kept, contenders interleaved.
 *
 * @module
 */

import { withDisplay } from "../display.ts";
import { timingBundle } from "./display.ts";

/** One sample of work on a GPU, e.g. the times of a command buffer. */
export interface GpuSample {
  /** From commit to completion, seen from the host. */
  cpuSeconds: number;
  /** From start to end on the GPU. */
  gpuSeconds: number;
}

/** Samples of one contender and what they sum up to. */
export interface Timing {
  /** Every sample, in the order taken, in milliseconds. */
  samples: number[];
  /** Median, in milliseconds. */
  median: number;
  /** 10th percentile, in milliseconds. */
  p10: number;
  /** 90th percentile, in milliseconds. */
  p90: number;
  /** The same calls by the GPU's clock; the numbers above are the host's. */
  gpu?: Timing;
}

/** Something that can be timed beside others; its samples are milliseconds unless it says otherwise. */
export interface Contender<S extends Sample = number> {
  /** Name that results are filed under. */
  name: string;
  /** Contenders of one group are variants: those far behind the group's best are left out early. */
  group?: string;
  /**
   * Does the work `count` times and returns how long each took: milliseconds, or seconds of the host and
   * of the GPU.
   */
  run(count: number): Promise<S[]> | S[];
}

/** How long a call took: milliseconds, or seconds of the host and of the GPU. */
export type Sample = number | GpuSample;

/** How long and how often {@linkcode compare} measures. */
export interface MeasureOptions {
  /** Time for all contenders together, in milliseconds; at least `minSamples` are taken. */
  budget?: number;
  /** Fewest samples a contender; three suffice where a call takes most of a second. */
  minSamples?: number;
  /** Most samples a contender. */
  maxSamples?: number;
  /** Turns that each contender gets, interleaved with the others'. */
  turns?: number;
  /** A variant slower than its group's best by this factor is not measured further. */
  keepWithin?: number;
  /** Rest after each turn, in milliseconds, in which the contender's idle threads fall asleep. */
  pause?: number;
}

/** Calls below this many ms are warm only after {@linkcode WARM} ms of them. */
const SHORT = 0.2;
const WARM = 150;
/** A call this long, in ms, needs no warm-up: what is cold at its start no longer shows at its end. */
const LONG = 700;

/**
 * Sums up samples.
 *
 * @example
 * ```ts
 * import { summarize } from "@metalfaiss/metalfaiss/profile";
 * import assert from "node:assert/strict";
 *
 * assert.equal(summarize([3, 1, 2]).median, 2);
 * ```
 *
 * @param samples Times in milliseconds, at least one.
 * @returns The samples with their median and deciles.
 * @throws {RangeError} Without samples.
 */
export function summarize(samples: readonly number[]): Timing {
  if (samples.length === 0) throw new RangeError("Cannot summarize samples: there are none");
  const sorted = [...samples].sort((a, b) => a - b);
  return withDisplay<Timing>({
    samples: [...samples],
    median: quantile(sorted, 0.5),
    p10: quantile(sorted, 0.1),
    p90: quantile(sorted, 0.9),
  }, timingBundle);
}

/** Sums up what a contender returned. */
function summarizeSamples(name: string, samples: readonly Sample[]): Timing {
  const host = summarize(samples.map(hostMs));
  const gpu = samples.filter((sample) => typeof sample !== "number");
  if (gpu.length === 0) return host;
  if (gpu.length < samples.length) {
    throw new TypeError(`Cannot time ${name}: some samples have a GPU time and some have none`);
  }
  host.gpu = summarize(gpu.map(({ gpuSeconds }) => gpuMs(name, gpuSeconds)));
  return host;
}

function hostMs(sample: Sample): number {
  return typeof sample === "number" ? sample : sample.cpuSeconds * 1e3;
}

/** A GPU time of 0 says that nothing ran or nothing was measured. */
function gpuMs(name: string, seconds: number): number {
  if (seconds > 0 && seconds < Infinity) return seconds * 1e3;
  throw new RangeError(`Cannot time ${name}: the GPU says that it took ${seconds} s`);
}

/** Linearly interpolated quantile of sorted values. */
function quantile(sorted: readonly number[], at: number): number {
  const position = at * (sorted.length - 1);
  const low = Math.floor(position);
  const below = sorted[low]!;
  return below + (position - low) * ((sorted[low + 1] ?? below) - below);
}

/**
 * Times a function of this process, call by call.
 *
 * @example
 * ```ts
 * import { repeat } from "@metalfaiss/metalfaiss/profile";
 * import assert from "node:assert/strict";
 *
 * const times = await repeat(() => Math.sqrt(2))(3);
 * assert.equal(times.length, 3);
 * ```
 *
 * @param work Done once a sample; awaited only if it returns a promise.
 * @returns A {@linkcode Contender}'s `run`.
 */
export function repeat(work: () => unknown): (count: number) => Promise<number[]> {
  return async (count) => {
    const times: number[] = [];
    for (let i = 0; i < count; i++) {
      const start = performance.now();
      const done = work();
      if (done instanceof Promise) await done;
      times.push(performance.now() - start);
    }
    return times;
  };
}

/**
 * Times contenders against each other: each is warmed up until two calls in a row agree, then they
 * take turns until the budget is spent, so that a machine that slows down slows all of them.
 *
 * @example
 * ```ts
 * import { compare, repeat } from "@metalfaiss/metalfaiss/profile";
 * import assert from "node:assert/strict";
 *
 * const times = await compare([
 *   { name: "short", run: repeat(() => new Float32Array(10).sort()) },
 *   { name: "long", run: repeat(() => new Float32Array(100_000).sort()) },
 * ], { budget: 20 });
 * assert.ok(times.get("short")!.median < times.get("long")!.median);
 * ```
 *
 * @param contenders What to time; names are distinct.
 * @param options How long and how often.
 * @returns Timing by name. One that was left out early has the samples of its warm-up.
 */
export async function compare(
  contenders: readonly Contender<Sample>[],
  options: MeasureOptions = {},
): Promise<Map<string, Timing>> {
  const {
    budget = 2000,
    minSamples = 5,
    maxSamples = 500,
    turns = 5,
    keepWithin = 1.5,
    pause = 0,
  } = options;
  const warm = new Map<Contender<Sample>, Sample[]>();
  for (const contender of contenders) {
    warm.set(contender, await warmUp(contender, budget));
    await rest(pause);
  }
  const expected = (c: Contender<Sample>) => Math.min(...warm.get(c)!.map(hostMs));
  const kept = contenders.filter((c) =>
    contenders.every((o) =>
      o === c || o.group === undefined || o.group !== c.group ||
      expected(c) <= keepWithin * expected(o)
    )
  );
  const samples = new Map<Contender<Sample>, Sample[]>();
  for (const c of kept) samples.set(c, expected(c) >= LONG ? [...warm.get(c)!] : []);
  const rounds = Math.min(turns, minSamples);
  const fewest = (c: Contender<Sample>) =>
    expected(c) >= LONG ? Math.min(3, minSamples) : minSamples;
  for (let turn = 0; turn < rounds; turn++) {
    for (const c of kept) {
      const taken = samples.get(c)!;
      const share = budget / (kept.length * rounds);
      const left = Math.max(1, Math.ceil((fewest(c) - taken.length) / (rounds - turn)));
      const count = Math.min(
        Math.max(left, Math.floor(share / expected(c))),
        Math.ceil(maxSamples / rounds),
      );
      if (taken.length >= fewest(c) && expected(c) >= share) continue;
      // The others have had the caches meanwhile: a short call is done once before it counts.
      const skip = expected(c) < LONG / 10 ? 1 : 0;
      taken.push(...(await c.run(count + skip)).slice(skip));
      await rest(pause);
    }
  }
  return new Map(contenders.map((c) => {
    const taken = samples.get(c) ?? warm.get(c)!;
    return [c.name, summarizeSamples(c.name || "the work", taken)];
  }));
}

/**
 * Runs until two calls in a row agree within 10 %, or a tenth of the budget is gone. Short calls go on for a
 * while: their caller is compiled only after some thousand.
 */
async function warmUp(contender: Contender<Sample>, budget: number): Promise<Sample[]> {
  const samples: Sample[] = [];
  const start = performance.now();
  const least = Math.min(WARM, budget / 10);
  let before: number | undefined;
  for (;;) {
    const [sample] = await contender.run(1);
    const time = hostMs(sample!);
    samples.push(sample!);
    if (time >= LONG) break;
    const spent = performance.now() - start;
    const isWarm = time >= SHORT || spent >= least;
    const agrees = before !== undefined && Math.abs(time - before) <= 0.1 * before;
    if (isWarm && agrees || samples.length > 1 && spent > budget / 10) break;
    before = time;
  }
  return samples;
}

async function rest(ms: number): Promise<void> {
  if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms));
}
