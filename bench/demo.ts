/**
 * `deno task demo [--json] [--quick]`: handwritten digits, and what recall costs on clusters.
 *
 * @module
 */

import { parseArgs } from "node:util";
import {
  type Backend,
  backend,
  type Index,
  indexFactory,
  IndexFlatL2,
  IndexIVFFlat,
} from "../mod.ts";
import { loadDigits } from "../lib/io/mod.ts";
import { renderSvg } from "../lib/notebook/chart.ts";
import { Progress } from "../lib/notebook/progress.ts";
import { clustered, measure } from "../lib/profile/mod.ts";
import { demoChart } from "./demo_chart.ts";
import { plural } from "./peers.ts";
import { significant } from "./rows.ts";

/** One way to search the clusters. */
export interface DemoRow {
  /** Factory string. */
  index: string;
  /** Lists a query looked at; null where there are no lists. */
  nprobe: number | null;
  /** Share of the ten nearest that were found, over all queries. */
  recall: number;
  /** Median time of one query alone, in milliseconds. */
  latencyMs: number;
  /** Queries a second, all in one batch. */
  qps: number;
  /** Memory of the index, in MiB. */
  memoryMiB: number;
  /** Digest of the ids found: the same on every backend. */
  labels: string;
}

/** What `--json` prints. */
export interface DemoReport {
  backend: string;
  engine: string;
  isa: string;
  threads: number;
  digits: { accuracy: number; images: number; errors: number; protocol: string; labels: string };
  synthetic: { n: number; d: number; queries: number; nlist: number; buildSeconds: number };
  rows: DemoRow[];
  chart: string;
}

/** Sizes of the synthetic set. */
interface Size {
  n: number;
  d: number;
  queries: number;
  clusters: number;
  nlist: number;
  nprobes: number[];
}

const K = 10;
const FULL: Size = {
  n: 200_000,
  d: 128,
  queries: 1000,
  clusters: 2000,
  nlist: 512,
  nprobes: [1, 2, 4, 8, 16, 32, 64],
};
const SMALL: Size = {
  n: 10_000,
  d: 64,
  queries: 200,
  clusters: 400,
  nlist: 64,
  nprobes: [1, 2, 4, 8, 16, 32],
};
const PROTOCOL =
  "leave one out: each image gets the digit of its nearest other image (L2 on pixels)";

/** Runs the demo. */
export async function runDemo(quick: boolean, say: (line: string) => void): Promise<DemoReport> {
  const used = backend();
  const { name, engine, isa, threads } = used;
  say(`metalfaiss: backend ${name} (${engine}), ISA ${isa}, ${plural(threads)}`);

  const digits = await classifyDigits();
  const percent = (digits.accuracy * 100).toFixed(2);
  say(`\nHandwritten digits: ${percent} % of ${digits.images} right, ${digits.errors} wrong`);
  say(`  ${digits.protocol}`);

  const slow = engine === "typescript" || engine === "emulator";
  const size = quick || slow ? SMALL : FULL;
  say(`\nClusters: ${size.n} × ${size.d}, ${size.queries} queries, ${K} neighbours each`);
  if (slow) {
    const worker = engine === "typescript" ? "TypeScript" : "the emulator of a GPU";
    say(`  smaller than usual, because ${worker} does the work`);
  }
  const { rows, buildSeconds } = await searchClusters(size, say);

  const chart = await drawChart(rows, size, used);
  say(`\nChart: ${chart}`);
  const { n, d, queries, nlist } = size;
  const synthetic = { n, d, queries, nlist, buildSeconds };
  return { backend: name, engine, isa, threads, digits, synthetic, rows, chart };
}

async function classifyDigits(): Promise<DemoReport["digits"]> {
  const { x, labels, n, d } = await loadDigits();
  using index = new IndexFlatL2(d);
  await index.add(x);
  const found = await index.search(x, 2);
  let right = 0;
  for (let image = 0; image < n; image++) {
    const other = found.row(image).find((hit) => hit.id !== image)!;
    if (labels[other.id] === labels[image]) right++;
  }
  const labelsFound = await digest(found.labels);
  const accuracy = right / n;
  return { accuracy, images: n, errors: n - right, protocol: PROTOCOL, labels: labelsFound };
}

async function searchClusters(
  size: Size,
  say: (line: string) => void,
): Promise<{ rows: DemoRow[]; buildSeconds: number }> {
  const { n, d, nlist, nprobes } = size;
  const all = clustered(n + size.queries, d, { clusters: size.clusters, seed: 7 });
  const base = all.subarray(0, n * d);
  const queries = all.subarray(n * d);
  const description = `IVF${nlist},Flat`;
  const start = performance.now();
  using flat = indexFactory(d, "Flat");
  await flat.add(base);
  using ivf = indexFactory(d, description);
  if (!(ivf instanceof IndexIVFFlat)) throw new TypeError(`Cannot run the demo: ${description}`);
  {
    using progress = new Progress(`training ${description}`, ivf.cp.niter ?? 25);
    await ivf.train(base, { onProgress: (p) => progress.update(p.iteration + 1) });
  }
  await ivf.add(base);
  const buildSeconds = (performance.now() - start) / 1000;
  say(`  built Flat and ${description} in ${buildSeconds.toFixed(1)} s\n`);

  say(line(["index", "nprobe", "recall@10", "ms/query", "QPS", "MiB"]));
  const truth = (await flat.search(queries, K)).labels;
  const rows: DemoRow[] = [];
  using progress = new Progress("searching", nprobes.length + 1);
  for (const nprobe of [...nprobes, null]) {
    const index: Index = nprobe === null ? flat : ivf;
    const row = await searchOne(index, queries, truth, nprobe);
    rows.push({ index: nprobe === null ? "Flat" : description, ...row });
    progress.clear();
    say(line(cells(rows.at(-1)!)));
    progress.update(rows.length);
  }
  return { rows, buildSeconds };
}

async function searchOne(
  index: Index,
  queries: Float32Array,
  truth: BigInt64Array,
  nprobe: number | null,
): Promise<Omit<DemoRow, "index">> {
  const { d } = index;
  const nq = queries.length / d;
  const params = nprobe === null ? {} : { nprobe };
  const { labels } = await index.search(queries, K, params);
  let query = 0;
  const alone = await measure(() => {
    const at = query++ % nq * d;
    index.searchSync(queries.subarray(at, at + d), K, params);
  }, { budget: 300 });
  const batch = await measure(() => index.search(queries, K, params), {
    budget: 500,
    minSamples: 3,
  });
  return {
    nprobe,
    recall: overlap(labels, truth),
    latencyMs: alone.median,
    qps: nq / batch.median * 1000,
    memoryMiB: index.memoryUsage() / 2 ** 20,
    labels: await digest(labels),
  };
}

async function digest(labels: BigInt64Array): Promise<string> {
  const bytes = await crypto.subtle.digest("SHA-256", labels.slice());
  return new Uint8Array(bytes).subarray(0, 8).toHex();
}

/** Share of the true neighbours among those found. */
function overlap(found: BigInt64Array, truth: BigInt64Array): number {
  let hits = 0;
  for (let at = 0; at < truth.length; at += K) {
    const own = new Set(truth.subarray(at, at + K));
    for (const label of found.subarray(at, at + K)) if (own.has(label)) hits++;
  }
  return hits / truth.length;
}

async function drawChart(
  rows: DemoRow[],
  { n, d, queries }: Size,
  { isa, threads }: Backend,
): Promise<string> {
  const title = `What recall costs: ${rows[0]!.index} beside Flat`;
  const subtitle =
    `${n.toLocaleString("en")} × ${d} float32 in clusters, ${
      queries.toLocaleString("en")
    } queries, ` +
    `${isa === "none" ? "TypeScript" : isa}, ${plural(threads)}`;
  const svg = await renderSvg(demoChart(rows, title, subtitle));
  const folder = new URL("../out/", import.meta.url);
  await Deno.mkdir(folder, { recursive: true });
  const path = new URL("demo.svg", folder).pathname;
  await Deno.writeTextFile(path, svg);
  return path;
}

function cells(row: DemoRow): string[] {
  return [
    row.index,
    row.nprobe === null ? "" : `${row.nprobe}`,
    row.recall.toFixed(3),
    significant(row.latencyMs),
    Math.round(row.qps).toLocaleString("en"),
    row.memoryMiB.toFixed(1),
  ];
}

function line([first, ...rest]: string[]): string {
  return `  ${first!.padEnd(12)}${rest.map((cell) => cell.padStart(11)).join("")}`;
}

if (import.meta.main) {
  const { values } = parseArgs({
    args: Deno.args,
    options: {
      json: { type: "boolean", default: false },
      quick: { type: "boolean", default: false },
    },
  });
  const report = await runDemo(values.quick, values.json ? () => {} : (line) => console.log(line));
  if (values.json) console.log(JSON.stringify(report, null, 2));
}
