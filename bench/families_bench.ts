/**
 * Families beside FAISS's on the same trained state: codes in lists, graphs with filters, training of
 * quantizers and transforms, and what indexes take of memory.
 *
 * @module
 */

import { HadamardRotation, type Index, OPQMatrix, PCAMatrix, ProductQuantizer } from "../mod.ts";
import { IDSelectorBitmap, IndexFlatL2, type SearchParameters } from "../mod.ts";
import { clustered, compare, type Contender, repeat, summarize } from "../lib/profile/mod.ts";
import type { RunInfo } from "../lib/backend/backend.ts";
import { D, type DataSet, dataSet, dataSetName, recallOf, truthOf } from "./datasets.ts";
import { isLater, kept, keptPeer } from "./kept.ts";
import { type PeerSearch, plural } from "./peers.ts";
import { OURS, type Row, toRow } from "./rows.ts";
import { type Context, short } from "./suite.ts";

const [K, NQ, NPROBE] = [10, 1000, 16];

/** Part of the rows that a filter lets through. */
const SELECTED = 0.01;

/** Runs the suite. */
export async function* familiesSuite(context: Context): AsyncGenerator<Row> {
  yield* searches(context);
  yield* trainings(context);
}

/** Names of the cases of indexes: of lists, of a graph with a filter, and of memory. */
function casesOf({ quick, filter }: Context) {
  const shape = dataSetName("manifold", quick);
  const nlist = quick ? 256 : 1024;
  const strings = ["SQ8", "SQfp16", "PQ16"].map((code) => `IVF${nlist},${code}`);
  const all = [...strings, "HNSW32"].flatMap((string) => {
    const isGraph = string === "HNSW32";
    const how = isGraph ? `filter ${SELECTED * 100} % ef 64` : `nprobe${NPROBE}`;
    return [
      ...[1, NQ].map((nq) => ({ string, nq, name: `${string} ${shape} ${how} nq${nq} k${K}` })),
      { string, nq: 0, name: `${string} ${shape} opening` },
    ];
  });
  return all.filter(({ name }) => filter.test(name));
}

async function* searches(context: Context): AsyncGenerator<Row> {
  const { peers, quick, threads } = context;
  const cases = casesOf(context);
  if (cases.length === 0) return;
  const set = await dataSet("manifold", quick);
  const queries = set.queries.slice(0, NQ * D);
  const truth = (await truthOf(set, NQ, K, peers)).labels;
  const [bits, few] = await filterOf(set, queries);
  await peers?.share("queries", queries, D);
  await peers?.share("bits", bits);
  for (const string of new Set(cases.map((one) => one.string))) {
    const peer = `faiss ${string}`;
    if (peers) await keptPeer(peers, set, peer, threads);
    using stack = new DisposableStack();
    let index: Index;
    try {
      index = stack.use(await kept(set, string));
    } catch (error) {
      if (!isLater(error)) throw error;
      console.error(`Without our ${string}: ${(error as Error).message}`);
      continue;
    }
    const isGraph = string === "HNSW32";
    const params: SearchParameters = isGraph
      ? { efSearch: 64, filter: new IDSelectorBitmap(bits) }
      : { nprobe: NPROBE };
    const common = { suite: "families", n: set.n, d: D, k: K };
    const runOf = async (nq: number) =>
      (await index.search(queries.subarray(0, nq * D), K, params)).run;
    for (const { nq, name } of cases.filter((one) => one.string === string)) {
      if (nq === 0) {
        const start = performance.now();
        using _again = await kept(set, string);
        const opened = performance.now() - start;
        const known = peers && await peers.ask<{ ms: number; bytes: number }>("open_kept", {
          ...{ directory: set.directory, peer },
        });
        const timings = new Map([[OURS, summarize([opened])]]);
        if (known) timings.set(peer, summarize([known.ms]));
        const bytes = { bytes: index.memoryUsage(), ...known ? { peerBytes: known.bytes } : {} };
        const row = { ...common, case: name, nq: set.n, params: bytes, timings };
        const rival = known ? { rival: peer } : {};
        yield toRow({ ...row, run: await runOf(1), ...rival }, context.limits);
        continue;
      }
      const search: PeerSearch = {
        way: { name: `faiss, ${plural(threads)}`, engine: "faiss", threads },
        ...{ index: peer, queries: "queries", nq, k: K },
        ...isGraph ? { efSearch: 64, bitmap: "bits" } : { nprobe: NPROBE },
      };
      const contenders: Contender[] = [{
        name: OURS,
        run: repeat(next(index, queries, nq, params)),
      }];
      if (peers) contenders.push(peers.contender(search));
      const timings = await compare(contenders, context.measure);
      const { labels } = await index.search(queries, K, params);
      const found = await peers?.ask<{ labels: number[] }>("result", {
        ...{ ...search, nq: NQ, count: NQ },
      });
      const wanted = isGraph ? few : truth;
      yield toRow({
        ...{
          ...common,
          case: name,
          run: await runOf(nq),
          nq,
          params: isGraph ? { efSearch: 64 } : { nprobe: NPROBE },
        },
        recall: recallOf(labels, wanted, K),
        ...found ? { peerRecall: recallOf(found.labels, wanted, K) } : {},
        timings,
      }, context.limits);
    }
  }
  await peers?.ask("free");
}

/** The rows that a filter lets through, and the true neighbours among these. */
async function filterOf({ base, n }: DataSet, queries: Float32Array) {
  const bits = new Uint8Array(Math.ceil(n / 8));
  const ids: number[] = [];
  // Every hundredth, of a random order.
  for (let row = 0; row < n; row++) {
    if ((Math.imul(row, 2654435761) >>> 0) / 2 ** 32 >= SELECTED) continue;
    bits[row >> 3]! |= 1 << (row & 7);
    ids.push(row);
  }
  const rows = new Float32Array(ids.length * D);
  ids.forEach((row, i) => rows.set(base.subarray(row * D, (row + 1) * D), i * D));
  using flat = new IndexFlatL2(D);
  await flat.add(rows);
  const { labels } = await flat.search(queries, K);
  return [bits, labels.map((label) => BigInt(ids[Number(label)]!))] as const;
}

/** Our search of the next queries. */
function next(index: Index, queries: Float32Array, nq: number, params: SearchParameters) {
  let turn = 0;
  return () => {
    const at = turn++ % (NQ / nq) * nq * D;
    const part = queries.subarray(at, at + nq * D);
    return nq === 1 ? index.searchSync(part, K, params) : index.search(part, K, params);
  };
}

/** What is trained, or in the end applied. */
type What = "PQ" | "OPQ" | "PCA" | "HR";

/** Trains; tells what is lost of the rows then. */
async function train(what: What, x: Float32Array, d: number, m: number, niter: number) {
  if (what === "HR") {
    await new HadamardRotation(d).apply(x);
    return;
  }
  if (what === "PQ") {
    const pq = new ProductQuantizer(d, m);
    await pq.train(x);
    return async () => {
      using own = pq;
      return await lossOf(own, x, x);
    };
  }
  if (what === "PCA") {
    const pca = new PCAMatrix(d, m);
    await pca.train(x);
    const [all, left] = [variance(x, d), squares(await pca.apply(x))];
    return () => Promise.resolve(1 - left / all);
  }
  const opq = new OPQMatrix(d, m);
  opq.niter = niter;
  await opq.train(x);
  return async () => {
    const rows = await opq.apply(x);
    using pq = new ProductQuantizer(d, m);
    await pq.train(rows);
    return await lossOf(pq, rows, x);
  };
}

async function lossOf(pq: ProductQuantizer, rows: Float32Array, x: Float32Array): Promise<number> {
  const decoded = await pq.decode(await pq.encode(rows));
  return rows.reduce((sum, value, i) => sum + (value - decoded[i]!) ** 2, 0) / squares(x);
}

function squares(x: Float32Array): number {
  return x.reduce((sum, value) => sum + value * value, 0);
}

function variance(x: Float32Array, d: number): number {
  const mean = new Float64Array(d);
  x.forEach((value, i) => mean[i % d]! += value);
  const n = x.length / d;
  return squares(x) - mean.reduce((sum, value) => sum + value * value / n, 0);
}

async function* trainings(context: Context): AsyncGenerator<Row> {
  const { peers, quick, threads } = context;
  const n = quick ? 20_000 : 100_000;
  const niter = quick ? 2 : 10;
  const all: [What, number, number, string][] = [
    ["PQ", D, 16, "PQ16 training"],
    ["OPQ", D, 16, `OPQ16 training, ${niter} steps`],
    ["PCA", 768, 64, "PCA64 training"],
    ["HR", 768, 0, "HR applied"],
  ];
  for (const [what, d, m, title] of all) {
    const name = `${title} ${short(n)}x${d}`;
    if (!context.filter.test(name)) continue;
    const x = clustered(n, d, { seed: 5 });
    let loss: (() => Promise<number>) | undefined;
    const contenders: Contender[] = [{
      name: OURS,
      run: repeat(async () => {
        loss = await train(what, x, d, m, niter);
      }),
    }];
    const params: Row["params"] = what === "OPQ" ? { m, niter } : { m };
    const path = peers?.path("x.raw");
    if (peers && path !== undefined) {
      await Deno.writeFile(path, new Uint8Array(x.buffer));
      contenders.push({
        name: `faiss, ${plural(threads)}`,
        group: "faiss",
        run: async (count) => {
          const times: number[] = [];
          while (times.length < count) {
            const request = { path, d, what, m, niter, threads };
            const found = await peers.ask<{ ms: number; loss: number }>("training", request);
            times.push(found.ms);
            params.peerLoss = found.loss;
          }
          return times;
        },
      });
    }
    const timings = await compare(contenders, { ...context.measure, minSamples: 3 });
    if (loss) params.loss = await loss();
    if (path !== undefined) await Deno.remove(path);
    yield toRow({
      ...{ suite: "families", case: name, run: await trainingRun(), n, d, nq: n, k: 0, params },
      timings,
    }, context.limits);
  }
}

/** What the backend says of a call: training tells nothing. */
async function trainingRun(): Promise<RunInfo> {
  using flat = new IndexFlatL2(1);
  await flat.add(Float32Array.of(0));
  return { ...(await flat.search(Float32Array.of(0), 1)).run, variants: ["training"] };
}
