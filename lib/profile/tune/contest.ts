/**
 * Choosing among candidates by several cases.
 *
 * @module
 */

import type { MeasureOptions, Timing } from "../measure.ts";
import { type Measurement, rank, type RankOptions, type Subject } from "../measurement.ts";

/** How {@linkcode tune} goes about it. */
export interface TuneOptions {
  /** Small shapes and little time: shows that all runs, not what is fastest. */
  quick?: boolean;
  /** Time for each group of candidates. */
  measure?: MeasureOptions;
  /** Told of what was found, a line at a time. */
  onProgress?: (line: string) => void;
}

/** What every part of tuning works with. */
export interface Tuner {
  quick: boolean;
  /** Time for each group, and the environment, which is looked up once. */
  options: RankOptions;
  log: (line: string) => void;
}

/** Candidates and what they do in one case. */
export interface Round<C> {
  /** Name of the case. */
  name: string;
  /** The subject of a candidate, named by it; undefined where it cannot take part in any case. */
  subject: (candidate: C) => Subject | undefined;
  /** Frees what the subjects shared. */
  end?: () => void;
}

/** How much of a time a candidate has to save to take the default's place: less is noise. */
export const WORTH = 0.95;

/**
 * The first of ranked candidates, or the default where that is about as fast.
 *
 * @param ranked As {@linkcode contest} has them.
 * @param usual Whether a candidate is the default.
 */
export function choose<C>(
  ranked: readonly { candidate: C; mean: number }[],
  usual: (candidate: C) => boolean,
): C | undefined {
  const [best] = ranked;
  const known = ranked.find(({ candidate }) => usual(candidate));
  return known && !(best!.mean < WORTH * known.mean) ? known.candidate : best?.candidate;
}

/**
 * Candidates that are valid in every case, with the geometric means of their least times in milliseconds;
 * the fastest first. The least, because other work on the machine only adds to them.
 */
export async function contest<C>(
  tuner: Tuner,
  candidates: readonly C[],
  nameOf: (candidate: C) => string,
  rounds: Iterable<Round<C>> | AsyncIterable<Round<C>>,
): Promise<{ candidate: C; mean: number }[]> {
  const logs = new Map<C, number>(candidates.map((candidate) => [candidate, 0]));
  let count = 0;
  for await (const { name, subject, end } of rounds) {
    count++;
    const subjects = new Map<string, C>();
    const all: Subject[] = [];
    for (const candidate of logs.keys()) {
      const one = subject(candidate);
      if (one === undefined) {
        logs.delete(candidate);
        continue;
      }
      subjects.set(nameOf(candidate), candidate);
      all.push({ ...one, name: nameOf(candidate), group: "candidates" });
    }
    const measured = await rank(all, tuner.options);
    end?.();
    report(tuner, name, measured);
    for (const { name, timing } of measured) {
      const candidate = subjects.get(name)!;
      if (timing) logs.set(candidate, logs.get(candidate)! + Math.log(leastOf(timing)));
      else logs.delete(candidate);
    }
  }
  return [...logs].map(([candidate, sum]) => ({ candidate, mean: Math.exp(sum / count) }))
    .sort((a, b) => a.mean - b.mean);
}

/** The least sample, by the GPU's clock where there is one. */
function leastOf(timing: Timing): number {
  return Math.min(...(timing.gpu ?? timing).samples);
}

function report(tuner: Tuner, name: string, measured: readonly Measurement[]): void {
  const times = measured.map(({ name, timing, reason }) =>
    timing === null ? `${name}: ${reason}` : `${name} ${(leastOf(timing) * 1e3).toPrecision(3)} µs`
  );
  tuner.log(`${name}: ${times.join(", ")}`);
}

/**
 * Where one candidate overtakes another for good.
 *
 * @param points Sizes, ascending, with both times.
 * @returns The least size from which the second is faster at all sizes, 0 where it always is; null where there is none.
 */
export function crossover(
  points: readonly { size: number; first: number; second: number }[],
): number | null {
  let from: number | null = null;
  for (const { size, first, second } of [...points].sort((a, b) => b.size - a.size)) {
    if (!(second < first)) return from;
    from = size;
  }
  // Nothing smaller was measured, and nothing says that it turns there.
  return from === null ? null : 0;
}
