import type { GpuBuffer } from "../../../kernel/buffer.ts";
import type { Recording } from "../../../kernel/recording.ts";
import type { GpuEvent, Stream } from "../../../kernel/stream.ts";
import { assignBands, type Band, bandOps, bandWorkspace, splitBands } from "./bands.ts";
import type { Place } from "./operands.ts";
import type { Orthonormal } from "./svd.ts";
import { planNames, type SvdPlan } from "./svd_settings.ts";
import type { TallShape } from "./tall.ts";
import { Lane, type Op, type Work } from "./work.ts";

type Scratch = (bytes: number, label: string) => GpuBuffer;

/**
 * V ← orth(Aᵀ(AV)), again and again: bands of V on one or more streams, which a main one fans out to
 * and in from; recorded once and replayed, or encoded each time.
 */
export class SvdIteration implements Disposable {
  readonly #work: Work;
  readonly #a: Place;
  readonly #v: Place;
  readonly #shape: TallShape;
  readonly #plan: SvdPlan;
  readonly #basis: Orthonormal;
  /** Of `naive`, which reads all of V for each number of Z. */
  readonly #z: GpuBuffer | undefined;
  readonly #main: Lane;
  readonly #parts: { bands: Band[]; lane: Lane; done: GpuEvent | undefined }[];
  readonly #ready: GpuEvent | undefined;
  readonly #owned: Disposable[] = [];
  #recordings: Recording[] | undefined;
  /** Operations that use the same memory in every step. */
  #kept: Op[][] | undefined;
  #step = 0;

  constructor(
    work: Work,
    { a, v }: { a: Place; v: GpuBuffer },
    shape: TallShape,
    plan: SvdPlan,
    basis: Orthonormal,
  ) {
    const { device } = work.context;
    this.#work = work;
    this.#a = a;
    this.#v = { buffer: v, line: shape.k };
    this.#shape = shape;
    this.#plan = plan;
    this.#basis = basis;
    const each = !plan.encodeOnce;
    const parts = assignBands(splitBands(shape.k, plan.band), plan.streams, plan.assignment);
    const isSpread = parts.length > 1;
    this.#main = new Lane(work, device.stream, "svd", each);
    this.#parts = parts.map((bands, i) => {
      if (!isSpread) return { bands, lane: this.#main, done: undefined };
      const stream = this.#own<Stream>(device.createStream({ label: `svd bands ${i}` }));
      const lane = new Lane(work, stream, "svd bands", each);
      return { bands, lane, done: this.#own(device.createEvent()) };
    });
    this.#ready = isSpread ? this.#own(device.createEvent()) : undefined;
    if (plan.product === "naive") {
      this.#z = work.memory.scratch(shape.n * shape.k * 4, "Z");
    }
    try {
      if (plan.encodeOnce && !plan.fresh) this.#recordings = this.#record();
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
    work.ran(...planNames(plan, parts.length, this.#recordings !== undefined));
    // What was encoded so far is on its way before other streams begin.
    work.flush();
  }

  #own<T extends Disposable>(object: T): T {
    this.#owned.push(object);
    return object;
  }

  /** Operations of each stream, then those of the main one. */
  #units(scratch: Scratch): Op[][] {
    const { context } = this.#work;
    const z = this.#z === undefined ? this.#v : { buffer: this.#z, line: this.#shape.k };
    const units = this.#parts.map(({ bands }) => {
      const workspace = bandWorkspace(context, bands, this.#shape, this.#plan, scratch);
      const places = { a: this.#a, v: this.#v, z };
      return bandOps(context, places, workspace, bands, this.#shape, this.#plan);
    });
    const bytes = this.#shape.n * this.#shape.k * 4;
    const back: Op = (commands) => {
      commands.copy(z.buffer, 0, this.#v.buffer, 0, bytes);
      return [];
    };
    const last = [
      ...(this.#z ? [back] : []),
      ...this.#basis.ops(this.#plan.fresh ? scratch : undefined),
    ];
    // One stream: all of it is one sequence.
    return this.#parts.length > 1 ? [...units, last] : [[...units.flat(), ...last]];
  }

  #record(): Recording[] {
    const scratch: Scratch = (bytes, label) => this.#work.memory.scratch(bytes, label);
    const lanes = [...this.#parts.map(({ lane }) => lane), this.#main];
    return this.#units(scratch).map((ops, i) => {
      const commands = lanes[i]!.stream.commands("svd");
      for (const op of ops) this.#work.ran(...op(commands));
      return this.#own(commands.record());
    });
  }

  /** Hands over one step, without waiting. */
  run(): void {
    const step = ++this.#step;
    const held: GpuBuffer[] = [];
    const fresh: Scratch = (bytes, label) => {
      const buffer = this.#work.context.allocatePrivate(bytes, label);
      held.push(buffer);
      return buffer;
    };
    const units = this.#recordings
      ? undefined
      : this.#plan.fresh
      ? this.#units(fresh)
      : this.#kept ??= this.#units((bytes, label) => this.#work.memory.scratch(bytes, label));
    const play = (lane: Lane, index: number) => {
      const recording = this.#recordings?.[index];
      if (recording === undefined) lane.run(...units![index]!);
      else {
        lane.commit();
        this.#work.submitted(lane.stream.replay(recording));
      }
    };
    if (this.#ready !== undefined) {
      // In the order of what waits for what: queues of the device may share a channel.
      this.#main.commands.signal(this.#ready, step);
      this.#main.commit();
      this.#parts.forEach(({ lane, done }, index) => {
        lane.commands.wait(this.#ready!, step);
        play(lane, index);
        lane.commands.signal(done!, step);
        lane.commit();
      });
      for (const { done } of this.#parts) this.#main.commands.wait(done!, step);
    }
    play(this.#main, this.#parts.length > 1 ? this.#parts.length : 0);
    this.#main.commit();
    // Work under way keeps what it uses.
    for (const buffer of held) buffer.dispose();
  }

  [Symbol.dispose](): void {
    for (const object of this.#owned.splice(0).reverse()) object[Symbol.dispose]();
  }
}
