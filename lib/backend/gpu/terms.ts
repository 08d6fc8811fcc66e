import type { GpuBuffer } from "../../kernel/buffer.ts";
import { Random } from "../../random.ts";
import type { FastMetric } from "./metrics.ts";
import { keyErrors } from "./plan.ts";
import type { GpuRows } from "./rows.ts";
import type { Task } from "./task.ts";
import { floatBits, words } from "./words.ts";

/** Most rows that a center is made of, and most numbers of them. */
const SAMPLED = { rows: 256, numbers: 2 ** 18 };
/** A center is made anew when the store has grown this many times. */
const GROWTH = 4;

interface Terms {
  buffer: GpuBuffer;
  /** Rows that there is room for. */
  capacity: number;
  /** Rows whose term is known. */
  known: number;
}

/** What kernels know of rows beforehand: a term a row and metric, and the center of L2. */
export class RowTerms implements Disposable {
  readonly #rows: GpuRows;
  readonly #terms = new Map<FastMetric, Terms>();
  readonly #random = new Random(1);
  // Any row is as likely as another to be here.
  readonly #sample: Float32Array;
  #sampled = 0;
  #center: { buffer: GpuBuffer; count: number } | undefined;
  #zeros: GpuBuffer | undefined;

  constructor(rows: GpuRows) {
    this.#rows = rows;
    const { d } = rows;
    const slots = Math.max(1, Math.min(SAMPLED.rows, Math.floor(SAMPLED.numbers / d)));
    this.#sample = new Float32Array(slots * d);
  }

  /** Told of rows that were added. */
  observe(x: Float32Array): void {
    const { d } = this.#rows;
    this.#draw(x.length / d, (row) => x.subarray(row * d, (row + 1) * d));
  }

  /** Told of rows that were added from another store. */
  observeFrom(other: RowTerms, count: number): void {
    const { d } = this.#rows;
    const slots = other.#sample.length / d;
    this.#draw(count, (row) => {
      const slot = row % slots;
      return other.#sample.subarray(slot * d, (slot + 1) * d);
    });
  }

  /** Told that rows have other places now. */
  forget(): void {
    for (const terms of this.#terms.values()) terms.known = 0;
  }

  /** Told that all rows are gone: the center of those that come next may lie elsewhere. */
  clear(): void {
    this.forget();
    this.#sampled = 0;
    if (this.#center) this.#center.count = 0;
  }

  /** The terms of all rows, and what keys are computed relative to; records what is missing. */
  use(task: Task, metric: FastMetric): { terms: GpuBuffer; center: GpuBuffer } {
    const { count, capacity, buffer: x, d, width, width4, context } = this.#rows;
    const center = metric === "l2" ? this.#useCenter() : this.#useZeros();
    let terms = this.#terms.get(metric);
    if (terms === undefined || terms.capacity < count) {
      const buffer = context.allocatePrivate(capacity * 4, "row terms");
      terms?.buffer.dispose();
      this.#terms.set(metric, terms = { buffer, capacity, known: 0 });
    }
    const { known } = terms;
    if (known < count) {
      const { rounding } = keyErrors(d, metric);
      const params = words(count - known, d, width4, floatBits(rounding));
      task.dispatch(["flat.metal", `flat_row_terms_${metric}_f32`], [
        { buffer: x, offset: known * width * 4 },
        center,
        { buffer: terms.buffer, offset: known * 4 },
        params,
      ], { threadgroups: Math.ceil((count - known) / 8), threadgroup: 256 });
      const held = terms;
      task.onCommit(() => held.known = count, () => held.known = 0);
    }
    return { terms: terms.buffer, center };
  }

  [Symbol.dispose](): void {
    for (const { buffer } of this.#terms.values()) buffer.dispose();
    this.#terms.clear();
    this.#center?.buffer.dispose();
    this.#zeros?.dispose();
  }

  #draw(n: number, row: (i: number) => Float32Array): void {
    const { d } = this.#rows;
    if (n === 0) return;
    this.#sampled += n;
    for (let at = 0; at < this.#sample.length; at += d) {
      if (this.#random.uniform() * this.#sampled >= n) continue;
      this.#sample.set(row(this.#random.integer(n)), at);
    }
  }

  #useCenter(): GpuBuffer {
    const { count, width, context } = this.#rows;
    if (this.#center && count < this.#center.count * GROWTH) return this.#center.buffer;
    const center = new Float32Array(width);
    center.set(this.#medians());
    const buffer = context.allocatePrivate(width * 4, "center");
    buffer.writeSync(center);
    this.#center?.buffer.dispose();
    this.#center = { buffer, count };
    const terms = this.#terms.get("l2");
    if (terms) terms.known = 0;
    return buffer;
  }

  /** The median of each column: one row far away does not move it. */
  #medians(): Float32Array {
    const { d } = this.#rows;
    const slots = this.#sample.length / d;
    const column = new Float32Array(slots);
    return Float32Array.from({ length: d }, (_, c) => {
      for (let slot = 0; slot < slots; slot++) column[slot] = this.#sample[slot * d + c]!;
      const median = column.sort()[slots >> 1]!;
      return Number.isFinite(median) ? median : 0;
    });
  }

  #useZeros(): GpuBuffer {
    if (this.#zeros) return this.#zeros;
    const { width, context } = this.#rows;
    const zeros = context.allocatePrivate(width * 4, "zeros");
    zeros.writeSync(new Float32Array(width));
    return this.#zeros = zeros;
  }
}
