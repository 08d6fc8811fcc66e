/**
 * Work spread over streams, and brought together again.
 *
 * @module
 */

import type { CommandBuffer } from "../kernel/command_buffer.ts";
import type { GpuDevice } from "../kernel/device.ts";
import type { GpuEvent, Stream } from "../kernel/stream.ts";
import type { Submission } from "../kernel/submission.ts";

/** How pieces of work go to streams: in turns, or in runs of neighbours. */
export type Assignment = "round-robin" | "block";

/** Options of {@linkcode fanOut}. */
export interface FanOptions {
  /** Stream that the work comes from and returns to; the device's own by default. */
  from?: Stream;
  /** How pieces go to streams; in turns by default. */
  assignment?: Assignment;
  /** Name of the streams in captures and timelines. */
  label?: string;
}

/**
 * The stream of a piece of work.
 *
 * @param piece Which piece, from 0.
 * @param pieces How many there are.
 * @param streams How many streams.
 * @param assignment In turns, or in runs of neighbours.
 * @returns Number of the stream, from 0.
 * @throws {RangeError} If there is no such piece.
 *
 * @example
 * ```ts
 * import { assign } from "@metalfaiss/metalfaiss/profile";
 * import assert from "node:assert/strict";
 *
 * const pieces = [0, 1, 2, 3, 4];
 * assert.deepEqual(pieces.map((i) => assign(i, 5, 2, "round-robin")), [0, 1, 0, 1, 0]);
 * assert.deepEqual(pieces.map((i) => assign(i, 5, 2, "block")), [0, 0, 0, 1, 1]);
 * ```
 */
export function assign(
  piece: number,
  pieces: number,
  streams: number,
  assignment: Assignment,
): number {
  if (!Number.isInteger(piece) || piece < 0 || piece >= pieces) {
    throw new RangeError(`Cannot assign piece ${piece}: there are ${pieces}`);
  }
  if (assignment === "round-robin") return piece % streams;
  if (assignment === "block") return Math.floor(piece / Math.ceil(pieces / streams));
  throw new RangeError(
    `Cannot assign pieces: assignment must be round-robin or block, got "${assignment}"`,
  );
}

/** Streams that begin together and are waited for together. Make one with {@linkcode fanOut}. */
export class Fan implements Disposable {
  /** The streams. */
  readonly streams: readonly Stream[];
  /** How pieces go to streams. */
  readonly assignment: Assignment;
  readonly #from: Stream;
  readonly #begun: GpuEvent;
  readonly #ended: readonly GpuEvent[];
  readonly #used = new Set<number>();
  #turn = 0;

  /** Use {@linkcode fanOut}. */
  constructor(device: GpuDevice, n: number, options: FanOptions = {}) {
    const { from = device.stream, assignment = "round-robin", label = "fan" } = options;
    if (!Number.isInteger(n) || n < 1 || n > 64) {
      throw new RangeError(`Cannot fan out: streams must be an integer from 1 to 64, got ${n}`);
    }
    assign(0, 1, n, assignment);
    this.#from = from;
    this.assignment = assignment;
    this.streams = Array.from({ length: n }, (_, i) => {
      return device.createStream({ label: `${label} ${i}` });
    });
    this.#begun = device.createEvent();
    this.#ended = this.streams.map(() => device.createEvent());
    this.#begin();
  }

  /**
   * Begins a command buffer of a piece of work, on its stream: it waits for what the first stream was
   * given before the fan, or before the last {@linkcode Fan.join}.
   *
   * @param piece Which piece, from 0.
   * @param pieces How many there are.
   * @param label Its name in captures and messages.
   */
  commands(piece: number, pieces: number, label = ""): CommandBuffer {
    const at = assign(piece, pieces, this.streams.length, this.assignment);
    const commands = this.streams[at]!.commands(label);
    if (!this.#used.has(at)) commands.wait(this.#begun, this.#turn);
    this.#used.add(at);
    return commands;
  }

  /**
   * Makes the first stream wait for all pieces committed so far. Pieces that follow wait for that and for
   * what is recorded here.
   *
   * @param record Adds what is to follow the pieces.
   * @param commit Commits it; a {@linkcode Timeline} may.
   * @returns What was committed: it is completed when all pieces are.
   */
  join(
    record: (commands: CommandBuffer) => void = () => {},
    commit: (commands: CommandBuffer) => Submission = (commands) => commands.commit(),
  ): Submission {
    const commands = this.#from.commands("join");
    for (const at of this.#used) {
      this.streams[at]!.commands("end").signal(this.#ended[at]!, this.#turn).commit();
      commands.wait(this.#ended[at]!, this.#turn);
    }
    this.#used.clear();
    record(commands);
    this.#turn++;
    return commit(commands.signal(this.#begun, this.#turn));
  }

  #begin(): void {
    this.#turn = 1;
    this.#from.commands("begin").signal(this.#begun, this.#turn).commit();
  }

  /** Frees the streams; what was committed still runs. */
  dispose(): void {
    for (const stream of this.streams) stream.dispose();
    for (const event of this.#ended) event.dispose();
    this.#begun.dispose();
  }

  /** Same as `dispose`, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}

/**
 * Streams for work in pieces: they begin when what the device was given before is done, and
 * {@linkcode Fan.join} waits for all of them.
 *
 * @param device The GPU.
 * @param n How many streams, 1 to 64.
 * @param options How pieces go to streams.
 * @throws {RangeError} If `n` or the assignment has no sense.
 *
 * @example
 * ```ts
 * import { gpu } from "@metalfaiss/metalfaiss/kernel";
 * import { fanOut } from "@metalfaiss/metalfaiss/profile";
 * import assert from "node:assert/strict";
 *
 * const device = gpu("emulator");
 * using x = device.createBuffer(4);
 * using y = device.createBuffer(4);
 * using fan = fanOut(device, 2);
 * for (let piece = 0; piece < 4; piece++) {
 *   fan.commands(piece, 4).fill(x, piece, 1, piece + 1).commit();
 * }
 * await fan.join((commands) => commands.copy(x, 0, y, 0, 4)).completed;
 * assert.deepEqual([...y.readSync(new Uint8Array(4))], [1, 2, 3, 4]);
 * ```
 */
export function fanOut(device: GpuDevice, n: number, options?: FanOptions): Fan {
  return new Fan(device, n, options);
}
