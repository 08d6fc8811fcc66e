/**
 * What this machine can do at best, measured on the spot.
 *
 * @module
 */

import { invokeAsync } from "../../ffi/call.ts";
import { library } from "../../ffi/library.ts";

/** The two limits of a kernel. */
export interface Roofline {
  /** fp32 fused multiply-adds on all threads of the library, in GFLOP/s. */
  gflops: number;
  /** Reads from memory on all threads of the library, in GB/s. */
  gbps: number;
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
  return { gflops: best[0]!, gbps: best[1]! };
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
