/**
 * What came of running an experiment here.
 *
 * @module
 */

import { type MimeBundle, plainText } from "../display.ts";
import type { Chart } from "../notebook/chart.ts";
import type { Experiment, JournalRow, Verdict } from "./experiment.ts";
import type { Figure } from "./figures.ts";
import { replayBundle } from "./replay_display.ts";
import { replayChart } from "./replay_chart.ts";

/** What a {@linkcode Replay} is made of. */
export type ReplayParts = Pick<
  Replay,
  "experiment" | "ids" | "rows" | "verdict" | "figures" | "engine" | "device" | "size"
>;

/** An experiment that was run here, with its rows, verdict and published figures. */
export class Replay {
  /** What was run. */
  readonly experiment: Experiment;
  /** Its ids: its own, and those of what it covers. */
  readonly ids: readonly string[];
  /** One for each variant on each shape. */
  readonly rows: readonly JournalRow[];
  /** What the rows say of the published conclusion. */
  readonly verdict: Verdict;
  /** Published figures beside what came out here. */
  readonly figures: readonly Figure[];
  /** What executed it: `metal`, `cuda`, `emulator`, `native` or `typescript`. */
  readonly engine: string;
  /** Name of the device; of a CPU, with the instruction set of native kernels. */
  readonly device: string;
  /** Which shapes ran. */
  readonly size: "quick" | "full";
  #chart: Chart | undefined;

  /** Use {@linkcode Journal.replay}. */
  constructor(parts: ReplayParts) {
    this.experiment = parts.experiment;
    this.ids = parts.ids;
    this.rows = parts.rows;
    this.verdict = parts.verdict;
    this.figures = parts.figures;
    this.engine = parts.engine;
    this.device = parts.device;
    this.size = parts.size;
  }

  /** Bars: published times beside those here, or, where none were published, the variants' times. */
  get chart(): Chart {
    return this.#chart ??= replayChart(this);
  }

  /** What a notebook shows: what was published, the verdict, the variants, the published figures. */
  [Symbol.for("Jupyter.display")](): MimeBundle {
    return replayBundle(this);
  }

  /** What `console.log` shows. */
  [Symbol.for("Deno.customInspect")](): string {
    return plainText(replayBundle(this));
  }
}
