/** IndexIVFFlat: search of a share of the lists. Both sides search the same lists. @module */

import { IndexFlatL2, IndexIVFFlat, Metric } from "../mod.ts";
import { clustered, compare, type Contender, repeat } from "../lib/profile/mod.ts";
import { faissWays, type PeerSearch, plural } from "./peers.ts";
import { OURS, type Row, toRow } from "./rows.ts";
import { type Context, short } from "./suite.ts";
import { check, exactNeighbors, type Sample } from "./truth.ts";

const D = 128;
const K = 10;

/** Queries whose results are checked against double precision. */
const CHECKED = 48;

/** Runs the suite. */
export async function* ivfSuite(context: Context): AsyncGenerator<Row> {
  const { peers, quick } = context;
  const n = quick ? 50_000 : 1_000_000;
  const nlist = quick ? 256 : 1024;
  const batches = quick ? [1, 1000] : [1, 1000, 10_000];
  const cases = [1, 8, 16, 32].flatMap((nprobe) =>
    batches.map((nq) => {
      const name = `IVF${nlist},Flat ${short(n)}x${D} nprobe${nprobe} nq${nq} k${K}`;
      return { name, nprobe, nq };
    })
  ).filter(({ name }) => context.filter.test(name));
  if (cases.length === 0) return;

  const most = Math.max(1000, ...cases.map(({ nq }) => nq));
  const all = clustered(n + most, D, { seed: 3 });
  const base = all.subarray(0, n * D);
  const queries = all.subarray(n * D);
  using quantizer = new IndexFlatL2(D);
  using index = new IndexIVFFlat(quantizer, D, nlist);
  await index.train(base);
  await index.add(base);
  if (peers) {
    const path = peers.path("ivf.faiss");
    await index.save(path);
    await peers.ask("read", { name: "ivf", path });
    await Deno.remove(path);
    await peers.share("queries", queries, D);
  }
  const sample: Sample = {
    base,
    queries: queries.subarray(0, CHECKED * D),
    d: D,
    metric: Metric.L2,
  };
  const truth = exactNeighbors(sample, K);

  for (const { name, nprobe, nq } of cases) {
    const batches = Math.floor(queries.length / D / nq);
    let turn = 0;
    const next = () => {
      const at = turn++ % batches * nq * D;
      return queries.subarray(at, at + nq * D);
    };
    const search = nq === 1
      ? () => index.searchSync(next(), K, { nprobe })
      : () => index.search(next(), K, { nprobe });
    const contenders: Contender[] = [{ name: OURS, run: repeat(search) }];
    if (peers) contenders.push(...peerSearches(context, nq, nprobe).map((s) => peers.contender(s)));
    const timings = await compare(contenders, context.measure);

    const checked = queries.subarray(0, CHECKED * D);
    const found = await index.search(checked, K, { nprobe });
    const theirs = peers && await peers.ask<{ distances: number[]; labels: number[] }>("result", {
      ...peerSearches(context, CHECKED, nprobe)[0],
      count: CHECKED,
    });
    // What ran is told by a search of the size that was timed.
    const { run } = await index.search(queries.subarray(0, nq * D), K, { nprobe });
    yield toRow({
      suite: "ivf",
      case: name,
      run,
      n,
      d: D,
      nq,
      k: K,
      params: { metric: "L2", nlist, nprobe },
      ...check(sample, truth, found, K),
      ...(theirs ? { peerRecall: check(sample, truth, theirs, K).recall } : {}),
      timings,
      flops: 2 * D * (run.scanned + nq * nlist),
      // Every list that is looked at has to be read once.
      bytes: 4 * D * (Math.min(run.scanned, n) + nlist),
    }, context.limits);
  }
  await peers?.ask("free");
}

function peerSearches({ threads }: Context, nq: number, nprobe: number): PeerSearch[] {
  const ways = faissWays(threads, nq, D);
  if (nq === 1 && nprobe > 1 && threads > 1) {
    ways.push({
      name: `faiss, ${plural(threads)}, parallel_mode 1`,
      engine: "faiss",
      threads,
      parallelMode: 1,
    });
  }
  return ways.map((way) => ({ way, index: "ivf", queries: "queries", nq, k: K, nprobe }));
}
