import {
  checkCount,
  checkFinite,
  checkLength,
  checkRank,
  checkTolerance,
} from "../../../linalg/checks.ts";
import { linalgSettings } from "../../../linalg/settings.ts";
import { startVectors } from "../../../linalg/start.ts";
import type { Dense, TopkSvdOptions } from "../../linalg.ts";
import type { GpuContext } from "../context.ts";
import type { ZProduct } from "./z_step.ts";

/** Options of a subspace iteration with all that was left out. */
export interface SvdPlan extends ZProduct {
  iterations: number;
  tolerance: number;
  rayleighRitz: boolean;
  /** n × k. */
  start: Float32Array;
  /** Columns a band; 0 for one band. */
  band: number;
  streams: number;
  assignment: "round-robin" | "block";
  fresh: boolean;
  encodeOnce: boolean;
}

/**
 * Options, variables and defaults, checked.
 *
 * @throws {RangeError} If a value is out of range, or options exclude each other.
 * @throws {TypeError} If the start has another length.
 */
export function svdPlan(
  context: GpuContext,
  a: Dense,
  k: number,
  options: TopkSvdOptions,
): SvdPlan {
  const { iterations = 4, tolerance = 0, rayleighRitz = true, seed = 0, guards } = options;
  const { assignment = "round-robin", workspaces = "reused" } = options;
  checkRank(k, a);
  checkCount(iterations, "iterations", "iterate");
  checkTolerance(tolerance, "iterate");
  const start = options.start ?? startVectors(a.columns, k, seed);
  checkLength(start, a.columns * k, "start");
  checkFinite(start, k, "iterate");
  const { rows, columns } = a;
  const settings = linalgSettings({ device: context.device, rows, columns, k });
  const { forceSvd, svdBand, svdStreams, encodeOnce } = settings;
  const forced = forceSvd === "banded" ? svdBand || (k <= 16 ? 8 : 16) : 0;
  const band = options.band ?? (forceSvd === undefined ? svdBand : forced);
  checkCount(band, "band", "iterate", 0);
  const streams = options.streams ?? svdStreams;
  checkCount(streams, "streams", "iterate");
  const product = options.product ??
    (forceSvd === "naive" ? "naive" : settings.gemmKernel ? "tiled" : "vendor");
  refuseOther("product", product, ["tiled", "naive", "fused", "vendor"]);
  refuseOther("assignment", assignment, ["round-robin", "block"]);
  refuseOther("workspaces", workspaces, ["reused", "fresh"]);
  if (guards !== undefined && product !== "tiled") {
    throw new RangeError(`Cannot iterate: guards are of tiled products, not of ${product} ones`);
  }
  return {
    iterations,
    tolerance,
    rayleighRitz,
    start: inRange(start),
    band: band >= k ? 0 : band,
    streams,
    assignment,
    fresh: workspaces === "fresh",
    encodeOnce: options.encodeOnce ?? encodeOnce,
    product,
    guards,
  };
}

function refuseOther(what: string, value: string, known: readonly string[]): void {
  if (known.includes(value)) return;
  throw new RangeError(
    `Cannot iterate: there is no ${what} ${value}; there are ${known.join(", ")}`,
  );
}

/** A start whose square times A's is in range; its span is all that counts. */
function inRange(start: Float32Array): Float32Array {
  const largest = start.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  if (largest === 0 || (largest > 2 ** -20 && largest < 2 ** 20)) return start;
  return start.map((value) => value / largest);
}

/** How a call went about it, as `run.variants` has it. */
export function planNames(plan: SvdPlan, lanes: number, isReplayed: boolean): string[] {
  const { band, streams, assignment, fresh, encodeOnce, rayleighRitz, product } = plan;
  return [
    `svd_${product}`,
    band === 0 ? "svd_mono" : `svd_band${band}`,
    ...(streams > 1 ? [`svd_streams${lanes}_${assignment}`] : []),
    `svd_workspaces_${fresh ? "fresh" : "reused"}`,
    isReplayed ? "svd_replayed" : encodeOnce ? "svd_encoded_once" : "svd_submitted_each",
    rayleighRitz ? "svd_rayleigh_ritz" : "svd_lengths",
  ];
}
