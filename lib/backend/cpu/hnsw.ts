/**
 * HNSW graphs in native memory.
 *
 * @module
 */

import { invoke, invokeAsync } from "../../../ffi/call.ts";
import { NativeHandle } from "../../../ffi/handle.ts";
import { library } from "../../../ffi/library.ts";
import { graphRecord, HNSW_STEPS, planRecord } from "../../../ffi/graph_record.ts";
import type {
  FileMap,
  GraphPlaces,
  GraphPlan,
  GraphRows,
  HNSWGraph,
  HNSWOptions,
  HNSWSearch,
  HNSWStore,
} from "../backend.ts";
import { createCodec, specCodeSize } from "./codec.ts";
import { CpuFileMap } from "./map.ts";
import { CpuRows } from "./rows.ts";
import { checkLength, countRows, isShort } from "./work.ts";

/** {@linkcode HNSWStore} of the cpu backend. */
export class CpuHNSWStore extends CpuRows<HNSWSearch> implements HNSWStore {
  /** Links that a walk follows from each row it keeps, without those met before. */
  readonly #followed: number;
  /** Numbers of a row, or bytes of a code. */
  readonly #rowLength: number;

  constructor(options: HNSWOptions) {
    using codec = options.codec === undefined ? undefined : createCodec(options.codec);
    const record = graphRecord(options, codec?.object ?? 0);
    const handle = new NativeHandle("graph", (out, call) => {
      return library().symbols.mf_hnsw_create(record, out, call);
    });
    super(options.d, "mf_hnsw", handle);
    this.#followed = (options.width ?? 2 * options.m) / 2;
    this.#rowLength = options.codec === undefined ? options.d : specCodeSize(options.codec);
  }

  protected override searchWork(queries: Float32Array, k: number, how: HNSWSearch): number {
    return this.#work(queries.length / this.d, Math.max(how.efSearch, k));
  }

  /** All rows are looked at. */
  protected override rangeWork(queries: Float32Array): number {
    return queries.length * this.held;
  }

  protected override kept({ efSearch, stops }: HNSWSearch): number {
    return stops ? efSearch + HNSW_STEPS : efSearch;
  }

  get links(): number {
    const sizes = new Float64Array(3);
    invoke((call) => {
      return library().symbols.mf_hnsw_graph(this.handle.object, sizes, null, null, call);
    });
    return sizes[1]!;
  }

  async add(x: GraphRows, levels: Uint8Array, ef: number): Promise<void> {
    const n = countRows(x, this.#rowLength, "x");
    checkLength(levels, n, "levels");
    const { symbols } = library();
    const { object } = this.handle;
    if (isShort(this.#work(n, ef))) {
      invoke((call) => symbols.mf_hnsw_add(object, n, x, levels, ef, call));
    } else {
      await invokeAsync((call) => symbols.mf_hnsw_add_async(object, n, x, levels, ef, call));
    }
    this.held += n;
    this.mapped = false;
  }

  async build(plan: GraphPlan): Promise<void> {
    const record = planRecord(plan, this.handle.object);
    await invokeAsync((call) => library().symbols.mf_hnsw_build_graph_async(record, call));
    this.mapped = false;
  }

  codes(start: number, n: number): Uint8Array {
    const codes = new Uint8Array(n * this.#rowLength);
    const { object } = this.handle;
    invoke((call) => library().symbols.mf_hnsw_codes(object, start, n, codes, call));
    return codes;
  }

  async addRows(x: GraphRows): Promise<void> {
    const n = countRows(x, this.#rowLength, "x");
    const { object } = this.handle;
    await invokeAsync((call) => library().symbols.mf_hnsw_add_rows_async(object, n, x, call));
    this.held += n;
    this.mapped = false;
  }

  async restore({ levels, links, entry }: HNSWGraph): Promise<void> {
    checkLength(levels, this.held, "levels");
    const { object } = this.handle;
    const words = links.length;
    await invokeAsync((call) => {
      return library().symbols.mf_hnsw_restore_async(object, words, entry, levels, links, call);
    });
  }

  map(file: FileMap, places: GraphPlaces): void {
    const { n, levels, offsets, links, rows, words, entry, top } = places;
    const { object } = this.handle;
    const map = CpuFileMap.objectOf(file);
    const place = Float64Array.of(n, levels, offsets, links, rows, words, entry, top);
    invoke((call) => library().symbols.mf_hnsw_map(object, map, place, call));
    this.held = n;
    this.mapped = true;
  }

  graph(): HNSWGraph {
    const { symbols } = library();
    const { object } = this.handle;
    const sizes = new Float64Array(3);
    invoke((call) => symbols.mf_hnsw_graph(object, sizes, null, null, call));
    const levels = new Uint8Array(sizes[0]!);
    const links = new Int32Array(sizes[1]!);
    invoke((call) => symbols.mf_hnsw_graph(object, sizes, levels, links, call));
    return { levels, links, entry: sizes[2]! };
  }

  async update(rows: BigInt64Array, x: GraphRows, ef: number): Promise<void> {
    checkLength(x, rows.length * this.#rowLength, "x");
    const { object } = this.handle;
    const n = rows.length;
    await invokeAsync((call) => {
      return library().symbols.mf_hnsw_update_async(object, n, rows, x, ef, call);
    });
    this.mapped = false;
  }

  /** Multiply-adds of walks: each of the nodes kept has links, half of which were met before. */
  #work(walks: number, ef: number): number {
    return walks * Math.min(ef * this.#followed, this.held + walks) * this.d;
  }
}
