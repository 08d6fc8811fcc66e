/**
 * Learning what is fastest on a device.
 *
 * @module
 */

import type { Backend } from "../../backend/backend.ts";
import { GpuContext } from "../../backend/gpu/context.ts";
import type { GpuDevice } from "../../kernel/device.ts";
import { tuningKey, type TuningTable } from "../../tuning/mod.ts";
import { environment } from "../environment.ts";
import type { TuneOptions, Tuner } from "./contest.ts";
import { tuneQr, tuneQrDot, tuneSvd } from "./factors.ts";
import { tuneIvf } from "./lists.ts";
import { tuneGemm, tuneVendor } from "./products.ts";

export type { TuneOptions } from "./contest.ts";

/**
 * Measures what a device does fastest: of the CPU, methods of the QR and bands of the SVD by shape; of a
 * GPU also tiles of products, where the vendor's are faster, kernels of projections, streams of the SVD,
 * and the search of inverted lists. Every candidate is checked before it is timed. Nothing that computes does
 * this by itself: it takes minutes.
 *
 * @param backend The cpu or a gpu backend.
 * @param device The gpu backend's device.
 * @param options How much, and who is told.
 * @returns A table, as `data/tuning` and `METALFAISS_TUNING` have them.
 *
 * @example
 * ```ts
 * import { useBackend } from "@metalfaiss/metalfaiss";
 * import { formatTuning, parseTuning, tune } from "@metalfaiss/metalfaiss/profile";
 * import assert from "node:assert/strict";
 *
 * const table = await tune(useBackend("cpu"), undefined, { quick: true });
 * assert.ok(table.qr!.length > 0);
 * assert.equal(parseTuning(formatTuning(table), "here").device, table.device);
 * ```
 */
export async function tune(
  backend: Backend,
  device?: GpuDevice,
  options: TuneOptions = {},
): Promise<TuningTable> {
  const { quick = false, measure, onProgress: log = () => {} } = options;
  // Many short turns: what disturbs the machine then disturbs all candidates.
  const budget = quick
    ? { budget: 10, minSamples: 3, turns: 2 }
    : { budget: 1500, minSamples: 20, turns: 20, keepWithin: 10 };
  const where = await environment(device);
  const tuner: Tuner = { quick, log, options: { ...budget, ...measure, environment: where } };
  const { engine, isa } = backend;
  const table: TuningTable = {
    device: tuningKey({ engine, name: isa }),
    environment: { ...where },
  };
  if (device !== undefined) {
    const context = new GpuContext(device);
    table.gemm = await tuneGemm(tuner, context);
    table.vendorFrom = await tuneVendor(tuner, context);
    table.qrSimdFrom = await tuneQrDot(tuner, backend.linalg);
  }
  table.qr = await tuneQr(tuner, backend.linalg);
  table.svd = await tuneSvd(tuner, backend.linalg, { streams: device === undefined ? 1 : 8 });
  if (device !== undefined) table.ivf = await tuneIvf(tuner, device);
  return table;
}
