/**
 * What ran when, on which stream: for Chrome's and Perfetto's viewers.
 *
 * @module
 */

import { type MimeBundle, plainText } from "../display.ts";
import type { CommandBuffer } from "../kernel/command_buffer.ts";
import type { Stream } from "../kernel/stream.ts";
import type { CommandTimes, Submission } from "../kernel/submission.ts";
import { timelineBundle } from "./timeline_display.ts";
import { overlapOf, type Trace, traceOf } from "./trace.ts";

/** A stretch of time in a timeline, in milliseconds of the host's clock. */
export interface Span {
  /** What ran. */
  name: string;
  /** `host` for work of this process, `queue` from commit to completion, `gpu` for the GPU's own time. */
  kind: "host" | "queue" | "gpu";
  /** Stream, or lane of the host. */
  track: string;
  /** Its begin, from the timeline's. */
  start: number;
  /** Its end. */
  end: number;
  /** Threads, dispatches and what the caller adds. */
  args: Record<string, unknown>;
}

/** A moment in a timeline. */
export interface Mark {
  /** What happened. */
  name: string;
  /** Stream, or lane of the host. */
  track: string;
  /** From the timeline's begin, in milliseconds. */
  at: number;
}

/** A command buffer that a timeline follows. */
interface Watched {
  name: string;
  track: string;
  start: number;
  args: Record<string, unknown>;
  times: CommandTimes;
}

/**
 * Records when command buffers and work of the host ran.
 *
 * @example
 * ```ts
 * import { gpu } from "@metalfaiss/metalfaiss/kernel";
 * import { Timeline } from "@metalfaiss/metalfaiss/profile";
 * import assert from "node:assert/strict";
 *
 * const device = gpu("emulator");
 * using x = device.createBuffer(1024);
 * const timeline = new Timeline();
 * timeline.commit(device.stream.commands("clear").fill(x, 0, 1024, 0));
 * await timeline.span("meanwhile", () => Math.hypot(3, 4));
 * const spans = await timeline.finish();
 * assert.deepEqual(spans.map(({ kind }) => kind).sort(), ["gpu", "host", "queue"]);
 * const { traceEvents } = timeline.toTrace();
 * assert.equal(traceEvents.filter(({ ph }) => ph === "X").length, 3);
 * ```
 */
export class Timeline {
  readonly #begin = performance.now();
  readonly #spans: Span[] = [];
  readonly #marks: Mark[] = [];
  readonly #pending = new Set<Promise<void>>();
  readonly #watched: Watched[] = [];
  readonly #streams = new Map<Stream, string>();
  #failure: unknown;

  /**
   * Commits a command buffer and follows it.
   *
   * @param commands What to commit.
   * @param name Its name in the timeline; its label by default.
   * @param args Shown beside it.
   */
  commit(
    commands: CommandBuffer,
    name: string = commands.label,
    args: Record<string, unknown> = {},
  ): Submission {
    const start = performance.now();
    const submission = commands.commit();
    this.#watch(submission, commands.stream, name, args, start);
    return submission;
  }

  /**
   * Follows what was just committed by other means, as a replay.
   *
   * @param submission What was committed.
   * @param stream Where it runs.
   * @param name Its name in the timeline.
   * @param args Shown beside it.
   */
  watch(
    submission: Submission,
    stream: Stream,
    name: string,
    args: Record<string, unknown> = {},
  ): Submission {
    this.#watch(submission, stream, name, args, performance.now());
    return submission;
  }

  #watch(
    submission: Submission,
    stream: Stream,
    name: string,
    args: Record<string, unknown>,
    start: number,
  ): void {
    const track = this.#track(stream);
    const done = submission.completed.then((times) => {
      this.#watched.push({ name, track, start, args, times });
    }, (error) => {
      this.#failure ??= error;
    }).finally(() => this.#pending.delete(done));
    this.#pending.add(done);
  }

  /**
   * Does work of this process and records how long it took.
   *
   * @param name Its name.
   * @param work What to do.
   * @param track Lane that it is shown in.
   * @returns What the work returned.
   */
  async span<T>(name: string, work: () => T | Promise<T>, track = "host"): Promise<T> {
    const start = this.#now();
    try {
      return await work();
    } finally {
      this.#spans.push({ name, kind: "host", track, start, end: this.#now(), args: {} });
    }
  }

  /**
   * Marks this moment.
   *
   * @param name What happened.
   * @param on Stream that it belongs to, or lane of the host.
   */
  mark(name: string, on: Stream | string = "host"): void {
    const track = typeof on === "string" ? on : this.#track(on);
    this.#marks.push({ name, track, at: this.#now() });
  }

  /**
   * Marks the moment in which a stream's callback comes: all that it was given so far is done.
   *
   * @param stream The stream; others are not waited for.
   * @param name Name of the mark.
   */
  markCompletion(stream: Stream, name = "complete"): void {
    const done = stream.finished().then(() => this.mark(name, stream), (error) => {
      this.#failure ??= error;
    }).finally(() => this.#pending.delete(done));
    this.#pending.add(done);
  }

  /**
   * Waits for all that was committed.
   *
   * @returns All spans, by their begin.
   * @throws {DeviceError} If a command buffer failed.
   */
  async finish(): Promise<readonly Span[]> {
    while (this.#pending.size > 0) await Promise.all(this.#pending);
    const watched = this.#watched.splice(0);
    // A clock of the device's own is laid so that nothing ends after the host saw it end.
    const apart = Math.min(
      ...watched.map(({ start, times }) => {
        return start + times.cpuSeconds * 1e3 - times.gpuEnd * 1e3;
      }),
    );
    for (const { name, track, start, args, times } of watched) {
      const { cpuSeconds, gpuSeconds, gpuStart, gpuEnd, threads, dispatches } = times;
      const begin = start - this.#begin;
      const all = { ...args, threads, dispatches, gpuSeconds };
      const queue = { start: begin, end: begin + cpuSeconds * 1e3 };
      const laid = apart - this.#begin;
      const onGpu = { start: gpuStart * 1e3 + laid, end: gpuEnd * 1e3 + laid };
      this.#spans.push({ name, kind: "queue", track, ...queue, args: all });
      this.#spans.push({ name, kind: "gpu", track, ...onGpu, args: all });
    }
    if (this.#failure !== undefined) throw this.#failure;
    return this.#spans.sort((a, b) => a.start - b.start);
  }

  /** What was marked, in order. */
  get marks(): readonly Mark[] {
    return this.#marks;
  }

  /**
   * How much of the busy time had two or more tracks at work, after {@linkcode Timeline.finish}.
   *
   * @param kinds Spans that count; by default the GPU's and the host's.
   * @returns From 0, one after the other, to 1.
   */
  overlap(kinds: readonly Span["kind"][] = ["gpu", "host"]): number {
    return overlapOf(this.#spans.filter(({ kind }) => kinds.includes(kind)));
  }

  /** The timeline as Chrome's trace events, after {@linkcode Timeline.finish}. */
  toTrace(): Trace {
    return traceOf(this.#spans, this.#marks);
  }

  /**
   * Writes the trace, for chrome://tracing or ui.perfetto.dev.
   *
   * @param path File to write.
   */
  async save(path: string): Promise<void> {
    await Deno.writeTextFile(path, JSON.stringify(this.toTrace()));
  }

  /** What a notebook shows: the tracks, after {@linkcode Timeline.finish}. */
  [Symbol.for("Jupyter.display")](): MimeBundle {
    return timelineBundle(this.#spans, this.#marks, this.#pending.size);
  }

  /** What `console.log` shows. */
  [Symbol.for("Deno.customInspect")](): string {
    return plainText(timelineBundle(this.#spans, this.#marks, this.#pending.size));
  }

  #now(): number {
    return performance.now() - this.#begin;
  }

  /** Name of a stream's track; a number tells streams of one label apart. */
  #track(stream: Stream): string {
    let track = this.#streams.get(stream);
    if (track === undefined) {
      const label = stream.label || "stream";
      const taken = new Set(this.#streams.values());
      track = label;
      for (let i = 2; taken.has(track); i++) track = `${label} (${i})`;
      this.#streams.set(stream, track);
    }
    return track;
  }
}
