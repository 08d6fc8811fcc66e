/**
 * Showing: charts and progress.
 *
 * @example
 * ```ts
 * import { renderSvg } from "@metalfaiss/metalfaiss/notebook";
 * import assert from "node:assert/strict";
 *
 * const svg = await renderSvg({
 *   data: { values: [{ recall: 0.8, qps: 9000 }, { recall: 0.9, qps: 5000 }] },
 *   mark: "line",
 *   encoding: {
 *     x: { field: "recall", type: "quantitative" },
 *     y: { field: "qps", type: "quantitative" },
 *   },
 * });
 * assert.match(svg, /^<svg/);
 * ```
 *
 * @module
 */

export * from "./chart.ts";
export * from "./progress.ts";
