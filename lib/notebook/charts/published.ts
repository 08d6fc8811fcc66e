/**
 * What was published beside what came out here.
 *
 * @module
 */

import type { Chart, ChartOptions } from "../chart.ts";
import { dashes, palette, shapes } from "../theme.ts";
import { drawable, fits, makeChart, short } from "./frame.ts";
import { type RowKind, rowSpec } from "./rows.ts";

/** A figure, as published and as reproduced. */
export interface PublishedBar {
  /** What it is of. */
  name: string;
  /** Figures of a group stand together below its name. */
  group?: string | undefined;
  /** What was published. */
  published?: number | undefined;
  /** What came out here. */
  reproduced?: number | undefined;
  /** Whether the published figure can be right: `valid`, `disputed`, `invalid`, `claim` or `target`. */
  status?: string | undefined;
}

/** How {@linkcode publishedChart} draws. */
export interface PublishedOptions extends ChartOptions {
  /** Unit of the figures, which is the axis's title. */
  unit: string;
  /** Whether the axis is logarithmic: figures are points then, because bars would start nowhere. */
  log?: boolean | undefined;
}

/** Figures that are drawn. */
const MOST_FIGURES = 40;

/**
 * Published figures beside those of this machine. Figures that are not `valid` are pale with a dashed edge,
 * and the legend and the bar name their status.
 *
 * @param bars The figures; what is neither published nor reproduced as a finite number is left out and
 * counted in the subtitle.
 * @param options Title, sizes and unit.
 * @throws {RangeError} If there are none that can be drawn.
 *
 * @example
 * ```ts
 * import { publishedChart } from "@metalfaiss/metalfaiss/notebook";
 * import assert from "node:assert/strict";
 *
 * const chart = publishedChart([
 *   { name: "tiled", published: 0.047, reproduced: 0.031 },
 *   { name: "probe v5", published: 0.0002, reproduced: 0.029, status: "invalid" },
 * ], { title: "Published beside reproduced", unit: "ms" });
 * assert.match(await chart.toSvg(), /published, invalid/);
 * ```
 */
export function publishedChart(bars: readonly PublishedBar[], options: PublishedOptions): Chart {
  const { unit, log } = options;
  const { kept, notes } = drawable(
    bars,
    ({ published, reproduced }) => fits(published, log) || fits(reproduced, log),
    "figures",
  );
  const drawn = kept.slice(0, MOST_FIGURES);
  if (drawn.length < kept.length) notes.push(`the first ${MOST_FIGURES} of ${kept.length} figures`);
  const rows = drawn.flatMap(({ name, group = "", published, reproduced, status = "valid" }) => {
    const isValid = status === "valid";
    return [
      ...(fits(published, log)
        ? [{
          name,
          group,
          kind: isValid ? "published" : `published, ${status}`,
          value: published,
          text: isValid ? short(published) : `${short(published)} · ${status}`,
        }]
        : []),
      ...(fits(reproduced, log)
        ? [{ name, group, kind: "reproduced here", value: reproduced, text: short(reproduced) }]
        : []),
    ];
  });
  const used = [...new Set(rows.map(({ kind }) => kind))].sort();
  return makeChart(options, {
    ...rowSpec(rows, used.map(lookOf), options),
    columns: ["group", "name", `published, ${unit}`, `reproduced, ${unit}`, "status"],
    rows: kept.map(({ group, name, published, reproduced, status }) => {
      return [group, name, published, reproduced, status];
    }),
    notes,
  });
}

function lookOf(name: string): RowKind {
  const isOurs = name === "reproduced here";
  const isPale = name.startsWith("published, ");
  const color = palette[isOurs ? 1 : 0]!;
  return {
    name,
    fill: isPale ? `${color}33` : color,
    stroke: color,
    dash: dashes[isPale ? 1 : 0]!,
    shape: shapes[isOurs ? 1 : 0]!,
  };
}
