/**
 * Replays of experiments among the outputs of a notebook.
 *
 * @module
 */

import { slugOf } from "./html.ts";
import type { Notebook, Output } from "./ipynb.ts";

/** What a replay says of itself beside its tables. */
export interface ReplayRecord {
  /** The experiment's id, then those of the rows that it reproduces. */
  ids: string[];
  outcome: string;
  /** The ratio that the outcome rests on, or null. */
  ratio: number | null;
  /** The verdict in one sentence. */
  text: string;
  engine: string;
  device: string;
  size: string;
  /** Lines of the published figures that it shows. */
  published: number[];
  /** Id of its output on a page. */
  anchor: string;
}

/**
 * The replay that an output shows; undefined where it shows none.
 *
 * @param output Of a cell.
 */
export function replayOf(output: Output): ReplayRecord | undefined {
  if (output.output_type === "stream" || output.output_type === "error") return undefined;
  const value = output.data["application/vnd.metalfaiss.replay+json"];
  if (typeof value !== "object" || value === null) return undefined;
  const { ids, outcome, ratio, text, engine, device, size, published } = value as Record<
    string,
    unknown
  >;
  if (!Array.isArray(ids) || ids.length === 0 || typeof outcome !== "string") {
    throw new TypeError("Cannot read a replay: it has no ids or no outcome");
  }
  return {
    ids: ids.map(String),
    outcome,
    ratio: typeof ratio === "number" ? ratio : null,
    text: String(text ?? ""),
    engine: String(engine ?? ""),
    device: String(device ?? ""),
    size: String(size ?? ""),
    published: Array.isArray(published) ? published.map(Number) : [],
    anchor: `replay-${slugOf(String(ids[0]))}`,
  };
}

/**
 * Replays that a notebook shows, each once: the first, to which links lead.
 *
 * @param notebook As it was executed.
 */
export function replaysOf({ cells }: Notebook): ReplayRecord[] {
  const found = new Map<string, ReplayRecord>();
  for (const output of cells.flatMap(({ outputs = [] }) => outputs)) {
    const replay = replayOf(output);
    if (replay !== undefined && !found.has(replay.anchor)) found.set(replay.anchor, replay);
  }
  return [...found.values()];
}
