/**
 * Memory that work takes, on the host and on a GPU.
 *
 * @module
 */

import { withDisplay } from "../display.ts";
import type { GpuDevice } from "../kernel/device.ts";
import { memoryBundle } from "./display.ts";

/** Bytes at some moments. */
export interface MemoryLevels {
  /** When the work began. */
  before: number;
  /** The most: of a GPU exactly; of the host among the samples. */
  peak: number;
  /** When it was done. */
  after: number;
}

/** What {@linkcode watchMemory} saw. */
export interface MemoryUse {
  /** Resident memory of this process. */
  host: MemoryLevels;
  /** Bytes of buffers in use; null where no GPU was watched. */
  gpu: MemoryLevels | null;
  /** Bytes over time: `ms` from the begin. */
  samples: { ms: number; host: number; gpu: number | null }[];
}

/** What {@linkcode watchMemory} watches. */
export interface MemoryOptions {
  /** A GPU to watch, too; its peak begins anew. */
  device?: GpuDevice;
  /** Milliseconds between samples, which work that holds up the event loop stretches; 5 by default. */
  every?: number;
}

/**
 * Does work, and watches the memory that it takes.
 *
 * @param work What to do.
 * @param options Which GPU, how often.
 * @returns What the work returned, and the memory.
 *
 * @example
 * ```ts
 * import { gpu } from "@metalfaiss/metalfaiss/kernel";
 * import { watchMemory } from "@metalfaiss/metalfaiss/profile";
 * import assert from "node:assert/strict";
 *
 * const device = gpu("emulator");
 * const { memory } = await watchMemory(() => {
 *   using _buffer = device.createBuffer(1 << 20);
 * }, { device });
 * assert.ok(memory.gpu!.peak >= memory.gpu!.before + (1 << 20));
 * assert.ok(memory.gpu!.after < memory.gpu!.peak);
 * ```
 */
export async function watchMemory<T>(
  work: () => T | Promise<T>,
  options: MemoryOptions = {},
): Promise<{ value: T; memory: MemoryUse }> {
  const { device, every = 5 } = options;
  const begin = performance.now();
  const samples: MemoryUse["samples"] = [];
  const take = () => {
    const sample = {
      ms: performance.now() - begin,
      host: Deno.memoryUsage().rss,
      gpu: device?.memory().active ?? null,
    };
    samples.push(sample);
    return sample;
  };
  device?.resetPeak();
  const before = take();
  const timer = setInterval(take, every);
  try {
    const value = await work();
    const after = take();
    const host = {
      before: before.host,
      peak: Math.max(...samples.map((sample) => sample.host)),
      after: after.host,
    };
    const gpu = device === undefined
      ? null
      : { before: before.gpu!, peak: device.memory().peak, after: after.gpu! };
    return { value, memory: withDisplay<MemoryUse>({ host, gpu, samples }, memoryBundle) };
  } finally {
    clearInterval(timer);
  }
}
