/**
 * The best index for a recall: every index of ours and of the peers goes through its settings, the fastest
 * of each that reaches the recall runs again beside the others, and the best of both sides are compared. The
 * settings are drawn in out/pareto-SET.svg and kept in out/pareto-SET.json.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import type { Index, SearchParameters } from "../mod.ts";
import type { RunInfo } from "../lib/backend/backend.ts";
import { paretoChart, paretoFront, type ParetoPoint } from "../lib/notebook/mod.ts";
import { compare, type Contender, repeat } from "../lib/profile/mod.ts";
import { D, dataSet, type DataSetName, dataSetName, dataSets } from "./datasets.ts";
import { recallOf, type Truth, truthOf } from "./datasets.ts";
import { isLater, kept, keptPeer } from "./kept.ts";
import { type Peers, type PeerSearch, plural } from "./peers.ts";
import { OURS, type Row, toRow } from "./rows.ts";
import type { Context } from "./suite.ts";

const [K, NQ] = [10, 1000];
const RECALLS = [0.95, 0.99];

/** Beyond this a method needs no more settings. */
const ENOUGH = 0.995;

const NPROBES = [1, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256];
const FACTORS = [2, 4, 8, 16, 32];
const EFS = [12, 16, 24, 32, 40, 48, 64, 80, 96, 128, 160, 192, 256, 320, 384, 512];

/** One setting of an index. */
interface Setting {
  label: string;
  ours: SearchParameters;
  /** FAISS's words for it. */
  parameters?: string;
  efSearch?: number;
}

/** Settings of a factory string, in rows of rising recall. */
function settingsOf(string: string): Setting[][] {
  if (string.startsWith("HNSW")) {
    return [EFS.map((ef) => ({ label: `ef ${ef}`, ours: { efSearch: ef }, efSearch: ef }))];
  }
  const refined = /RFlat|Refine/.test(string);
  return (refined ? FACTORS : [0]).map((factor) =>
    NPROBES.map((nprobe) => ({
      label: `nprobe ${nprobe}${refined ? `, factor ${factor}` : ""}`,
      ours: { nprobe, ...refined ? { kFactor: factor } : {} },
      parameters: `nprobe=${nprobe}${refined ? `,k_factor_rf=${factor}` : ""}`,
    }))
  );
}

/** An index that can be searched with a setting. */
interface Method {
  name: string;
  isOurs: boolean;
  settings: Setting[][];
  labels(setting: Setting): Promise<ArrayLike<number | bigint>>;
  contender(setting: Setting, nq: number): Contender;
  /** What runs, of ours. */
  run?(setting: Setting, nq: number): Promise<RunInfo>;
}

/** A setting that was tried. */
interface Tried {
  method: Method;
  setting: Setting;
  recall: number;
  qps: number;
}

/** Runs the suite. */
export async function* paretoSuite(context: Context): AsyncGenerator<Row> {
  for (const name of dataSets) {
    const shape = dataSetName(name, context.quick);
    const targets = RECALLS.flatMap((recall) =>
      [1, NQ].map((nq) => ({ recall, nq, case: `best ${shape} recall ${recall} nq${nq} k${K}` }))
    ).filter((target) => context.filter.test(target.case));
    if (targets.length > 0) yield* paretoOf(name, targets, context);
  }
}

async function* paretoOf(
  name: DataSetName,
  targets: { recall: number; nq: number; case: string }[],
  context: Context,
): AsyncGenerator<Row> {
  const { peers, quick } = context;
  const set = await dataSet(name, quick);
  const queries = set.queries.slice(0, NQ * D);
  const truth = await truthOf(set, NQ, K, peers);
  const nlist = quick ? [256] : [1024, 4096];
  const strings = [...nlist.map((n) => `IVF${n},Flat`), `IVF${nlist[0]},SQ8`]
    .concat(`IVF${nlist.at(-1)},PQ64x4fs,RFlat`, "HNSW32");
  using stack = new DisposableStack();
  const methods: Method[] = [];
  if (peers) {
    await peers.share("queries", queries, D);
    const graphs = [...context.hnswlib ? ["hnswlib 32"] : [], "usearch 32"];
    for (const peer of [...strings.map((string) => `faiss ${string}`), ...graphs]) {
      await keptPeer(peers, set, peer, context.threads);
      methods.push(theirs(peers, peer, context.threads));
    }
  }
  for (const string of strings) {
    try {
      methods.push(ours(string, stack.use(await kept(set, string)), queries));
    } catch (error) {
      if (!isLater(error)) throw error;
      console.error(`Without our ${string}: ${(error as Error).message}`);
    }
  }
  const tried: Tried[] = [];
  for (const method of methods) tried.push(...await sweep(method, truth, context));
  await draw(set.name, tried, context);
  for (const target of targets) {
    const chosen = methods.flatMap((method) => fastest(tried, method, target.recall));
    const contenders = chosen.map(({ method, setting }) => method.contender(setting, target.nq));
    const all = await compare(contenders, { ...context.measure, minSamples: 5 });
    const time = ({ method }: Tried) => all.get(method.name)!.median;
    const byTime = chosen.toSorted((a, b) => time(a) - time(b));
    const best = byTime.find(({ method }) => method.isOurs);
    if (best === undefined) throw new Error(`Cannot measure ${target.case}: it is out of reach`);
    const rival = byTime.find(({ method }) => !method.isOurs);
    // Our best goes by the name of all our contenders.
    const timings = new Map([...all].map(([name, timing]) => {
      return [name === best.method.name ? OURS : name, timing];
    }));
    const describe = ({ method, setting }: Tried) => `${method.name}, ${setting.label}`;
    const run = await best.method.run!(best.setting, target.nq);
    yield toRow({
      ...{ suite: "pareto", case: target.case, run, n: set.n, d: D, nq: target.nq, k: K },
      params: {
        ours: describe(best),
        ...rival ? { theirs: describe(rival) } : {},
        intrinsic: Number(truth.difficulty.intrinsic.toFixed(2)),
        contrast: Number(truth.difficulty.contrast.toFixed(3)),
      },
      recall: best.recall,
      ...rival ? { peerRecall: rival.recall, rival: rival.method.name } : {},
      timings,
    }, context.limits);
  }
  await peers?.ask("free");
}

function ours(string: string, index: Index, queries: Float32Array): Method {
  return {
    name: `${OURS} ${string}`,
    isOurs: true,
    settings: settingsOf(string),
    labels: async ({ ours }) => (await index.search(queries, K, ours)).labels,
    run: async ({ ours }, nq) => (await index.search(queries.subarray(0, nq * D), K, ours)).run,
    contender({ ours }, nq) {
      let turn = 0;
      const run = () => {
        const at = turn++ % (NQ / nq) * nq * D;
        const part = queries.subarray(at, at + nq * D);
        return nq === 1 ? index.searchSync(part, K, ours) : index.search(part, K, ours);
      };
      return { name: this.name, group: "ours", run: repeat(run) };
    },
  };
}

function theirs(peers: Peers, peer: string, threads: number): Method {
  const [engine, string] = peer.split(" ") as [PeerSearch["way"]["engine"], string];
  const searchOf = ({ parameters, efSearch }: Setting, nq: number): PeerSearch => ({
    way: { name: peer, engine, threads },
    ...{ index: peer, queries: "queries", nq, k: K },
    ...efSearch === undefined ? {} : { efSearch },
    ...parameters === undefined ? {} : { parameters },
  });
  return {
    name: peer,
    isOurs: false,
    settings: settingsOf(engine === "faiss" ? string : "HNSW"),
    async labels(setting) {
      const request = { ...searchOf(setting, NQ), count: NQ };
      return (await peers.ask<{ labels: number[] }>("result", request)).labels;
    },
    contender: (setting, nq) => ({
      ...peers.contender(searchOf(setting, nq)),
      group: "peers",
    }),
  };
}

/** Goes through a method's settings, up to enough recall. */
async function sweep(method: Method, truth: Truth, { measure }: Context): Promise<Tried[]> {
  const tried: Tried[] = [];
  for (const row of method.settings) {
    let before = -1;
    for (const setting of row) {
      const recall = recallOf(await method.labels(setting), truth.labels, K);
      // Lists beyond these add nothing to what is compared again.
      if (recall < before + 0.0005 && setting.label.includes("factor")) break;
      before = recall;
      const times = await method.contender(setting, NQ).run(measure.budget! < 500 ? 1 : 3);
      const ms = Math.min(...times.map(Number));
      tried.push({ method, setting, recall, qps: NQ / ms * 1000 });
      if (recall >= ENOUGH) break;
    }
  }
  return tried;
}

/** A method's fastest setting that reaches a recall. */
function fastest(tried: Tried[], method: Method, recall: number): Tried[] {
  return tried.filter((one) => one.method === method && one.recall >= recall)
    .sort((a, b) => b.qps - a.qps).slice(0, 1);
}

/** Charts the settings, and keeps them. */
async function draw(name: string, tried: Tried[], { threads }: Context): Promise<void> {
  const points: ParetoPoint[] = tried.map(({ method, setting, recall, qps }) => ({
    ...{ series: method.name, recall, qps, label: setting.label },
  }));
  // A line a library: the best of its indexes.
  const lines = Map.groupBy(points, ({ series }) => series.split(" ")[0]!);
  const fronts = [...lines].flatMap(([series, line]) =>
    paretoFront(line).map((point) => ({
      ...point,
      series,
      label: `${point.series.slice(series.length + 1)} ${point.label}`,
    }))
  );
  const chart = paretoChart(fronts.filter(({ recall }) => recall >= 0.5), {
    title: `Queries a second by recall: ${name}`,
    subtitle: `${NQ} queries at once, ${plural(threads)}; up and to the right is better`,
    recallLabel: `Recall@${K}`,
  });
  const path = (extension: string) =>
    fileURLToPath(new URL(`../out/pareto-${name}.${extension}`, import.meta.url));
  await Deno.writeTextFile(path("svg"), await chart.toSvg());
  await Deno.writeTextFile(path("json"), JSON.stringify(points, null, 1) + "\n");
  console.error(`Settings: ${path("svg")} and .json`);
}
