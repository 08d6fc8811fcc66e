/**
 * `deno task bench SUITE … [--peers] [--quick] [--json FILE] [--torch PYTHON]
 * [--threads N] [--filter REGEX]`.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { backend } from "../lib/backend/select.ts";
import { measureRoofline, type Roofline } from "../lib/profile/mod.ts";
import { describe } from "./environment.ts";
import { ffiSuite } from "./ffi_bench.ts";
import { flatSuite } from "./flat_bench.ts";
import { gpuSuite } from "./gpu_bench.ts";
import { ivfSuite } from "./ivf_bench.ts";
import { kmeansSuite } from "./kmeans_bench.ts";
import { plural, startPeers } from "./peers.ts";
import { recipesSuite } from "./recipes_bench.ts";
import { format, heading, type Row, significant } from "./rows.ts";
import type { Suite } from "./suite.ts";

const SUITES: Record<string, Suite> = {
  flat: flatSuite,
  ivf: ivfSuite,
  kmeans: kmeansSuite,
  ffi: ffiSuite,
  gpu: gpuSuite,
  recipes: recipesSuite,
};

const USAGE = `Usage: deno task bench SUITE … [options]

Suites: ${Object.keys(SUITES).join(", ")}, roofline (limits of this machine only)
  --peers         run FAISS and others interleaved, in .venv (made if missing)
  --torch PYTHON  run PyTorch beside the gpu suite, with this Python
  --quick         small sizes, less time a row
  --json FILE     write {environment, rows}
  --threads N     threads of both sides; all cores by default
  --filter REGEX  only the cases that match`;

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
      help: { type: "boolean", default: false },
    },
  });
  const unknown = positionals.find((name) => name !== "roofline" && !(name in SUITES));
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
  const limits = used.engine === "native" ? await measureRoofline() : undefined;
  console.log(limitsLine(limits));
  const started = values.peers ? await startPeers(await python(), threads) : undefined;
  const environment = await describe(used, load, limits, started?.description);
  const { cpu, isa } = environment;
  console.log(`${cpu} · ${used.name} ${isa} · ${plural(threads)}`);
  if (started) console.log(peersLine(started.description));

  const rows: Row[] = [];
  const write = async () => {
    if (values.json === undefined) return;
    await Deno.writeTextFile(values.json, JSON.stringify({ environment, rows }, null, 2) + "\n");
  };
  await using peers = started?.peers;
  for (const name of positionals) {
    const suite = SUITES[name];
    if (!suite) continue;
    console.log(`\n${heading()}`);
    const context = {
      quick: values.quick,
      filter: new RegExp(values.filter),
      threads,
      limits,
      peers,
      torch: values.torch,
      hnswlib: started?.description.versions.hnswlib !== undefined,
      // Threads of OpenMP spin for some milliseconds after their work.
      measure: { budget: values.quick ? 200 : 2000, pause: values.peers ? 20 : 0 },
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
  if (!limits) return "Roofline: not measured, for only the cpu backend has one";
  const { gflops, gbps } = limits;
  return `Roofline: fp32 FMA ${significant(gflops)} GFLOP/s, memory read ${significant(gbps)} GB/s`;
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
