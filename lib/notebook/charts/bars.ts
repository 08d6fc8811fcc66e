/**
 * Amounts side by side.
 *
 * @module
 */

import type { Chart, ChartOptions } from "../chart.ts";
import { dashes, palette, shapes } from "../theme.ts";
import { drawable, fits, makeChart, namesOf, short, shorten } from "./frame.ts";
import { rowSpec } from "./rows.ts";

/** One amount. */
export interface Bar {
  /** What it is of; bars of one name stand together. */
  name: string;
  /** The amount. */
  value: number;
  /** Lower end of its spread. */
  low?: number | undefined;
  /** Upper end of its spread. */
  high?: number | undefined;
  /** Names of a group stand together below its name. */
  group?: string | undefined;
  /** Its kind: kinds have a colour each, and a legend names them. */
  color?: string | undefined;
}

/** How {@linkcode barChart} draws. */
export interface BarOptions extends ChartOptions {
  /** Unit of the amounts, which is the axis's title. */
  unit: string;
  /** Whether the axis is logarithmic: amounts are points then, because bars would start nowhere. */
  log?: boolean | undefined;
}

/** Bars that are drawn; all are in the table's count. */
const MOST_BARS = 60;

/**
 * Horizontal bars with their numbers, in the order given.
 *
 * @param bars What is drawn, at most 60; those that are NaN or infinite, or not above 0 on a logarithmic
 * axis, are left out and counted in the subtitle.
 * @param options Title, sizes and unit.
 * @throws {RangeError} If there are no bars that can be drawn.
 *
 * @example
 * ```ts
 * import { barChart } from "@metalfaiss/metalfaiss/notebook";
 * import assert from "node:assert/strict";
 *
 * const chart = barChart([
 *   { name: "naive", value: 15.4, low: 14.9, high: 17.2 },
 *   { name: "tiled", value: 7.1, low: 6.9, high: 7.4 },
 * ], { title: "Time of one call", unit: "ms" });
 * assert.match(chart.text, /tiled +7.1 +6.9 +7.4/);
 * ```
 */
export function barChart(bars: readonly Bar[], options: BarOptions): Chart {
  const { unit, log } = options;
  const { kept, notes } = drawable(bars, ({ value }) => fits(value, log), "bars");
  const drawn = kept.slice(0, MOST_BARS);
  if (drawn.length < kept.length) notes.push(`the first ${MOST_BARS} of ${kept.length} bars`);
  const names = namesOf(drawn, ({ color }) => shorten(color ?? ""));
  const kinds = names.map((name, i) => {
    const color = palette[i % palette.length]!;
    const round = Math.floor(i / palette.length);
    return {
      name,
      // A round of colours later they are pale, with dashed edges.
      fill: round === 0 ? color : `${color}55`,
      stroke: color,
      dash: dashes[round % dashes.length]!,
      shape: shapes[i % shapes.length]!,
    };
  });
  const rows = drawn.map(({ name, value, low, high, group = "", color = "" }) => ({
    name,
    group,
    kind: shorten(color),
    value,
    ...(fits(low, log) && fits(high, log) ? { low, high } : {}),
    // Kinds are named where they stand, so that colour is not all there is.
    text: names.length > 1 && color !== ""
      ? `${short(value)} · ${shorten(color, 24)}`
      : short(value),
  }));
  return makeChart(options, {
    ...rowSpec(rows, kinds, options),
    columns: ["group", "name", "kind", unit, "low", "high"],
    rows: kept.map(({ group, name, color, value, low, high }) => {
      return [group, name, color, value, low, high];
    }),
    notes,
  });
}
