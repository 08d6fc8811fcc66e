import type { CodecSpec } from "../../codec/codec.ts";
import { DisposedError } from "../../errors.ts";
import type { IDSelector } from "../../selector.ts";
import type {
  CodeLists,
  Neighbors,
  RangeNeighbors,
  ResidualLists,
  StoreSearch,
} from "../backend.ts";
import { countCodes, type PlainCodec, plainCodec } from "./codec.ts";
import { comparing, EMPTY } from "./codes.ts";
import { Rows } from "./rows.ts";
import { type Blocks, checkCodeMetric, checkLists, nearest, probed, within } from "./scan.ts";
import { run, runSync } from "./steps.ts";

interface List {
  codes: Rows<Uint8Array>;
  ids: bigint[];
}

/** Inverted lists of codes in plain TypeScript: searches decode the lists that they look at. */
export class ReferenceCodeLists implements CodeLists {
  readonly d: number;
  readonly nlist: number;
  readonly #codec: PlainCodec;
  readonly #centroids: Float32Array | undefined;
  #held: List[] | undefined;

  constructor(spec: CodecSpec, nlist: number, residual?: ResidualLists) {
    this.d = spec.d;
    this.nlist = nlist;
    this.#codec = plainCodec(spec);
    this.#centroids = residual?.centroids.slice();
    if (this.#centroids !== undefined && this.#centroids.length !== nlist * this.d) {
      throw new TypeError(`Cannot make lists: ${nlist} of them need as many centroids`);
    }
    this.#held = this.#empty();
  }

  get codeSize(): number {
    return this.#codec.codeSize;
  }

  #empty(): List[] {
    return Array.from({ length: this.nlist }, () => {
      return { codes: Rows.ofCodes(this.codeSize), ids: [] };
    });
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
  async add(codes: Uint8Array, lists: BigInt64Array, ids: BigInt64Array): Promise<void> {
    checkLists(countCodes(codes, this.codeSize), lists, ids, this.nlist);
    lists.forEach((list, row) => {
      if (list === -1n) return;
      const { codes: rows, ids: held } = this.#list(Number(list));
      rows.push(codes.subarray(row * this.codeSize, (row + 1) * this.codeSize));
      held.push(ids[row]!);
    });
  }

  // deno-lint-ignore require-await
  async append(other: CodeLists, addId: number): Promise<void> {
    if (
      other.d !== this.d || other.nlist !== this.nlist || other.codeSize !== this.codeSize
    ) {
      throw new TypeError("Cannot append: the other lists have another shape");
    }
    this.#lists.forEach((list, i) => {
      const { codes, ids } = other.list(i);
      list.codes.push(codes);
      for (const id of ids) list.ids.push(id + BigInt(addId));
    });
    other.clear();
  }

  sizes(): Float64Array {
    return Float64Array.from(this.#lists, (list) => list.ids.length);
  }

  list(list: number): { codes: Uint8Array; ids: BigInt64Array } {
    const { codes, ids } = this.#list(list);
    return {
      codes: codes.x.slice(0, codes.count * this.codeSize),
      ids: BigInt64Array.from(ids),
    };
  }

  locate(ids: BigInt64Array): BigInt64Array {
    const locations = new Map<bigint, bigint>();
    const wanted = new Set(ids);
    this.#lists.forEach((list, i) =>
      list.ids.forEach((id, offset) => {
        if (wanted.has(id)) locations.set(id, (BigInt(i) << 32n) | BigInt(offset));
      })
    );
    return ids.map((id) => locations.get(id) ?? -1n);
  }

  gather(locations: BigInt64Array, out: Float32Array): void {
    locations.forEach((location, i) => {
      const list = Number(location >> 32n);
      const { codes } = this.#list(list);
      const offset = Number(location & 0xffffffffn);
      if (offset >= codes.count) throw new RangeError(`Cannot get location ${location}`);
      out.set(this.#decode(codes.row(offset), 1, list), i * this.d);
    });
  }

  // deno-lint-ignore require-await
  async remove(selector: IDSelector): Promise<number> {
    const before = this.count;
    this.#held = this.#lists.map(({ codes, ids }) => {
      const keep = ids.map((id) => !selector.isMember(id));
      return {
        codes: codes.filtered((row) => keep[row]!),
        ids: ids.filter((_, row) => keep[row]),
      };
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
    const blocks = this.#blocks(queries, probes, how);
    return await run(nearest(queries, blocks, k, this.d, how), how.signal);
  }

  searchSync(
    queries: Float32Array,
    probes: BigInt64Array,
    k: number,
    how: StoreSearch,
  ): Neighbors {
    return runSync(nearest(queries, this.#blocks(queries, probes, how), k, this.d, how));
  }

  async rangeSearch(
    queries: Float32Array,
    probes: BigInt64Array,
    radius: number,
    how: StoreSearch,
  ): Promise<RangeNeighbors> {
    const blocks = this.#blocks(queries, probes, how);
    return await run(within(queries, blocks, radius, this.d, how), how.signal);
  }

  /** What codes of a list stand for, with its centroid. */
  #decode(codes: Uint8Array, n: number, list: number): Float32Array {
    const x = new Float32Array(n * this.d);
    this.#codec.decode(codes, x);
    if (this.#centroids === undefined) return x;
    const centroid = this.#centroids.subarray(list * this.d, (list + 1) * this.d);
    return x.map((value, i) => value + centroid[i % this.d]!);
  }

  #blocks(queries: Float32Array, probes: BigInt64Array, how: StoreSearch): Blocks {
    checkCodeMetric(how.metric);
    const decoded = new Map<number, Float32Array>();
    return probed(queries.length / this.d, probes, this.nlist, (list) => {
      const { codes, ids } = this.#list(list);
      const { compare } = this.#codec;
      if (compare !== undefined) {
        const about = this.#centroids?.subarray(list * this.d, (list + 1) * this.d);
        return {
          x: EMPTY,
          count: codes.count,
          id: (row) => ids[row]!,
          compare: comparing(compare, codes.x, this.codeSize, how, about),
        };
      }
      const x = decoded.get(list) ?? this.#decode(codes.x, codes.count, list);
      decoded.set(list, x);
      return { x, count: codes.count, id: (row) => ids[row]! };
    });
  }

  [Symbol.dispose](): void {
    this.#held = undefined;
  }
}
