/**
 * Timing: warm-up until stable, every sample kept, contenders interleaved.
 *
 * @module
 */

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
}

/** Something that can be timed beside others. */
export interface Contender {
  /** Name that results are filed under. */
  name: string;
  /** Contenders of one group are variants: those far behind the group's best are left out early. */
  group?: string;
  /** Does the work `count` times and returns how long each took, in milliseconds. */
  run(count: number): Promise<number[]> | number[];
}

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
  return {
    samples: [...samples],
    median: quantile(sorted, 0.5),
    p10: quantile(sorted, 0.1),
    p90: quantile(sorted, 0.9),
  };
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
 * Times one function. See {@linkcode compare}.
 *
 * @param work Done once a sample.
 * @param options How long and how often.
 * @returns Its samples.
 */
export async function measure(work: () => unknown, options?: MeasureOptions): Promise<Timing> {
  return (await compare([{ name: "", run: repeat(work) }], options)).get("")!;
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
  contenders: readonly Contender[],
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
  const warm = new Map<Contender, number[]>();
  for (const contender of contenders) {
    warm.set(contender, await warmUp(contender, budget));
    await rest(pause);
  }
  const expected = (c: Contender) => Math.min(...warm.get(c)!);
  const kept = contenders.filter((c) =>
    contenders.every((o) =>
      o === c || o.group === undefined || o.group !== c.group ||
      expected(c) <= keepWithin * expected(o)
    )
  );
  const samples = new Map<Contender, number[]>();
  for (const c of kept) samples.set(c, expected(c) >= LONG ? [...warm.get(c)!] : []);
  const rounds = Math.min(turns, minSamples);
  const fewest = (c: Contender) => expected(c) >= LONG ? Math.min(3, minSamples) : minSamples;
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
  return new Map(contenders.map((c) => [c.name, summarize(samples.get(c) ?? warm.get(c)!)]));
}

/** Runs until two calls in a row agree within 10 %, or a tenth of the budget is gone. */
async function warmUp(contender: Contender, budget: number): Promise<number[]> {
  const times: number[] = [];
  for (let spent = 0; times.length < 50;) {
    const [time] = await contender.run(1);
    const before = times.at(-1);
    times.push(time!);
    spent += time!;
    if (time! >= LONG) break;
    if (before !== undefined && Math.abs(time! - before) <= 0.1 * before) break;
    if (times.length > 1 && spent > budget / 10) break;
  }
  return times;
}

async function rest(ms: number): Promise<void> {
  if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms));
}
