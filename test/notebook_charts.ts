/** Charts of every kind, for tests. @module */

import {
  barChart,
  type Chart,
  heatmap,
  lineChart,
  paretoChart,
  publishedChart,
  rooflineChart,
  timelineChart,
  vectorChart,
} from "../lib/notebook/mod.ts";
import type { Span } from "../lib/profile/timeline.ts";

/** Options that every chart takes. */
export const options = { title: "Title", subtitle: "Subtitle" };
const limits = { gflops: 100, gbps: 10, halfGflops: 200 };

/** A span of a timeline. */
export function span(track: string, start: number, end: number, more: Partial<Span> = {}): Span {
  return { name: "work", kind: "gpu", track, start, end, args: {}, ...more };
}

/**
 * Every kind of chart, of so many things: their numbers are `value(i)`, their names `name(i)`.
 *
 * @param n How many.
 * @param name Of the i-th thing.
 * @param value Of the i-th thing.
 */
export function everyKind(
  n: number,
  name: (i: number) => string,
  value: (i: number) => number = (i) => i + 1,
): Record<string, () => Chart | Promise<Chart>> {
  const list = <T>(make: (i: number) => T) => Array.from({ length: n }, (_, i) => make(i));
  return {
    paretoChart: () =>
      paretoChart(
        list((i) => ({ series: name(i), recall: i / n, qps: value(i), label: name(i) })),
        options,
      ),
    rooflineChart: () =>
      rooflineChart(
        list((i) => ({ name: name(i), flops: value(i), bytes: 10, ms: 1e-6 })),
        limits,
        options,
      ),
    barChart: () =>
      barChart(list((i) => ({ name: name(i), value: value(i) })), { ...options, unit: "ms" }),
    publishedChart: () =>
      publishedChart(list((i) => ({ name: name(i), published: value(i), reproduced: 2 })), {
        ...options,
        unit: "ms",
      }),
    heatmap: () =>
      heatmap(list((i) => ({ x: i % 100, y: Math.floor(i / 100), value: value(i) })), {
        ...options,
        ...{ x: "x", y: "y", unit: "ms" },
      }),
    lineChart: () =>
      lineChart(list((i) => ({ series: name(i), x: i, y: value(i) })), {
        ...options,
        ...{ x: "x", y: "y" },
      }),
    timelineChart: () =>
      timelineChart(list((i) => span(name(i), i, i + value(i), { name: name(i) })), [], options),
    vectorChart: () =>
      vectorChart(list((i) => [value(i), i * i % 97, 1]), { ...options, labels: list(name) }),
  };
}
