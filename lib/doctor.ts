/**
 * `deno task doctor`: what was found here, and what to do about what was not.
 * `--json` prints the same as one JSON object.
 *
 * @module
 */

import { checkout } from "../ffi/paths.ts";
import { ABI_VERSION, type Attempt, candidates, openLibrary, remedy } from "../ffi/library.ts";
import { describeLibrary, type LibraryInfo } from "./backend/cpu/mod.ts";
import { gpuVariable, readVariable, type VariableName, variables } from "./env.ts";
import { gpu, type GpuReport, gpuReport } from "./kernel/device.ts";
import { swiftAdvice } from "./setup.ts";

/** What the doctor found. */
interface Findings {
  deno: string;
  swift: string | null;
  python: string | null;
  backend: string;
  library: { path: string; abi: number } & LibraryInfo | null;
  tried: Attempt[];
  gpus: GpuReport | null;
  variables: Partial<Record<VariableName, string>>;
  advice: string[];
}

async function firstLine(command: string, args: string[]): Promise<string | null> {
  try {
    const { stdout, success } = await new Deno.Command(command, { args, stderr: "null" }).output();
    return success ? new TextDecoder().decode(stdout).split("\n")[0]!.trim() : null;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

async function examine(): Promise<Findings> {
  const advice: string[] = [];
  const { library, tried } = examineLibrary();
  if (library === null) advice.push(remedy());

  const swift = await firstLine("swift", ["--version"]);
  if (swift === null) advice.push(`No Swift found: ${swiftAdvice()}`);

  const python = await firstLine(`${checkout() ?? ""}.venv/bin/python`, ["--version"]);
  if (python === null) {
    advice.push("No .venv with faiss-cpu, for tests and bench --peers: ./run venv");
  }

  const gpus = library && gpuReport();
  if (gpus) advice.push(...gpuAdvice(gpus));

  const set: Findings["variables"] = {};
  for (const name of Object.keys(variables) as VariableName[]) {
    const value = readVariable(name);
    if (value !== undefined) set[name] = value;
  }
  const asked = set.METALFAISS_BACKEND ?? "auto";
  const backend = asked === "auto" ? (library ? "cpu" : "reference") : asked;
  if (backend === "cpu" && library === null) {
    advice.push("Unset METALFAISS_BACKEND, or set it to auto");
  }
  const deno = Deno.version.deno;
  return { deno, swift, python, backend, library, tried, gpus, variables: set, advice };
}

/** Every place in order, up to the one that has the library. */
function examineLibrary(): Pick<Findings, "library" | "tried"> {
  const tried: Attempt[] = [];
  for (const { source, path, reason } of candidates()) {
    try {
      if (path === undefined) throw new Error(reason);
      openLibrary(path);
      return { library: { path, abi: ABI_VERSION, ...describeLibrary() }, tried };
    } catch (error) {
      tried.push({ source, ...(path && { path }), reason: (error as Error).message });
    }
  }
  return { library: null, tried };
}

/** What to do for a GPU that is missing, or that METALFAISS_GPU asks for in vain. */
function gpuAdvice({ engine }: GpuReport): string[] {
  try {
    const wanted = gpuVariable();
    if (wanted !== undefined) gpu(wanted);
    else if (engine === null) gpu();
    return [];
  } catch (error) {
    return [(error as Error).message];
  }
}

function print(found: Findings): void {
  const rows: [string, string][] = [
    ["Deno", found.deno],
    ["Swift", found.swift ?? "not found"],
    ["Python venv", found.python ?? "not found"],
    ["backend", found.backend],
  ];
  if (found.library) {
    const { path, abi, isa, isas, threads, cores } = found.library;
    rows.push(["library", path]);
    rows.push(["ABI version", `${abi}`]);
    rows.push(["ISA", `${isa} (of ${isas.join(", ")})`]);
    rows.push(["threads", `${threads} of ${cores} cores`]);
  } else rows.push(["library", "not found"]);
  for (const { source, path, reason } of found.tried) {
    rows.push(["  tried", `${source}: ${path ? `${path}: ` : ""}${reason}`]);
  }
  rows.push(["default GPU", found.gpus?.engine ?? "none"]);
  for (const { name, engine } of found.gpus?.devices ?? []) {
    rows.push(["  device", `${engine}: ${name}`]);
  }
  for (const { what, path, result } of found.gpus?.searched ?? []) {
    rows.push(["  searched", [what, path, result].filter((part) => part !== "").join(": ")]);
  }
  for (const [name, meaning] of Object.entries(variables)) {
    rows.push([name, found.variables[name as VariableName] ?? `unset. ${meaning}`]);
  }
  for (const [name, value] of rows) console.log(`${name.padEnd(20)} ${value}`);
  for (const line of found.advice) console.log(`\n→ ${line}`);
}

const found = await examine();
if (Deno.args.includes("--json")) console.log(JSON.stringify(found, null, 2));
else print(found);
