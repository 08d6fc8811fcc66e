/**
 * `deno task bench SUITE|EXPERIMENT … [--peers] [--quick] [--json FILE] [--torch PYTHON]
 * [--threads N] [--filter REGEX]`.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { backend } from "../lib/backend/select.ts";
import { experiments, findExperiment, journalContext } from "../lib/journal/mod.ts";
import { type Roofline, roofline } from "../lib/profile/mod.ts";
import { binarySuite } from "./binary_bench.ts";
import { describe, deviceOf } from "./environment.ts";
import { familiesSuite } from "./families_bench.ts";
import { ffiSuite } from "./ffi_bench.ts";
import { flatSuite } from "./flat_bench.ts";
import { gemmVariantsSuite, gemvSuite } from "./gemv_bench.ts";
import { gpuSuite } from "./gpu_bench.ts";
import { hnswSuite } from "./hnsw_bench.ts";
import { ivfSuite } from "./ivf_bench.ts";
import { type JournalResult, printExperiment } from "./journal.ts";
import { faissRivals } from "./journal_rivals.ts";
import { kmeansSuite } from "./kmeans_bench.ts";
import { gemmSuite, gemvBlasSuite, layerNormSuite, qrSuite, svdSuite } from "./linalg_bench.ts";
import { plural, startPeers } from "./peers.ts";
import { paretoSuite } from "./pareto_bench.ts";
import { recipesSuite } from "./recipes_bench.ts";
import { residentSuite } from "./resident_bench.ts";
import { format, heading, type Row, significant } from "./rows.ts";
import type { Suite } from "./suite.ts";

const SUITES: Record<string, Suite> = {
  flat: flatSuite,
  ivf: ivfSuite,
  hnsw: hnswSuite,
  families: familiesSuite,
  pareto: paretoSuite,
  binary: binarySuite,
  kmeans: kmeansSuite,
  ffi: ffiSuite,
  gpu: gpuSuite,
  recipes: recipesSuite,
  gemm: gemmSuite,
  gemv: gemvSuite,
  qr: qrSuite,
  svd: svdSuite,
  "gemv-blas": gemvBlasSuite,
  "gemm-variants": gemmVariantsSuite,
  layernorm: layerNormSuite,
  resident: residentSuite,
};

const USAGE = `Usage: deno task bench SUITE|EXPERIMENT … [options]

Suites: ${Object.keys(SUITES).join(", ")}, roofline (limits of this machine only)
Experiments: ${experiments.map(({ id }) => id).join(", ")}, journal (all of them)
  --peers         run FAISS, NumPy and others interleaved, in .venv (made if missing)
  --torch PYTHON  run PyTorch beside the gpu suite, with this Python
  --quick         small sizes, less time a row
  --json FILE     write {environment, rows}
  --csv FILE      write every variant that gemv and gemm-variants measured
  --threads N     threads of both sides; all cores by default
  --filter REGEX  only the cases that match
  --budget MS     time for each case; 2,000 by default, 200 with --quick`;

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    args: Deno.args,
    allowPositionals: true,
    options: {
      peers: { type: "boolean", default: false },
      quick: { type: "boolean", default: false },
      json: { type: "string" },
      threads: { type: "string" },
      filter: { type: "string", default: "" },
      torch: { type: "string" },
      csv: { type: "string" },
      budget: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  const names = positionals.flatMap((name) =>
    name === "journal"
      ? experiments.map(({ id }) => id)
      : name === "recipes"
      ? [name, "R1", "R2", "R3"]
      : [name]
  );
  const unknown = names.find((name) =>
    name !== "roofline" && !Object.hasOwn(SUITES, name) && !findExperiment(name)
  );
  if (values.help || unknown !== undefined || positionals.length === 0) {
    if (unknown !== undefined) console.error(`Cannot run "${unknown}": there is no such suite\n`);
    console.error(USAGE);
    Deno.exit(values.help ? 0 : 2);
  }
  // Before the first call, because the library reads it when it is opened.
  if (values.threads !== undefined) Deno.env.set("METALFAISS_THREADS", values.threads);
  const used = backend();
  const { threads } = used;

  const load = Deno.loadavg()[0]!;
  if (load > 0.5) {
    console.error(
      `The load is ${load.toFixed(1)}: other programs distort these numbers, OpenMP's most`,
    );
  }
  const limits = used.name === "reference" ? undefined : await roofline(deviceOf(used));
  console.log(limitsLine(limits));
  const started = values.peers ? await startPeers(await python(), threads) : undefined;
  const environment = await describe({
    ...{ backend: used, load, roofline: limits },
    ...{ peers: started?.description, torch: values.torch },
  });
  const { cpu, isa } = environment;
  console.log(`${cpu} · ${used.name} ${isa} · ${plural(threads)}`);
  if (started) console.log(peersLine(started.description));

  const rows: Row[] = [];
  const journal: JournalResult[] = [];
  const write = async () => {
    if (values.json === undefined) return;
    const results = { environment, rows, ...(journal.length > 0 ? { journal } : {}) };
    await Deno.writeTextFile(values.json, JSON.stringify(results, null, 2) + "\n");
  };
  await using peers = started?.peers;
  const rivals = started && faissRivals(started.peers, started.description, threads);
  // Threads of OpenMP spin for some milliseconds after their work.
  const budget = Number(values.budget ?? (values.quick ? 200 : 2000));
  if (!(budget > 0)) throw new RangeError(`Cannot measure for ${values.budget} ms`);
  const measure = { budget, pause: values.peers ? 20 : 0 };
  for (const name of names) {
    const experiment = Object.hasOwn(SUITES, name) ? undefined : findExperiment(name);
    if (experiment) {
      journal.push(
        await printExperiment(
          experiment,
          journalContext(used, {
            ...{ device: deviceOf(used), quick: values.quick, rivals },
            // Every sample is kept in the results: some tens say enough.
            measure: { ...measure, maxSamples: 60 },
          }),
        ),
      );
      await write();
    }
    const suite = Object.hasOwn(SUITES, name) ? SUITES[name] : undefined;
    if (!suite) continue;
    console.log(`\n${heading()}`);
    const context = {
      quick: values.quick,
      filter: new RegExp(values.filter),
      threads,
      limits,
      peers,
      torch: values.torch,
      csv: values.csv,
      hnswlib: started?.description.versions.hnswlib !== undefined,
      measure,
    };
    for await (const row of suite(context)) {
      rows.push(row);
      console.log(format(row));
      await write();
    }
  }
  await write();
}

function limitsLine(limits: Roofline | undefined): string {
  if (!limits) return "Roofline: not measured, for the reference backend has none";
  const { gflops, gbps, halfGflops } = limits;
  const memory = halfGflops === undefined
    ? `memory read ${significant(gbps)} GB/s`
    : `fp16 ${significant(halfGflops)} GFLOP/s, copy ${significant(gbps)} GB/s`;
  return `Roofline: fp32 FMA ${significant(gflops)} GFLOP/s, ${memory}`;
}

function peersLine(
  { versions, blasCore, blasProbe }: Awaited<ReturnType<typeof startPeers>>["description"],
): string {
  const list = Object.entries(versions).map((pair) => pair.join(" ")).join(", ");
  const probes = Object.entries(blasProbe ?? {}).map(([n, ms]) => `${n} ${significant(ms)} ms`);
  const choice = probes.length === 0 ? "" : ` (fastest of ${probes.join(", ")})`;
  return `Peers: ${list}; BLAS kernels ${blasCore ?? "unknown"}${choice}`;
}

/** Python of the virtual environment, which is made if it is missing. */
async function python(): Promise<string> {
  const root = new URL("../", import.meta.url).pathname;
  const path = `${root}.venv/bin/python`;
  try {
    await Deno.stat(path);
  } catch {
    const { success } = await new Deno.Command(Deno.execPath(), {
      args: ["task", "venv"],
      cwd: root,
      stdout: "inherit",
      stderr: "inherit",
    }).output();
    if (!success) throw new Error("Cannot run the peers: .venv could not be made");
  }
  return path;
}

if (import.meta.main) await main();
