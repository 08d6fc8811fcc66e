/**
 * Chrome's trace-event format.
 *
 * @module
 */

import type { Mark, Span } from "./timeline.ts";

/** One event; times are microseconds. */
export interface TraceEvent {
  /** What it shows. */
  name: string;
  /** `X`: a complete event, `i`: a moment, `M`: a name of a process or thread. */
  ph: "X" | "i" | "M";
  /** Category: the kind of span. */
  cat?: string;
  /** Process: one a kind of span. */
  pid: number;
  /** Thread: one a track. */
  tid: number;
  /** Begin. */
  ts: number;
  /** Duration, of complete events. */
  dur?: number;
  /** Scope of a moment: its thread. */
  s?: "t";
  /** Shown beside it. */
  args: Record<string, unknown>;
}

/** What viewers load. */
export interface Trace {
  /** All events. */
  traceEvents: TraceEvent[];
  /** Unit that viewers show. */
  displayTimeUnit: "ms";
}

/** Processes of the trace, in the order that viewers show them. */
const PROCESSES = { host: "Host", queue: "Commit to completion", gpu: "GPU" } as const;

/** A trace of spans and marks: a process a kind, a thread a track. */
export function traceOf(spans: readonly Span[], marks: readonly Mark[]): Trace {
  const kinds = Object.keys(PROCESSES) as Span["kind"][];
  const tracks = [...new Set([...spans, ...marks].map(({ track }) => track))];
  const kindOf = (mark: Mark) =>
    spans.some(({ kind, track }) => kind === "host" && track === mark.track) ||
      !spans.some(({ track }) => track === mark.track)
      ? "host"
      : "queue";
  const place = (kind: Span["kind"], track: string) => ({
    pid: kinds.indexOf(kind) + 1,
    tid: tracks.indexOf(track) + 1,
  });
  const events: TraceEvent[] = [];
  const named = new Set<string>();
  const name = (kind: Span["kind"], track: string) => {
    const { pid, tid } = place(kind, track);
    if (!named.has(kind)) {
      events.push({
        ...{ name: "process_name", ph: "M", pid, tid: 0, ts: 0 },
        args: { name: PROCESSES[kind] },
      });
    }
    if (!named.has(`${kind} ${track}`)) {
      events.push({ name: "thread_name", ph: "M", pid, tid, ts: 0, args: { name: track } });
    }
    named.add(kind).add(`${kind} ${track}`);
  };
  for (const span of spans) name(span.kind, span.track);
  for (const mark of marks) name(kindOf(mark), mark.track);
  for (const { name, kind, track, start, end, args } of spans) {
    const times = { ts: start * 1e3, dur: (end - start) * 1e3 };
    events.push({ name: name || kind, ph: "X", cat: kind, ...place(kind, track), ...times, args });
  }
  for (const mark of marks) {
    const at = place(kindOf(mark), mark.track);
    events.push({ name: mark.name, ph: "i", ...at, ts: mark.at * 1e3, s: "t", args: {} });
  }
  return { traceEvents: events, displayTimeUnit: "ms" };
}

/** Time in which two or more tracks were busy, by the time in which any was. */
export function overlapOf(spans: readonly Span[]): number {
  const edges = mergeTracks(spans).flatMap(({ start, end }) => [
    { at: start, step: 1 },
    { at: end, step: -1 },
  ]);
  edges.sort((a, b) => a.at - b.at || a.step - b.step);
  let [busy, both, open, last] = [0, 0, 0, 0];
  for (const { at, step } of edges) {
    if (open > 0) busy += at - last;
    if (open > 1) both += at - last;
    open += step;
    last = at;
  }
  return busy === 0 ? 0 : both / busy;
}

/** Spans of each track joined where they overlap: a track counts once. @internal */
export function mergeTracks(spans: readonly Span[]): { start: number; end: number }[] {
  const merged: { start: number; end: number }[] = [];
  const tracks = new Set(spans.map(({ kind, track }) => `${kind} ${track}`));
  for (const track of tracks) {
    let last: { start: number; end: number } | undefined;
    const own = spans.filter((span) => `${span.kind} ${span.track}` === track)
      .sort((a, b) => a.start - b.start);
    for (const { start, end } of own) {
      if (last && start <= last.end) last.end = Math.max(last.end, end);
      else merged.push(last = { start, end });
    }
  }
  return merged;
}
