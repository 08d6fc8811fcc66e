/** The playbook's recipes for inverted lists: R1, R2, R3. @module */

import type { IVFStore } from "../backend/backend.ts";
import { setIvfSettings } from "../backend/gpu/ivf_settings.ts";
import type { Computed } from "../backend/linalg.ts";
import { IndexFlat } from "../index/flat.ts";
import { IndexIVFFlat } from "../index/ivf_flat.ts";
import { type DeviceTopk, ivfListTopkL2ChunkedDeviceMerge } from "../index/list_topk.ts";
import { deviceTopkMerge, hostTopkMerge } from "../index/topk_merge.ts";
import { Tensor } from "../kernel/tensor.ts";
import { Metric } from "../metric.ts";
import { clustered, gaussian } from "../profile/datasets.ts";
import type { Experiment, JournalContext, JournalRow } from "./experiment.ts";
import { KeysThenSelect } from "./keys_then_select.ts";
import { allRows, distance64, type FoundNeighbors, NeighborCheck } from "./neighbors.ts";
import { runTrial } from "./trial.ts";
import { judge, meanRatio } from "./verdict.ts";

const D = 64;
const HOW = { metric: Metric.L2, metricArg: 0 };
/** What a distance may be off by, relative to the farthest that is found. */
const TOLERANCE = 1e-5;

/** R1. */
export const fusedLists: Experiment = {
  id: "R1",
  published: [],
  title: "Scan and selection of inverted lists in one kernel, against distances, then selection",
  conclusion: "Fused is faster: distances of all candidates never reach memory",
  needsGpu: true,
  async *run(context) {
    const { backend, device, quick } = context;
    const [n, nlist] = quick ? [2048, 16] : [32_768, 128];
    const rows = clustered(n + 1, D, { seed: 5 });
    const query = rows.subarray(n * D);
    using quantizer = new IndexFlat(D, Metric.L2, { backend });
    using index = new IndexIVFFlat(quantizer, D, nlist, Metric.L2, { backend });
    await index.train(rows.subarray(0, n * D));
    await index.add(rows.subarray(0, n * D));
    for (const nprobe of [1, 8]) {
      const { labels: probes } = await quantizer.search(query, nprobe);
      const lists = [...probes].map((list) => index.store.list(Number(list)));
      const ids = lists.flatMap((list) => [...list.ids]);
      for (const k of quick ? [10] : [10, 32, 2048]) {
        if (k > ids.length) continue;
        using keys = new KeysThenSelect(device!, lists.map(({ x }) => x), query, k);
        const check = new NeighborCheck(
          1,
          k,
          () => new Map(ids.map((id) => [Number(id), distance64(rows, Number(id), query, 0, D)])),
        );
        // The first search makes terms of all rows: no later one does.
        await searchLists(index.store, query, probes, k);
        yield* runTrial<FoundNeighbors>("R1", {
          shape: `N=${n} d=${D} nlist=${nlist} nprobe=${nprobe} k=${k}`,
          variants: [
            ...[false, true].map((fused) => ({
              name: fused ? "fused" : "distances, then select",
              expects: fused ? /^ivf_scan/ : /^ivf_keys/,
              baseline: !fused,
              run: async () => {
                // Whatever the tuning table prefers here.
                setIvfSettings({ fused });
                try {
                  return await searchLists(index.store, query, probes, k);
                } finally {
                  setIvfSettings({});
                }
              },
            })),
            {
              // Less work than the others: lists lie together, and nothing proves that keys suffice.
              name: "float32 keys of joined lists, then select",
              expects: /topk_rows/,
              run: async () => {
                const { value, run } = await keys.search(k);
                return { value: { labels: Array.from(value, (place) => ids[place]!) }, run };
              },
            },
          ],
          error: (found) => check.error(found),
          tolerance: TOLERANCE,
          flops: 3 * ids.length * D,
          bytes: 4 * ids.length * D,
        }, context);
      }
    }
  },
  verdict: (rows) => judge(meanRatio(rows, /^fused/), 1.02, "Fused against distances, then select"),
};

async function searchLists(
  store: IVFStore,
  queries: Float32Array,
  probes: BigInt64Array,
  k: number,
): Promise<Computed<FoundNeighbors>> {
  const { run, ...value } = await store.search(queries, probes, k, HOW);
  return { value, run };
}

/** R2. */
export const batchedQueries: Experiment = {
  id: "R2",
  published: [{ id: "P2" }],
  reproduce: ({ metric }, rows) => {
    const ratios = rows.filter(isBatch).flatMap(({ ratio }) => ratio ?? []);
    if (ratios.length === 0) return null;
    return metric.endsWith("low") ? Math.min(...ratios) : Math.max(...ratios);
  },
  title: "Queries that share candidates in one batch, against one at a time",
  conclusion: "Batches are 10–100× as fast (there is no table behind it)",
  async *run(context) {
    const [n, k] = [context.quick ? 1024 : 4096, 10];
    const rows = gaussian(n, D, 6);
    using store = context.backend.createIVF(D, 1);
    await store.add(
      rows,
      new BigInt64Array(n),
      BigInt64Array.from({ length: n }, (_, i) => BigInt(i)),
    );
    for (const nq of context.quick ? [1, 16] : [1, 16, 64, 256, 1024, 4096]) {
      const queries = gaussian(nq, D, 7);
      const check = new NeighborCheck(nq, k, (query) => allRows(rows, queries, query, D));
      const batch = () => searchLists(store, queries, new BigInt64Array(nq), k);
      await batch();
      yield* runTrial<FoundNeighbors>("R2", {
        shape: `nq=${nq} N=${n} d=${D} k=${k}`,
        variants: [
          { name: "one at a time", run: () => oneByOne(store, queries, k), baseline: true },
          { name: "batched", run: batch },
        ].map((variant) => context.device ? { ...variant, expects: /^ivf_/ } : variant),
        error: (found) => check.error(found),
        tolerance: TOLERANCE,
        flops: 3 * nq * n * D,
        bytes: 4 * n * D,
        // What a caller waits for: most of a short search is its way there and back.
        clock: "host",
      }, context);
    }
  },
  verdict: (rows) => judge(meanRatio(rows, isBatch), 10, "Batched against one at a time"),
};

/** Whether a row is a batch of more than one query. */
function isBatch({ variant, shape, valid }: JournalRow): boolean {
  return valid && variant === "batched" && !shape.startsWith("nq=1 ");
}

/** The same queries, a call each; all is done when the last one is. */
async function oneByOne(
  store: IVFStore,
  queries: Float32Array,
  k: number,
): Promise<Computed<FoundNeighbors>> {
  const nq = queries.length / D;
  const distances = new Float32Array(nq * k);
  const labels = new BigInt64Array(nq * k);
  const [probe, runs] = [new BigInt64Array(1), []] as [BigInt64Array, Computed<unknown>["run"][]];
  for (let query = 0; query < nq; query++) {
    const own = queries.subarray(query * D, (query + 1) * D);
    const { value, run } = await searchLists(store, own, probe, k);
    distances.set(value.distances as Float32Array, query * k);
    labels.set(value.labels as BigInt64Array, query * k);
    runs.push(run);
  }
  const run = { ...runs[0]! };
  if (run.gpuSeconds !== undefined) {
    run.gpuSeconds = runs.reduce((sum, { gpuSeconds }) => sum + gpuSeconds!, 0);
  }
  return { value: { distances, labels }, run };
}

/** R3. */
export const chunkedLists: Experiment = {
  id: "R3",
  published: [],
  title: "Very long lists in chunks that are merged on the device",
  conclusion: "Chunks of 4,096 or 8,192 rows, merged on the device, keep long lists fast",
  needsGpu: true,
  async *run(context) {
    const sizes = sizesOf(context);
    if (sizes.length === 0) return;
    const rows = longList(sizes.at(-1)!);
    const query = gaussian(1, D, 9);
    for (const n of sizes) yield* chunks(context, rows.subarray(0, n * D), query);
  },
  remark: (context) => {
    const most = context.device && sizesOf(context).at(-1);
    return `The longest list that was searched here has ${most?.toLocaleString("en") ?? "no"} rows`;
  },
  verdict: (rows) =>
    judge(meanRatio(rows, /^chunks/), 1.02, "Chunks merged on the device against one launch"),
};

/** Lengths of lists, as far as the device has room for them: rows, ids and distances. */
function sizesOf({ quick, device }: JournalContext): number[] {
  const { maxBufferBytes, workingSetBytes } = device!;
  const fits = (n: number) =>
    n * D * 4 <= maxBufferBytes && n * (D * 4 + 12) <= 0.8 * workingSetBytes;
  return (quick ? [20_000] : [100_000, 1_000_000, 10_000_000]).filter(fits);
}

/** Gaussian rows; of very many, a block again and again, each time a little longer. */
function longList(n: number): Float32Array {
  const block = gaussian(Math.min(n, 2 ** 16), D, 8);
  const rows = new Float32Array(n * D);
  for (let at = 0, turn = 0; at < rows.length; at += block.length, turn++) {
    const end = Math.min(block.length, rows.length - at);
    for (let i = 0; i < end; i++) rows[at + i] = block[i]! * (1 + turn * 1e-3);
  }
  return rows;
}

async function* chunks(
  context: JournalContext,
  rows: Float32Array,
  query: Float32Array,
): AsyncGenerator<JournalRow> {
  const device = context.device!;
  const [n, k] = [rows.length / D, 10];
  const distances = Float64Array.from(
    { length: n },
    (_, row) => distance64(rows, row, query, 0, D),
  );
  const shape = `N=${n} d=${D} k=${k}`;
  const ids = BigInt64Array.from({ length: n }, (_, i) => BigInt(i));
  using q = Tensor.from(query, [D], "float32", device);
  using x = Tensor.from(rows, [n, D], "float32", device);
  using labels = Tensor.from(ids, [n], "int64", device);
  const search = async (rowsPerChunk: number): Promise<Computed<FoundNeighbors>> => {
    using found = await ivfListTopkL2ChunkedDeviceMerge(q, x, labels, k, rowsPerChunk);
    return { value: await download(found), run: found.run };
  };
  const nearest = nearestOf(distances, k);
  const common = { error: (found: FoundNeighbors) => nearest.error(found), tolerance: TOLERANCE };
  yield* runTrial<FoundNeighbors>("R3", {
    ...common,
    shape,
    variants: [
      { name: "one launch", run: () => search(n), baseline: true },
      ...(context.quick ? [4096] : [4096, 8192]).map((chunk) => ({
        name: `chunks of ${chunk}`,
        run: () => search(chunk),
      })),
    ].map((variant) => ({ ...variant, expects: /^topk_merge/ })),
    flops: 3 * n * D,
    bytes: 4 * n * D,
  }, context);

  // Both merge the same parts, which lie on the device.
  const parts = partsOf(distances, 4096, k);
  using values = Tensor.from(parts.values, [parts.count, k], "float32", device);
  using places = Tensor.from(parts.labels, [parts.count, k], "int64", device);
  yield* runTrial<FoundNeighbors>("R3", {
    ...common,
    shape: `${shape}, merge of ${parts.count} parts`,
    variants: [
      {
        name: "merged on the host",
        baseline: true,
        run: async () => {
          const [found, own] = [
            await values.data<Float32Array>(),
            await places.data<BigInt64Array>(),
          ];
          const split = <T extends Float32Array | BigInt64Array>(all: T) =>
            Array.from({ length: parts.count }, (_, i) => all.subarray(i * k, (i + 1) * k) as T);
          const value = hostTopkMerge(split(found), split(own), k);
          const { backend } = context;
          const run = { backend: backend.name, engine: backend.engine, isa: backend.isa };
          return { value, run: { ...run, variants: ["host merge"], threads: 1 } };
        },
      },
      {
        name: "merged on the device",
        expects: /^topk_merge/,
        run: async () => {
          using found = await deviceTopkMerge(values, places, k);
          return { value: await download(found), run: found.run };
        },
      },
    ],
    clock: "host",
  }, context);
}

async function download({ values, ids }: DeviceTopk): Promise<FoundNeighbors> {
  return { distances: await values.data<Float32Array>(), labels: await ids.data<BigInt64Array>() };
}

/** The check of one query that knows all distances. */
function nearestOf(distances: Float64Array, k: number): NeighborCheck {
  const order = leastRows(distances, 0, distances.length, k + 16);
  return new NeighborCheck(1, k, () => new Map(order.map((row) => [row, distances[row]!])));
}

/** The rows with the least distances, least first. */
function leastRows(distances: Float64Array, from: number, to: number, k: number): number[] {
  const best: number[] = [];
  for (let row = from; row < to; row++) {
    const own = distances[row]!;
    if (best.length === k && own >= distances[best[k - 1]!]!) continue;
    let at = best.length < k ? best.push(row) - 1 : k - 1;
    for (; at > 0 && distances[best[at - 1]!]! > own; at--) best[at] = best[at - 1]!;
    best[at] = row;
  }
  return best;
}

/** The best k of each chunk, as kernels leave them. */
function partsOf(distances: Float64Array, chunk: number, k: number) {
  const count = Math.ceil(distances.length / chunk);
  const values = new Float32Array(count * k).fill(Infinity);
  const labels = new BigInt64Array(count * k).fill(-1n);
  for (let part = 0; part < count; part++) {
    const end = Math.min(distances.length, (part + 1) * chunk);
    leastRows(distances, part * chunk, end, k).forEach((row, i) => {
      values[part * k + i] = distances[row]!;
      labels[part * k + i] = BigInt(row);
    });
  }
  return { count, values, labels };
}
