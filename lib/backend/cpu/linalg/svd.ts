/**
 * The largest singular values by the native library: one call is the whole iteration.
 *
 * @module
 */

import { invoke, invokeAsync } from "../../../../ffi/call.ts";
import { svdRecord } from "../../../../ffi/factor.ts";
import { library } from "../../../../ffi/library.ts";
import {
  checkCount,
  checkFinite,
  checkLength,
  checkRank,
  checkTolerance,
} from "../../../linalg/checks.ts";
import { type LinalgSettings, linalgSettings } from "../../../linalg/settings.ts";
import { startVectors } from "../../../linalg/start.ts";
import type { Computed, Dense, SvdParts, TopkSvdOptions } from "../../linalg.ts";
import { cpuDevice } from "../tuned.ts";
import { isShort } from "../work.ts";
import { BLOCKED_RATE, factorRun, hostFloats } from "./qr.ts";

/** Products, as `mf_linalg_svd_options` numbers them. */
const products: readonly string[] = ["fused", "naive", "tiled"];

/** Refuses what only GPUs have. */
function checkOptions(options: TopkSvdOptions): void {
  const { streams, workspaces, encodeOnce, guards, product } = options;
  const refuse = (what: string) => {
    throw new RangeError(`Cannot iterate: the cpu backend has ${what}`);
  };
  if (streams !== undefined && streams !== 1) refuse(`no streams, ${streams} are asked for`);
  if (workspaces === "fresh") refuse("no workspaces that could be fresh for each step");
  if (encodeOnce) refuse("no commands that could be encoded once");
  if (guards === false) refuse("no kernels without bounds checks");
  if (product === "vendor") refuse("no vendor's products");
  if (product !== undefined && !products.includes(product)) refuse(`no "${product}" products`);
}

/** What computes a Z-step, in how wide bands: as asked for, else by variables and the tuning table. */
function planSteps(
  k: number,
  { rows, columns }: Dense,
  { band, product }: TopkSvdOptions,
): { band: number; product: string } {
  if (band !== undefined) checkCount(band, "band", "iterate", 0);
  if (band && product === "naive") {
    throw new RangeError("Cannot iterate: naive products take all columns at once, in no bands");
  }
  const settings = linalgSettings({ device: cpuDevice(), rows, columns, k });
  if (product === undefined && band === undefined && settings.forceSvd === "naive") {
    return { band: 0, product: "naive" };
  }
  const wanted = product === "naive" ? 0 : band ?? settledBand(k, settings);
  return { band: wanted < k ? wanted : 0, product: product ?? "fused" };
}

/** Columns a band where the caller leaves it open; bands of 8 or 16 are those of the experiments. */
function settledBand(k: number, settings: LinalgSettings): number {
  if (settings.forceSvd === "mono") return 0;
  if (settings.forceSvd === "banded") return settings.svdBand || (k <= 16 ? 8 : 16);
  return settings.svdBand;
}

/** `LinearAlgebra.topkSvd`. */
export async function topkSvd(
  a: Dense,
  k: number,
  options: TopkSvdOptions = {},
): Promise<Computed<SvdParts>> {
  const { iterations = 4, tolerance = 0, rayleighRitz = true, seed = 0, signal } = options;
  checkRank(k, a);
  checkCount(iterations, "iterations", "iterate");
  checkTolerance(tolerance, "iterate");
  checkOptions(options);
  const { rows: m, columns: n } = a;
  const plan = planSteps(k, a, options);
  const product = products.indexOf(plan.product);
  const data = hostFloats(a, "decompose");
  const start = options.start ?? startVectors(n, k, seed);
  checkLength(start, n * k, "start");
  if (options.start) checkFinite(start, k, "iterate");
  const record = svdRecord({
    m,
    n,
    k,
    tolerance,
    iterations,
    band: plan.band,
    product,
    rayleighRitz,
  });
  const usv = new Float32Array((m + 1 + n) * k);
  const result = new Uint32Array(3);
  const { symbols } = library();
  signal?.throwIfAborted();
  const work = 2 * m * n * k * (iterations + 1);
  const report = isShort(plan.product === "naive" ? work : work / BLOCKED_RATE)
    ? invoke((call) => symbols.mf_linalg_topk_svd(record, data, start, usv, result, call))
    : await invokeAsync(
      (call) => symbols.mf_linalg_topk_svd_async(record, data, start, usv, result, call),
      signal,
    );
  const value: SvdParts = {
    u: usv.subarray(0, m * k),
    s: usv.slice(m * k, (m + 1) * k),
    v: usv.slice((m + 1) * k),
    iterations: result[0]!,
    converged: result[1] === 1,
    rank: result[2]!,
  };
  return { value, run: factorRun(report) };
}
