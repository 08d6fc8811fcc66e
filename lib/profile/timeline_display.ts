/**
 * How timelines look in notebooks and terminals.
 *
 * @module
 */

import { type MimeBundle, tableBundle } from "../display.ts";
import { formatCount, formatNumber } from "../display_cells.ts";
import type { Mark, Span } from "./timeline.ts";
import { mergeTracks, overlapOf } from "./trace.ts";

const KINDS = ["host", "queue", "gpu"] as const;

/** Spans of each track: how many, from when to when, and how long the track was busy. */
export function timelineBundle(
  spans: readonly Span[],
  marks: readonly Mark[],
  unfinished: number,
): MimeBundle {
  const end = lastOf(spans);
  const rows = KINDS.flatMap((kind) => {
    const ofKind = spans.filter((span) => span.kind === kind);
    const tracks = [...Map.groupBy(ofKind, ({ track }) => track)];
    return tracks.map(([track, own]) => trackRow(kind, track, own, end));
  });
  const overlap = overlapOf(spans.filter(({ kind }) => kind !== "queue"));
  const title = [
    `Timeline of ${formatCount(spans.length, "span")}, ${formatNumber(end)} ms`,
    `${Math.round(overlap * 100)} % of the busy time overlaps`,
    ...(marks.length > 0 ? [formatCount(marks.length, "mark")] : []),
    ...(unfinished > 0 ? [`${formatCount(unfinished, "command buffer")} not finished`] : []),
  ];
  const columns = ["kind", "track", "spans", "first ms", "last ms", "busy ms"];
  return tableBundle([...columns, { name: "busy", right: true }], rows, title.join("; "));
}

function lastOf(spans: readonly Span[]): number {
  return spans.reduce((most, { end }) => Math.max(most, end), 0);
}

function trackRow(kind: Span["kind"], track: string, spans: readonly Span[], end: number) {
  const busy = mergeTracks(spans).reduce((sum, { start, end }) => sum + end - start, 0);
  const first = spans.reduce((least, { start }) => Math.min(least, start), Infinity);
  const last = lastOf(spans);
  const share = end > 0 ? `${Math.round(busy / end * 100)} %` : "";
  return [kind, track, spans.length, first, last, busy, share];
}
