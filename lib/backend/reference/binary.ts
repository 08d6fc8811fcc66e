/**
 * Codes of bits in plain TypeScript.
 *
 * @module
 */

import { bitsOf } from "../../codec/binary_codes.ts";
import type { RangeNeighbors, RunInfo } from "../backend.ts";
import type { BinaryLists, BinaryNeighbors, BinarySearch, BinaryStore } from "../binary.ts";
import { ReferenceCodeLists } from "./code_lists.ts";
import { countCodes } from "./codec.ts";
import { ReferenceCodeStore } from "./codes.ts";
import { run, runSync, type Steps } from "./steps.ts";

interface Hit {
  id: bigint;
  distance: number;
}

/** Codes with ids that a query looks at. */
type Rows = Iterable<{ id: bigint; code: Uint8Array }>;

/** Pairs between two steps. */
const PAIRS_A_STEP = 4096;

/** Bits that differ. */
function distanceOf(x: Uint8Array, y: Uint8Array): number {
  let distance = 0;
  for (let i = 0; i < x.length; i++) distance += bitsOf(x[i]! ^ y[i]!);
  return distance;
}

/** The selected rows of each query, with their distances, in order of id. */
function* hitsOf(
  queries: Uint8Array,
  codeSize: number,
  rowsOf: (query: number) => Rows,
  selector: BinarySearch["selector"],
): Steps<Hit[][]> {
  const all: Hit[][] = [];
  for (let query = 0; query < countCodes(queries, codeSize); query++) {
    const x = queries.subarray(query * codeSize, (query + 1) * codeSize);
    const hits: Hit[] = [];
    let steps = 0;
    for (const { id, code } of rowsOf(query)) {
      if (++steps % PAIRS_A_STEP === 0) yield;
      if (selector && !selector.isMember(id)) continue;
      hits.push({ id, distance: distanceOf(x, code) });
    }
    all.push(hits.sort((a, b) => a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
    yield;
  }
  return all;
}

function runInfo(hits: Hit[][]): RunInfo {
  const scanned = hits.reduce((sum, { length }) => sum + length, 0);
  const about = { backend: "reference", engine: "typescript", isa: "none", threads: 1 } as const;
  return { ...about, variants: ["hamming_direct"], scanned, recomputed: 0 };
}

function* nearest(found: Steps<Hit[][]>, k: number): Steps<BinaryNeighbors> {
  if (!Number.isInteger(k) || k < 1) throw new RangeError(`Cannot search: k ${k} is not above 0`);
  const all = yield* found;
  const distances = new Int32Array(all.length * k).fill(2 ** 31 - 1);
  const labels = new BigInt64Array(all.length * k).fill(-1n);
  all.forEach((hits, query) => {
    // The sort is stable, so that ties stay in order of id.
    const sorted = hits.toSorted((a, b) => a.distance - b.distance);
    sorted.slice(0, k).forEach(({ id, distance }, i) => {
      distances[query * k + i] = distance;
      labels[query * k + i] = id;
    });
  });
  return { distances, labels, run: runInfo(all) };
}

function* within(found: Steps<Hit[][]>, radius: number): Steps<RangeNeighbors> {
  if (Number.isNaN(radius)) throw new RangeError("Cannot search: radius is NaN");
  const all = yield* found;
  const lims = new BigUint64Array(all.length + 1);
  const near = all.map((hits) => hits.filter(({ distance }) => distance < radius));
  near.forEach((hits, query) => lims[query + 1] = lims[query]! + BigInt(hits.length));
  const flat = near.flat();
  return {
    lims,
    distances: Float32Array.from(flat, ({ distance }) => distance),
    labels: BigInt64Array.from(flat, ({ id }) => id),
    run: runInfo(all),
  };
}

/** {@linkcode BinaryStore} of the reference backend. */
export class ReferenceBinaryStore implements BinaryStore {
  readonly codes: ReferenceCodeStore;

  constructor(d: number) {
    this.codes = new ReferenceCodeStore({ kind: "binary", d });
  }

  async search(queries: Uint8Array, k: number, how: BinarySearch): Promise<BinaryNeighbors> {
    return await run(nearest(this.#all(queries, how), k), how.signal);
  }

  searchSync(queries: Uint8Array, k: number, how: BinarySearch): BinaryNeighbors {
    return runSync(nearest(this.#all(queries, how), k));
  }

  async rangeSearch(
    queries: Uint8Array,
    radius: number,
    how: BinarySearch,
  ): Promise<RangeNeighbors> {
    return await run(within(this.#all(queries, how), radius), how.signal);
  }

  async among(
    queries: Uint8Array,
    candidates: Uint32Array,
    k: number,
    how: BinarySearch,
  ): Promise<BinaryNeighbors> {
    return await run(nearest(this.#named(queries, candidates), k), how.signal);
  }

  amongSync(queries: Uint8Array, candidates: Uint32Array, k: number): BinaryNeighbors {
    return runSync(nearest(this.#named(queries, candidates), k));
  }

  async rangeAmong(
    queries: Uint8Array,
    candidates: Uint32Array,
    radius: number,
    how: BinarySearch,
  ): Promise<RangeNeighbors> {
    return await run(within(this.#named(queries, candidates), radius), how.signal);
  }

  #row(row: number): { id: bigint; code: Uint8Array } {
    return { id: BigInt(row), code: this.codes.codes(row, 1) };
  }

  #all(queries: Uint8Array, { selector }: BinarySearch): Steps<Hit[][]> {
    const rows = Array.from({ length: this.codes.count }, (_, row) => this.#row(row));
    return hitsOf(queries, this.codes.codeSize, () => rows, selector);
  }

  #named(queries: Uint8Array, candidates: Uint32Array): Steps<Hit[][]> {
    const { codeSize } = this.codes;
    const positions = candidates.subarray(countCodes(queries, codeSize) + 1);
    return hitsOf(queries, codeSize, (query) => {
      const named = positions.subarray(candidates[query], candidates[query + 1]);
      return Array.from(named, (row) => this.#row(row));
    }, undefined);
  }

  [Symbol.dispose](): void {
    this.codes[Symbol.dispose]();
  }
}

/** {@linkcode BinaryLists} of the reference backend. */
export class ReferenceBinaryLists implements BinaryLists {
  readonly lists: ReferenceCodeLists;

  constructor(d: number, nlist: number) {
    this.lists = new ReferenceCodeLists({ kind: "binary", d }, nlist);
  }

  gather(locations: BigInt64Array): Uint8Array {
    const { codeSize } = this.lists;
    const out = new Uint8Array(locations.length * codeSize);
    locations.forEach((location, i) => {
      const { codes } = this.lists.list(Number(location >> 32n));
      const from = Number(location & 0xffffffffn) * codeSize;
      if (from >= codes.length) throw new RangeError(`Cannot get location ${location}`);
      out.set(codes.subarray(from, from + codeSize), i * codeSize);
    });
    return out;
  }

  async search(
    queries: Uint8Array,
    probes: BigInt64Array,
    k: number,
    how: BinarySearch,
  ): Promise<BinaryNeighbors> {
    return await run(nearest(this.#probed(queries, probes, how), k), how.signal);
  }

  searchSync(
    queries: Uint8Array,
    probes: BigInt64Array,
    k: number,
    how: BinarySearch,
  ): BinaryNeighbors {
    return runSync(nearest(this.#probed(queries, probes, how), k));
  }

  async rangeSearch(
    queries: Uint8Array,
    probes: BigInt64Array,
    radius: number,
    how: BinarySearch,
  ): Promise<RangeNeighbors> {
    return await run(within(this.#probed(queries, probes, how), radius), how.signal);
  }

  #probed(queries: Uint8Array, probes: BigInt64Array, how: BinarySearch): Steps<Hit[][]> {
    const { codeSize, nlist } = this.lists;
    const nprobe = probes.length / countCodes(queries, codeSize);
    return hitsOf(queries, codeSize, (query) => {
      return Array.from(probes.subarray(query * nprobe, (query + 1) * nprobe), (list) => {
        if (list >= BigInt(nlist)) throw new RangeError(`Cannot search: list ${list} of ${nlist}`);
        if (list < 0n) return [];
        const { codes, ids } = this.lists.list(Number(list));
        return Array.from(ids, (id, row) => {
          return { id, code: codes.subarray(row * codeSize, (row + 1) * codeSize) };
        });
      }).flat();
    }, how.selector);
  }

  [Symbol.dispose](): void {
    this.lists[Symbol.dispose]();
  }
}
