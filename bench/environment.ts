/** Where a bench ran: enough to judge or repeat its numbers. @module */

import type { Backend } from "../lib/backend/backend.ts";
import { gpu, type GpuDevice } from "../lib/kernel/mod.ts";
import { environment, type EnvironmentRecord, type Roofline } from "../lib/profile/mod.ts";
import type { PeerDescription } from "./peers.ts";

/** The `environment` of `--json`. */
export interface Environment extends EnvironmentRecord {
  backend: string;
  isa: string;
  threads: number;
  roofline: Roofline | null;
  peers: PeerDescription | null;
  /** Version of PyTorch, with the CUDA that it was built for, where it runs beside us. */
  torch: string | null;
}

/** What a bench knows of where it runs. */
export interface Known {
  backend: Backend;
  /** Processes that wanted to run in the minute before the bench began. */
  load: number;
  roofline: Roofline | undefined;
  peers: PeerDescription | undefined;
  /** A Python that has PyTorch. */
  torch: string | undefined;
}

/** The GPU that a backend computes on. */
export function deviceOf(backend: Backend): GpuDevice | undefined {
  return backend.name === "gpu" ? gpu() : undefined;
}

/** Describes this machine and what runs on it. */
export async function describe(known: Known): Promise<Environment> {
  const { backend, load, roofline, peers, torch } = known;
  return {
    ...await environment(deviceOf(backend)),
    load,
    backend: backend.name,
    isa: backend.isa,
    threads: backend.threads,
    roofline: roofline ?? null,
    peers: peers ?? null,
    torch: torch === undefined ? null : await torchVersion(torch),
  };
}

/** Asks for the package's version: importing it takes seconds. */
async function torchVersion(python: string): Promise<string | null> {
  const code = "from importlib.metadata import version; print(version('torch'))";
  const output = await new Deno.Command(python, { args: ["-c", code], stderr: "null" }).output();
  return output.success ? new TextDecoder().decode(output.stdout).trim() : null;
}
