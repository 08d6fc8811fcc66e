/**
 * Recording work for a GPU.
 *
 * @module
 */

import { invoke } from "../../ffi/call.ts";
import { GpuBuffer } from "./buffer.ts";
import type { Pipeline } from "./library.ts";
import { checkProduct, type MultiplyOptions } from "./multiply.ts";
import { adopt, native } from "./native.ts";
import { Command, ProgramWriter } from "./program_writer.ts";
import { Recording } from "./recording.ts";
import type { GpuEvent, Stream } from "./stream.ts";
import { Submission } from "./submission.ts";

/** Sizes along x, y and z; what is left out is 1. */
export type Size = number | readonly [x: number, y?: number, z?: number];

/** An argument of a kernel: a buffer, a place in one, or up to 4,096 bytes by value. */
export type KernelArgument =
  | GpuBuffer
  | { readonly buffer: GpuBuffer; readonly offset: number }
  | ArrayBufferView;

/** How many threads a dispatch runs: `threads`, or `threadgroups`, in all. */
export interface DispatchOptions {
  /** Threads in all; threadgroups at the far edges may be partial. */
  threads?: Size;
  /** Threadgroups in all. */
  threadgroups?: Size;
  /** Threads a threadgroup. */
  threadgroup: Size;
  /** Bytes of `[[threadgroup(0)]]`, or of each `[[threadgroup(i)]]`; multiples of 16. */
  threadgroupMemory?: number | readonly number[];
}

/** Bytes that can go by value. */
const MOST_INLINE = 4096;

/** Writers between command buffers: their memory is used again. */
const idle: ProgramWriter[] = [];

const grid = new Uint32Array(3);
const threadgroup = new Uint32Array(3);

/**
 * Commands that run in order, each after what the ones before it wrote is there. Recording
 * takes no call into the native library; {@linkcode CommandBuffer.commit} takes one.
 *
 * @example
 * ```ts
 * import { gpu } from "@metalfaiss/metalfaiss/kernel";
 * import assert from "node:assert/strict";
 *
 * const device = gpu("emulator");
 * const library = device.library(`
 *   #include <metal_stdlib>
 *   kernel void scale(device float* x, constant float& by, uint i [[thread_position_in_grid]]) {
 *     x[i] *= by;
 *   }`);
 * using x = device.createBuffer(12);
 * x.writeSync(new Float32Array([1, 2, 3]));
 * const commands = device.stream.commands("scale");
 * commands.dispatch(library.pipeline("scale"), [x, new Float32Array([10])], {
 *   threads: 3,
 *   threadgroup: 32,
 * });
 * const { threads } = await commands.commit().completed;
 * assert.equal(threads, 3);
 * assert.deepEqual([...x.readSync(new Float32Array(3))], [10, 20, 30]);
 * ```
 */
export class CommandBuffer {
  /** The stream that it will run on. */
  readonly stream: Stream;
  /** Its name in captures and messages. */
  readonly label: string;
  #writer: ProgramWriter | undefined;
  // Positions by object: a program names each object once. They also keep the objects alive.
  readonly #buffers = new Map<GpuBuffer, number>();
  readonly #pipelines = new Map<Pipeline, number>();
  readonly #events = new Map<GpuEvent, number>();

  /** Use {@linkcode Stream.commands}. */
  constructor(stream: Stream, label = "") {
    this.stream = stream;
    this.label = label;
    this.#writer = idle.pop()?.reset() ?? new ProgramWriter();
  }

  /**
   * Runs a kernel.
   *
   * @param pipeline The kernel.
   * @param args Its `[[buffer(0)]]` and on.
   * @param options How many threads.
   * @throws {RangeError} If a size is not a positive integer, or a threadgroup is too large.
   * @throws {TypeError} If the number of arguments is wrong.
   */
  dispatch(pipeline: Pipeline, args: readonly KernelArgument[], options: DispatchOptions): this {
    const writer = this.#open();
    const { threads, threadgroups, threadgroupMemory: memory } = options;
    const all = threads ?? threadgroups;
    if (all === undefined || (threads !== undefined && threadgroups !== undefined)) {
      throw new TypeError(
        `Cannot dispatch ${pipeline.name}: give either threads or threadgroups`,
      );
    }
    readSize(grid, all, pipeline, threads === undefined ? "threadgroups" : "threads");
    readSize(threadgroup, options.threadgroup, pipeline, "threadgroup");
    const inGroup = threadgroup[0]! * threadgroup[1]! * threadgroup[2]!;
    if (inGroup > pipeline.maxThreads) {
      throw new RangeError(
        `Cannot dispatch ${pipeline.name}: a threadgroup has ${inGroup} threads, ` +
          `its most are ${pipeline.maxThreads}`,
      );
    }
    if (args.length !== pipeline.arguments.length) {
      throw new TypeError(
        `Cannot dispatch ${pipeline.name}: it takes ${pipeline.arguments.length} arguments ` +
          `(${pipeline.arguments.join(", ")}), got ${args.length}`,
      );
    }
    for (let i = 0; i < args.length; i++) checkArgument(args[i], i, pipeline);
    const memories = memory === undefined ? 0 : typeof memory === "number" ? 1 : memory.length;
    for (let i = 0; i < memories; i++) checkMemory(memoryAt(memory!, i), pipeline);
    writer.dispatch(
      threads === undefined ? Command.DISPATCH_THREADGROUPS : Command.DISPATCH_THREADS,
      position(this.#pipelines, pipeline),
      args.length,
      memories,
      grid,
      threadgroup,
    );
    for (let i = 0; i < args.length; i++) {
      const arg = args[i]!;
      if (arg instanceof GpuBuffer) writer.buffer(position(this.#buffers, arg), 0);
      else if ("offset" in arg) writer.buffer(position(this.#buffers, arg.buffer), arg.offset);
      else writer.value(arg);
    }
    for (let i = 0; i < memories; i++) writer.memory(memoryAt(memory!, i));
    writer.end();
    return this;
  }

  /** Copies `bytes` bytes; ranges of one buffer must not overlap. */
  copy(
    from: GpuBuffer,
    fromOffset: number,
    to: GpuBuffer,
    toOffset: number,
    bytes: number,
  ): this {
    const writer = this.#open();
    writer.copy(
      position(this.#buffers, from),
      fromOffset,
      position(this.#buffers, to),
      toOffset,
      bytes,
    );
    return this;
  }

  /** Sets `bytes` bytes to `value`, 0 to 255. */
  fill(buffer: GpuBuffer, offset: number, bytes: number, value: number): this {
    if (!Number.isInteger(value) || value < 0 || value > 255) {
      throw new RangeError(`Cannot fill a buffer: value must be a byte, got ${value}`);
    }
    this.#open().fill(position(this.#buffers, buffer), offset, bytes, value);
    return this;
  }

  /**
   * Multiplies matrices by the vendor's library: MPSMatrixMultiplication, or MPSMatrixVectorMultiplication
   * where m or n is 1; that is cuBLAS on CUDA, and this module's own product on the emulator. Sums are
   * float32, never TF32. In {@linkcode CommandTimes} it counts as one dispatch of `m · n` threads.
   *
   * @param options The matrices and their sizes.
   * @throws {RangeError} If a size, line or offset is none, or a matrix does not lie within its buffer.
   * @throws {TypeError} If a buffer or type is none, or float16 is asked of float32.
   *
   * @example
   * ```ts
   * import { gpu } from "@metalfaiss/metalfaiss/kernel";
   * import assert from "node:assert/strict";
   *
   * const device = gpu("emulator");
   * using a = device.createBuffer(16);
   * using b = device.createBuffer(16);
   * using c = device.createBuffer(16);
   * a.writeSync(new Float32Array([1, 2, 3, 4]));
   * b.writeSync(new Float32Array([1, 1, 0, 1]));
   * await device.stream.commands().multiply({ a, b, c, m: 2, n: 2, k: 2 }).commit().completed;
   * assert.deepEqual([...c.readSync(new Float32Array(4))], [1, 3, 3, 7]);
   * ```
   */
  multiply(options: MultiplyOptions): this {
    const writer = this.#open();
    const { buffers, ...product } = checkProduct(options);
    const [a, b, c] = buffers.map((buffer) => position(this.#buffers, buffer));
    writer.multiply({ a: a!, b: b!, c: c!, ...product });
    return this;
  }

  /** Sets an event to a value, once all before is done. */
  signal(event: GpuEvent, value: number): this {
    this.#open().sync(Command.SIGNAL, position(this.#events, event), value);
    return this;
  }

  /** Holds what follows until an event has reached a value. */
  wait(event: GpuEvent, value: number): this {
    this.#open().sync(Command.AWAIT, position(this.#events, event), value);
    return this;
  }

  /**
   * Hands everything to the GPU, without waiting.
   *
   * @throws {TypeError} If a buffer is too small for what its kernel declares.
   * @throws {RangeError} If a range lies outside of its buffer, or something belongs to another device.
   * @throws {DisposedError} If an object was disposed of.
   */
  commit(): Submission {
    const made = this.#finish(
      this.label,
      (program, out, call) =>
        native().mf_gpu_commit(this.stream.object, program, program.length, out, call),
    );
    return new Submission(adopt("command buffer", made));
  }

  /**
   * Checks everything as {@linkcode CommandBuffer.commit} does, and keeps it for {@linkcode Stream.replay} instead
   * of running it. On CUDA it becomes a graph, whose kernels start within about a microsecond of each other.
   *
   * @param label Its name in captures and messages: by default that of this command buffer.
   * @throws {TypeError} If a buffer is too small for what its kernel declares.
   * @throws {RangeError} If a range lies outside of its buffer, or something belongs to another device.
   * @throws {DisposedError} If an object was disposed of.
   */
  record(label: string = this.label): Recording {
    const made = this.#finish(
      label,
      (program, out, call) =>
        native().mf_gpu_record(this.stream.object, program, program.length, out, call),
    );
    return new Recording(this.stream.device, label, adopt("recording", made));
  }

  /** Hands the program over; nothing more can be encoded. */
  #finish(
    label: string,
    give: (
      program: Uint8Array<ArrayBuffer>,
      out: Uint32Array<ArrayBuffer>,
      call: Uint8Array,
    ) => number,
  ): number {
    const writer = this.#open();
    this.#writer = undefined;
    try {
      const program = writer.finish({
        buffers: handles(this.#buffers),
        pipelines: handles(this.#pipelines),
        events: handles(this.#events),
      }, label);
      const out = new Uint32Array(1);
      invoke((call) => give(program, out, call));
      return out[0]!;
    } finally {
      idle.push(writer);
    }
  }

  #open(): ProgramWriter {
    if (this.#writer === undefined) {
      throw new TypeError("Cannot use the command buffer: it has been committed or recorded");
    }
    return this.#writer;
  }
}

function position<T>(positions: Map<T, number>, object: T): number {
  let at = positions.get(object);
  if (at === undefined) positions.set(object, at = positions.size);
  return at;
}

function handles(positions: Map<{ readonly object: number }, number>): number[] {
  const objects: number[] = [];
  for (const { object } of positions.keys()) objects.push(object);
  return objects;
}

function readSize(out: Uint32Array, size: Size, pipeline: Pipeline, what: string): void {
  if (typeof size === "number") {
    out[0] = checkAxis(size, pipeline, what);
    out[1] = out[2] = 1;
  } else {
    if (!Array.isArray(size) || size.length < 1 || size.length > 3) {
      throw new TypeError(
        `Cannot dispatch ${pipeline.name}: ${what} must be a number or 1 to 3 of them`,
      );
    }
    for (let axis = 0; axis < 3; axis++) {
      out[axis] = checkAxis(size[axis] ?? 1, pipeline, what);
    }
  }
}

function checkAxis(value: number, pipeline: Pipeline, what: string): number {
  if (value >>> 0 !== value || value === 0) {
    throw new RangeError(
      `Cannot dispatch ${pipeline.name}: ${what} must be integers from 1 to 2^32 - 1, got ${value}`,
    );
  }
  return value;
}

function checkArgument(arg: KernelArgument | undefined, index: number, pipeline: Pipeline): void {
  if (arg instanceof GpuBuffer) return;
  if (ArrayBuffer.isView(arg)) {
    if (arg.byteLength > 0 && arg.byteLength <= MOST_INLINE) return;
    throw new RangeError(
      `Cannot dispatch ${pipeline.name}: argument ${index} has ${arg.byteLength} bytes; ` +
        `1 to ${MOST_INLINE} go by value, more need a buffer`,
    );
  }
  if (arg?.buffer instanceof GpuBuffer && typeof arg.offset === "number") return;
  throw new TypeError(
    `Cannot dispatch ${pipeline.name}: argument ${index} is no buffer, place in a buffer or typed array`,
  );
}

function memoryAt(memory: number | readonly number[], i: number): number {
  return typeof memory === "number" ? memory : memory[i]!;
}

function checkMemory(bytes: number, pipeline: Pipeline): void {
  if (bytes >>> 0 === bytes && bytes % 16 === 0) return;
  throw new RangeError(
    `Cannot dispatch ${pipeline.name}: threadgroup memory must be a multiple of 16 bytes, got ${bytes}`,
  );
}
