import { DisposedError } from "../../errors.ts";
import { isSimilarity, Metric } from "../../metric.ts";
import { type IDSelector, IDSelectorBatch } from "../../selector.ts";
import type {
  GraphPlan,
  GraphRows,
  HNSWGraph,
  HNSWOptions,
  HNSWSearch,
  HNSWStore,
  Neighbors,
  RangeNeighbors,
  StoreSearch,
} from "../backend.ts";
import { countCodes, type PlainCodec, plainCodec } from "./codec.ts";
import { distanceOf } from "./distance.ts";
import { Graph } from "./hnsw_graph.ts";
import { buildGround, startsOf } from "./nsg_graph.ts";
import { Rows } from "./rows.ts";
import { type Blocks, checkRows, nearest, within } from "./scan.ts";
import { run, runSync, type Steps } from "./steps.ts";

/** A graph of rows, in plain TypeScript. */
export class ReferenceHNSWStore implements HNSWStore {
  readonly d: number;
  readonly #options: HNSWOptions;
  readonly #codec: PlainCodec | undefined;
  /** Rows, or what codes stand for. */
  #held: Rows | undefined;
  #codes: Rows<Uint8Array>;
  #graph: Graph;

  constructor(options: HNSWOptions) {
    this.d = options.d;
    this.#options = options;
    this.#codec = options.codec && plainCodec(options.codec);
    this.#held = Rows.ofNumbers(options.d);
    this.#codes = Rows.ofCodes(this.#codec?.codeSize ?? 1);
    this.#graph = this.#newGraph();
  }

  #newGraph(): Graph {
    const { metric, metricArg, m, width = 2 * m } = this.#options;
    const distance = distanceOf(metric, metricArg, this.d);
    const sign = isSimilarity(metric) ? -1 : 1;
    // A pair that has no distance comes last.
    const key = (x: Float32Array, i: number, row: number) => {
      const value = Math.fround(sign * distance(x, i, this.#rows.x, row));
      return Number.isNaN(value) ? Infinity : value;
    };
    return new Graph(m, width, key, (a, b) => key(this.#rows.x, a, b));
  }

  get #rows(): Rows {
    if (this.#held === undefined) throw new DisposedError("Cannot use the graph: it was disposed");
    return this.#held;
  }

  get count(): number {
    return this.#rows.count;
  }

  get links(): number {
    return this.#graph.room;
  }

  async add(x: GraphRows, levels: Uint8Array, efConstruction: number): Promise<void> {
    const first = this.count;
    await this.addRows(x);
    await run(this.#graph.add(first, levels, efConstruction));
  }

  // deno-lint-ignore require-await
  async addRows(x: GraphRows): Promise<void> {
    const rows = this.#decode(x);
    if (this.#codec !== undefined) this.#codes.push(x as Uint8Array);
    this.#rows.push(rows);
  }

  /** What is compared: the rows themselves, or what codes stand for. */
  #decode(x: GraphRows): Float32Array {
    if (this.#codec === undefined) {
      const rows = x as Float32Array;
      checkRows("add", rows, this.d, this.#options.metric === Metric.NaNEuclidean);
      return rows;
    }
    const rows = new Float32Array(countCodes(x as Uint8Array, this.#codec.codeSize) * this.d);
    this.#codec.decode(x as Uint8Array, rows);
    return rows;
  }

  async build(plan: GraphPlan): Promise<void> {
    await run(buildGround(this.#graph, this.#rows, plan));
  }

  codes(start: number, n: number): Uint8Array {
    const size = this.#codec?.codeSize ?? 1;
    if (start + n > this.#codes.count) {
      throw new RangeError(
        `Cannot get codes ${start} to ${start + n}: there are ${this.#codes.count}`,
      );
    }
    return this.#codes.x.slice(start * size, (start + n) * size);
  }

  // deno-lint-ignore require-await
  async restore(graph: HNSWGraph): Promise<void> {
    this.#graph.restore(graph);
  }

  graph(): HNSWGraph {
    return this.#graph.toFlat();
  }

  async update(rows: BigInt64Array, x: GraphRows, efConstruction: number): Promise<void> {
    const nodes = Array.from(rows, Number);
    const outside = nodes.find((node) => node < 0 || node >= this.count);
    if (outside !== undefined) {
      throw new RangeError(`Cannot update: row ${outside} is not among ${this.count}`);
    }
    if (new Set(nodes).size < nodes.length) {
      throw new RangeError("Cannot update: a row is updated twice");
    }
    const numbers = this.#decode(x);
    this.#graph.unlink(new Set(nodes));
    nodes.forEach((node, i) => {
      this.#rows.row(node).set(numbers.subarray(i * this.d, (i + 1) * this.d));
      if (this.#codec === undefined) return;
      const size = this.#codec.codeSize;
      this.#codes.row(node).set(x.subarray(i * size, (i + 1) * size));
    });
    await run(this.#graph.insert(nodes, efConstruction));
  }

  // deno-lint-ignore require-await
  async remove(selector: IDSelector): Promise<number> {
    const before = this.count;
    const isGone = (row: number) => selector.isMember(BigInt(row));
    const dead = new Set(Array.from({ length: before }, (_, row) => row).filter(isGone));
    this.#graph.unlink(dead);
    this.#graph.forget(dead);
    this.#held = this.#rows.filtered((row) => !dead.has(row));
    if (this.#codec !== undefined) this.#codes = this.#codes.filtered((row) => !dead.has(row));
    return dead.size;
  }

  clear(): void {
    if (this.count === 0) return;
    this.#held = Rows.ofNumbers(this.d);
    this.#codes = Rows.ofCodes(this.#codec?.codeSize ?? 1);
    this.#graph = this.#newGraph();
  }

  gather(rows: BigInt64Array, out: Float32Array): void {
    rows.forEach((row, i) => {
      if (row < 0n || row >= BigInt(this.count)) {
        throw new RangeError(`Cannot get row ${row}: there are ${this.count}`);
      }
      out.set(this.#rows.row(Number(row)), i * this.d);
    });
  }

  async search(queries: Float32Array, k: number, how: HNSWSearch): Promise<Neighbors> {
    return await run(this.#search(queries, k, how), how.signal);
  }

  searchSync(queries: Float32Array, k: number, how: HNSWSearch): Neighbors {
    return runSync(this.#search(queries, k, how));
  }

  async rangeSearch(
    queries: Float32Array,
    radius: number,
    how: StoreSearch,
  ): Promise<RangeNeighbors> {
    return await run(within(queries, this.#block(), radius, this.d, how), how.signal);
  }

  [Symbol.dispose](): void {
    this.#held = undefined;
  }

  #block(): Blocks {
    const block = { x: this.#rows.x, count: this.count, id: BigInt };
    return () => [block];
  }

  /** The nearest of the nodes that a walk ends with. A filter's rows are all looked at. */
  *#search(queries: Float32Array, k: number, how: HNSWSearch): Steps<Neighbors> {
    const ef = Math.max(how.efSearch, k);
    if (how.selector !== undefined || ef >= this.count) {
      const found = yield* nearest(queries, this.#block(), k, this.d, how);
      return { ...found, run: { ...found.run, variants: ["hnsw_scan", ...found.run.variants] } };
    }
    checkRows("search", queries, this.d, how.metric === Metric.NaNEuclidean);
    const nq = queries.length / this.d;
    const distances = new Float32Array(nq * k);
    const labels = new BigInt64Array(nq * k);
    const starts = startsOf(this.#graph, ef, this.#options);
    const steps = how.stops ? ef + 1 : undefined;
    let scanned = 0;
    for (let q = 0; q < nq; q++) {
      const walked = this.#graph.search(queries, q, ef, steps, starts);
      const selector = new IDSelectorBatch(walked.slice(0, k));
      const query = queries.subarray(q * this.d, (q + 1) * this.d);
      const found = yield* nearest(query, this.#block(), k, this.d, { ...how, selector });
      distances.set(found.distances, q * k);
      labels.set(found.labels, q * k);
      scanned += walked.length;
    }
    const variants = ["hnsw_walk", "pairwise_f64"];
    const about = { backend: "reference", engine: "typescript", isa: "none", threads: 1 } as const;
    return { distances, labels, run: { ...about, variants, scanned, recomputed: 0 } };
  }
}
