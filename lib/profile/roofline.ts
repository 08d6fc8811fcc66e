/**
 * What this machine can do at best, measured on the spot.
 *
 * @module
 */

import { invokeAsync } from "../../ffi/call.ts";
import { library } from "../../ffi/library.ts";
import { withDisplay } from "../display.ts";
import type { GpuDevice } from "../kernel/device.ts";
import type { CommandBuffer } from "../kernel/command_buffer.ts";
import { rooflineBundle } from "./display.ts";

/** The limits of a kernel. */
export interface Roofline {
  /** fp32 fused multiply-adds on all threads, in GFLOP/s. */
  gflops: number;
  /** Memory on all threads, in GB/s: reads of the CPU; of a GPU, what a copy reads and writes. */
  gbps: number;
  /** The same of fp16, in vectors of four, without matrix units; of GPUs only. */
  halfGflops?: number;
}

/** How near a kernel came to its binding limit. */
export interface RoofFraction {
  /** From 0 to 1; above 1 when the data came from a cache. */
  fraction: number;
  /** The limit: arithmetic or memory. */
  roof: "fma" | "read";
}

/**
 * Measures the peak of fused multiply-adds and of memory reads.
 *
 * @param runs How often each is measured; the best counts, because other work only lowers it.
 * @returns The machine's limits.
 * @throws {DeviceError} Without the native library.
 */
export async function measureRoofline(runs = 3): Promise<Roofline> {
  const { mf_library_roofline_async } = library().symbols;
  const best = [0, 0];
  for (let run = 0; run < runs; run++) {
    for (const kind of [0, 1]) {
      const result = new Float64Array(1);
      await invokeAsync((call) =>
        mf_library_roofline_async(kind, result, call as Uint8Array<ArrayBuffer>)
      );
      best[kind] = Math.max(best[kind]!, result[0]!);
    }
  }
  return withDisplay<Roofline>({ gflops: best[0]!, gbps: best[1]! }, rooflineBundle);
}

/** Sizes that keep a GPU busy for some milliseconds, and the emulator not for long. */
const SIZES = {
  gpu: { copy: 2 ** 29, threads: 2 ** 20, rounds: 512 },
  emulator: { copy: 2 ** 17, threads: 256, rounds: 2 },
} as const;
/** Bytes that a threadgroup of copy_b128 copies. */
const COPY_BYTES = 16 * 1024;
/** Multiply-adds of a thread a round: chains × steps × numbers. */
const ADDS = { f32: 16 * 16, f16x4: 8 * 16 * 4 } as const;

/**
 * Measures the limits of a device: of a GPU by kernels that copy memory, and that multiply and add; else
 * of the CPU.
 *
 * @param device The GPU; by default the CPU is measured.
 * @param runs How often each limit is measured; the best counts, because other work only lowers it.
 * @returns The device's limits.
 * @throws {DeviceError} Without the native library.
 *
 * @example
 * ```ts
 * import { gpu } from "@metalfaiss/metalfaiss/kernel";
 * import { roofline } from "@metalfaiss/metalfaiss/profile";
 * import assert from "node:assert/strict";
 *
 * const { gflops, gbps, halfGflops } = await roofline(gpu("emulator"), 1);
 * assert.ok(gflops > 0 && gbps > 0 && halfGflops! > 0);
 * ```
 */
export async function roofline(device?: GpuDevice, runs = 3): Promise<Roofline> {
  if (device === undefined) return await measureRoofline(runs);
  const sizes = SIZES[device.engine === "emulator" ? "emulator" : "gpu"];
  const most = Math.floor(device.workingSetBytes / 8 / COPY_BYTES) * COPY_BYTES;
  const bytes = Math.min(sizes.copy, most);
  using from = device.createBuffer(bytes, { storage: "private", label: "copied" });
  using to = device.createBuffer(bytes, { storage: "private", label: "copies" });
  await device.stream.commands("roofline").fill(from, 0, bytes, 1).commit().completed;
  const kernels = device.shader("roofline.metal");
  const gbps = 2 * bytes / await best(device, runs, (commands) => {
    commands.dispatch(kernels.pipeline("copy_b128"), [from, to, Uint32Array.of(bytes / 16)], {
      threadgroups: bytes / COPY_BYTES,
      threadgroup: 256,
    });
  });
  const rate = async (type: keyof typeof ADDS) => {
    const { threads, rounds } = sizes;
    const pipeline = kernels.pipeline(`multiply_add_${type}`);
    // Values near 2, whatever the rounds: no infinities, no subnormals.
    const args = [to, Uint32Array.of(rounds), Float32Array.of(0.5, 1)];
    const seconds = await best(device, runs, (commands) => {
      commands.dispatch(pipeline, args, { threads, threadgroup: 256 });
    });
    return 2 * ADDS[type] * threads * rounds / seconds / 1e9;
  };
  const [gflops, halfGflops] = [await rate("f32"), await rate("f16x4")];
  return withDisplay<Roofline>({ gflops, gbps: gbps / 1e9, halfGflops }, rooflineBundle);
}

/** Seconds on the GPU of the quickest of some runs, after one that does not count. */
async function best(
  device: GpuDevice,
  runs: number,
  record: (commands: CommandBuffer) => void,
): Promise<number> {
  let least = Infinity;
  for (let run = 0; run <= runs; run++) {
    const commands = device.stream.commands("roofline");
    record(commands);
    const { gpuSeconds } = await commands.commit().completed;
    if (run > 0) least = Math.min(least, gpuSeconds);
  }
  if (least > 0) return least;
  throw new RangeError("Cannot measure the roofline: the GPU says that no time has passed");
}

/**
 * The larger of the fractions of both limits: the one that binds.
 *
 * @example
 * ```ts
 * import { roofFraction } from "@metalfaiss/metalfaiss/profile";
 * import assert from "node:assert/strict";
 *
 * const scan = roofFraction({ gflops: 15, gbps: 30 }, { gflops: 233, gbps: 33 });
 * assert.equal(scan.roof, "read");
 * ```
 *
 * @param achieved Rates of a kernel.
 * @param limits Rates of the machine.
 * @returns The fraction, and of which limit.
 */
export function roofFraction(achieved: Roofline, limits: Roofline): RoofFraction {
  const fma = achieved.gflops / limits.gflops;
  const read = achieved.gbps / limits.gbps;
  return fma >= read ? { fraction: fma, roof: "fma" } : { fraction: read, roof: "read" };
}
