/** The competitive table: A1. @module */

import type { Computed } from "../backend/linalg.ts";
import { IndexFlat } from "../index/flat.ts";
import type { Index, SearchParameters } from "../index/index.ts";
import { IndexIVFFlat } from "../index/ivf_flat.ts";
import { Metric } from "../metric.ts";
import { clustered } from "../profile/datasets.ts";
import type { SearchResult } from "../result.ts";
import { formatBytes } from "../display_cells.ts";
import type { Experiment, JournalContext, JournalRow } from "./experiment.ts";
import { allRows, type Candidates, type FoundNeighbors, NeighborCheck } from "./neighbors.ts";
import type { Rival, RivalIndex } from "./rival.ts";
import { runTrial, type Variant } from "./trial.ts";
import { judge, meanRatio } from "./verdict.ts";

const D = 64;
const K = 10;
const NPROBE = 8;
const TOLERANCE = 1e-5;
/** Queries that results and recall are checked on. */
const CHECKED = 64;
/** What FAISS's figures are of: 100 M vectors of 96 numbers. */
const LARGE = { n: 100_000_000, d: 96 };

/** Vectors, and queries of the same kind. */
interface Data {
  base: Float32Array;
  queries: Float32Array;
  n: number;
  nq: number;
}

/** A1. */
export const competition: Experiment = {
  id: "A1",
  published: [{ id: "A1" }],
  reproduce: ({ variant, metric }, rows) => {
    const find = (name: string) =>
      rows.find((row) => row.valid && row.shape.startsWith("IVF") && row.variant === name);
    if (variant === "batched vs standard") return find("batched")?.ratio ?? null;
    const row = variant.startsWith("MetalFaiss Standard")
      ? find("one at a time")
      : variant.startsWith("MetalFaiss Batched")
      ? find("batched")
      : undefined;
    return row?.findings[metric === "latency" ? "msPerQuery" : "qps"] ?? null;
  },
  remark: (context) => largeRemark(context),
  title: "Competitive table, k = 10: one query at a time and batched, recall stated",
  conclusion:
    "Batched is 20× as fast (outputs were never evaluated); FAISS on an H100 takes 0.39–0.75 ms",
  async *run(context) {
    const [n, nlist, nq] = context.quick ? [1024, 16, 16] : [32_768, 128, 256];
    const all = clustered(n + nq, D, { seed: 12 });
    const data = { base: all.subarray(0, n * D), queries: all.subarray(n * D), n, nq };
    const truth = new NeighborCheck(
      ...[nq, K] as const,
      (query) => allRows(data.base, data.queries, query, D),
      CHECKED,
    );
    const { backend } = context;
    using flat = new IndexFlat(D, Metric.L2, { backend });
    await flat.add(data.base);
    const exact = await openRivals(context, (rival) => rival.flat(data.base, D));
    yield* table(context, { name: "Flat", index: flat, data, check: truth, truth, rivals: exact });

    using quantizer = new IndexFlat(D, Metric.L2, { backend });
    using ivf = new IndexIVFFlat(quantizer, D, nlist, Metric.L2, { backend });
    await ivf.train(data.base);
    await ivf.add(data.base);
    const check = await listCheck(ivf, data, truth);
    yield* table(context, {
      name: `IVF${nlist},Flat nprobe=${NPROBE}`,
      ...{ index: ivf, params: { nprobe: NPROBE }, data, check, truth },
      rivals: await withFile(context, ivf),
    });
  },
  verdict: (rows) => {
    const own = (name: RegExp) => rows.find((row) => name.test(row.shape) && row.valid)?.findings;
    const judged = judge(
      meanRatio(rows, (row) => row.variant === "batched", /^IVF/),
      20,
      "Batched IVF against one query at a time, all evaluated",
    );
    const recall = ["Flat", "IVF"].map((name) => {
      return `${name} ${own(new RegExp(`^${name}`))?.recall?.toFixed(3) ?? "not measured"}`;
    });
    return { ...judged, text: `${judged.text}. recall@${K}: ${recall.join(", ")}` };
  },
};

/** Neighbours among the rows of the lists that a query looks at. */
async function listCheck(index: IndexIVFFlat, data: Data, truth: NeighborCheck) {
  const { labels } = await index.quantizer.search(data.queries, NPROBE);
  const candidates = (query: number): Candidates => {
    const probed = labels.subarray(query * NPROBE, (query + 1) * NPROBE);
    const own = truth.candidatesOf(query);
    return new Map([...probed].flatMap((list) => {
      const { ids } = index.store.list(Number(list));
      return [...ids].map((id) => [Number(id), own.get(Number(id))!] as const);
    }));
  };
  return new NeighborCheck(data.nq, K, candidates, CHECKED);
}

/** A rival that has the rows. */
interface OpenRival extends Pick<Rival, "name" | "threads"> {
  index: RivalIndex;
}

interface Entry {
  name: string;
  index: Index;
  params?: SearchParameters;
  data: Data;
  /** What the index may find. */
  check: NeighborCheck;
  /** All rows, for recall. */
  truth: NeighborCheck;
  rivals: readonly OpenRival[];
}

/** One index, and the rivals' of the same kind: all queries, one at a time and in one call. */
async function* table(context: JournalContext, entry: Entry): AsyncGenerator<JournalRow> {
  const { name, index, params = {}, data: { n, nq, queries }, check, truth } = entry;
  // A short search on the CPU is done before a promise would be.
  const call = (x: Float32Array) =>
    context.device ? index.search(x, K, params) : index.searchSync(x, K, params);
  const variants: Variant<FoundNeighbors>[] = [
    { name: "one at a time", baseline: true, run: () => oneByOne(call, queries, nq) },
    {
      name: "batched",
      run: async () => {
        const found = await index.search(queries, K, params);
        return { value: found, run: found.run };
      },
    },
    ...entry.rivals.flatMap((rival) => rivalVariants(rival, queries, nq)),
  ];
  const trial = {
    shape: `${name} N=${n} d=${D} k=${K}, ${nq} queries`,
    variants,
    error: (found: FoundNeighbors) => check.error(found),
    findings: (found: FoundNeighbors) => ({ recall: NeighborCheck.recall(truth, found) }),
    tolerance: TOLERANCE,
    clock: "host" as const,
  };
  for await (const row of runTrial("A1", trial, context)) {
    if (row.time) {
      row.findings.msPerQuery = row.time.median / nq;
      row.findings.qps = nq / row.time.median * 1e3;
    }
    yield row;
  }
}

async function oneByOne(
  call: (x: Float32Array) => SearchResult | Promise<SearchResult>,
  queries: Float32Array,
  nq: number,
): Promise<Computed<FoundNeighbors>> {
  const distances = new Float32Array(nq * K);
  const labels = new BigInt64Array(nq * K);
  let last: SearchResult | undefined;
  let gpuSeconds = 0;
  for (let query = 0; query < nq; query++) {
    const called = call(queries.subarray(query * D, (query + 1) * D));
    last = called instanceof Promise ? await called : called;
    distances.set(last.distances, query * K);
    labels.set(last.labels, query * K);
    gpuSeconds += last.run.gpuSeconds ?? 0;
  }
  const run = { ...last!.run, ...(gpuSeconds > 0 ? { gpuSeconds } : {}) };
  return { value: { distances, labels }, run };
}

/** A rival, timed in its own process, where its results are right. */
function rivalVariants(
  { name, threads, index }: OpenRival,
  queries: Float32Array,
  nq: number,
): Variant<FoundNeighbors>[] {
  const ways = { "one at a time": 1, batched: nq };
  return Object.entries(ways).map(([way, each]) => ({
    name: `${name}, ${way}`,
    run: async () => {
      const value = await index.search(queries, K);
      const where = { backend: "cpu", engine: "native", isa: name } as const;
      return { value, run: { ...where, variants: [name], threads } };
    },
    time: (count) => index.time(queries, K, each, count),
  }));
}

async function openRivals(
  { rivals = [] }: JournalContext,
  open: (rival: Rival) => Promise<RivalIndex>,
): Promise<OpenRival[]> {
  const opened: OpenRival[] = [];
  for (const rival of rivals) {
    opened.push({ name: rival.name, threads: rival.threads, index: await open(rival) });
  }
  return opened;
}

/** Rivals that read our index: the same lists on both sides. */
async function withFile(context: JournalContext, index: IndexIVFFlat) {
  if (!context.rivals?.length) return [];
  const folder = await Deno.makeTempDir({ prefix: "metalfaiss-journal-" });
  try {
    const path = `${folder}/ivf.faiss`;
    await index.save(path);
    return await openRivals(context, (rival) => rival.read(path, D, NPROBE));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Why the figures at 100 M × 96 are not reproduced here. */
function largeRemark({ device }: JournalContext): string {
  const { n, d } = LARGE;
  const bytes = n * d * Float32Array.BYTES_PER_ELEMENT;
  const [room, where] = device
    ? [device.workingSetBytes, device.name]
    : [hostBytes(), "this machine"];
  const sum = `${n.toLocaleString("en")} × ${d} × 4 bytes are ${formatBytes(bytes)}`;
  const fits = room === undefined
    ? "it is not known what this machine has"
    : room < bytes
    ? `${where} has ${formatBytes(room)}`
    : `${where} has ${formatBytes(room)}: they would fit, but the figures are of FAISS on an H100`;
  return `The figures at 100 M × 96 are not reproduced: ${sum}, and ${fits}`;
}

function hostBytes(): number | undefined {
  try {
    return Deno.systemMemoryInfo().total;
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) return undefined;
    throw error;
  }
}
