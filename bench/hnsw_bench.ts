/**
 * IndexHNSWFlat: building, and searches at equal recall: every library keeps as many candidates as it
 * needs for it.
 *
 * @module
 */

import { IndexFlatL2, IndexHNSWFlat } from "../mod.ts";
import { compare, type Contender, manifold, repeat, summarize } from "../lib/profile/mod.ts";
import type { PeerSearch, Way } from "./peers.ts";
import { OURS, type Row, toRow } from "./rows.ts";
import { type Context, short } from "./suite.ts";

const [D, M, K] = [128, 32, 10];
const EF_CONSTRUCTION = 40;
const QUERIES = 1000;
const RECALLS = [0.9, 0.95, 0.99];

/** Candidates to try, in steps of about an eighth. */
const EFS = Array.from({ length: 50 }, (_, i) => Math.round(10 * 1.125 ** i));

/** One library's graph. */
interface Graph {
  way: Way;
  /** Milliseconds that building it took. */
  built: number;
  labels(ef: number): Promise<ArrayLike<number | bigint>>;
}

/** Runs the suite. */
export async function* hnswSuite(context: Context): AsyncGenerator<Row> {
  const { peers, quick, threads } = context;
  const n = quick ? 20_000 : 100_000;
  const shape = `HNSW${M},Flat ${short(n)}x${D}`;
  const names = RECALLS.flatMap((recall) =>
    [1, QUERIES].map((nq) => ({ recall, nq, name: `${shape} recall ${recall} nq${nq} k${K}` }))
  );
  const build = `${shape} build`;
  const cases = names.filter(({ name }) => context.filter.test(name));
  if (cases.length === 0 && !context.filter.test(build)) return;

  const all = manifold(n + QUERIES, D, { intrinsic: 14, noise: 0.05 });
  const [base, queries] = [all.subarray(0, n * D), all.subarray(n * D)];
  using flat = new IndexFlatL2(D);
  await flat.add(base);
  const truth = (await flat.search(queries, K)).labels;
  using index = new IndexHNSWFlat(D, M);
  index.hnsw.efConstruction = EF_CONSTRUCTION;
  const start = performance.now();
  await index.add(base);
  const built = performance.now() - start;
  const ours: Graph = {
    way: { name: OURS, engine: "faiss", threads },
    built,
    labels: async (efSearch) => (await index.search(queries, K, { efSearch })).labels,
  };
  const graphs = [ours];
  if (peers) {
    await peers.share("base", base, D);
    await peers.share("queries", queries, D);
    for (const engine of ["faiss", ...context.hnswlib ? ["hnswlib"] : [], "usearch"] as const) {
      const way = { name: engine, engine, threads } as Way;
      const request = { way, name: engine, base: "base", M, efConstruction: EF_CONSTRUCTION };
      const ms = await peers.ask<number>("graph", request);
      const labels = async (efSearch: number) => {
        const search = { ...searchOf(way, QUERIES, efSearch), count: QUERIES };
        return (await peers.ask<{ labels: number[] }>("result", search)).labels;
      };
      graphs.push({ way, built: ms, labels });
    }
  }
  const { run } = await index.search(queries, K);
  const common = { suite: "hnsw", n, d: D, k: K, run };
  const rivals = (timings: Row["peers"]) =>
    Object.entries(timings).filter(([name]) => name !== OURS).sort((a, b) => a[1] - b[1])[0]?.[0];
  if (context.filter.test(build)) {
    const times = Object.fromEntries(graphs.map((graph) => [graph.way.name, graph.built]));
    const timings = new Map(graphs.map((graph) => [graph.way.name, summarize([graph.built])]));
    const rival = rivals(times);
    const params = { M, efConstruction: EF_CONSTRUCTION };
    const row = { ...common, case: build, nq: n, params, timings, ...rival ? { rival } : {} };
    yield toRow(row, context.limits);
  }
  for (const { recall, nq, name } of cases) {
    const params: Row["params"] = { M, efConstruction: EF_CONSTRUCTION };
    const contenders: Contender[] = [];
    let reached = 0;
    for (const graph of graphs) {
      const found = await efFor(graph, truth, recall);
      if (found === undefined) continue;
      params[`ef ${graph.way.name}`] = found.ef;
      if (graph === ours) {
        reached = found.recall;
        contenders.push({ name: OURS, run: repeat(ourSearch(index, queries, nq, found.ef)) });
      } else {
        contenders.push(peers!.contender(searchOf(graph.way, nq, found.ef)));
      }
    }
    if (contenders[0]?.name !== OURS) throw new Error(`Cannot measure ${name}: it is out of reach`);
    const timings = await compare(contenders, context.measure);
    const medians = Object.fromEntries([...timings].map(([of, { median }]) => [of, median]));
    const rival = rivals(medians);
    const row = { ...common, case: name, nq, params, recall: reached, timings };
    yield toRow({ ...row, ...rival ? { rival } : {} }, context.limits);
  }
  await peers?.ask("free");
}

/** Our search of the next queries. */
function ourSearch(
  index: IndexHNSWFlat,
  queries: Float32Array,
  nq: number,
  efSearch: number,
): () => unknown {
  let turn = 0;
  return () => {
    const at = turn++ % (QUERIES / nq) * nq * D;
    const part = queries.subarray(at, at + nq * D);
    return nq === 1 ? index.searchSync(part, K, { efSearch }) : index.search(part, K, { efSearch });
  };
}

function searchOf(way: Way, nq: number, efSearch: number): PeerSearch {
  return { way, index: way.engine, queries: "queries", nq, k: K, efSearch };
}

/** The fewest candidates that reach a recall. */
async function efFor(
  graph: Graph,
  truth: BigInt64Array,
  wanted: number,
): Promise<{ ef: number; recall: number } | undefined> {
  for (const ef of EFS) {
    const labels = await graph.labels(ef);
    let hits = 0;
    for (let q = 0; q < QUERIES; q++) {
      const own = new Set(truth.subarray(q * K, (q + 1) * K));
      for (let i = q * K; i < (q + 1) * K; i++) hits += own.has(BigInt(labels[i]!)) ? 1 : 0;
    }
    const recall = hits / truth.length;
    if (recall >= wanted) return { ef, recall };
  }
  return undefined;
}
