/**
 * What all charts share: title, table, series, short numbers.
 *
 * @module
 */

import { tableBundle } from "../../display.ts";
import { oneLine } from "../../display_cells.ts";
import { Chart, type ChartOptions, type ChartSpec } from "../chart.ts";
import { pixelWidth, wrapText } from "../pixels.ts";
import { config, dashes, labelSize, palette, shapes } from "../theme.ts";

/** Rows of a chart's table. */
const TABLE_ROWS = 40;

/** Letters of a name, of one in the table, and series with a colour each. */
const LETTERS = 48;
const CELL_LETTERS = 96;
const MOST_SERIES = 20;

/** Size of a plot where none is given. */
export const WIDTH = 560;
/** Height of a plot where none is given. */
export const HEIGHT = 320;

/** A chart before it has a title. */
export interface Drawing {
  /** Data, marks and encodings. */
  spec: object;
  /** Pixels that a line of the title may have; by default a plot's width. */
  titleWidth?: number;
  /** Names of the table's columns. */
  columns: readonly string[];
  /** The table's rows; columns without any value are left out. */
  rows: readonly (readonly unknown[])[];
  /** What the subtitle says besides: what was left out, what was found. */
  notes: readonly string[];
}

/** Adds a title and a table to a drawing. */
export function makeChart(options: ChartOptions, drawing: Drawing): Chart {
  const { spec, columns, rows, notes, titleWidth = options.width ?? WIDTH } = drawing;
  const lines = [options.subtitle, ...notes].filter((line) => line !== undefined && line !== "");
  const { fontSize, subtitleFontSize } = config.title;
  const title = {
    text: wrapText(options.title, titleWidth, fontSize),
    ...(lines.length === 0
      ? {}
      : { subtitle: lines.flatMap((line) => wrapText(line!, titleWidth, subtitleFontSize)) }),
  };
  const header = columns.map((name) => ({ name, optional: true }));
  const cells = rows.map((row) => row.map(cell));
  const above = [options.title, ...lines].map((line) => oneLine(line!));
  const { "text/plain": plain } = tableBundle(header, cells, "", TABLE_ROWS);
  const { "text/html": html } = tableBundle(header, cells, above.join("; "), TABLE_ROWS);
  return new Chart({ title, ...spec } as ChartSpec, [...above, plain].join("\n"), {
    html: String(html),
  });
}

function cell(value: unknown): unknown {
  return typeof value === "string" ? shorten(value, CELL_LETTERS) : value;
}

/** A name of at most so many letters. */
export function shorten(name: string, letters: number = LETTERS): string {
  const all = [...name];
  return all.length <= letters ? name : `${all.slice(0, letters - 1).join("")}…`;
}

/** A number with few digits, for labels. */
export function short(value: number): string {
  const size = Math.abs(value);
  if (value === 0) return "0";
  if (size >= 1e12 || size < 1e-4) return value.toExponential(1);
  const unit = [[1e9, "G"], [1e6, "M"], [1e4, "k"]].find(([least]) => size >= Number(least));
  if (unit === undefined) return String(Number(value.toPrecision(size >= 1000 ? 4 : 3)));
  const by = unit[1] === "k" ? 1000 : Number(unit[0]);
  return `${Number((value / by).toPrecision(3))}${unit[1]}`;
}

/** A number as charts keep it: few digits keep them small. */
export function keep(value: number): number {
  return Number(value.toPrecision(5));
}

/**
 * The values that can be drawn, and a note that counts the others.
 *
 * @param values What is to be drawn.
 * @param fits Whether one can be.
 * @param what What they are, for errors.
 * @throws {RangeError} If there are none, or none fits.
 */
export function drawable<T>(
  values: readonly T[],
  fits: (value: T) => boolean,
  what: string,
): { kept: T[]; notes: string[] } {
  if (values.length === 0) throw new RangeError(`Cannot draw the chart: there are no ${what}`);
  const kept = values.filter(fits);
  const left = values.length - kept.length;
  if (kept.length === 0) {
    throw new RangeError(
      `Cannot draw the chart: all ${left} ${what} are NaN, infinite, or not above 0 where they must be`,
    );
  }
  if (left === 0) return { kept, notes: [] };
  return {
    kept,
    notes: [`${left} of ${values.length} ${what} left out: NaN, infinite or too low`],
  };
}

/** Whether a number has a place on an axis. */
export function fits(value: number | undefined, log = false): value is number {
  return value !== undefined && Number.isFinite(value) && (!log || value > 0);
}

/** Names in the order in which they first come. */
export function namesOf<T>(values: readonly T[], name: (value: T) => string): string[] {
  return [...new Set(values.map(name))];
}

/**
 * Points by their series, in the order in which these first come; of many series the first 20.
 *
 * @param points What is drawn.
 * @param notes Where the subtitle's notes are.
 * @returns Names, short and all different, and the points of each.
 */
export function seriesOf<T extends { series: string }>(
  points: readonly T[],
  notes: string[],
): { names: string[]; lines: T[][] } {
  const all = Map.groupBy(points, ({ series }) => series);
  const some = [...all].slice(0, MOST_SERIES);
  if (some.length < all.size) notes.push(`the first ${some.length} of ${all.size} series`);
  return { names: distinct(some.map(([name]) => name)), lines: some.map(([, line]) => line) };
}

/** Names of at most so many letters that are told apart. */
export function distinct(names: readonly string[], letters: number = LETTERS): string[] {
  const taken = new Set<string>();
  return names.map((name) => {
    let free = shorten(name, letters);
    for (let i = 2; taken.has(free); i++) free = `${shorten(name, letters - 6)} (${i})`;
    taken.add(free);
    return free;
  });
}

/** Encodings of a field of series. */
export interface SeriesEncoding {
  /** Colour, with a legend below the plot. */
  color: object;
  /** Mark, in the same legend. */
  shape: object;
  /** Dash, which the legend does not show. */
  strokeDash: object;
}

/**
 * Encodings that tell series apart by colour, mark and dash.
 *
 * @param field The field.
 * @param names Of the series; a legend names two and more.
 * @param width Of the plot.
 */
export function encodeSeries(
  field: string,
  names: readonly string[],
  width: number,
): SeriesEncoding {
  const legend = legendOf(names, width);
  // A round of colours later the marks are shifted by one, so that no pair comes twice.
  const channel = (range: readonly unknown[], shift: boolean, legend: object | null) => ({
    field,
    type: "nominal",
    scale: {
      domain: names,
      range: names.map((_, i) =>
        range[(i + (shift ? Math.floor(i / range.length) : 0)) % range.length]
      ),
    },
    legend,
  });
  return {
    color: channel(palette, false, legend),
    shape: channel(shapes, true, legend),
    strokeDash: channel(dashes, true, legend),
  };
}

/**
 * A legend below the plot, in columns that fit; none for one name.
 *
 * @param names What it names.
 * @param width Of the plot.
 * @param edges Whether its marks have edges.
 */
export function legendOf(names: readonly string[], width: number, edges = false): object | null {
  if (names.length < 2) return null;
  const widest = Math.max(...names.map((name) => pixelWidth(name, labelSize)));
  const columns = Math.max(1, Math.min(names.length, Math.floor(width / (widest + 36))));
  return {
    orient: "bottom",
    direction: "horizontal",
    columns,
    title: null,
    symbolOpacity: 1,
    symbolSize: 80,
    // Marks without an edge: it would have the dash of the line.
    symbolStrokeWidth: edges ? 1.5 : 0,
  };
}

/** At most so many values, spread evenly, the first and the last among them. */
export function thin<T>(values: readonly T[], most: number): readonly T[] {
  if (values.length <= most) return values;
  return Array.from({ length: most }, (_, i) => {
    return values[Math.round(i * (values.length - 1) / (most - 1))]!;
  });
}
