/**
 * Flat stores in the memory of a GPU.
 *
 * @module
 */

import { Metric } from "../../metric.ts";
import type { IDSelector } from "../../selector.ts";
import type { FlatStore, Neighbors, RangeNeighbors, StoreSearch } from "../backend.ts";
import { checkLength, countRows } from "../cpu/work.ts";
import { checkRows } from "../reference/scan.ts";
import { allMissing, checkK, checkMost, widen } from "./checks.ts";
import { EXACT_WORK, type GpuContext } from "./context.ts";
import { exhaust, exhaustParams, type LookedAt } from "./exhaust.ts";
import { filteredRows, keptRows, listRows } from "./filter.ts";
import { searchFast } from "./flat_search.ts";
import { fastMetric, kernelMetric } from "./metrics.ts";
import { findWithin, toRange } from "./range.ts";
import { checkAdded, GpuRows, padRows } from "./rows.ts";
import { run, runSync, type Steps } from "./steps.ts";
import { Task } from "./task.ts";
import { RowTerms } from "./terms.ts";

/** {@linkcode FlatStore} of the gpu backend. */
export class GpuFlatStore implements FlatStore {
  readonly d: number;
  readonly #rows: GpuRows;
  readonly #terms: RowTerms;

  constructor(context: GpuContext, d: number) {
    this.d = d;
    this.#rows = new GpuRows(context, d);
    this.#terms = new RowTerms(this.#rows);
  }

  get count(): number {
    return this.#rows.count;
  }

  async add(x: Float32Array, allowNaN = false): Promise<void> {
    this.#rows.assertUsable();
    await checkAdded(x, this.d, allowNaN);
    if (x.length === 0) return;
    await this.#rows.push(x);
    this.#terms.observe(x);
  }

  async append(other: FlatStore): Promise<void> {
    if (!(other instanceof GpuFlatStore) || other.d !== this.d) {
      throw new TypeError("Cannot append: the stores differ in d or backend");
    }
    const added = other.count;
    if (other.#rows.context.device === this.#rows.context.device) {
      await this.#rows.pushFrom(other.#rows);
    } else {
      const x = new Float32Array(added * this.d);
      other.get(0, x);
      if (added > 0) await this.#rows.push(x);
    }
    this.#terms.observeFrom(other.#terms, added);
  }

  get(start: number, out: Float32Array): void {
    this.#rows.assertUsable();
    const end = start + countRows(out, this.d, "out");
    if (!Number.isInteger(start) || start < 0 || end > this.count) {
      throw new RangeError(`Cannot get rows ${start} to ${end}: there are ${this.count}`);
    }
    this.#rows.read(start, out);
  }

  gather(rows: BigInt64Array, out: Float32Array): void {
    checkLength(out, rows.length * this.d, "out");
    const numbers = new Uint32Array(rows.length);
    rows.forEach((row, i) => {
      if (row < 0n || row >= BigInt(this.count)) {
        throw new RangeError(`Cannot get row ${row}: there are ${this.count}`);
      }
      numbers[i] = Number(row);
    });
    this.#rows.gather(numbers, out);
  }

  async remove(selector: IDSelector): Promise<number> {
    this.#rows.assertUsable();
    const { count } = this;
    const kept = keptRows(selector, count);
    if (kept.count === count) return 0;
    using task = new Task(this.#rows.context, "remove");
    await this.#rows.keep(task, listRows(task, kept, count), kept.count);
    this.#terms.forget();
    return count - kept.count;
  }

  clear(): void {
    this.#rows.assertUsable();
    this.#rows.replace(undefined, 0);
    this.#terms.clear();
  }

  search(queries: Float32Array, k: number, how: StoreSearch): Promise<Neighbors> {
    return run(this.#search(queries, k, how), how.signal);
  }

  searchSync(queries: Float32Array, k: number, how: StoreSearch): Neighbors {
    return runSync(this.#search(queries, k, how));
  }

  rangeSearch(queries: Float32Array, radius: number, how: StoreSearch): Promise<RangeNeighbors> {
    return run(this.#rangeSearch(queries, radius, how), how.signal);
  }

  [Symbol.dispose](): void {
    this.#rows[Symbol.dispose]();
    this.#terms[Symbol.dispose]();
  }

  *#search(queries: Float32Array, k: number, how: StoreSearch): Steps<Neighbors> {
    const nq = this.#check(queries, how);
    checkK(k);
    using task = new Task(this.#rows.context, "flat search");
    const looked = this.#lookAt(task, how.selector);
    task.scanned = nq * looked.count;
    const found = allMissing(nq, k, how.metric);
    const wanted = Math.min(k, looked.count);
    if (nq === 0 || wanted === 0) return { ...found, run: task.runInfo() };
    checkMost(wanted);
    const fast = fastMetric(how.metric);
    let own;
    if (fast === undefined) {
      const raw = task.input(padRows(queries, this.d), "queries");
      own = yield* exhaust(task, this.#rows, { buffer: raw, count: nq }, wanted, how, looked);
    } else {
      const source = { rows: this.#rows, terms: this.#terms };
      own = yield* searchFast(task, source, queries, wanted, fast, how, looked);
    }
    return { ...widen(own, wanted, found, k, how.metric), run: task.runInfo() };
  }

  *#rangeSearch(queries: Float32Array, radius: number, how: StoreSearch): Steps<RangeNeighbors> {
    const nq = this.#check(queries, how);
    if (Number.isNaN(radius)) throw new RangeError("Cannot search: radius is NaN");
    using task = new Task(this.#rows.context, "flat range search");
    const looked = this.#lookAt(task, how.selector);
    const rows = looked.count;
    task.scanned = task.recomputed = nq * rows;
    if (nq === 0 || rows === 0) {
      return toRange(new Array(nq).fill(new BigUint64Array(0)), undefined, task.runInfo());
    }
    const { width, buffer: x } = this.#rows;
    const { list } = looked;
    const all = task.input(padRows(queries, this.d), "queries");
    const work = rows * this.d * EXACT_WORK;
    const name = `within_${kernelMetric(how.metric)}`;
    const pairs = yield* findWithin(task, nq, rows, work, (from, n, stride, counts, found) => {
      const params = exhaustParams(how, {
        nq: n,
        rows,
        d: this.d,
        width,
        stride,
        radius,
        listed: list !== undefined,
      });
      const here = { buffer: all, offset: from * width * 4 };
      task.dispatch(["flat_exhaust.metal", name], [here, x, list ?? x, counts, found, params], {
        threadgroups: [Math.ceil(rows / 256), Math.ceil(n / 4)],
        threadgroup: 256,
      });
    });
    return toRange(pairs, undefined, task.runInfo());
  }

  #check(queries: Float32Array, how: StoreSearch): number {
    this.#rows.assertUsable();
    checkRows("search", queries, this.d, how.metric === Metric.NaNEuclidean);
    return queries.length / this.d;
  }

  #lookAt(task: Task, selector: IDSelector | undefined): LookedAt {
    const selected = filteredRows(selector, this.count);
    if (selected === undefined || selected.count === this.count) return { count: this.count };
    if (selected.count === 0) return { count: 0 };
    return { count: selected.count, list: listRows(task, selected, this.count) };
  }
}
