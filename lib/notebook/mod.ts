/**
 * Showing: charts, tables and progress, in notebooks and on terminals.
 *
 * In a notebook of Deno's Jupyter kernel {@linkcode show} puts values below the cell, and loses none;
 * elsewhere it prints their text. A chart is a Vega-Lite specification, an SVG picture for light and
 * dark pages, and a table. Vega comes from npm with the first picture; where it cannot be loaded, the
 * table is shown.
 *
 * @example
 * ```ts
 * import { lineChart, show } from "@metalfaiss/metalfaiss/notebook";
 * import assert from "node:assert/strict";
 *
 * const chart = lineChart([
 *   { series: "naive", x: 128, y: 0.5 },
 *   { series: "naive", x: 1024, y: 32 },
 *   { series: "tiled", x: 128, y: 1 },
 *   { series: "tiled", x: 1024, y: 8 },
 * ], { title: "Where tiles begin to pay", x: "rows", y: "time, ms", logX: true, logY: true });
 * await show("## Tiles", chart);
 * assert.match(chart.text, /naive and tiled cross at 256 \(rows\)/);
 * ```
 *
 * @module
 */

export { type Bar, barChart, type BarOptions } from "./charts/bars.ts";
export { crossovers, type CurvePoint } from "./charts/crossover.ts";
export { heatmap, type HeatmapCell, type HeatmapOptions } from "./charts/heatmap.ts";
export { lineChart, type LineOptions, type LinePoint } from "./charts/lines.ts";
export { paretoChart, paretoFront, type ParetoOptions, type ParetoPoint } from "./charts/pareto.ts";
export { type PublishedBar, publishedChart, type PublishedOptions } from "./charts/published.ts";
export { rooflineChart, type RooflineKernel } from "./charts/roofline.ts";
export { timelineChart } from "./charts/timeline.ts";
export { type MatrixLike, vectorChart, type VectorOptions } from "./charts/vectors.ts";
export {
  Chart,
  type ChartOptions,
  type ChartSettings,
  type ChartSpec,
  renderSvg,
} from "./chart.ts";
export { inNotebook } from "./notebook.ts";
export * from "./progress.ts";
export { show } from "./show.ts";
export * from "./table.ts";
