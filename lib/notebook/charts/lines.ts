/**
 * Lines, and where they cross.
 *
 * @module
 */

import type { Chart, ChartOptions } from "../chart.ts";
import { neutral } from "../theme.ts";
import { Axis } from "./axis.ts";
import { crossovers } from "./crossover.ts";
import { drawable, encodeSeries, fits, HEIGHT, keep, makeChart } from "./frame.ts";
import { seriesOf, short, shorten, WIDTH } from "./frame.ts";

/** One point of one line. */
export interface LinePoint {
  /** The line. */
  series: string;
  /** What varies. */
  x: number;
  /** What was measured. */
  y: number;
  /** Lower end of its spread. */
  low?: number | undefined;
  /** Upper end of its spread. */
  high?: number | undefined;
}

/** How {@linkcode lineChart} draws. */
export interface LineOptions extends ChartOptions {
  /** Title of the x axis, with its unit. */
  x: string;
  /** Title of the y axis, with its unit. */
  y: string;
  /** Whether x is logarithmic. */
  logX?: boolean | undefined;
  /** Whether y is logarithmic. */
  logY?: boolean | undefined;
  /** Whether to look where the first two lines cross; true by default. */
  crossover?: boolean | undefined;
}

/** Points of all lines that are drawn, and points of a line up to which each has a mark. */
const MOST_POINTS = 600;
const MOST_MARKS = 40;

/**
 * A line a series, in the order of x, with bands for spreads. The first two lines are compared: rules mark
 * where they cross, between points as straight lines on logarithmic axes, and the subtitle says where, or
 * that they do not.
 *
 * @param points What was measured, in any order; points that are NaN or infinite, or not above 0 on a
 * logarithmic axis, are left out and counted in the subtitle. Of many points the extremes are drawn.
 * @param options Title, sizes and axes.
 * @throws {RangeError} If there are no points that can be drawn.
 *
 * @example
 * ```ts
 * import { lineChart } from "@metalfaiss/metalfaiss/notebook";
 * import assert from "node:assert/strict";
 *
 * const chart = lineChart([
 *   { series: "naive", x: 1, y: 1 },
 *   { series: "naive", x: 100, y: 100 },
 *   { series: "tiled", x: 1, y: 10 },
 *   { series: "tiled", x: 100, y: 10 },
 * ], { title: "Where tiles begin to pay", x: "rows", y: "ms", logX: true, logY: true });
 * assert.match(chart.text, /naive and tiled cross at 10 \(rows\)/);
 * ```
 */
export function lineChart(points: readonly LinePoint[], options: LineOptions): Chart {
  const { width = WIDTH, height = HEIGHT, logX = false, logY = false } = options;
  const { kept, notes } = drawable(points, ({ x, y }) => fits(x, logX) && fits(y, logY), "points");
  const { names, lines } = seriesOf(kept, notes);
  for (const line of lines) line.sort((a, b) => a.x - b.x);
  const most = Math.max(4, Math.floor(MOST_POINTS / lines.length));
  const drawn = lines.map((line) => thinLine(line, most));
  const values = drawn.flatMap((line, i) =>
    line.map(({ x, y, low, high }) => ({
      series: names[i]!,
      x: keep(x),
      y: keep(y),
      ...(fits(low, logY) && fits(high, logY) ? { low: keep(low), high: keep(high) } : {}),
    }))
  );
  const measured = lines.flat().length;
  if (values.length < measured) notes.push(`${values.length} of ${measured} points drawn`);
  const x = new Axis(values.map((value) => value.x), { title: options.x, log: logX });
  const y = new Axis(values.flatMap(({ y, low, high }) => [y, low ?? y, high ?? y]), {
    title: options.y,
    log: logY,
    zero: true,
  });
  const crosses = lines.length < 2 || options.crossover === false
    ? undefined
    : crossovers(lines[0]!, lines[1]!);
  if (crosses !== undefined) {
    const [first, second] = names.map((name) => shorten(name, 32));
    const at = crosses.slice(0, 3).map(({ x }) => short(x)).join(", ");
    const more = crosses.length > 3 ? ` and ${crosses.length - 3} more` : "";
    notes.push(
      crosses.length === 0
        ? `${first} and ${second} do not cross here`
        : `${first} and ${second} cross at ${at}${more} (${shorten(options.x, 32)})`,
    );
  }
  const encode = encodeSeries("series", names, width);
  const rules = (crosses ?? []).slice(0, 3).map(({ x }) => ({ x: keep(x), text: short(x) }));
  const hasMarks = drawn.every((line) => line.length <= MOST_MARKS);
  const spec = {
    width,
    height,
    data: { values },
    encoding: { x: x.channel("x") },
    layer: [
      ...(values.some((value) => "low" in value)
        ? [{
          transform: [{ filter: "isValid(datum.low)" }],
          mark: { type: "area", opacity: 0.2 },
          encoding: {
            y: y.channel("low"),
            y2: { field: "high" },
            color: encode.color,
          },
        }]
        : []),
      {
        mark: { type: "line", strokeWidth: 2 },
        encoding: { y: y.channel("y"), color: encode.color, strokeDash: encode.strokeDash },
      },
      {
        // Of many points none has a mark, but the legend shows these.
        mark: { type: "point", filled: true, size: hasMarks ? 50 : 0, opacity: 1 },
        encoding: { y: y.channel("y"), color: encode.color, shape: encode.shape },
      },
      ...(rules.length === 0 ? [] : [
        { data: { values: rules }, mark: { type: "rule", color: neutral, style: "stem" } },
        {
          data: { values: rules },
          mark: { type: "text", style: "label", align: "left", dx: 4, dy: 8 },
          encoding: { y: { value: 0 }, text: { field: "text" } },
        },
      ]),
    ],
  };
  const columns = ["series", options.x, options.y, "low", "high"];
  const rows = values.map(({ series, x, y, low, high }) => [series, x, y, low, high]);
  return makeChart(options, { spec, columns, rows, notes });
}

/** Of each stretch of a long line its lowest and its highest point, so that no peak is lost. */
function thinLine<T extends { y: number }>(line: readonly T[], most: number): readonly T[] {
  if (line.length <= most) return line;
  const stretches = Math.max(1, Math.floor((most - 2) / 2));
  const inner = line.slice(1, -1);
  const kept = Array.from({ length: stretches }, (_, i) => {
    const from = Math.floor(i * inner.length / stretches);
    const to = Math.floor((i + 1) * inner.length / stretches);
    let [low, high] = [from, from];
    for (let at = from; at < to; at++) {
      if (inner[at]!.y < inner[low]!.y) low = at;
      if (inner[at]!.y > inner[high]!.y) high = at;
    }
    return [...new Set([Math.min(low, high), Math.max(low, high)])].map((at) => inner[at]!);
  });
  return [line[0]!, ...kept.flat(), line.at(-1)!];
}
