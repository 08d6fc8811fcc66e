/**
 * `deno task notebooks [--quick] [NAME …]`: executes notebooks, each with a kernel of its own, and
 * says what came of it.
 *
 * @module
 */

import { dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { fileURLToPath } from "node:url";
import { makeVenv, venv, venvPython } from "../../bench/venv.ts";
import { coverageFaults, wholeJournal } from "./coverage.ts";
import { findNotebooks } from "./find.ts";
import { writeKernelSpec } from "./kernel_spec.ts";
import { addedPackages, lockedPackages } from "./lock.ts";
import { runNotebook, type RunOptions } from "./one.ts";
import { failureTexts, type Result, resultTable, verdicts } from "./report.ts";
import { writeText } from "./text_file.ts";

const USAGE = `Usage: deno task notebooks [options] [NAME …]

Executes notebooks and rewrites them with their outputs. NAME is a number, a name, both or a path:
03, svd, 03_svd, notebooks/03_svd.ipynb; all by default.
  --quick          small sizes; the notebooks stay as they are
  --out DIR        write the executed notebooks there instead
  --html DIR       write them as pages
  --verdicts FILE  write the verdicts as JSON
  --timeout S      seconds for each cell; 1800 by default, 600 with --quick
  --jobs N         notebooks at a time; 1 by default, because they measure
  --python PYTHON  a Python that has nbclient; by default .venv is made`;

const folder = fileURLToPath(new URL("../", import.meta.url));

/** Runs several at a time; results come in the order of the paths. */
async function runAll(
  paths: readonly string[],
  jobs: number,
  options: RunOptions,
): Promise<Result[]> {
  const results: Result[] = [];
  let next = 0;
  let done = 0;
  const work = async () => {
    while (next < paths.length) {
      const i = next++;
      const result = await runNotebook(paths[i]!, options);
      results[i] = result;
      const { name, seconds, failures } = result;
      const outcome = failures.length === 0 ? "passed" : "FAILED";
      console.error(`${++done}/${paths.length} ${name}: ${outcome}, ${seconds.toFixed(1)} s`);
    }
  };
  // All of them have to clean up, when one is stopped.
  const ends = await Promise.allSettled(Array.from({ length: jobs }, work));
  for (const end of ends) if (end.status === "rejected") throw end.reason;
  return results;
}

/** A whole number of at least 1. */
function count(text: string, option: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value > 0) return value;
  throw new RangeError(`Cannot run notebooks: --${option} must be a number from 1, not "${text}"`);
}

async function pythonOf(given: string | undefined): Promise<string> {
  if (given !== undefined) return given.includes("/") ? resolve(given) : given;
  const made = await makeVenv(["notebooks"]);
  if (!made.has("notebooks")) throw new Error("Cannot run notebooks: there is no nbclient");
  // Runs have a spec of their own; this one is for Jupyter and editors that are started from .venv.
  await writeKernelSpec(join(venv, "share/jupyter"));
  // Notebooks that compare say themselves what they lack.
  await makeVenv(["comparisons"]);
  return venvPython;
}

/** Before all is run, and cannot be kept. */
async function makeFolder(path: string, option: string): Promise<void> {
  try {
    await Deno.mkdir(path, { recursive: true });
  } catch (cause) {
    const reason = (cause as Error).message;
    throw new Error(`Cannot run notebooks: --${option} has no folder: ${reason}`, { cause });
  }
}

async function main(signal: AbortSignal): Promise<boolean> {
  const { values, positionals } = parseArgs({
    args: Deno.args,
    allowPositionals: true,
    options: {
      quick: { type: "boolean", default: false },
      out: { type: "string" },
      html: { type: "string" },
      verdicts: { type: "string" },
      timeout: { type: "string" },
      jobs: { type: "string", default: "1" },
      python: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(USAGE);
    return true;
  }
  const { quick, out, html, verdicts: record } = values;
  const jobs = count(values.jobs, "jobs");
  const timeout = count(values.timeout ?? (quick ? "600" : "1800"), "timeout");
  const paths = await findNotebooks(positionals, folder);
  if (out !== undefined) await makeFolder(out, "out");
  if (html !== undefined) {
    await makeFolder(html, "html");
    // It needs npm, which may not be there.
    await import("./page.ts");
  }
  if (record !== undefined) await makeFolder(dirname(record), "verdicts");
  const python = await pythonOf(values.python);
  const locked = await lockedPackages();
  const start = performance.now();
  const results = await runAll(paths, jobs, {
    ...{ python, timeout, signal, replace: !quick },
    ...out === undefined ? {} : { out },
    ...html === undefined ? {} : { html },
    env: { METALFAISS_JOURNAL: quick ? "quick" : "full" },
  });
  const seconds = ((performance.now() - start) / 1000).toFixed(0);
  console.log(`\n${resultTable(results)}\n`);
  const faults: string[] = [];
  const added = addedPackages(locked, await lockedPackages());
  if (added.length > 0) {
    faults.push(`deno.lock lacked ${added.join(", ")}, which a notebook imports; commit it`);
  }
  const complete = results.every(({ failures }) => failures.length === 0);
  if (positionals.length === 0 && complete) {
    const notebooks = new Map(results.map(({ name, notebook }) => [name, notebook!]));
    faults.push(...coverageFaults(notebooks, await wholeJournal()));
  }
  if (record !== undefined) {
    const text = `${JSON.stringify(verdicts(results), null, 2)}\n`;
    await writeText(record, text).catch((error: Error) => {
      faults.push(`Cannot write the verdicts: ${error.message}`);
    });
  }
  for (const fault of [...results.flatMap(failureTexts), ...faults]) console.log(`${fault}\n`);
  const passed = results.filter(({ failures }) => failures.length === 0).length;
  const others = faults.length === 0 ? "" : `, ${faults.length} other faults`;
  console.log(
    `notebooks: ${passed} passed, ${results.length - passed} failed${others}, in ${seconds} s`,
  );
  return complete && faults.length === 0;
}

if (import.meta.main) {
  const stopper = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    Deno.addSignalListener(signal, () => stopper.abort());
  }
  let passed = false;
  try {
    passed = await main(stopper.signal);
  } catch (error) {
    if (stopper.signal.aborted) {
      console.error("Stopped; notebooks that were not done are as before");
    } else console.error(error instanceof Error ? error.message : error);
  }
  Deno.exit(stopper.signal.aborted ? 130 : passed ? 0 : 1);
}
