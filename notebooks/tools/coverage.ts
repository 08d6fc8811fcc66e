/**
 * Whether notebooks show every published figure and judge every experiment.
 *
 * @module
 */

import { experiments, idsOf } from "../../lib/journal/experiments.ts";
import { readPublished } from "../../lib/journal/published.ts";
import type { Notebook } from "./ipynb.ts";
import { replayOf } from "./replays.ts";

/** What has to be in the notebooks. */
export interface Wanted {
  /** Lines of the table of published figures. */
  lines: readonly number[];
  /** Ids of experiments, with those that mean the same. */
  ids: readonly string[];
}

/** Every published figure and every experiment of the journal. */
export async function wholeJournal(): Promise<Wanted> {
  return {
    lines: (await readPublished()).map(({ line }) => line),
    ids: experiments.flatMap(idsOf),
  };
}

/**
 * Figures that are in no notebook or in several, and experiments without a verdict.
 *
 * @param notebooks All of them as executed, by name.
 * @param wanted What has to be there.
 * @returns One sentence for each fault.
 */
export function coverageFaults(
  notebooks: ReadonlyMap<string, Notebook>,
  { lines, ids }: Wanted,
): string[] {
  const places = new Map<number, Set<string>>();
  const judged = new Set<string>();
  for (const [name, { cells }] of notebooks) {
    for (const output of cells.flatMap(({ outputs = [] }) => outputs)) {
      const replay = replayOf(output);
      for (const id of replay?.ids ?? []) judged.add(id);
      for (const line of replay?.published ?? []) {
        places.set(line, (places.get(line) ?? new Set()).add(name));
      }
    }
  }
  const faults: string[] = [];
  const absent = lines.filter((line) => !places.has(line));
  if (absent.length > 0) faults.push(`In no notebook: data/published.csv, ${list("line", absent)}`);
  const shared = Map.groupBy(
    lines.filter((line) => (places.get(line)?.size ?? 0) > 1),
    (line) => [...places.get(line)!].join(" and "),
  );
  for (const [names, several] of shared) {
    faults.push(`In ${names}, not in one: data/published.csv, ${list("line", several)}`);
  }
  const open = ids.filter((id) => !judged.has(id));
  if (open.length > 0) faults.push(`Without a verdict: ${list("experiment", open)}`);
  return faults;
}

function list(noun: string, items: readonly unknown[]): string {
  return `${noun}${items.length === 1 ? "" : "s"} ${items.join(", ")}`;
}
