/**
 * Amounts over two settings.
 *
 * @module
 */

import type { Chart, ChartOptions } from "../chart.ts";
import { pixelWidth } from "../pixels.ts";
import { amounts, labelSize } from "../theme.ts";
import { ends } from "./axis.ts";
import { distinct, drawable, fits, keep, makeChart, namesOf, short, thin } from "./frame.ts";
import { WIDTH } from "./frame.ts";

/** The amount of one pair of settings. */
export interface HeatmapCell {
  /** First setting. */
  x: string | number;
  /** Second setting. */
  y: string | number;
  /** The amount. */
  value: number;
}

/** How {@linkcode heatmap} draws. */
export interface HeatmapOptions extends ChartOptions {
  /** Name of the first setting. */
  x: string;
  /** Name of the second setting. */
  y: string;
  /** Unit of the amounts. */
  unit: string;
}

/** Cells up to which each has its number in it, and settings of each kind that are drawn. */
const MOST_LABELS = 180;
const MOST_SETTINGS = 28;
/** Pixels of the legend of amounts. */
const LEGEND = 70;
/** Pixels of a line of the title, where the grid is narrow. */
const TITLE_WIDTH = 420;

/**
 * A grid of colours, with the numbers in it; numbers are sorted, names stay in order.
 *
 * @param cells The grid, in any order. Pairs that are missing stay empty, as do those that are NaN or
 * infinite, which the subtitle counts. Of more than 28 settings 28 are drawn, spread evenly.
 * @param options Title, sizes and names.
 * @throws {RangeError} If there are no cells that can be drawn, or two of one place.
 *
 * @example
 * ```ts
 * import { heatmap } from "@metalfaiss/metalfaiss/notebook";
 * import assert from "node:assert/strict";
 *
 * const chart = heatmap([
 *   { x: 8, y: 8, value: 3.1 },
 *   { x: 16, y: 8, value: 2.4 },
 *   { x: 8, y: 16, value: 2.2 },
 *   { x: 16, y: 16, value: 1.9 },
 * ], { title: "Time by tile", x: "tile n", y: "tile m", unit: "ms" });
 * assert.match(await chart.toSvg(), /tile m/);
 * ```
 */
export function heatmap(cells: readonly HeatmapCell[], options: HeatmapOptions): Chart {
  const { kept, notes } = drawable(cells, ({ value }) => fits(value), "cells");
  const seen = new Set<string>();
  for (const { x, y } of kept) {
    const place = JSON.stringify([String(x), String(y)]);
    if (seen.has(place)) {
      throw new RangeError(`Cannot draw the chart: two cells are at ${x} × ${y}`);
    }
    seen.add(place);
  }
  const [xs, ys] = [ordered(cells.map(({ x }) => x)), ordered(cells.map(({ y }) => y))];
  const drawn = kept.filter(({ x, y }) => xs.includes(String(x)) && ys.includes(String(y)));
  if (drawn.length < kept.length) notes.push(`${drawn.length} of ${kept.length} cells drawn`);
  // Two settings of one short name would be one place.
  const [across, down] = [distinct(xs, 24), distinct(ys, 32)];
  const widest = Math.max(...across.map((name) => pixelWidth(name, labelSize)));
  const cell = Math.max(60, Math.min(120, widest + 14));
  const { width = Math.min(WIDTH, xs.length * cell) } = options;
  const { height = Math.min(480, ys.length * 32) } = options;
  const [low, high] = ends(drawn.map(({ value }) => value));
  const cellWidth = width / xs.length;
  const values = drawn.map(({ x, y, value }) => ({
    x: across[xs.indexOf(String(x))],
    y: down[ys.indexOf(String(y))],
    value: keep(value),
    ...(drawn.length <= MOST_LABELS ? { text: short(value) } : {}),
  }));
  const hasLabels = values.every(({ text }) => {
    return text !== undefined && pixelWidth(text, labelSize) <= cellWidth;
  });
  const isTight = widest > cellWidth - 4;
  const spec = {
    width,
    height,
    data: { values },
    encoding: {
      x: {
        ...{ field: "x", type: "ordinal", sort: across, title: options.x },
        axis: isTight ? { labelAngle: -40, labelOverlap: false } : { labelAngle: 0 },
      },
      y: {
        ...{ field: "y", type: "ordinal", sort: down, title: options.y },
        axis: { labelOverlap: false },
      },
    },
    layer: [
      {
        mark: { type: "rect" },
        encoding: {
          color: {
            field: "value",
            type: "quantitative",
            title: options.unit,
            scale: {
              scheme: amounts.scheme,
              domain: low < high ? [keep(low), keep(high)] : [keep(low) - 1, keep(low) + 1],
              zero: false,
              nice: false,
            },
            legend: { gradientLength: Math.max(60, Math.min(height, 200)), format: ".3~s" },
          },
        },
      },
      ...(hasLabels
        ? [{
          mark: { type: "text", fontSize: labelSize },
          encoding: {
            text: { field: "text" },
            color: {
              condition: {
                test: `datum.value < ${keep((low + high) / 2)}`,
                value: amounts.onDark,
              },
              value: amounts.onLight,
            },
          },
        }]
        : []),
    ],
  };
  return makeChart(options, {
    spec,
    titleWidth: Math.max(TITLE_WIDTH, width + LEGEND),
    columns: [options.x, options.y, options.unit],
    rows: kept.map(({ x, y, value }) => [x, y, keep(value)]),
    notes,
  });
}

/** Settings by size, or as they come. */
function ordered(values: readonly (string | number)[]): readonly string[] {
  const areNumbers = values.every((value) => typeof value === "number");
  const sorted = areNumbers ? values.toSorted((a, b) => Number(a) - Number(b)) : values;
  return thin(namesOf(sorted, String), MOST_SETTINGS);
}
