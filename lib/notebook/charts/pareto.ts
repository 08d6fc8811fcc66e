/**
 * Recall against speed.
 *
 * @module
 */

import type { Chart, ChartOptions } from "../chart.ts";
import { neutral } from "../theme.ts";
import { Axis } from "./axis.ts";
import { drawable, encodeSeries, fits, HEIGHT, keep, makeChart } from "./frame.ts";
import { seriesOf, shorten, thin, WIDTH } from "./frame.ts";
import { labelMark, placeLabels } from "./labels.ts";

/** One setting of one method. */
export interface ParetoPoint {
  /** The method. */
  series: string;
  /** Part of the true neighbours that were found, from 0 to 1. */
  recall: number;
  /** Queries a second. */
  qps: number;
  /** The setting. */
  label?: string | undefined;
}

/** How {@linkcode paretoChart} draws. */
export interface ParetoOptions extends ChartOptions {
  /** Title of the recall's axis; `Recall@10` says of how many. */
  recallLabel?: string | undefined;
}

/** Points of all methods that are drawn. */
const MOST_POINTS = 400;

/**
 * Points that no other beats: none has more recall and is as fast, or is faster at as much recall.
 *
 * @param points Settings that were measured.
 * @returns The front, by recall; of equal points the first.
 *
 * @example
 * ```ts
 * import { paretoFront } from "@metalfaiss/metalfaiss/notebook";
 * import assert from "node:assert/strict";
 *
 * const front = paretoFront([
 *   { recall: 0.5, qps: 900 },
 *   { recall: 0.5, qps: 800 },
 *   { recall: 0.9, qps: 100 },
 * ]);
 * assert.deepEqual(front.map(({ qps }) => qps), [900, 100]);
 * ```
 */
export function paretoFront<T extends { recall: number; qps: number }>(points: readonly T[]): T[] {
  const front: T[] = [];
  let fastest = -Infinity;
  for (const point of points.toSorted((a, b) => b.recall - a.recall || b.qps - a.qps)) {
    if (!(point.qps > fastest)) continue;
    fastest = point.qps;
    front.push(point);
  }
  return front.reverse();
}

/**
 * Speed over recall, a line a method: up and to the right is better. A grey band joins the points that
 * no other beats. Labels that would lie on another are only in the table.
 *
 * @param points Settings that were measured; those without a finite recall and a speed above 0 are
 * left out and counted in the subtitle.
 * @param options Title, sizes and the name of the recall.
 * @throws {RangeError} If there are no points that can be drawn.
 *
 * @example
 * ```ts
 * import { paretoChart } from "@metalfaiss/metalfaiss/notebook";
 * import assert from "node:assert/strict";
 *
 * const chart = paretoChart([
 *   { series: "IVF64,Flat", recall: 0.71, qps: 52_000, label: "nprobe 1" },
 *   { series: "IVF64,Flat", recall: 0.98, qps: 9_000, label: "nprobe 8" },
 *   { series: "Flat", recall: 1, qps: 1_500 },
 * ], { title: "Recall against speed", recallLabel: "Recall@10" });
 * assert.match(await chart.toSvg(), /nprobe 8/);
 * ```
 */
export function paretoChart(points: readonly ParetoPoint[], options: ParetoOptions): Chart {
  const { kept, notes } = drawable(
    points,
    ({ recall, qps }) => fits(recall) && fits(qps, true),
    "points",
  );
  const { width = WIDTH, height = HEIGHT, recallLabel = "Recall" } = options;
  const { names, lines: all } = seriesOf(kept, notes);
  const most = Math.floor(MOST_POINTS / all.length);
  const lines = all.map((line) =>
    thin(line.sort((a, b) => a.recall - b.recall || b.qps - a.qps), most)
  );
  const drawn = lines.flat();
  const measured = all.flat().length;
  if (drawn.length < measured) notes.push(`${drawn.length} of ${measured} points drawn`);
  const x = new Axis(drawn.map(({ recall }) => recall), { title: recallLabel, room: 0.08 });
  const y = new Axis(drawn.map(({ qps }) => qps), {
    title: "Queries per second",
    log: true,
    room: 0.08,
  });
  const at = ({ recall, qps }: { recall: number; qps: number }) => ({
    x: x.part(recall) * width,
    y: (1 - y.part(qps)) * height,
  });
  const anchors = drawn.map((point) => ({ ...at(point), text: shorten(point.label ?? "", 24) }));
  const places = placeLabels(anchors, lines.map((line) => line.map(at)), width, height);
  const nameOf = new Map(lines.flatMap((line, i) => line.map((point) => [point, names[i]!])));
  const values = drawn.map((point, i) => ({
    series: nameOf.get(point),
    recall: keep(point.recall),
    qps: keep(point.qps),
    ...(places[i] ? { text: anchors[i]!.text, ...places[i] } : {}),
  }));
  const front = paretoFront(drawn);
  const encode = encodeSeries("series", names, width);
  const hasFront = names.length > 1 && front.length > 1;
  const spec = {
    width,
    height,
    data: { values },
    encoding: { x: x.channel("recall"), y: y.channel("qps") },
    layer: [
      ...(hasFront
        ? [{
          data: { values: front.map(({ recall, qps }) => ({ recall, qps })) },
          mark: { type: "line", color: neutral, strokeWidth: 9, opacity: 0.25 },
          encoding: { order: { field: "recall" } },
        }]
        : []),
      {
        mark: { type: "line", strokeWidth: 2 },
        encoding: { color: encode.color, strokeDash: encode.strokeDash },
      },
      {
        mark: { type: "point", filled: true, size: 60, opacity: 1 },
        encoding: { color: encode.color, shape: encode.shape },
      },
      {
        transform: [{ filter: "isValid(datum.text)" }],
        mark: labelMark(),
        encoding: { text: { field: "text" } },
      },
    ],
  };
  if (hasFront) notes.push("grey: the Pareto front");
  const rows = drawn.map((point) => [
    ...[point.series, point.label, point.recall, point.qps],
    front.includes(point) ? "yes" : "",
  ]);
  const columns = ["series", "setting", recallLabel, "QPS", "on the front"];
  return makeChart(options, { spec, columns, rows, notes });
}
