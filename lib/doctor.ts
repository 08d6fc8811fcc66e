/**
 * `deno task doctor`: what was found here, and what to do about what was not.
 * `--json` prints the same as one JSON object.
 *
 * @module
 */

import { checkout } from "../ffi/paths.ts";
import { ABI_VERSION, type Attempt, candidates, openLibrary, remedy } from "../ffi/library.ts";
import { cpuDevice } from "./backend/cpu/tuned.ts";
import { describeLibrary, type LibraryInfo } from "./backend/cpu/mod.ts";
import { emulatorChecks, gpuVariable, type VariableName, variables } from "./env.ts";
import { gpu, type GpuDevice, type GpuReport, gpuReport } from "./kernel/device.ts";
import { type Knob, knobs } from "./knobs.ts";
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
  /** Every variable, with what it comes to here. */
  variables: Record<VariableName, Knob>;
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
  const { device, advice: about } = gpus ? openGpu(gpus) : { device: undefined, advice: [] };
  advice.push(...about);

  const all = knobs(device, {
    METALFAISS_LIBRARY: library?.path ?? "not found",
    METALFAISS_THREADS: `${library?.threads ?? 1}`,
    METALFAISS_ISA: library?.isa ?? "none",
    METALFAISS_GPU: gpus?.engine ?? "none",
    METALFAISS_EMULATOR_CHECKS: emulatorChecks() ? "on" : "off",
    METALFAISS_GEMM_TILE_SQ: "none",
    METALFAISS_BENCH_ITERS: "20",
    METALFAISS_BENCH_WARMUP: "3",
    METALFAISS_BENCH_BACKENDS: "gpu,vendor,cpu",
    METALFAISS_JOURNAL: [undefined, "emulator"].includes(device?.engine) ? "quick" : "full",
  }, library ? cpuDevice() : undefined);
  const errors = Object.values(all).flatMap(({ error }) => error ?? []);
  advice.push(...new Set(errors));
  const asked = all.METALFAISS_BACKEND.text ?? "auto";
  const wantsGpu = all.METALFAISS_GPU.text !== undefined ||
    (Deno.build.os === "darwin" && device !== undefined);
  const backend = asked !== "auto" ? asked : library ? (wantsGpu ? "gpu" : "cpu") : "reference";
  if (backend === "cpu" && library === null) {
    advice.push("Unset METALFAISS_BACKEND, or set it to auto");
  }
  all.METALFAISS_BACKEND.value = backend;
  const deno = Deno.version.deno;
  return { deno, swift, python, backend, library, tried, gpus, variables: all, advice };
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

/** The GPU in use, and what to do where METALFAISS_GPU asks for one in vain. */
function openGpu({ engine }: GpuReport): { device: GpuDevice | undefined; advice: string[] } {
  try {
    const wanted = gpuVariable();
    return { device: gpu(wanted ?? engine ?? ""), advice: [] };
  } catch (error) {
    return { device: undefined, advice: [(error as Error).message] };
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
    const { text, value } = found.variables[name as VariableName];
    rows.push([name, `${value}${text === undefined ? " (not set)" : ""}. ${meaning}`]);
  }
  for (const [name, value] of rows) console.log(`${name.padEnd(27)} ${value}`);
  for (const line of found.advice) console.log(`\n→ ${line}`);
}

const found = await examine();
if (Deno.args.includes("--json")) console.log(JSON.stringify(found, null, 2));
else print(found);
