/**
 * What measurements say of a published conclusion.
 *
 * @module
 */

import type { Timing } from "../profile/measure.ts";
import type { Experiment, JournalContext, JournalRow, Verdict } from "./experiment.ts";

/** Medians of two runs of the same are seldom further apart, as logarithms. */
const DRIFT = 0.01;

/** A ratio of times, with what it may as well be. */
export interface Ratio {
  /** Of medians; of several, their geometric mean. */
  readonly value: number;
  /** What it is at least, by the spread of the samples. */
  readonly low: number;
  /** What it is at most. */
  readonly high: number;
}

/** What is compared, and with what. */
export type Pair = readonly [base: JournalRow, own: JournalRow];

/** The times that a variant is ranked by. */
export function timingOf(row: JournalRow): Timing | null {
  return row.clock === "gpu" ? row.gpuTime : row.time;
}

/** Their median, in milliseconds. */
export function timeOf(row: JournalRow): number | undefined {
  return timingOf(row)?.median;
}

/**
 * How many times faster the second of each pair is: the geometric mean. How far each median may be off
 * counts once, however many pairs it is in, and different rows add up as independent errors do.
 *
 * @param pairs Rows that were timed; others are left out.
 * @returns The ratio, or null where no pair was timed.
 */
export function ratioOf(pairs: readonly Pair[]): Ratio | null {
  const timed = pairs.filter(([base, own]) => timingOf(base) && timingOf(own));
  if (timed.length === 0) return null;
  const weights = new Map<JournalRow, number>();
  for (const [base, own] of timed) {
    weights.set(base, (weights.get(base) ?? 0) + 1 / timed.length);
    weights.set(own, (weights.get(own) ?? 0) - 1 / timed.length);
  }
  let [mean, below, above] = [0, 0, 0];
  for (const [row, weight] of weights) {
    const timing = timingOf(row)!;
    const [down, up] = spreadOf(timing);
    mean += weight * Math.log(timing.median);
    below += (weight * (weight > 0 ? down : up)) ** 2;
    above += (weight * (weight > 0 ? up : down)) ** 2;
  }
  return {
    value: Math.exp(mean),
    low: Math.exp(mean - Math.sqrt(below)),
    high: Math.exp(mean + Math.sqrt(above)),
  };
}

/**
 * How far below and above a median may be, as logarithms: three standard errors, the median of n normal
 * samples having 1.2533 σ / √n and its outer tenths beginning at 1.2816 σ. Not less than the floor, for
 * devices drift from run to run.
 */
function spreadOf({ median, p10, p90, samples }: Timing): [down: number, up: number] {
  const share = 3 * 1.2533 / 1.2816 / Math.sqrt(samples.length);
  const most = (distance: number) => Math.max(DRIFT, share * distance);
  return [most(Math.log(median / p10)), most(Math.log(p90 / median))];
}

/** The fastest of some rows, where any was timed. */
export function fastest(
  rows: readonly JournalRow[],
  isMeant: (row: JournalRow) => boolean,
): JournalRow | undefined {
  return rows.filter((row) => row.valid && isMeant(row) && timeOf(row) !== undefined)
    .sort((a, b) => timeOf(a)! - timeOf(b)!)[0];
}

/** The other way round. */
export function inverse(ratio: Ratio | null): Ratio | null {
  return ratio && { value: 1 / ratio.value, low: 1 / ratio.high, high: 1 / ratio.low };
}

/**
 * How variants did against the baseline of their shape, over shapes and variants.
 *
 * @param rows Rows of an experiment.
 * @param variant Which variants.
 * @param shape On which shapes.
 */
export function meanRatio(
  rows: readonly JournalRow[],
  variant: RegExp | ((row: JournalRow) => boolean),
  shape = /./,
): Ratio | null {
  const isMeant = variant instanceof RegExp
    ? (row: JournalRow) => variant.test(row.variant)
    : variant;
  const valid = rows.filter((row) => row.valid && shape.test(row.shape));
  return ratioOf(valid.flatMap((own) => {
    const base = valid.find((row) => row.baseline && row.shape === own.shape);
    return base && base !== own && isMeant(own) ? [[base, own] as const] : [];
  }));
}

/**
 * A verdict by a ratio of times.
 *
 * @param ratio The ratio; null where nothing was timed.
 * @param least From this ratio on it is confirmed.
 * @param claim What is compared with what.
 */
export function judge(ratio: Ratio | null, least: number, claim: string): Verdict {
  if (ratio === null) return notTestable("No variants to compare ran here");
  const { value, low, high } = ratio;
  const found = `${claim}: ${value.toFixed(2)}× (${low.toFixed(2)}–${high.toFixed(2)})`;
  const isClear = low >= least || high < least;
  return {
    outcome: low >= least ? "confirmed" : high < least ? "refuted" : "not testable",
    basis: "time",
    ratio: value,
    interval: [low, high],
    text: isClear
      ? `${found}, where ${least}× would confirm it`
      : `${found}, too near ${least}× to call`,
  };
}

/**
 * A verdict on a conclusion of several parts, each of which is judged by times: confirmed where all hold,
 * refuted where one does not. Parts whose variants did not run do not count.
 *
 * @param parts Verdicts on the parts.
 * @returns One with the ratio of the first part that decides.
 */
export function judgeParts(parts: readonly Verdict[]): Verdict {
  const tested = parts.filter(({ ratio }) => ratio !== null);
  if (tested.length < 2) return tested[0] ?? parts[0]!;
  const order = ["refuted", "not testable", "confirmed"];
  const [decides] = tested.toSorted((a, b) => order.indexOf(a.outcome) - order.indexOf(b.outcome));
  const text = tested.map((part) => `${part.text} (${part.outcome})`).join("; ");
  return { ...decides!, text };
}

/** A verdict by results, which are the same on every device. */
export function byResult(isSo: boolean, text: string, ratio: number | null = null): Verdict {
  return { outcome: isSo ? "confirmed" : "refuted", basis: "result", ratio, text };
}

/** No verdict, and why. */
export function notTestable(text: string, basis: Verdict["basis"] = "time"): Verdict {
  return { outcome: "not testable", basis, ratio: null, text };
}

/**
 * The verdict of an experiment: what its rows say, where they may say it. Times of the emulator, of small
 * shapes, or beside wrong results say nothing; results always count.
 *
 * @param experiment What was run.
 * @param rows What was measured.
 * @param context Where and how.
 */
export function verdictOf(
  experiment: Experiment,
  rows: readonly JournalRow[],
  context: JournalContext,
): Verdict {
  const verdict = judgeRows(experiment, rows, context);
  const remark = experiment.remark?.(context);
  return remark === undefined ? verdict : { ...verdict, text: `${verdict.text}. ${remark}` };
}

function judgeRows(
  experiment: Experiment,
  rows: readonly JournalRow[],
  { quick }: JournalContext,
): Verdict {
  if (rows.length === 0) return notTestable("No variant ran here");
  const verdict = experiment.verdict(rows);
  if (verdict.basis === "result") return verdict;
  const wrong = rows.filter((row) => !row.valid).length;
  if (wrong > 0) return notTestable(`${wrong} of ${rows.length} variants have wrong results`);
  if (rows.some((row) => row.engine === "emulator")) {
    return notTestable("The emulator computes on the CPU: its times say nothing of a GPU");
  }
  if (quick) {
    return notTestable("Times of shapes as small as these say nothing of the published ones");
  }
  return verdict;
}

/** The verdict where there is no GPU. */
export function noGpu(reason: string): Verdict {
  return notTestable(`It needs a GPU. ${reason}`, "result");
}
