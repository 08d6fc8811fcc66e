import { integerVariable, switchVariable } from "../../env.ts";
import { type TunedDevice, tuningFor } from "../../tuning/mod.ts";

/** Threads that the usual scan is compiled for. */
export const SCAN_THREADS = 256;

/** How lists are searched. */
export interface IvfSettings {
  /** Threads a threadgroup of the scan of few queries' lists. */
  threads: number;
  /** Whether rows beyond a bound are dropped while they are scanned; else all keys are kept for the selection. */
  fused: boolean;
}

let chosen: Partial<IvfSettings> = {};

/** Sets them for this process, as tuning does; what is left out is by variables and tables again. */
export function setIvfSettings(settings: Partial<IvfSettings>): void {
  chosen = settings;
}

/**
 * What variables and the tuning table ask for.
 *
 * @param device The GPU.
 * @param rows Rows that a query looks at, at most.
 * @throws {RangeError} If a variable has no sense.
 */
export function ivfSettings(device: TunedDevice, rows: number): IvfSettings {
  const tuned = tuningFor(device).ivf;
  const threads = chosen.threads ?? integerVariable("METALFAISS_IVF_TPB", 32) ?? tuned?.threads ??
    SCAN_THREADS;
  if (!(threads >= 32 && threads <= 1024 && threads % 32 === 0)) {
    const from = chosen.threads === undefined ? "METALFAISS_IVF_TPB" : "these IVF settings";
    throw new RangeError(
      `Cannot use ${from}: expected a multiple of 32 up to 1024, got "${threads}"`,
    );
  }
  const from = tuned === undefined ? 0 : tuned.fusedFrom ?? Infinity;
  return {
    threads,
    fused: chosen.fused ?? switchVariable("METALFAISS_USE_IVF_TOPK") ?? rows >= from,
  };
}
