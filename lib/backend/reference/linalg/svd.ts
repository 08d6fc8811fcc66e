import {
  checkCount,
  checkFinite,
  checkLength,
  checkRank,
  checkTolerance,
} from "../../../linalg/checks.ts";
import { linalgSettings } from "../../../linalg/settings.ts";
import { startVectors } from "../../../linalg/start.ts";
import type { Computed, Dense, SvdParts, TopkSvdOptions } from "../../linalg.ts";
import type { Steps } from "../steps.ts";
import { addScaled, type Columns, dot, fromColumns, toColumns } from "./columns.ts";
import { rotate, sortTriplets } from "./jacobi.ts";
import { computed, hostNumbers } from "./operands.ts";
import { mgs } from "./qr.ts";

/** The k largest singular values and vectors, by subspace iteration. */
export function* topkSvd(
  a: Dense,
  k: number,
  options: TopkSvdOptions = {},
): Steps<Computed<SvdParts>> {
  const { iterations = 4, tolerance = 0, rayleighRitz = true, seed = 0 } = options;
  const { rows: m, columns: n } = a;
  checkRank(k, a);
  checkCount(iterations, "iterations", "iterate");
  checkTolerance(tolerance, "iterate");
  const band = bandOf(k, options);
  const start = options.start ?? startVectors(n, k, seed);
  checkLength(start, n * k, "start");
  checkFinite(start, k, "iterate");
  const data = hostNumbers(a);
  checkFinite(data, n, "decompose");

  let { q: v } = yield* mgs(toColumns(start, n, k), 2 ** -48);
  let values = new Float64Array(k);
  let converged = false;
  let step = 0;
  while (step < iterations && !converged) {
    const z: Columns = [];
    for (let from = 0; from < k; from += band) {
      const b = yield* multiply(data, n, v.slice(from, from + band));
      z.push(...yield* multiplyTransposed(data, n, b));
    }
    const { q, r } = yield* mgs(z, 2 ** -48);
    v = q;
    // AᵀA V = V′R: the diagonal of R approaches the squares of singular values.
    const now = Float64Array.from(r, (column, j) => Math.sqrt(column[j]!));
    const change = now.reduce((most, value, j) => Math.max(most, Math.abs(value - values[j]!)), 0);
    converged = tolerance > 0 && step > 0 && change <= tolerance * Math.max(...now);
    values = now;
    step++;
  }

  const u = yield* multiply(data, n, v);
  if (rayleighRitz) yield* rotate(u, v);
  const sorted = sortTriplets(u, v);
  const s = Float32Array.from(sorted.s);
  const value: SvdParts = {
    u: fromColumns(sorted.u, m),
    s,
    v: fromColumns(sorted.v, n),
    iterations: step,
    converged,
    rank: s.filter((value) => value > n * 2 ** -23 * s[0]!).length,
  };
  return computed(value, band < k ? "topk_svd_banded" : "topk_svd_mono");
}

/** Columns a band; refuses what only GPUs have. */
function bandOf(k: number, options: TopkSvdOptions) {
  const { band, streams, workspaces, encodeOnce, product, guards } = options;
  const refuse = (what: string) => {
    throw new RangeError(`Cannot iterate: the reference backend has ${what}`);
  };
  if (streams !== undefined && streams !== 1) refuse(`one stream, not ${streams}`);
  if (workspaces === "fresh") refuse("no workspaces");
  if (encodeOnce) refuse("no commands that could be encoded once");
  if (product !== undefined && product !== "naive") refuse(`no ${product} products`);
  if (guards === false) refuse("no loops without bounds checks");
  const { forceSvd, svdBand } = linalgSettings();
  // Bands of 8 or 16 columns are those of the experiments.
  const forced = forceSvd === "mono"
    ? 0
    : forceSvd === "banded"
    ? svdBand || (k <= 16 ? 8 : 16)
    : 0;
  const wanted = band ?? (forceSvd === undefined ? svdBand : forced);
  checkCount(wanted, "band", "iterate", 0);
  return wanted === 0 ? k : Math.min(wanted, k);
}

/** A V. */
function* multiply(a: Float32Array, n: number, v: Columns): Steps<Columns> {
  const m = a.length / n;
  const out = v.map(() => new Float64Array(m));
  for (let i = 0; i < m; i++) {
    const row = a.subarray(i * n, (i + 1) * n);
    v.forEach((column, j) => out[j]![i] = dot(row, column));
    if (i % 64 === 0) yield;
  }
  return out;
}

/** Aᵀ B. */
function* multiplyTransposed(a: Float32Array, n: number, b: Columns): Steps<Columns> {
  const out = b.map(() => new Float64Array(n));
  for (let i = 0; i * n < a.length; i++) {
    const row = a.subarray(i * n, (i + 1) * n);
    b.forEach((column, j) => addScaled(out[j]!, column[i]!, row));
    if (i % 64 === 0) yield;
  }
  return out;
}
