/**
 * The packed record of a command buffer, `mf_gpu_program`.
 *
 * @module
 */

/** `mf_gpu_command`. */
export const Command = {
  DISPATCH_THREADS: 1,
  DISPATCH_THREADGROUPS: 2,
  COPY: 3,
  FILL: 4,
  SIGNAL: 5,
  AWAIT: 6,
  MULTIPLY: 7,
} as const;

/** `sizeof(mf_gpu_program)`. */
export const PROGRAM_BYTES = 32;
/** `sizeof(mf_gpu_dispatch)`. */
export const DISPATCH_BYTES = 48;
/** `sizeof(mf_gpu_argument)`. */
export const ARGUMENT_BYTES = 16;
/** `sizeof(mf_gpu_copy)`. */
export const COPY_BYTES = 40;
/** `sizeof(mf_gpu_fill)`. */
export const FILL_BYTES = 32;
/** `sizeof(mf_gpu_sync)`. */
export const SYNC_BYTES = 24;
/** `sizeof(mf_gpu_multiply)`. */
export const MULTIPLY_BYTES = 112;

/** What a program names by position. */
export interface Objects {
  /** Handles of buffers. */
  buffers: readonly number[];
  /** Handles of pipelines. */
  pipelines: readonly number[];
  /** Handles of events. */
  events: readonly number[];
}

/** A product, as `mf_gpu_multiply` has it. */
export interface Product {
  /** Position of the buffer of a. */
  a: number;
  /** Position of the buffer of b. */
  b: number;
  /** Position of the buffer of c. */
  c: number;
  /** What is transposed or float16, as bits. */
  flags: number;
  /** Bytes before a, b and c. */
  offsets: readonly [a: number, b: number, c: number];
  /** Elements from a row to the next of a, b and c. */
  lines: readonly [a: number, b: number, c: number];
  /** m, n and k. */
  sizes: readonly [m: number, n: number, k: number];
  /** Factor of the product. */
  alpha: number;
  /** Factor of what c holds. */
  beta: number;
}

/** Writes commands one after the other into memory that grows. Offsets are held by `abi_test.ts`. */
export class ProgramWriter {
  #bytes = new Uint8Array(4096);
  #words = new Uint32Array(this.#bytes.buffer);
  #floats = new Float32Array(this.#bytes.buffer);
  #doubles = new Float64Array(this.#bytes.buffer);
  #at = PROGRAM_BYTES;
  #commands = 0;
  /** Start of the command that is being written. */
  #start = 0;

  /** Empties it. */
  reset(): this {
    this.#at = PROGRAM_BYTES;
    this.#commands = 0;
    return this;
  }

  /** Begins a dispatch; its arguments, memories and `end` follow. */
  dispatch(
    kind: number,
    pipeline: number,
    args: number,
    memories: number,
    grid: Readonly<Uint32Array>,
    threadgroup: Readonly<Uint32Array>,
  ): void {
    this.#begin(kind, DISPATCH_BYTES);
    const words = this.#words;
    const at = this.#start >> 2;
    words[at + 2] = pipeline;
    words[at + 3] = args;
    words[at + 4] = memories;
    words[at + 5] = 0;
    for (let axis = 0; axis < 3; axis++) {
      words[at + 6 + axis] = grid[axis]!;
      words[at + 9 + axis] = threadgroup[axis]!;
    }
  }

  /** An argument in a buffer. */
  buffer(position: number, offset: number): void {
    this.#reserve(ARGUMENT_BYTES);
    this.#words[this.#at >> 2] = position;
    this.#words[(this.#at >> 2) + 1] = 0;
    this.#doubles[(this.#at >> 3) + 1] = offset;
    this.#at += ARGUMENT_BYTES;
  }

  /** An argument by value. */
  value(view: ArrayBufferView): void {
    const length = view.byteLength;
    this.#reserve(ARGUMENT_BYTES + length + 7);
    this.#words[this.#at >> 2] = 0xffff_ffff;
    this.#words[(this.#at >> 2) + 1] = length;
    this.#doubles[(this.#at >> 3) + 1] = 0;
    this.#at += ARGUMENT_BYTES;
    const at = this.#at >> 2;
    // Element by element where that spares a view of the bytes.
    if (length <= 64 && (view instanceof Uint32Array || view instanceof Int32Array)) {
      for (let i = 0; i < view.length; i++) this.#words[at + i] = view[i]!;
    } else if (length <= 64 && view instanceof Float32Array) {
      for (let i = 0; i < view.length; i++) this.#floats[at + i] = view[i]!;
    } else {
      this.#bytes.set(new Uint8Array(view.buffer, view.byteOffset, length), this.#at);
    }
    this.#at += (length + 7) & ~7;
  }

  /** Bytes of one threadgroup argument. */
  memory(bytes: number): void {
    this.#reserve(8);
    this.#words[this.#at >> 2] = bytes;
    this.#at += 4;
  }

  /** Ends a dispatch. */
  end(): void {
    this.#at = (this.#at + 7) & ~7;
    this.#words[(this.#start >> 2) + 1] = this.#at - this.#start;
  }

  /** A copy between buffers. */
  copy(from: number, fromOffset: number, to: number, toOffset: number, bytes: number): void {
    this.#begin(Command.COPY, COPY_BYTES);
    this.#words[(this.#start >> 2) + 2] = from;
    this.#words[(this.#start >> 2) + 3] = to;
    this.#doubles[(this.#start >> 3) + 2] = fromOffset;
    this.#doubles[(this.#start >> 3) + 3] = toOffset;
    this.#doubles[(this.#start >> 3) + 4] = bytes;
  }

  /** Bytes of a buffer set to one value. */
  fill(buffer: number, offset: number, bytes: number, value: number): void {
    this.#begin(Command.FILL, FILL_BYTES);
    this.#words[(this.#start >> 2) + 2] = buffer;
    this.#words[(this.#start >> 2) + 3] = value;
    this.#doubles[(this.#start >> 3) + 2] = offset;
    this.#doubles[(this.#start >> 3) + 3] = bytes;
  }

  /** A product of matrices. */
  multiply({ a, b, c, flags, offsets, lines, sizes, alpha, beta }: Product): void {
    this.#begin(Command.MULTIPLY, MULTIPLY_BYTES);
    const word = (this.#start >> 2) + 2;
    this.#words[word] = a;
    this.#words[word + 1] = b;
    this.#words[word + 2] = c;
    this.#words[word + 3] = flags;
    const at = (this.#start >> 3) + 3;
    for (let i = 0; i < 3; i++) {
      this.#doubles[at + i] = offsets[i]!;
      this.#doubles[at + 3 + i] = lines[i]!;
      this.#doubles[at + 6 + i] = sizes[i]!;
    }
    this.#doubles[at + 9] = alpha;
    this.#doubles[at + 10] = beta;
  }

  /** An event signalled or waited for. */
  sync(kind: number, event: number, value: number): void {
    this.#begin(kind, SYNC_BYTES);
    this.#words[(this.#start >> 2) + 2] = event;
    this.#words[(this.#start >> 2) + 3] = 0;
    this.#doubles[(this.#start >> 3) + 2] = value;
  }

  /** Ends the program. Its memory is used again after {@linkcode reset}. */
  finish({ buffers, pipelines, events }: Objects, label = ""): Uint8Array<ArrayBuffer> {
    const objectsAt = this.#at;
    const text = label === "" ? undefined : new TextEncoder().encode(label);
    const objects = buffers.length + pipelines.length + events.length;
    this.#reserve(objects * 4 + (text?.length ?? 0));
    let word = objectsAt >> 2;
    for (const object of buffers) this.#words[word++] = object;
    for (const object of pipelines) this.#words[word++] = object;
    for (const object of events) this.#words[word++] = object;
    if (text) this.#bytes.set(text, word * 4);
    const bytes = word * 4 + (text?.length ?? 0);
    const words = this.#words;
    words[0] = bytes;
    words[1] = this.#commands;
    words[2] = objectsAt;
    words[3] = buffers.length;
    words[4] = pipelines.length;
    words[5] = events.length;
    words[6] = text?.length ?? 0;
    words[7] = 0;
    return this.#bytes.subarray(0, bytes);
  }

  #begin(kind: number, bytes: number): void {
    this.#reserve(bytes);
    this.#start = this.#at;
    this.#words[this.#at >> 2] = kind;
    this.#words[(this.#at >> 2) + 1] = bytes;
    this.#at += bytes;
    this.#commands++;
  }

  #reserve(bytes: number): void {
    const wanted = this.#at + bytes;
    if (wanted <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(wanted + 7 & ~7, this.#bytes.length * 2));
    grown.set(this.#bytes);
    this.#bytes = grown;
    this.#words = new Uint32Array(grown.buffer);
    this.#floats = new Float32Array(grown.buffer);
    this.#doubles = new Float64Array(grown.buffer);
  }
}
