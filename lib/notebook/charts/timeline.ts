/**
 * What ran when.
 *
 * @module
 */

import type { Mark, Span } from "../../profile/timeline.ts";
import type { Chart, ChartOptions } from "../chart.ts";
import { pixelWidth } from "../pixels.ts";
import { amounts, labelSize, palette } from "../theme.ts";
import { Axis } from "./axis.ts";
import { drawable, fits, keep, legendOf, makeChart, namesOf, shorten, WIDTH } from "./frame.ts";
import { placeLabels } from "./labels.ts";

const KINDS: readonly Span["kind"][] = ["host", "queue", "gpu"];
/** Spans that are drawn: the longest; and lanes. */
const MOST_SPANS = 300;
const MOST_LANES = 24;
/** Heights in pixels: of a bar, and of the gap between lanes. */
const BAR = 18;
const GAP = 8;

/** A span with its place. */
interface Placed extends Span {
  lane: string;
  top: number;
}

/**
 * Spans as bars on lanes, a lane a track and kind; what overlaps on a lane stands below each other. Rules
 * are marks, on their track.
 *
 * @param spans Of a `Timeline`; those without a finite begin and end are left out and counted in the
 * subtitle. Of many the 300 longest are drawn.
 * @param marks Of the same.
 * @param options Title and sizes.
 * @throws {RangeError} If there are no spans that can be drawn.
 *
 * @example
 * ```ts
 * import { timelineChart } from "@metalfaiss/metalfaiss/notebook";
 * import { Timeline } from "@metalfaiss/metalfaiss/profile";
 * import assert from "node:assert/strict";
 *
 * const timeline = new Timeline();
 * await timeline.span("think", () => Math.hypot(3, 4));
 * timeline.mark("thought");
 * const chart = timelineChart(await timeline.finish(), timeline.marks, { title: "The host" });
 * assert.match(await chart.toSvg(), /thought/);
 * ```
 */
export function timelineChart(
  spans: readonly Span[],
  marks: readonly Mark[],
  options: ChartOptions,
): Chart {
  const { width = WIDTH } = options;
  const { kept, notes } = drawable(
    spans,
    ({ start, end }) => fits(start) && fits(end) && end >= start,
    "spans",
  );
  const longest = kept.toSorted((a, b) => b.end - b.start - (a.end - a.start));
  const some = new Set(longest.slice(0, MOST_SPANS));
  if (kept.length > MOST_SPANS) notes.push(`the ${MOST_SPANS} longest of ${kept.length} spans`);
  const { placed, lanes, height, left } = layOut(kept.filter((span) => some.has(span)));
  if (left > 0) notes.push(`${left} more lanes`);
  const by = (options.height ?? height) / height;
  const onTracks = marks.filter(({ at, track }) =>
    fits(at) && lanes.some((l) => l.track === track)
  );
  const axis = new Axis(
    [...placed.flatMap((s) => [s.start, s.end]), ...onTracks.map((m) => m.at)],
    {
      title: "ms",
    },
  );
  const pixels = (at: number) => axis.part(at) * width;
  const values = placed.map(({ name, kind, start, end, top }) => ({
    kind,
    start: keep(start),
    end: keep(end),
    top: top * by,
    bottom: (top + BAR) * by,
    middle: (top + BAR / 2) * by,
    ...(pixelWidth(name, labelSize) + 6 <= pixels(end) - pixels(start) ? { text: name } : {}),
  }));
  const rules = onTracks.map(({ name, track, at }) => {
    const own = lanes.filter((lane) => lane.track === track);
    return { name, at: keep(at), top: own[0]!.top * by, bottom: own.at(-1)!.bottom * by };
  });
  // Names of marks stand in the gap below their track.
  const places = placeLabels(
    rules.map(({ name, at, bottom }) => ({
      x: pixels(at),
      y: bottom + 2,
      text: shorten(name, 20),
    })),
    [],
    width,
    Infinity,
  );
  const named = rules.flatMap((rule, i) => {
    const place = places[i];
    return place
      ? [{ ...rule, name: shorten(rule.name, 20), align: place.align, dx: Math.sign(place.dx) * 4 }]
      : [];
  });
  const kinds = KINDS.filter((kind) => values.some((value) => value.kind === kind));
  const y = (field: string) => ({ field, type: "quantitative", scale: null, axis: null });
  const spec = {
    width,
    height: height * by,
    data: { values },
    encoding: { x: axis.channel("start") },
    layer: [
      {
        mark: { type: "rect", style: "span" },
        encoding: {
          x2: { field: "end" },
          y: y("top"),
          y2: { field: "bottom" },
          fill: {
            field: "kind",
            type: "nominal",
            scale: { domain: kinds, range: kinds.map((kind) => palette[KINDS.indexOf(kind)]) },
            legend: legendOf(kinds, width),
          },
        },
      },
      {
        transform: [{ filter: "isValid(datum.text)" }],
        mark: {
          type: "text",
          align: "left",
          baseline: "middle",
          dx: 4,
          fontSize: labelSize,
          color: amounts.onDark,
        },
        encoding: { y: y("middle"), text: { field: "text" } },
      },
      ...(rules.length === 0 ? [] : [{
        data: { values: rules },
        mark: { type: "rule", style: "spread", strokeDash: [3, 2] },
        encoding: { x: axis.channel("at"), y: y("top"), y2: { field: "bottom" } },
      }, {
        data: { values: named },
        mark: {
          type: "text",
          style: "label",
          align: { expr: "datum.align" },
          dx: { expr: "datum.dx" },
        },
        encoding: { x: axis.channel("at"), y: y("bottom"), text: { field: "name" } },
      }]),
      {
        data: {
          values: lanes.map(({ name, top, bottom }) => ({ name, y: (top + bottom) / 2 * by })),
        },
        mark: { type: "text", style: "label", align: "right" },
        encoding: { x: { value: -9 }, y: y("y"), text: { field: "name" } },
      },
    ],
  };
  const rows = placed.map(({ lane, name, start, end }) => [lane, name, keep(start), keep(end)]);
  const columns = ["lane", "span", "start, ms", "end, ms"];
  const widest = Math.max(...lanes.map(({ name }) => pixelWidth(name, labelSize)));
  return makeChart(options, { spec, titleWidth: width + widest, columns, rows, notes });
}

/** Lanes from the top, each as high as its overlaps ask for. */
function layOut(spans: readonly Span[]): {
  placed: Placed[];
  lanes: { name: string; track: string; top: number; bottom: number }[];
  height: number;
  left: number;
} {
  const placed: Placed[] = [];
  const lanes: { name: string; track: string; top: number; bottom: number }[] = [];
  let [top, left] = [GAP / 2, 0];
  for (const track of namesOf(spans, (span) => span.track)) {
    for (const kind of KINDS) {
      const own = spans.filter((span) => span.track === track && span.kind === kind);
      if (own.length === 0) continue;
      if (lanes.length === MOST_LANES) {
        left++;
        continue;
      }
      const name = track === kind ? track : `${shorten(track, 32)} · ${kind}`;
      const ends: number[] = [];
      for (const span of own.toSorted((a, b) => a.start - b.start)) {
        const free = ends.findIndex((end) => end <= span.start);
        const row = free < 0 ? ends.length : free;
        ends[row] = span.end;
        placed.push({ ...span, lane: name, top: top + row * (BAR + 1) });
      }
      const bottom = top + ends.length * (BAR + 1);
      lanes.push({ name, track, top, bottom });
      top = bottom + GAP;
    }
    // Room for the names of marks.
    top += GAP;
  }
  return { placed, lanes, height: top, left };
}
