import { DisposedError } from "../../errors.ts";
import type { GpuBuffer } from "../../kernel/buffer.ts";
import { checkRows } from "../reference/scan.ts";
import type { GpuContext } from "./context.ts";
import { run, runSync } from "./steps.ts";
import { Task } from "./task.ts";
import { words } from "./words.ts";

/** Most rows: kernels number them in 32 bits. */
const MOST_ROWS = 2 ** 32 - 2 ** 16;
/** Bytes that are uploaded, or read back, in one go. */
const CHUNK_BYTES = 8 * 2 ** 20;

/** Numbers from a row to the next on the device: a multiple of 4. */
export function paddedWidth(d: number): number {
  return Math.ceil(d / 4) * 4;
}

/** Rows with zeros up to a multiple of 4 numbers; `x` itself where none are needed. */
export function padRows(x: Float32Array, d: number): Float32Array {
  const width = paddedWidth(d);
  if (width === d) return x;
  const n = x.length / d;
  const padded = new Float32Array(n * width);
  for (let row = 0; row < n; row++) {
    padded.set(x.subarray(row * d, (row + 1) * d), row * width);
  }
  return padded;
}

/** Copies rows without their padding. */
function unpadRows(padded: Float32Array, out: Float32Array, d: number): void {
  const width = paddedWidth(d);
  for (let row = 0; row * d < out.length; row++) {
    out.set(padded.subarray(row * width, row * width + d), row * d);
  }
}

/** Uploads rows, padded, without holding up the event loop for long. */
export async function uploadRows(
  x: Float32Array,
  d: number,
  to: GpuBuffer,
  firstRow: number,
): Promise<void> {
  const bytes = paddedWidth(d) * 4;
  const step = Math.max(1, Math.floor(CHUNK_BYTES / bytes)) * d;
  for (let at = 0; at < x.length; at += step) {
    const offset = (firstRow + at / d) * bytes;
    await to.write(padRows(x.subarray(at, at + step), d), offset);
  }
}

/** Refuses rows that are not whole or not finite, a chunk at a time. */
export async function checkAdded(x: Float32Array, d: number, allowNaN: boolean): Promise<void> {
  const isSmall = x.length * 4 <= CHUNK_BYTES;
  if (isSmall || allowNaN || x.length % d !== 0) return checkRows("add", x, d, allowNaN);
  const step = Math.max(1, Math.floor(CHUNK_BYTES / 4 / d)) * d;
  for (let at = 0; at < x.length; at += step) {
    const part = x.subarray(at, at + step);
    // A loop without a branch a number; the slow check names the row.
    let zero = 0;
    for (let i = 0; i < part.length; i++) zero += part[i]! * 0;
    if (zero !== 0) checkRows("add", x, d, allowNaN);
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
}

/** Rows in device memory that grows. What fails leaves them as they were. */
export class GpuRows implements Disposable {
  readonly context: GpuContext;
  readonly d: number;
  /** Numbers from a row to the next. */
  readonly width: number;
  /** Rows held. */
  count = 0;
  #capacity = 0;
  #buffer: GpuBuffer | undefined;
  #disposed = false;
  /** Numbers of sampled rows, by how many. */
  readonly #samples = new Map<number, GpuBuffer>();

  constructor(context: GpuContext, d: number) {
    this.context = context;
    this.d = d;
    this.width = paddedWidth(d);
  }

  /** Groups of four numbers a row. */
  get width4(): number {
    return this.width / 4;
  }

  /** Rows that there is room for. */
  get capacity(): number {
    return this.#capacity;
  }

  /** The numbers. */
  get buffer(): GpuBuffer {
    this.assertUsable();
    return this.#buffer ??= this.context.allocatePrivate(0, "rows");
  }

  /** Throws after dispose. */
  assertUsable(): void {
    if (this.#disposed) throw new DisposedError("Cannot use the store: it was disposed");
  }

  /** Numbers of rows by chance; the same ones until the rows change. */
  sample(task: Task, samples: number): GpuBuffer {
    const known = this.#samples.get(samples);
    if (known) return known;
    const list = this.context.allocatePrivate(samples * 4, "sampled rows");
    sampleRows(task, this.count, undefined, samples, list);
    task.onCommit(() => this.#samples.set(samples, list), () => this.#forgetSamples());
    return list;
  }

  /** Appends checked rows of the host. */
  async push(x: Float32Array): Promise<void> {
    const n = x.length / this.d;
    await this.#grow(n);
    await uploadRows(x, this.d, this.buffer, this.count);
    this.#setCount(this.count + n);
  }

  /** Appends rows of the device. */
  async pushFrom(other: GpuRows): Promise<void> {
    const { count } = other;
    if (count === 0) return this.assertUsable();
    await this.#grow(count);
    const bytes = this.width * 4;
    const commands = this.context.device.stream.commands("append rows");
    commands.copy(other.buffer, 0, this.buffer, this.count * bytes, count * bytes);
    await commands.commit().completed;
    this.#setCount(this.count + count);
  }

  /** Makes room for more rows. */
  async #grow(more: number): Promise<void> {
    this.assertUsable();
    const wanted = this.count + more;
    if (wanted > MOST_ROWS) {
      throw new RangeError(
        `Cannot add: ${wanted} rows are more than the ${MOST_ROWS} of a GPU store`,
      );
    }
    if (wanted <= this.#capacity) return;
    // Grows by half, so that many small additions do not copy everything each time.
    const capacity = this.count === 0 ? wanted : Math.max(wanted, Math.ceil(this.count * 1.5));
    const larger = this.context.allocatePrivate(capacity * this.width * 4, "rows");
    if (this.count > 0) {
      const commands = this.context.device.stream.commands("grow rows");
      commands.copy(this.buffer, 0, larger, 0, this.count * this.width * 4);
      try {
        await commands.commit().completed;
      } catch (error) {
        larger.dispose();
        throw error;
      }
    }
    this.#buffer?.dispose();
    this.#buffer = larger;
    this.#capacity = capacity;
  }

  #setCount(count: number): void {
    this.count = count;
    this.#forgetSamples();
  }

  #forgetSamples(): void {
    for (const list of this.#samples.values()) list.dispose();
    this.#samples.clear();
  }

  /** Takes over a buffer in place of the one held. */
  replace(buffer: GpuBuffer | undefined, count: number): void {
    this.#buffer?.dispose();
    this.#buffer = buffer;
    this.#capacity = count;
    this.#setCount(count);
  }

  /** Copies rows `start …` to the host. */
  read(start: number, out: Float32Array): void {
    const { d, width, buffer } = this;
    if (width === d) {
      if (out.length > 0) buffer.readSync(out, start * width * 4);
      return;
    }
    const step = Math.max(1, Math.floor(CHUNK_BYTES / 4 / width));
    const padded = new Float32Array(Math.min(step, out.length / d) * width);
    for (let row = 0; row * d < out.length; row += step) {
      const part = out.subarray(row * d, (row + step) * d);
      const from = padded.subarray(0, part.length / d * width);
      buffer.readSync(from, (start + row) * width * 4);
      unpadRows(from, part, d);
    }
  }

  /** Copies the given rows to the host. */
  gather(rows: Uint32Array, out: Float32Array): void {
    this.assertUsable();
    if (rows.length === 0) return;
    using task = new Task(this.context, "gather rows");
    const found = task.output(rows.length * this.width * 4, "gathered rows");
    gatherRows(
      task,
      this.buffer,
      this.count,
      task.input(rows, "row numbers"),
      rows.length,
      found,
      this.width,
    );
    runSync(task.finish());
    const padded = this.width === this.d ? out : new Float32Array(rows.length * this.width);
    found.readSync(padded);
    if (padded !== out) unpadRows(padded, out, this.d);
  }

  /** Keeps only the listed rows, whose numbers are on the device. */
  async keep(task: Task, list: GpuBuffer, count: number): Promise<void> {
    this.assertUsable();
    let kept: GpuBuffer | undefined;
    if (count > 0) {
      kept = this.context.allocatePrivate(count * this.width * 4, "rows");
      try {
        gatherRows(task, this.buffer, this.count, list, count, kept, this.width);
        await run(task.finish());
      } catch (error) {
        kept.dispose();
        throw error;
      }
    }
    this.replace(kept, count);
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    // The count stays: what comes next is to fail for being disposed of.
    this.#setCount(this.count);
    this.#buffer?.dispose();
    this.#buffer = undefined;
  }
}

/** Records the choice of rows by chance, among those of a list or all. */
export function sampleRows(
  task: Task,
  rows: number,
  list: GpuBuffer | undefined,
  samples: number,
  out: GpuBuffer,
): void {
  const params = words(rows, samples, Number(list !== undefined));
  task.dispatch(["sample.metal", "sample_rows"], [list ?? out, out, params], {
    threads: samples,
    threadgroup: 256,
  });
}

/** Records `out[i] = x[list[i]]` for rows of `width` words. */
export function gatherRows(
  task: Task,
  x: GpuBuffer,
  n: number,
  list: GpuBuffer,
  count: number,
  out: GpuBuffer,
  width: number,
): void {
  task.dispatch(["filter.metal", "gather_rows_b32"], [x, list, out, words(count, n, width)], {
    threadgroups: Math.ceil(count / 8),
    threadgroup: 256,
  });
}
