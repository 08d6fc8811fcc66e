/**
 * A replay as notebooks and terminals show it.
 *
 * @module
 */

import { type MimeBundle, plainText, tableBundle } from "../display.ts";
import { escapeHtml } from "../display_cells.ts";
import type { JournalRow } from "./experiment.ts";
import type { ReplayParts } from "./replay.ts";
import { timeOf } from "./verdict.ts";

/** Rows of the table of variants. */
const MOST = 60;
/** Findings that have a column each. */
const FINDINGS = 3;

/** Type of what tools read of a replay. */
export const REPLAY_TYPE = "application/vnd.metalfaiss.replay+json";

/** What notebooks show of a replay, and what tools read of it. */
export function replayBundle(replay: ReplayParts): MimeBundle {
  const { experiment: { id, title, conclusion }, verdict, figures, rows, size } = replay;
  const { outcome, ratio, text } = verdict;
  const ids = replay.ids.filter((other) => other !== id);
  const heading = `${id}${ids.length > 0 ? ` (${ids.join(", ")})` : ""}: ${title}`;
  const where = `${replay.engine}, ${replay.device}, ${size} size`;
  const tables = [
    ...(rows.length > 0 ? [variantsTable(rows)] : []),
    ...(figures.length > 0 ? [figuresTable(replay)] : []),
  ];
  const outcomeHere = outcome === "not testable" ? "not testable here" : outcome;
  return {
    "text/html": `<section><h4>${escapeHtml(heading)}</h4>` +
      `<p>Published: ${escapeHtml(conclusion)}.</p>` +
      `<p><strong>Verdict: ${outcomeHere}.</strong> ${escapeHtml(text)}. (${
        escapeHtml(where)
      })</p>` +
      tables.map((bundle) => String(bundle["text/html"])).join("") + "</section>",
    "text/plain": [
      heading,
      `Published: ${conclusion}.`,
      `Verdict: ${outcomeHere}. ${text}. (${where})`,
      ...tables.map(plainText),
    ].join("\n\n"),
    [REPLAY_TYPE]: {
      ...{ ids: replay.ids, outcome, ratio, text },
      ...{ engine: replay.engine, device: replay.device, size },
      published: figures.map(({ line }) => line),
    },
  };
}

/** A column of a table of rows. */
type RowColumn<T> = [name: string, value: (row: T) => unknown];

/** A table of all rows, without its empty columns. */
function tableOf<T>(rows: readonly T[], columns: RowColumn<T>[], caption: string): MimeBundle {
  return tableBundle(
    columns.map(([name]) => ({ name, optional: true })),
    rows.map((row) => columns.map(([, value]) => value(row))),
    caption,
    rows.length,
  );
}

function variantsTable(rows: readonly JournalRow[]): MimeBundle {
  const names = [...new Set(rows.flatMap(({ findings }) => Object.keys(findings)))];
  const findings = names.slice(0, FINDINGS)
    .map((name): RowColumn<JournalRow> => [name, (row) => row.findings[name]]);
  const columns: RowColumn<JournalRow>[] = [
    ["shape", (row) => row.shape],
    ["variant", (row) => row.variant],
    ["ms", (row) => row.time?.median],
    ["GPU ms", (row) => row.gpuTime?.median],
    ["ratio", (row) => row.ratio],
    ["GFLOP/s", (row) => row.gflops],
    ["GB/s", (row) => row.gbps],
    ["error", (row) => row.error],
    ...findings,
    ["threads", (row) => row.threads || null],
    ["note", (row) => row.valid ? row.note : `WRONG: ${row.note}`],
  ];
  const shown = representatives(rows);
  const which = shown.length === rows.length
    ? "Variants"
    : `The fastest of ${rows.length} variants`;
  const hasRatio = rows.some(({ ratio }) => ratio !== null);
  const caption = hasRatio ? `${which}; the ratio is the baseline's time by theirs` : which;
  return tableOf(shown, columns, caption);
}

/** All rows, or, of many, those that are wrong, baselines, and the fastest of each shape. */
export function representatives(rows: readonly JournalRow[]): readonly JournalRow[] {
  if (rows.length <= MOST) return rows;
  const shapes = [...Map.groupBy(rows, ({ shape }) => shape).values()];
  const each = Math.max(2, Math.floor(MOST / shapes.length));
  const kept = new Set(rows.filter((row) => {
    return !row.valid || row.baseline || timeOf(row) === undefined;
  }));
  for (const own of shapes) {
    const timed = own.filter((row) => row.valid && timeOf(row) !== undefined)
      .sort((a, b) => timeOf(a)! - timeOf(b)!);
    for (const row of timed.slice(0, each)) kept.add(row);
  }
  return rows.filter((row) => kept.has(row));
}

function figuresTable({ figures, experiment }: ReplayParts): MimeBundle {
  const isReproduced = figures.some(({ reproduced }) => reproduced !== null);
  return tableOf(figures, [
    ["id", (figure) => figure.experiment_id],
    ["published", (figure) => figure.experiment],
    ["shape", (figure) => figure.shape],
    ["variant", (figure) => figure.variant],
    ["metric", (figure) => figure.metric],
    ["value", (figure) => figure.value],
    ["unit", (figure) => figure.unit],
    ["here", (figure) => figure.reproduced],
    ["status", (figure) => figure.status],
    ["note", (figure) => figure.note],
  ], `Published figures of ${experiment.id}${isReproduced ? "" : ", none of them measured here"}`);
}
