/** Where a bench ran: enough to judge or repeat its numbers. @module */

import { VERSION } from "../ffi/paths.ts";
import type { Backend } from "../lib/backend/backend.ts";
import type { Roofline } from "../lib/profile/mod.ts";
import type { PeerDescription } from "./peers.ts";

/** The `environment` of `--json`. */
export interface Environment {
  date: string;
  cpu: string;
  cores: number;
  /** Memory, in GiB. */
  memory: number;
  /** Processes that wanted to run in the minute before. */
  load: number;
  os: string;
  deno: string;
  metalfaiss: string;
  backend: string;
  isa: string;
  threads: number;
  roofline: Roofline | null;
  peers: PeerDescription | null;
}

/** Describes this machine and what runs on it. */
export async function describe(
  backend: Backend,
  load: number,
  roofline: Roofline | undefined,
  peers: PeerDescription | undefined,
): Promise<Environment> {
  return {
    date: new Date().toISOString(),
    cpu: await cpuModel(),
    cores: navigator.hardwareConcurrency,
    memory: Math.round(Deno.systemMemoryInfo().total / 2 ** 30),
    load,
    os: `${Deno.build.os} ${Deno.osRelease()} ${Deno.build.arch}`,
    deno: Deno.version.deno,
    metalfaiss: VERSION,
    backend: backend.name,
    isa: backend.isa,
    threads: backend.threads,
    roofline: roofline ?? null,
    peers: peers ?? null,
  };
}

async function cpuModel(): Promise<string> {
  if (Deno.build.os === "darwin") {
    const args = ["-n", "machdep.cpu.brand_string"];
    const { stdout } = await new Deno.Command("sysctl", { args }).output();
    return new TextDecoder().decode(stdout).trim();
  }
  const info = await Deno.readTextFile("/proc/cpuinfo").catch(() => "");
  const value = (name: string) => info.match(new RegExp(`^${name}\\s*: (.*)$`, "m"))?.[1];
  const model = value("model name") ?? "unknown";
  return `${model}, family ${value("cpu family") ?? "?"} model ${value("model") ?? "?"}`;
}
