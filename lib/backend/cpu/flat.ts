/**
 * Flat stores in native memory.
 *
 * @module
 */

import { invoke, invokeAsync } from "../../../ffi/call.ts";
import { NativeHandle } from "../../../ffi/handle.ts";
import { library } from "../../../ffi/library.ts";
import { searchRecord } from "../../../ffi/record.ts";
import type { FileMap, FlatStore, Neighbors, StoreSearch } from "../backend.ts";
import { runInfo } from "./native.ts";
import { CpuFileMap } from "./map.ts";
import { CpuRows } from "./rows.ts";
import { countRows, isShort, isShortCopy } from "./work.ts";

/** {@linkcode FlatStore} of the cpu backend. */
export class CpuFlatStore extends CpuRows implements FlatStore {
  constructor(d: number) {
    const handle = new NativeHandle("flat store", (out, call) => {
      return library().symbols.mf_flat_create(d, out, call);
    });
    super(d, "mf_flat", handle);
  }

  protected override searchWork(queries: Float32Array): number {
    return queries.length * this.held;
  }

  protected override rangeWork(queries: Float32Array): number {
    return queries.length * this.held;
  }

  async add(x: Float32Array, allowNaN = false): Promise<void> {
    const n = countRows(x, this.d, "x");
    const { symbols } = library();
    const { object } = this.handle;
    const nan = allowNaN ? 1 : 0;
    if (isShortCopy(x.byteLength)) invoke((call) => symbols.mf_flat_add(object, n, x, nan, call));
    else await invokeAsync((call) => symbols.mf_flat_add_async(object, n, x, nan, call));
    this.held += n;
    this.mapped = false;
  }

  map(file: FileMap, offset: number, n: number): void {
    const { object } = this.handle;
    const map = CpuFileMap.objectOf(file);
    invoke((call) => library().symbols.mf_flat_map(object, map, offset, n, call));
    this.held = n;
    this.mapped = n > 0;
  }

  async append(other: FlatStore): Promise<void> {
    if (!(other instanceof CpuFlatStore)) {
      throw new TypeError("Cannot append: the stores belong to different backends");
    }
    const added = other.count;
    const { object } = this.handle;
    const source = other.handle.object;
    await invokeAsync((call) => library().symbols.mf_flat_append_async(object, source, call));
    this.held += added;
    this.mapped = false;
  }

  get(start: number, out: Float32Array): void {
    const n = countRows(out, this.d, "out");
    const { object } = this.handle;
    invoke((call) => library().symbols.mf_flat_get(object, start, n, out, call));
  }

  async rerank(
    queries: Float32Array,
    candidates: BigInt64Array,
    k: number,
    how: StoreSearch,
  ): Promise<Neighbors> {
    how.signal?.throwIfAborted();
    if (isShort(candidates.length * this.d)) return this.rerankSync(queries, candidates, k, how);
    const { record, distances, labels } = this.#prepareRerank(queries, candidates, k, how);
    const report = await invokeAsync((call) => {
      return library().symbols.mf_flat_rerank_async(
        record,
        queries,
        candidates,
        distances,
        labels,
        call,
      );
    }, how.signal);
    return { distances, labels, run: runInfo(report) };
  }

  rerankSync(
    queries: Float32Array,
    candidates: BigInt64Array,
    k: number,
    how: StoreSearch,
  ): Neighbors {
    const { record, distances, labels } = this.#prepareRerank(queries, candidates, k, how);
    const report = invoke((call) => {
      return library().symbols.mf_flat_rerank(record, queries, candidates, distances, labels, call);
    });
    return { distances, labels, run: runInfo(report) };
  }

  #prepareRerank(
    queries: Float32Array,
    candidates: BigInt64Array,
    k: number,
    { metric, metricArg }: StoreSearch,
  ) {
    const nq = countRows(queries, this.d, "queries");
    const record = searchRecord({
      object: this.handle.object,
      metric,
      metricArg,
      radius: 0,
      selector: 0,
      // Candidates of each query.
      nprobe: countRows(candidates, nq, "candidates"),
      nq,
      k,
    });
    return { record, distances: new Float32Array(nq * k), labels: new BigInt64Array(nq * k) };
  }
}
