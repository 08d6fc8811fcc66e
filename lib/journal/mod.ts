/**
 * The published experiments as data and functions, for benches and notebooks: what was published, the same
 * work here, and a verdict.
 *
 * @example
 * ```ts
 * import { openJournal } from "@metalfaiss/metalfaiss/journal";
 * import assert from "node:assert/strict";
 *
 * const journal = await openJournal({ engine: "emulator", quick: true });
 * const replay = await journal.replay("J0");
 * assert.equal(replay.verdict.outcome, "confirmed");
 * ```
 *
 * @module
 */

export {
  type Clock,
  type Experiment,
  type JournalContext,
  journalContext,
  type JournalRow,
  type Verdict,
} from "./experiment.ts";
export { experiments, findExperiment } from "./experiments.ts";
export { Journal, type JournalOptions, openJournal, type ReplayOptions } from "./journal.ts";
export { JournalError } from "./journal_error.ts";
export { type Published, type PublishedFilter, readPublished } from "./published.ts";
export { featureTable } from "./features.ts";
export type { Figure } from "./figures.ts";
export { Replay, type ReplayParts } from "./replay.ts";
export { judge, type Pair, type Ratio, ratioOf, timeOf } from "./verdict.ts";
export { runExperiment, type RunOptions } from "./run.ts";
export type { Rival, RivalFeature, RivalIndex, RivalResult } from "./rival.ts";
