/**
 * Bars in named rows, at places that are known before Vega draws them.
 *
 * @module
 */

import type { ChartOptions } from "../chart.ts";
import { pixelWidth } from "../pixels.ts";
import { labelSize, neutral } from "../theme.ts";
import { Axis } from "./axis.ts";
import { keep, legendOf, namesOf, short, shorten, WIDTH } from "./frame.ts";

/** A bar of a row. */
export interface RowBar {
  group: string;
  name: string;
  /** Its kind, which gives its look. */
  kind: string;
  value: number;
  low?: number | undefined;
  high?: number | undefined;
  /** Beside the bar; by default the value. */
  text?: string | undefined;
}

/** Look of a kind of bars. */
export interface RowKind {
  name: string;
  fill: string;
  stroke: string;
  dash: readonly number[];
  shape: string;
}

/** How bars are drawn. */
export interface RowOptions extends ChartOptions {
  unit: string;
  log?: boolean | undefined;
}

/** Heights in pixels: of a bar, of the gap between names, of a group's name. */
const BAR = 17;
const GAP = 7;
const GROUP = 26;
/** Letters of a name that are shown. */
const NAME_LETTERS = 48;

/** A bar with its place. */
interface Placed extends RowBar {
  top: number;
  bottom: number;
}

/** Text beside the bars. */
interface Heading {
  text: string;
  y: number;
}

/**
 * Bars below each other: those of a name together, those of a group below its name. On a logarithmic axis
 * they are points, because bars would start nowhere.
 *
 * @param bars What is drawn, in order.
 * @param kinds Looks; a legend names two and more.
 * @param options Sizes and unit.
 * @returns The specification, and how wide its title may be.
 */
export function rowSpec(
  bars: readonly RowBar[],
  kinds: readonly RowKind[],
  options: RowOptions,
): { spec: object; titleWidth: number } {
  const { width = WIDTH, log = false } = options;
  const { placed, names, groups, height } = layOut(bars, options.height);
  const ends = bars.flatMap(({ value, low, high }) => [value, low ?? value, high ?? value]);
  // Below 0 the numbers stand to the left, where the names are.
  const room = ends.some((end) => end < 0) ? 0.12 : undefined;
  const axis = new Axis(ends, { title: options.unit, log, zero: true, room });
  const start = log ? axis.domain[0] : 0;
  const values = placed.map(({ kind, value, low, high, text, top, bottom }) => ({
    kind,
    start,
    value: keep(value),
    ...(low === undefined || high === undefined ? {} : { low: keep(low), high: keep(high) }),
    end: keep(value < 0 ? Math.min(value, low ?? value) : Math.max(value, high ?? value)),
    text: text ?? short(value),
    top,
    bottom,
    middle: (top + bottom) / 2,
  }));
  const pixels = (field: string) => ({ field, type: "quantitative", scale: null, axis: null });
  const x = axis.channel("value");
  const legend = legendOf(kinds.map(({ name }) => name), width, true);
  const look = (range: readonly unknown[]) => ({
    field: "kind",
    type: "nominal",
    scale: { domain: kinds.map(({ name }) => name), range },
    legend: legend === null ? null : { ...legend, ...(log ? {} : { symbolType: "square" }) },
  });
  const looks = {
    fill: look(kinds.map(({ fill }) => fill)),
    stroke: look(kinds.map(({ stroke }) => stroke)),
    strokeDash: look(kinds.map(({ dash }) => dash)),
  };
  const aside = (data: readonly Heading[], style: string, x: number, align: string) => ({
    data: { values: data },
    mark: { type: "text", style, align },
    encoding: { x: { value: x }, y: pixels("y"), text: { field: "text" } },
  });
  const layer = [
    ...(log
      ? [
        {
          mark: { type: "rule", color: neutral, style: "stem" },
          encoding: { x: { ...x, field: "start" }, x2: { field: "value" }, y: pixels("middle") },
        },
        {
          mark: { type: "point", size: 80, opacity: 1 },
          encoding: {
            x,
            y: pixels("middle"),
            ...looks,
            shape: look(kinds.map(({ shape }) => shape)),
          },
        },
      ]
      : [{
        mark: { type: "bar", orient: "horizontal" },
        encoding: {
          x,
          x2: { field: "start" },
          y: pixels("top"),
          y2: { field: "bottom" },
          ...looks,
        },
      }]),
    {
      transform: [{ filter: "isValid(datum.low)" }],
      mark: { type: "rule", style: "spread" },
      encoding: { x: { ...x, field: "low" }, x2: { field: "high" }, y: pixels("middle") },
    },
    {
      mark: {
        type: "text",
        style: "label",
        align: { expr: "datum.value < 0 ? 'right' : 'left'" },
        dx: { expr: "datum.value < 0 ? -8 : 8" },
      },
      encoding: { x: { ...x, field: "end" }, y: pixels("middle"), text: { field: "text" } },
    },
    aside(names, "label", -9, "right"),
    ...(groups.length === 0 ? [] : [aside(groups, "group", 2, "left")]),
  ];
  const widest = Math.max(...names.map(({ text }) => pixelWidth(text, labelSize)));
  return { spec: { width, height, data: { values }, layer }, titleWidth: width + widest };
}

/** Places of bars and names, from the top. */
function layOut(
  bars: readonly RowBar[],
  wanted: number | undefined,
): { placed: Placed[]; names: Heading[]; groups: Heading[]; height: number } {
  const placed: Placed[] = [];
  const names: Heading[] = [];
  const groups: Heading[] = [];
  let at = 0;
  for (const group of namesOf(bars, (bar) => bar.group)) {
    if (group !== "") {
      groups.push({ text: shorten(group, 72), y: at + GROUP / 2 });
      at += GROUP;
    }
    const inGroup = bars.filter((bar) => bar.group === group);
    for (const name of namesOf(inGroup, (bar) => bar.name)) {
      const own = inGroup.filter((bar) => bar.name === name);
      names.push({ text: shorten(name, NAME_LETTERS), y: at + GAP / 2 + own.length * BAR / 2 });
      own.forEach((bar, i) => {
        const top = at + GAP / 2 + i * BAR;
        placed.push({ ...bar, top, bottom: top + BAR - 1 });
      });
      at += own.length * BAR + GAP;
    }
  }
  const by = (wanted ?? at) / at;
  const scale = (heading: Heading) => ({ ...heading, y: heading.y * by });
  return {
    placed: placed.map((bar) => ({ ...bar, top: bar.top * by, bottom: bar.bottom * by })),
    names: names.map(scale),
    groups: groups.map(scale),
    height: at * by,
  };
}
