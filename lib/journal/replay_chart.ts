/**
 * The chart of a replay.
 *
 * @module
 */

import { Chart, type ChartSpec } from "../notebook/chart.ts";
import { barChart } from "../notebook/charts/bars.ts";
import { publishedChart } from "../notebook/charts/published.ts";
import type { JournalRow } from "./experiment.ts";
import type { Figure } from "./figures.ts";
import type { ReplayParts } from "./replay.ts";
import { representatives } from "./replay_display.ts";
import { timingOf } from "./verdict.ts";

/** Figures in a chart. */
const MOST = 40;

/**
 * Bars of an experiment: published figures beside those here, else what the variants took, else what was
 * published; a line of text where there is nothing of all that.
 */
export function replayChart(replay: ReplayParts): Chart {
  const { experiment: { id, title }, verdict, figures, device, size } = replay;
  const about = { title: `${id}: ${title}`, subtitle: `${device}, ${size} size` };
  const timed = representatives(replay.rows).filter((row) => row.valid && timingOf(row) !== null);
  if (figures.some(({ reproduced }) => reproduced !== null)) return besideFigures(figures, about);
  if (timed.length > 0) return variantBars(timed, about);
  if (figures.length > 0) return besideFigures(figures, about);
  const text = verdict.text;
  const spec = {
    title: { text: about.title, subtitle: about.subtitle },
    data: { values: [{ text }] },
    mark: { type: "text", align: "left", fontSize: 12, limit: 800 },
    encoding: { text: { field: "text" }, x: { value: 0 } },
  };
  return new Chart(spec as ChartSpec, [about.title, about.subtitle, text].join("\n"));
}

/** Figures of the unit that most of them have. */
function besideFigures(
  figures: readonly Figure[],
  about: { title: string; subtitle: string },
): Chart {
  const kinds = [...Map.groupBy(figures, ({ metric, unit }) => `${unit} ${metric.split(" ")[0]}`)]
    .map(([, own]) => own).sort((a, b) => found(b) - found(a) || b.length - a.length);
  const [most] = kinds;
  const { unit } = most![0]!;
  const shown = [...most!].sort((a, b) =>
    Number(b.reproduced !== null) - Number(a.reproduced !== null)
  )
    .slice(0, MOST);
  const bars = most!.filter((figure) => shown.includes(figure)).map((figure) => ({
    name: `${figure.variant}${figure.metric.includes(" ") ? `, ${figure.metric}` : ""}`,
    group: [figure.experiment_id, figure.shape].filter(Boolean).join(", "),
    published: figure.value,
    status: figure.status,
    ...(figure.reproduced === null ? {} : { reproduced: figure.reproduced }),
  }));
  return publishedChart(bars, { ...about, unit });
}

function found(figures: readonly Figure[]): number {
  return figures.filter(({ reproduced }) => reproduced !== null).length;
}

function variantBars(
  rows: readonly JournalRow[],
  about: { title: string; subtitle: string },
): Chart {
  const bars = rows.map((row) => {
    const { median, p10, p90 } = timingOf(row)!;
    return {
      ...{ name: row.variant, group: row.shape, value: median, low: p10, high: p90 },
      color: row.baseline ? "baseline" : "variant",
    };
  });
  const clocks = new Set(rows.map(({ clock }) => clock));
  return barChart(bars, { ...about, unit: clocks.has("host") ? "ms" : "ms on the GPU" });
}
