import { DisposedError } from "../../errors.ts";
import type { IDSelector } from "../../selector.ts";
import type { IVFStore, Neighbors, RangeNeighbors, StoreSearch } from "../backend.ts";
import { Rows } from "./rows.ts";
import { type Blocks, checkLists, checkRows, nearest, probed, within } from "./scan.ts";
import { run, runSync } from "./steps.ts";

interface List {
  rows: Rows;
  ids: bigint[];
}

/** Inverted lists in plain TypeScript. */
export class ReferenceIVFStore implements IVFStore {
  readonly d: number;
  readonly nlist: number;
  #held: List[] | undefined;

  constructor(d: number, nlist: number) {
    this.d = d;
    this.nlist = nlist;
    this.#held = this.#empty();
  }

  #empty(): List[] {
    return Array.from({ length: this.nlist }, () => ({ rows: Rows.ofNumbers(this.d), ids: [] }));
  }

  get #lists(): List[] {
    if (this.#held === undefined) throw new DisposedError("Cannot use the store: it was disposed");
    return this.#held;
  }

  #list(list: number): List {
    const found = this.#lists[list];
    if (found === undefined) {
      throw new RangeError(`Cannot use list ${list}: there are ${this.nlist}`);
    }
    return found;
  }

  get count(): number {
    return this.#lists.reduce((total, list) => total + list.ids.length, 0);
  }

  // deno-lint-ignore require-await
  async add(x: Float32Array, lists: BigInt64Array, ids: BigInt64Array): Promise<void> {
    checkRows("add", x, this.d, false);
    checkLists(x.length / this.d, lists, ids, this.nlist);
    lists.forEach((list, row) => {
      if (list === -1n) return;
      const { rows, ids: held } = this.#list(Number(list));
      rows.push(x.subarray(row * this.d, (row + 1) * this.d));
      held.push(ids[row]!);
    });
  }

  // deno-lint-ignore require-await
  async append(other: IVFStore, addId: number): Promise<void> {
    if (other.d !== this.d || other.nlist !== this.nlist) {
      throw new TypeError("Cannot append: the other lists have another shape");
    }
    this.#lists.forEach((list, i) => {
      const { x, ids } = other.list(i);
      list.rows.push(x);
      for (const id of ids) list.ids.push(id + BigInt(addId));
    });
    other.clear();
  }

  sizes(): Float64Array {
    return Float64Array.from(this.#lists, (list) => list.ids.length);
  }

  list(list: number): { x: Float32Array; ids: BigInt64Array } {
    const { rows, ids } = this.#list(list);
    return { x: rows.x.slice(0, rows.count * this.d), ids: BigInt64Array.from(ids) };
  }

  locate(ids: BigInt64Array): BigInt64Array {
    const locations = new Map<bigint, bigint>();
    const wanted = new Set(ids);
    this.#lists.forEach((list, i) =>
      list.ids.forEach((id, offset) => {
        if (!wanted.has(id) || locations.has(id)) return;
        locations.set(id, (BigInt(i) << 32n) | BigInt(offset));
      })
    );
    return ids.map((id) => locations.get(id) ?? -1n);
  }

  gather(locations: BigInt64Array, out: Float32Array): void {
    locations.forEach((location, i) => {
      const { rows } = this.#list(Number(location >> 32n));
      const offset = Number(location & 0xffffffffn);
      if (offset >= rows.count) throw new RangeError(`Cannot get location ${location}`);
      out.set(rows.row(offset), i * this.d);
    });
  }

  // deno-lint-ignore require-await
  async remove(selector: IDSelector): Promise<number> {
    const before = this.count;
    this.#held = this.#lists.map(({ rows, ids }) => {
      const keep = ids.map((id) => !selector.isMember(id));
      return { rows: rows.filtered((row) => keep[row]!), ids: ids.filter((_, row) => keep[row]) };
    });
    return before - this.count;
  }

  clear(): void {
    if (this.count > 0) this.#held = this.#empty();
  }

  async search(
    queries: Float32Array,
    probes: BigInt64Array,
    k: number,
    how: StoreSearch,
  ): Promise<Neighbors> {
    const blocks = this.#blocks(queries, probes);
    return await run(nearest(queries, blocks, k, this.d, how), how.signal);
  }

  searchSync(
    queries: Float32Array,
    probes: BigInt64Array,
    k: number,
    how: StoreSearch,
  ): Neighbors {
    return runSync(nearest(queries, this.#blocks(queries, probes), k, this.d, how));
  }

  async rangeSearch(
    queries: Float32Array,
    probes: BigInt64Array,
    radius: number,
    how: StoreSearch,
  ): Promise<RangeNeighbors> {
    const blocks = this.#blocks(queries, probes);
    return await run(within(queries, blocks, radius, this.d, how), how.signal);
  }

  #blocks(queries: Float32Array, probes: BigInt64Array): Blocks {
    return probed(queries.length / this.d, probes, this.nlist, (list) => {
      const { rows, ids } = this.#list(list);
      return { x: rows.x, count: rows.count, id: (row) => ids[row]! };
    });
  }

  [Symbol.dispose](): void {
    this.#held = undefined;
  }
}
