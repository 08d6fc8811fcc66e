/**
 * Where a measurement was made: enough to judge or repeat it.
 *
 * @module
 */

import { VERSION } from "../../ffi/paths.ts";
import { describeLibrary } from "../backend/cpu/mod.ts";
import { withDisplay } from "../display.ts";
import { readVariable, type VariableName, variables } from "../env.ts";
import { DeviceError } from "../errors.ts";
import { type GpuDevice, gpuReport } from "../kernel/device.ts";
import { environmentBundle } from "./display.ts";

/** A GPU with its driver and clocks. What cannot be read is null. */
export interface GpuEnvironment {
  /** The device's own name. */
  name: string;
  /** What runs its kernels: `metal`, `cuda` or `emulator`. */
  engine: string;
  /** Bytes that can be in use before it gets slow or fails. */
  workingSetBytes: number;
  /** Version of the kernel driver. */
  driver: string | null;
  /** Versions of libraries that this process found, as `libnvrtc`. */
  libraries: Record<string, string>;
  /** Clocks in MHz, temperature and power, as `nvidia-smi` has them. */
  clocks: Record<string, string> | null;
}

/** What a result says of its origin. What cannot be read here is null. */
export interface EnvironmentRecord {
  /** ISO 8601, UTC. */
  date: string;
  /** Name of the CPU, with family and model where they tell more. */
  cpu: string;
  /** Logical cores. */
  cores: number;
  /** Memory, in GiB. */
  memory: number;
  /** Processes that wanted to run in the minute before. */
  load: number;
  /** What sets the CPU's frequency. */
  governor: string | null;
  /** Mean frequency of the cores at the time, in MHz. */
  mhz: number | null;
  /** System, its release and the architecture. */
  os: string;
  /** Version of Deno. */
  deno: string;
  /** Version of this package. */
  metalfaiss: string;
  /** Instruction set of the native library's kernels. */
  isa: string | null;
  /** Threads of the native library. */
  threads: number | null;
  /** The GPU that was asked for. */
  gpu: GpuEnvironment | null;
  /** Variables of metalfaiss that are set; of paths, only that they are. */
  variables: Record<string, string>;
}

/** Fields that nvidia-smi is asked for. */
const SMI = [
  "clocks.sm",
  "clocks.mem",
  "clocks.max.sm",
  "clocks.max.mem",
  "temperature.gpu",
  "power.draw",
  "power.limit",
] as const;
const PATHS: readonly VariableName[] = ["METALFAISS_LIBRARY", "METALFAISS_TUNING"];

/**
 * Describes this machine and what runs on it. What permissions do not show is null.
 *
 * @param device The GPU that is measured, if one is.
 *
 * @example
 * ```ts
 * import { gpu } from "@metalfaiss/metalfaiss/kernel";
 * import { environment } from "@metalfaiss/metalfaiss/profile";
 * import assert from "node:assert/strict";
 *
 * const where = await environment(gpu("emulator"));
 * assert.equal(where.deno, Deno.version.deno);
 * assert.equal(where.gpu!.engine, "emulator");
 * ```
 */
export async function environment(device?: GpuDevice): Promise<EnvironmentRecord> {
  const set: EnvironmentRecord["variables"] = {};
  for (const name of Object.keys(variables) as VariableName[]) {
    const value = readVariable(name);
    if (value !== undefined) set[name] = PATHS.includes(name) ? "set" : value;
  }
  const info = await readText("/proc/cpuinfo") ?? "";
  const library = native();
  return withDisplay<EnvironmentRecord>({
    date: new Date().toISOString(),
    cpu: await cpuModel(info),
    cores: navigator.hardwareConcurrency,
    memory: Math.round((permitted(() => Deno.systemMemoryInfo().total) ?? 0) / 2 ** 30),
    load: permitted(() => Deno.loadavg()[0]) ?? 0,
    governor: await readText("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
    mhz: meanMHz(info),
    os: `${Deno.build.os} ${permitted(() => Deno.osRelease()) ?? ""} ${Deno.build.arch}`,
    deno: Deno.version.deno,
    metalfaiss: VERSION,
    isa: library?.isa ?? null,
    threads: library?.threads ?? null,
    gpu: device === undefined ? null : await describeGpu(device),
    variables: set,
  }, environmentBundle);
}

function native(): { isa: string; threads: number } | undefined {
  try {
    return describeLibrary();
  } catch (error) {
    if (error instanceof DeviceError || error instanceof Deno.errors.NotCapable) return undefined;
    throw error;
  }
}

async function describeGpu(device: GpuDevice): Promise<GpuEnvironment> {
  const { name, engine, workingSetBytes } = device;
  const libraries: Record<string, string> = {};
  for (const { what, result } of gpuReport().searched) {
    if (/^\S*\d+\.\d|^CUDA \d/.test(result)) libraries[what] = result;
  }
  const isNvidia = engine === "cuda";
  return {
    ...{ name, engine, workingSetBytes, libraries },
    driver: isNvidia ? await nvidiaDriver() : null,
    clocks: isNvidia ? await nvidiaClocks() : null,
  };
}

async function nvidiaDriver(): Promise<string | null> {
  const text = await readText("/proc/driver/nvidia/version");
  return text?.match(/\s(\d+\.\d+(?:\.\d+)?)\s/)?.[1] ?? text ?? await smi("driver_version");
}

async function nvidiaClocks(): Promise<Record<string, string> | null> {
  const line = await smi(SMI.join(","));
  if (line === null) return null;
  const values = line.split(",").map((value) => value.trim());
  return Object.fromEntries(SMI.map((name, i) => [name, values[i] ?? ""]));
}

/** First line of what nvidia-smi says of some fields. */
function smi(fields: string): Promise<string | null> {
  return firstLine("nvidia-smi", [`--query-gpu=${fields}`, "--format=csv,noheader"]);
}

async function firstLine(command: string, args: string[]): Promise<string | null> {
  try {
    const output = await new Deno.Command(command, { args, stderr: "null" }).output();
    return output.success ? new TextDecoder().decode(output.stdout).split("\n")[0]!.trim() : null;
  } catch (error) {
    if (isHidden(error)) return null;
    throw error;
  }
}

async function readText(path: string): Promise<string | null> {
  try {
    return (await Deno.readTextFile(path)).trim();
  } catch (error) {
    if (isHidden(error)) return null;
    throw error;
  }
}

function permitted<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (isHidden(error)) return undefined;
    throw error;
  }
}

/** Whether something is not there, or not for us. */
function isHidden(error: unknown): boolean {
  const { NotFound, NotCapable, PermissionDenied } = Deno.errors;
  return [NotFound, NotCapable, PermissionDenied].some((kind) => error instanceof kind);
}

async function cpuModel(info: string): Promise<string> {
  if (Deno.build.os === "darwin") {
    return await firstLine("sysctl", ["-n", "machdep.cpu.brand_string"]) ?? "unknown";
  }
  const value = (name: string) => info.match(new RegExp(`^${name}\\s*: (.*)$`, "m"))?.[1];
  const model = value("model name") ?? "unknown";
  return `${model}, family ${value("cpu family") ?? "?"} model ${value("model") ?? "?"}`;
}

function meanMHz(info: string): number | null {
  const each = [...info.matchAll(/^cpu MHz\s*: ([\d.]+)$/gm)].map((match) => Number(match[1]));
  return each.length === 0 ? null : Math.round(each.reduce((a, b) => a + b) / each.length);
}
