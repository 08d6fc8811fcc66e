/** The playbook's recipes on the GPU: fused, batched and chunked searches beside what they replace. @module */

import assert from "node:assert/strict";
import { IndexFlat, IndexIVFFlat, Metric, type RunInfo } from "../mod.ts";
import { createGpuBackend } from "../lib/backend/gpu/mod.ts";
import { gpu, type GpuBuffer, type GpuDevice, type KernelArgument } from "../lib/kernel/mod.ts";
import { clustered, compare, type Contender, gaussian, repeat } from "../lib/profile/mod.ts";
import { OURS, type Row, toRow } from "./rows.ts";
import { type Context, short } from "./suite.ts";

const D = 64;
/** Rows that a threadgroup of a direct kernel looks at. */
const STRIP = 128;

/** Runs the suite. */
export async function* recipesSuite(context: Context): AsyncGenerator<Row> {
  const device = gpu();
  yield* launches(device, context);
  yield* fused(device, context);
  yield* batched(device, context);
  yield* chunked(device, context);
}

/** Time a dispatch from TypeScript to completion, of 100 in a command buffer. */
async function* launches(device: GpuDevice, context: Context): AsyncGenerator<Row> {
  const name = "100 dispatches a command buffer";
  if (!context.filter.test(name)) return;
  const count = 100;
  const kernel = device.library(
    `kernel void step(device float* x, uint i [[thread_position_in_grid]]) { x[i] += 1.0f; }`,
  ).pipeline("step");
  using buffer = device.createBuffer(1024 * 4, { storage: "private" });
  const submit = async () => {
    const commands = device.stream.commands();
    for (let i = 0; i < count; i++) {
      commands.dispatch(kernel, [buffer], { threads: 1024, threadgroup: 256 });
    }
    await commands.commit().completed;
  };
  await submit();
  const each = async (samples: number) => (await repeat(submit)(samples)).map((ms) => ms / count);
  const timings = await compare([{ name: OURS, run: each }], context.measure);
  const run = runOf(device, ["step"]);
  const sizes = { n: 1024, d: 1, nq: 1, k: 1, params: { dispatches: count } };
  yield toRow({ suite: "recipes", case: `${name}, each`, run, ...sizes, timings }, undefined);
}

/** R1: scan and select of probed lists, against distances of the same rows, then select. */
async function* fused(device: GpuDevice, context: Context): AsyncGenerator<Row> {
  const [n, nlist] = context.quick ? [4096, 32] : [32_768, 128];
  const rows = clustered(n + 1, D, { seed: 5 });
  const query = rows.subarray(n * D);
  const backend = createGpuBackend(device);
  using quantizer = new IndexFlat(D, Metric.L2, { backend });
  using index = new IndexIVFFlat(quantizer, D, nlist, Metric.L2, { backend });
  await index.train(rows.subarray(0, n * D));
  await index.add(rows.subarray(0, n * D));
  for (const nprobe of [1, 8]) {
    for (const k of context.quick ? [10] : [10, 32, 2048]) {
      const name = `R1 fused ${short(n)}x${D} nlist${nlist} nprobe${nprobe} k${k}`;
      if (!context.filter.test(name)) continue;
      const { labels: probes } = await quantizer.search(query, nprobe);
      const lists = [...probes].map((list) => index.store.list(Number(list)));
      const ids = lists.flatMap(({ ids }) => [...ids]);
      if (k > ids.length) continue;
      using keys = new KeysThenSelect(device, lists.map(({ x }) => x), query);
      const search = () => index.store.search(query, probes, k, how);
      const found = await search();
      const theirs = [...await keys.labels(k)].map((row) => ids[row]!);
      assert.deepEqual(new Set(theirs), new Set(found.labels), "the baseline finds something else");
      const timings = await compare([
        { name: OURS, run: gpuTimes(async () => (await search()).run.gpuSeconds!) },
        { name: "unfused", run: gpuTimes(() => keys.run(k)) },
      ], context.measure);
      const sizes = { n: ids.length, d: D, nq: 1, k, params: { nprobe, nlist } };
      yield toRow(
        { suite: "recipes", case: name, run: found.run, ...sizes, timings, rival: "unfused" },
        undefined,
      );
    }
  }
}

const how = { metric: Metric.L2, metricArg: 0 };

/** R2: queries that share candidates in one batch, against one at a time. */
async function* batched(device: GpuDevice, context: Context): AsyncGenerator<Row> {
  const n = 4096;
  const k = 10;
  const backend = createGpuBackend(device);
  using index = new IndexFlat(D, Metric.L2, { backend });
  await index.add(gaussian(n, D, 6));
  for (const nq of context.quick ? [16] : [16, 256, 4096]) {
    const name = `R2 batched ${nq} queries of ${short(n)}x${D} k${k}`;
    if (!context.filter.test(name)) continue;
    const queries = gaussian(nq, D, 7);
    const search = async (from: number, to: number) =>
      await index.search(queries.subarray(from * D, to * D), k);
    const { run } = await search(0, nq);
    const alone = async () => {
      let seconds = 0;
      // A sample of them stands for all.
      const some = Math.min(nq, 64);
      for (let i = 0; i < some; i++) seconds += (await search(i, i + 1)).run.gpuSeconds!;
      return seconds / some * nq;
    };
    const timings = await compare([
      { name: OURS, run: gpuTimes(async () => (await search(0, nq)).run.gpuSeconds!) },
      { name: "one at a time", run: gpuTimes(alone) },
    ], context.measure);
    const sizes = { n, d: D, nq, k, params: {} };
    yield toRow(
      { suite: "recipes", case: name, run, ...sizes, timings, rival: "one at a time" },
      undefined,
    );
  }
}

/** R3: a long list in chunks that are merged on the device, against one threadgroup for all of it. */
async function* chunked(device: GpuDevice, context: Context): AsyncGenerator<Row> {
  for (const n of context.quick ? [20_000] : [100_000, 1_000_000, 10_000_000]) {
    for (const chunk of context.quick ? [4096] : [4096, 8192]) {
      const k = 10;
      const name = `R3 chunks of ${chunk} of ${short(n)}x${D} k${k}`;
      if (!context.filter.test(name)) continue;
      const query = gaussian(1, D, 9);
      using keys = new KeysThenSelect(device, [gaussian(n, D, 8)], query);
      const parts = Math.ceil(n / chunk);
      assert.deepEqual(await keys.labels(k, parts), await keys.labels(k), "chunks find other rows");
      const timings = await compare([
        { name: OURS, run: gpuTimes(() => keys.run(k, parts)) },
        { name: "one launch", run: gpuTimes(() => keys.run(k)) },
      ], context.measure);
      const sizes = { n, d: D, nq: 1, k, params: { chunk } };
      const run = runOf(device, ["flat_direct_keys", "topk_rows", "topk_merge"]);
      yield toRow(
        { suite: "recipes", case: name, run, ...sizes, timings, rival: "one launch" },
        undefined,
      );
    }
  }
}

/** Distances of one query to rows, all written, then the best of them. */
class KeysThenSelect implements Disposable {
  readonly #device: GpuDevice;
  readonly #n: number;
  readonly #buffers: GpuBuffer[] = [];
  readonly #x: GpuBuffer;
  readonly #query: GpuBuffer;
  readonly #keys: GpuBuffer;
  readonly #labels: GpuBuffer;

  constructor(device: GpuDevice, parts: Float32Array[], query: Float32Array) {
    this.#device = device;
    this.#n = parts.reduce((n, part) => n + part.length / D, 0);
    this.#x = this.#buffer(this.#n * D * 4);
    let at = 0;
    for (const part of parts) {
      for (let from = 0; from < part.length; from += 2 ** 24) {
        const piece = part.subarray(from, from + 2 ** 24);
        this.#x.writeSync(piece, at);
        at += piece.byteLength;
      }
    }
    this.#query = this.#buffer(D * 4);
    this.#query.writeSync(query);
    this.#keys = this.#buffer(this.#n * 4);
    this.#labels = this.#buffer(2048 * 4);
  }

  /** GPU time of one search, in seconds. */
  async run(k: number, parts = 1): Promise<number> {
    const [flat, topk] = [this.#device.shader("flat.metal"), this.#device.shader("topk.metal")];
    const commands = this.#device.stream.commands();
    const x = this.#x;
    const strips = Math.ceil(this.#n / STRIP);
    commands.dispatch(
      flat.pipeline("flat_direct_keys_l2_f32_1"),
      [this.#query, x, x, x, x, this.#keys, Uint32Array.of(1, this.#n, D / 4, STRIP, 0)],
      { threadgroups: [1, strips], threadgroup: 256, threadgroupMemory: D * 4 },
    );
    const values = this.#buffer(parts * k * 4);
    const places = this.#buffer(parts * k * 4);
    const rows: KernelArgument[] = [this.#keys, places, values, places];
    commands.dispatch(
      topk.pipeline("topk_rows_f32_u32"),
      [...rows, Uint32Array.of(1, this.#n, this.#n, k, parts, 0, 0)],
      { threadgroups: parts, threadgroup: 256 },
    );
    if (parts > 1) {
      commands.dispatch(
        topk.pipeline("topk_merge_f32_u32_u32"),
        [
          values,
          places,
          places,
          values,
          this.#labels,
          Uint32Array.of(1, parts * k, parts * k, k, 1, 0, 0),
        ],
        { threadgroups: 1, threadgroup: 256 },
      );
    } else {
      commands.copy(places, 0, this.#labels, 0, k * 4);
    }
    const { gpuSeconds } = await commands.commit().completed;
    for (const buffer of this.#buffers.splice(-2)) buffer.dispose();
    return gpuSeconds;
  }

  /** Rows found. */
  async labels(k: number, parts = 1): Promise<Uint32Array> {
    await this.run(k, parts);
    return this.#labels.readSync(new Uint32Array(k));
  }

  [Symbol.dispose](): void {
    for (const buffer of this.#buffers) buffer.dispose();
  }

  #buffer(bytes: number): GpuBuffer {
    const buffer = this.#device.createBuffer(bytes, { storage: "private" });
    this.#buffers.push(buffer);
    return buffer;
  }
}

/** Times on the GPU as a contender's. */
function gpuTimes(seconds: () => Promise<number>): Contender["run"] {
  return async (count) => {
    const times: number[] = [];
    for (let i = 0; i < count; i++) times.push(await seconds() * 1e3);
    return times;
  };
}

function runOf({ engine, name }: GpuDevice, variants: string[]): RunInfo {
  const counts = { threads: 0, scanned: 0, recomputed: 0 };
  return { backend: "gpu", engine, isa: name, variants, ...counts };
}
