/** IndexFlat and IndexIVFFlat on the GPU, by GPU time; beside PyTorch with --peers. @module */

import { type Index, IndexFlat, IndexIVFFlat } from "../mod.ts";
import { createGpuBackend } from "../lib/backend/gpu/mod.ts";
import { gpu } from "../lib/kernel/mod.ts";
import { clustered, compare, type Contender, gaussian } from "../lib/profile/mod.ts";
import { startTorch, type TorchSearch } from "./torch.ts";
import { OURS, type Row, toRow } from "./rows.ts";
import { type Context, short } from "./suite.ts";
import { check, exactNeighbors } from "./truth.ts";

/** Queries whose results are checked against double precision. */
const CHECKED = 4;
/** Rows that are added at a time. */
const PART = 1 << 20;

interface Case {
  name: string;
  nq: number;
  k: number;
  nprobe?: number;
}

/** Runs the suite. */
export async function* gpuSuite(context: Context): AsyncGenerator<Row> {
  const device = gpu();
  const backend = createGpuBackend(device);
  await using torch = context.torch === undefined ? undefined : await startTorch(context.torch);
  if (torch) {
    const { torch: version, device: name, copyGBps } = await torch.describe();
    console.log(`Peer: torch ${version} on ${name}, copy ${copyGBps.toFixed(0)} GB/s`);
  }
  yield* flat();
  yield* ivf();

  async function* flat(): AsyncGenerator<Row> {
    const shapes = context.quick
      ? [[20_000, 128]] as const
      : [[100_000, 128], [1_000_000, 128], [10_000_000, 96]] as const;
    for (const [n, d] of shapes) {
      const cases = flatCases(n, d, context);
      if (cases.length === 0) continue;
      const most = Math.max(256, ...cases.map(({ nq }) => nq));
      const base = torch ? await torch.draw("base", n, d, 1) : gaussian(n, d, 1);
      const queries = torch ? await torch.draw("queries", most, d, 2) : gaussian(most, d, 2);
      using index = new IndexFlat(d, undefined, { backend });
      for (let at = 0; at < n; at += PART) await index.add(base.subarray(at * d, (at + PART) * d));
      for (const one of cases) yield await measureCase("gpu flat", index, one, base, queries);
      await torch?.ask("free");
    }
  }

  async function* ivf(): AsyncGenerator<Row> {
    const [n, d, nlist] = context.quick ? [20_000, 128, 128] : [1_000_000, 128, 1024];
    const cases = (context.quick ? [1, 8] : [8, 32]).flatMap((nprobe) =>
      (context.quick ? [1, 256] : [1, 10_000]).map((nq) => ({
        name: `IVF${nlist},Flat ${short(n)}x${d} nprobe${nprobe} nq${nq} k10`,
        nq,
        k: 10,
        nprobe,
      }))
    ).filter(({ name }) => context.filter.test(name));
    if (cases.length === 0) return;
    const most = Math.max(256, ...cases.map(({ nq }) => nq));
    const all = clustered(n + most, d, { seed: 3 });
    const base = all.subarray(0, n * d);
    const queries = all.subarray(n * d);
    using quantizer = new IndexFlat(d, undefined, { backend });
    using index = new IndexIVFFlat(quantizer, d, nlist, undefined, { backend });
    await index.train(base);
    await index.add(base);
    if (torch) {
      await torch.share("base", base, d);
      await torch.share("queries", queries, d);
      await torch.shareLists(index);
    }
    for (const one of cases) yield await measureCase("gpu ivf", index, one, base, queries);
    await torch?.ask("free");
  }

  async function measureCase(
    suite: string,
    index: Index,
    { name, nq, k, nprobe }: Case,
    base: Float32Array,
    queries: Float32Array,
  ): Promise<Row> {
    const { d, ntotal: n } = index;
    const how = nprobe === undefined ? {} : { nprobe };
    const search: TorchSearch = { base: "base", queries: "queries", nq, k, ...how };
    const contenders: Contender[] = [ours(index, queries, nq, k, how)];
    if (torch) contenders.push(torch.contender(search));
    const timings = await compare(contenders, context.measure);

    const sample = { base, queries: queries.subarray(0, CHECKED * d), d, metric: index.metric };
    const truth = exactNeighbors(sample, k);
    const batch = queries.subarray(0, nq * d);
    const { run } = await index.search(batch, k, how);
    const found = await index.search(sample.queries, k, how);
    const theirs = torch && await torch.result({ ...search, nq: CHECKED }, CHECKED);
    return toRow({
      suite,
      case: name,
      run,
      n,
      d,
      nq,
      k,
      params: { metric: "L2", ...how },
      ...check(sample, truth, found, k),
      ...(theirs ? { peerRecall: check(sample, truth, theirs, k).recall } : {}),
      timings,
      flops: 2 * d * run.scanned,
      bytes: 4 * d * Math.min(run.scanned, n),
    }, context.limits);
  }
}

function flatCases(n: number, d: number, context: Context): Case[] {
  const sizes: [nq: number, k: number][] = context.quick
    ? [[1, 10], [16, 10], [256, 10]]
    : [[1, 10], [16, 10], [1024, 10], [10_000, 10]];
  if (!context.quick && n === 1_000_000) sizes.push([1024, 100], [1024, 2048], [1, 100], [1, 2048]);
  return sizes
    .map(([nq, k]) => ({ name: `L2 ${short(n)}x${d} nq${nq} k${k}`, nq, k }))
    .filter(({ name }) => context.filter.test(name));
}

/** Our searches by their time on the GPU, each with other queries. */
function ours(
  index: Index,
  queries: Float32Array,
  nq: number,
  k: number,
  how: { nprobe?: number },
): Contender {
  const { d } = index;
  const batches = Math.floor(queries.length / d / nq);
  let turn = 0;
  return {
    name: OURS,
    run: async (count) => {
      const times: number[] = [];
      for (let i = 0; i < count; i++) {
        const at = turn++ % batches * nq * d;
        const { run } = await index.search(queries.subarray(at, at + nq * d), k, how);
        times.push(run.gpuSeconds! * 1e3);
      }
      return times;
    },
  };
}
