import type { RunInfo } from "../backend/backend.ts";
import { joinRuns } from "../linalg/operands.ts";

/** What searches of several indexes ran, as one. */
export function joinSearches(runs: readonly RunInfo[]): RunInfo {
  const [first, ...others] = runs as [RunInfo, ...RunInfo[]];
  return {
    ...joinRuns(first, ...others),
    scanned: runs.reduce((sum, run) => sum + run.scanned, 0),
    recomputed: runs.reduce((sum, run) => sum + run.recomputed, 0),
  };
}

/** What ran, with the GPU time of what ran before it. */
export function addTime(run: RunInfo, before: RunInfo | undefined): RunInfo {
  if (run.gpuSeconds === undefined) return run;
  return { ...run, gpuSeconds: run.gpuSeconds + (before?.gpuSeconds ?? 0) };
}
