/**
 * How indexes look in notebooks and terminals.
 *
 * @module
 */

import { type MimeBundle, propertiesBundle, ranText } from "../display.ts";
import { formatBytes, formatNumber } from "../display_cells.ts";
import type { Backend, RunInfo } from "../backend/backend.ts";
import { type Metric, metricName } from "../metric.ts";

/** What is shown of every index. */
interface Shown {
  readonly d: number;
  readonly ntotal: number;
  /** Indexes of bits have none. */
  readonly metric?: Metric;
  readonly metricArg?: number;
  readonly isTrained: boolean;
  readonly backend: Backend;
  readonly lastRun: RunInfo | undefined;
  factoryString(): string | undefined;
  memoryUsage(): number;
}

function metricOf({ metric }: Shown): string {
  return metric === undefined ? "Hamming" : metricName(metric);
}

/**
 * What an index is, holds, takes, and ran last.
 *
 * @param index The index.
 * @param parameters What its kind alone has; `undefined` once it was disposed of.
 */
export function indexBundle(
  index: Shown,
  parameters: Readonly<Record<string, unknown>> | undefined,
): MimeBundle {
  const title = index.constructor.name;
  if (parameters === undefined) return propertiesBundle([["disposed", true]], title);
  const { lastRun: run, backend: { name, engine, isa } } = index;
  return propertiesBundle([
    ["factory string", index.factoryString()],
    ["d", index.d],
    ["ntotal", index.ntotal],
    ["metric", metricOf(index)],
    ["metricArg", index.metricArg || null],
    ["isTrained", index.isTrained],
    ...Object.entries(parameters),
    ["memory", formatBytes(index.memoryUsage())],
    ["backend", ranText({ backend: name, engine, isa, variants: [] })],
    ["last search", run && `${ranText(run)}; ${formatNumber(run.scanned)} pairs`],
  ], title);
}

/** An index in one line. */
export function indexLine(index: Shown, isDisposed: boolean): string {
  const name = index.constructor.name;
  if (isDisposed) return `${name} { disposed: true }`;
  const { d, ntotal, isTrained, backend } = index;
  return `${name} { d: ${d}, ntotal: ${ntotal}, metric: ${metricOf(index)}, ` +
    `isTrained: ${isTrained}, backend: ${backend.name} }`;
}
