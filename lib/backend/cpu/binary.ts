/**
 * Codes of bits in native memory.
 *
 * @module
 */

import { invoke, invokeAsync } from "../../../ffi/call.ts";
import type { NativeHandle } from "../../../ffi/handle.ts";
import { library } from "../../../ffi/library.ts";
import { searchRecord } from "../../../ffi/record.ts";
import { pairCost } from "../../codec/binary_codes.ts";
import type { RangeNeighbors } from "../backend.ts";
import type { BinaryLists, BinaryNeighbors, BinarySearch, BinaryStore } from "../binary.ts";
import { CpuCodeLists } from "./code_lists.ts";
import { CpuCodeStore } from "./codes.ts";
import { runInfo } from "./native.ts";
import { takeRange } from "./range.ts";
import { createFilter } from "./selector.ts";
import { checkLength, countRows, isShort } from "./work.ts";

/** What is searched, and by what. */
interface Asked {
  object: number;
  queries: Uint8Array;
  nq: number;
  /** Of a range search 0. */
  k: number;
  radius: number;
  nprobe: number;
  /** Multiply-adds. */
  work: number;
  how: BinarySearch;
}

function recordOf(asked: Asked, filter: NativeHandle | undefined): Uint8Array {
  const { object, nq, k, radius, nprobe } = asked;
  const selector = filter?.object ?? 0;
  return searchRecord({ object, metric: 0, metricArg: 0, radius, selector, nprobe, nq, k });
}

/** A native search, run here or elsewhere, with what comes between queries and results. */
type Nearest<R> = (
  record: Uint8Array,
  distances: Int32Array,
  labels: BigInt64Array,
  call: Uint8Array,
) => R;

function nearestSync(asked: Asked, run: Nearest<number>): BinaryNeighbors {
  using filter = createFilter(asked.how.selector);
  const record = recordOf(asked, filter);
  const distances = new Int32Array(asked.nq * asked.k);
  const labels = new BigInt64Array(asked.nq * asked.k);
  const report = invoke((call) => run(record, distances, labels, call));
  return { distances, labels, run: runInfo(report) };
}

async function nearest(
  asked: Asked,
  run: Nearest<number>,
  later: Nearest<Promise<number>>,
): Promise<BinaryNeighbors> {
  const { signal, selector } = asked.how;
  signal?.throwIfAborted();
  if (isShort(asked.work)) return nearestSync(asked, run);
  using filter = createFilter(selector);
  const record = recordOf(asked, filter);
  const distances = new Int32Array(asked.nq * asked.k);
  const labels = new BigInt64Array(asked.nq * asked.k);
  const report = await invokeAsync((call) => later(record, distances, labels, call), signal);
  return { distances, labels, run: runInfo(report) };
}

/** A native search by radius, likewise. */
type Within<R> = (
  record: Uint8Array,
  lims: BigUint64Array,
  out: Uint32Array,
  call: Uint8Array,
) => R;

async function within(
  asked: Asked,
  run: Within<number>,
  later: Within<Promise<number>>,
): Promise<RangeNeighbors> {
  const { signal, selector } = asked.how;
  signal?.throwIfAborted();
  using filter = createFilter(selector);
  const record = recordOf(asked, filter);
  const lims = new BigUint64Array(asked.nq + 1);
  const out = new Uint32Array(1);
  const report = isShort(asked.work)
    ? invoke((call) => run(record, lims, out, call))
    : await invokeAsync((call) => later(record, lims, out, call), signal);
  return takeRange(out[0]!, lims, runInfo(report));
}

/** {@linkcode BinaryStore} of the cpu backend. */
export class CpuBinaryStore implements BinaryStore {
  readonly codes: CpuCodeStore;

  constructor(d: number) {
    this.codes = new CpuCodeStore({ kind: "binary", d });
  }

  search(queries: Uint8Array, k: number, how: BinarySearch): Promise<BinaryNeighbors> {
    const { symbols } = library();
    return nearest(
      this.#ask(queries, k, 0, how),
      (record, ...out) => symbols.mf_binary_search(record, queries, ...out),
      (record, ...out) => symbols.mf_binary_search_async(record, queries, ...out),
    );
  }

  searchSync(queries: Uint8Array, k: number, how: BinarySearch): BinaryNeighbors {
    return nearestSync(
      this.#ask(queries, k, 0, how),
      (record, ...out) => library().symbols.mf_binary_search(record, queries, ...out),
    );
  }

  rangeSearch(queries: Uint8Array, radius: number, how: BinarySearch): Promise<RangeNeighbors> {
    const { symbols } = library();
    return within(
      this.#ask(queries, 0, radius, how),
      (record, ...out) => symbols.mf_binary_range_search(record, queries, ...out),
      (record, ...out) => symbols.mf_binary_range_search_async(record, queries, ...out),
    );
  }

  among(
    queries: Uint8Array,
    candidates: Uint32Array,
    k: number,
    how: BinarySearch,
  ): Promise<BinaryNeighbors> {
    const { symbols } = library();
    return nearest(
      this.#ask(queries, k, 0, { signal: how.signal }, candidates),
      (record, ...out) => symbols.mf_binary_among(record, queries, candidates, ...out),
      (record, ...out) => symbols.mf_binary_among_async(record, queries, candidates, ...out),
    );
  }

  amongSync(queries: Uint8Array, candidates: Uint32Array, k: number): BinaryNeighbors {
    return nearestSync(
      this.#ask(queries, k, 0, {}, candidates),
      (record, ...out) => library().symbols.mf_binary_among(record, queries, candidates, ...out),
    );
  }

  rangeAmong(
    queries: Uint8Array,
    candidates: Uint32Array,
    radius: number,
    how: BinarySearch,
  ): Promise<RangeNeighbors> {
    const { symbols } = library();
    return within(
      this.#ask(queries, 0, radius, { signal: how.signal }, candidates),
      (record, ...out) => symbols.mf_binary_range_among(record, queries, candidates, ...out),
      (record, ...out) => symbols.mf_binary_range_among_async(record, queries, candidates, ...out),
    );
  }

  #ask(
    queries: Uint8Array,
    k: number,
    radius: number,
    how: BinarySearch,
    candidates?: Uint32Array,
  ): Asked {
    const { codeSize, count, object } = this.codes;
    const nq = countRows(queries, codeSize, "queries");
    const named = candidates && candidates[nq];
    if (candidates !== undefined) checkLength(candidates, nq + 1 + (named ?? 0), "candidates");
    const work = (named ?? nq * count) * pairCost(codeSize);
    return { object, queries, nq, k, radius, nprobe: 0, work, how };
  }

  [Symbol.dispose](): void {
    this.codes[Symbol.dispose]();
  }
}

/** {@linkcode BinaryLists} of the cpu backend. */
export class CpuBinaryLists implements BinaryLists {
  readonly lists: CpuCodeLists;

  constructor(d: number, nlist: number) {
    this.lists = new CpuCodeLists({ kind: "binary", d }, nlist);
  }

  gather(locations: BigInt64Array): Uint8Array {
    const codes = new Uint8Array(locations.length * this.lists.codeSize);
    const { object } = this.lists;
    const n = locations.length;
    invoke((call) => library().symbols.mf_lists_codes(object, n, locations, codes, call));
    return codes;
  }

  search(
    queries: Uint8Array,
    probes: BigInt64Array,
    k: number,
    how: BinarySearch,
  ): Promise<BinaryNeighbors> {
    const { symbols } = library();
    return nearest(
      this.#ask(queries, probes, k, 0, how),
      (record, ...out) => symbols.mf_binary_lists_search(record, queries, probes, ...out),
      (record, ...out) => symbols.mf_binary_lists_search_async(record, queries, probes, ...out),
    );
  }

  searchSync(
    queries: Uint8Array,
    probes: BigInt64Array,
    k: number,
    how: BinarySearch,
  ): BinaryNeighbors {
    return nearestSync(
      this.#ask(queries, probes, k, 0, how),
      (record, ...out) => library().symbols.mf_binary_lists_search(record, queries, probes, ...out),
    );
  }

  rangeSearch(
    queries: Uint8Array,
    probes: BigInt64Array,
    radius: number,
    how: BinarySearch,
  ): Promise<RangeNeighbors> {
    const { symbols } = library();
    return within(
      this.#ask(queries, probes, 0, radius, how),
      (record, ...out) => symbols.mf_binary_lists_range_search(record, queries, probes, ...out),
      (record, ...out) =>
        symbols.mf_binary_lists_range_search_async(record, queries, probes, ...out),
    );
  }

  #ask(
    queries: Uint8Array,
    probes: BigInt64Array,
    k: number,
    radius: number,
    how: BinarySearch,
  ): Asked {
    const { codeSize, count, nlist, object } = this.lists;
    const nq = countRows(queries, codeSize, "queries");
    const nprobe = nq === 0 ? 0 : countRows(probes, nq, "probes");
    const work = probes.length * (count / nlist) * pairCost(codeSize);
    return { object, queries, nq, k, radius, nprobe, work, how };
  }

  [Symbol.dispose](): void {
    this.lists[Symbol.dispose]();
  }
}
