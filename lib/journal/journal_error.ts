/**
 * What a replay throws.
 *
 * @module
 */

import type { JournalRow } from "./experiment.ts";
import type { Replay } from "./replay.ts";

/** Variants of an experiment had wrong results, ran another kernel, or failed. */
export class JournalError extends Error {
  /** Name of the class. */
  override name = "JournalError";
  /** All that was measured. */
  readonly replay: Replay;

  /**
   * Names the variants that are wrong.
   *
   * @param replay What was measured.
   */
  constructor(replay: Replay) {
    const wrong = replay.rows.filter((row) => !row.valid).map(nameFault);
    super(`Cannot trust ${replay.experiment.id}: ${wrong.join("; ")}`);
    this.replay = replay;
  }
}

function nameFault({ shape, variant, note }: JournalRow): string {
  return `"${variant}" at ${shape}: ${note}`;
}
