/**
 * What every `METALFAISS_*` variable comes to on this machine.
 *
 * @module
 */

import { ivfSettings } from "./backend/gpu/ivf_settings.ts";
import {
  backendVariable,
  choiceVariable,
  integerVariable,
  readVariable,
  threadsVariable,
  type VariableName,
  variables,
} from "./env.ts";
import { getGemmTiles, linalgSettings } from "./linalg/settings.ts";
import { type TunedDevice, tuningFor, tuningKey } from "./tuning/mod.ts";

/** A variable, and what it comes to. */
export interface Knob {
  /** Its text; undefined where it is not set. */
  text: string | undefined;
  /** What is in effect: by the variable, the tuning table or the default. */
  value: string;
  /** What is wrong with it. */
  error?: string;
}

/** Values that only the caller knows, e.g. where the library was found. */
export type KnownValues = Partial<Record<VariableName, string>>;

/**
 * Every variable with its value in effect.
 *
 * @param device The GPU whose tuning table counts.
 * @param known Values of variables that are not of linear algebra or lists.
 * @param cpu What the CPU's tuning table goes by.
 *
 * @example
 * ```ts
 * import { knobs } from "@metalfaiss/metalfaiss/profile";
 * import assert from "node:assert/strict";
 *
 * assert.match(knobs(undefined).METALFAISS_GEMM_TILE_AV.value, /^\d+x\d+$/);
 * ```
 */
export function knobs(
  device: TunedDevice | undefined,
  known: KnownValues = {},
  cpu?: TunedDevice,
): Record<VariableName, Knob> {
  const tile = (sides: readonly number[]) => sides.join("x");
  const flag = (value: boolean) => value ? "1" : "0";
  const about = { device };
  const readers: Partial<Record<VariableName, () => string | undefined>> = {
    METALFAISS_BACKEND: backendVariable,
    METALFAISS_THREADS: () => threadsVariable()?.toString(),
    METALFAISS_TUNING: () =>
      [cpu, device].flatMap((own) => own ? [tuningName(own)] : []).join(", ") || "no device",
    METALFAISS_GEMM_TILE_AV: () => tile(getGemmTiles(device).av),
    METALFAISS_GEMM_TILE_ATB: () => tile(getGemmTiles(device).atb),
    METALFAISS_GEMM_DB: () => flag(getGemmTiles(device).doubleBuffer),
    METALFAISS_GEMM_V4: () => flag(getGemmTiles(device).vectorLoads),
    METALFAISS_GEMM_PAD_ATB: () => flag(getGemmTiles(device).padAtB),
    METALFAISS_USE_GEMM_KERNEL: () => flag(linalgSettings(about).gemmKernel),
    METALFAISS_QR_DOT: () => {
      const { qrDot, qrSimdFrom } = linalgSettings(about);
      if (qrDot !== "auto") return qrDot;
      return qrSimdFrom === Infinity ? "auto: never simd" : `auto: simd from ${qrSimdFrom} rows`;
    },
    METALFAISS_FORCE_QR: () => linalgSettings(about).forceQr ?? "by shape",
    METALFAISS_FORCE_SVD: () => linalgSettings(about).forceSvd ?? "by call",
    METALFAISS_SVD_BAND: () => `${linalgSettings(about).svdBand}`,
    METALFAISS_SVD_STREAMS: () => `${linalgSettings(about).svdStreams}`,
    METALFAISS_USE_COMPILE: () => flag(linalgSettings(about).encodeOnce),
    METALFAISS_BENCH_ITERS: () => integerVariable("METALFAISS_BENCH_ITERS", 1)?.toString(),
    METALFAISS_BENCH_WARMUP: () => integerVariable("METALFAISS_BENCH_WARMUP")?.toString(),
    METALFAISS_JOURNAL: () => choiceVariable("METALFAISS_JOURNAL", ["quick", "full"]),
    METALFAISS_USE_IVF_TOPK: () => flag(ivfSettings(device ?? NO_DEVICE, Infinity).fused),
    METALFAISS_IVF_TPB: () => `${ivfSettings(device ?? NO_DEVICE, Infinity).threads}`,
  };
  const found: Partial<Record<VariableName, Knob>> = {};
  for (const name of Object.keys(variables) as VariableName[]) {
    const text = readVariable(name);
    try {
      const value = readers[name]?.() ?? text ?? known[name] ?? "unset";
      found[name] = { text, value };
    } catch (error) {
      const { message } = error as Error;
      found[name] = { text, value: "none", error: message };
    }
  }
  return found as Record<VariableName, Knob>;
}

/** A device without a tuning table. */
const NO_DEVICE: TunedDevice = { engine: "none", name: "none" };

/** Which table is in effect. */
function tuningName(device: TunedDevice): string {
  const key = tuningKey(device);
  return Object.keys(tuningFor(device)).length === 0 ? `no table of ${key}` : `${key}.json`;
}
