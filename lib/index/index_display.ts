/**
 * How indexes look in notebooks and terminals.
 *
 * @module
 */

import { type MimeBundle, propertiesBundle, ranText } from "../display.ts";
import { formatBytes, formatNumber } from "../display_cells.ts";
import { metricName } from "../metric.ts";
import type { Index } from "./index.ts";

/**
 * What an index is, holds, takes, and ran last.
 *
 * @param index The index.
 * @param parameters What its kind alone has; `undefined` once it was disposed of.
 */
export function indexBundle(
  index: Index,
  parameters: Readonly<Record<string, unknown>> | undefined,
): MimeBundle {
  const title = index.constructor.name;
  if (parameters === undefined) return propertiesBundle([["disposed", true]], title);
  const { lastRun: run, backend: { name, engine, isa } } = index;
  return propertiesBundle([
    ["factory string", index.factoryString()],
    ["d", index.d],
    ["ntotal", index.ntotal],
    ["metric", metricName(index.metric)],
    ["metricArg", index.metricArg || null],
    ["isTrained", index.isTrained],
    ...Object.entries(parameters),
    ["memory", formatBytes(index.memoryUsage())],
    ["backend", ranText({ backend: name, engine, isa, variants: [] })],
    ["last search", run && `${ranText(run)}; ${formatNumber(run.scanned)} pairs`],
  ], title);
}

/** An index in one line. */
export function indexLine(index: Index, isDisposed: boolean): string {
  const name = index.constructor.name;
  if (isDisposed) return `${name} { disposed: true }`;
  const { d, ntotal, metric, isTrained, backend } = index;
  return `${name} { d: ${d}, ntotal: ${ntotal}, metric: ${metricName(metric)}, ` +
    `isTrained: ${isTrained}, backend: ${backend.name} }`;
}
