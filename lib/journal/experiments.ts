/**
 * All experiments and their ids.
 *
 * @module
 */

import type { Experiment } from "./experiment.ts";
import { competition } from "./competition.ts";
import { featureComparison } from "./features.ts";
import { gridShape, missteps, parameterPacking, streamOverlap } from "./launches.ts";
import { orthogonalization } from "./orthogonal.ts";
import { matmulProbes } from "./probes.ts";
import { gemmTiling, tileSweep } from "./products.ts";
import { batchedQueries, chunkedLists, fusedLists } from "./recipes.ts";
import { projectionCrossover, qrProjections, qrUpdate } from "./qr.ts";
import { chunkedScan, headLinearKernel, multiHeadLayerNorm, softCapKernel } from "./sequence.ts";
import { compensation } from "./sums.ts";
import {
  bandStreams,
  encodedOnce,
  fusedZ,
  guards,
  naiveZ,
  rayleighRitz,
  serialBands,
  tiledZ,
  workspaces,
} from "./svd.ts";

/** Every experiment, in the journal's order. */
export const experiments: readonly Experiment[] = [
  missteps,
  qrProjections,
  naiveZ,
  tiledZ,
  rayleighRitz,
  tileSweep,
  fusedZ,
  serialBands,
  bandStreams,
  workspaces,
  guards,
  encodedOnce,
  compensation,
  qrUpdate,
  parameterPacking,
  fusedLists,
  batchedQueries,
  chunkedLists,
  projectionCrossover,
  gridShape,
  multiHeadLayerNorm,
  softCapKernel,
  chunkedScan,
  gemmTiling,
  streamOverlap,
  headLinearKernel,
  orthogonalization,
  matmulProbes,
  competition,
  featureComparison,
];

/** Ids that name the same experiment. */
const ALIASES: Readonly<Record<string, string>> = {
  E1: "J3",
  E2: "E5",
  E7: "E5",
  "H-S1": "E5",
  "H-S2": "E5",
  "H-S3": "E5",
  E6: "E3",
  R5: "T1",
  R7: "X5",
  HPC16X8: "H1",
  P2: "R2",
  M0: "M",
  M2: "M",
  M3: "M",
  M4: "M",
  M5: "M",
};

/**
 * An experiment by its id, whatever the case; undefined where there is none.
 *
 * @param id As the journal has it: `J1a`, `E5`, `X3` …
 */
export function findExperiment(id: string): Experiment | undefined {
  const upper = id.toUpperCase();
  const wanted = ALIASES[upper] ?? upper;
  return experiments.find((experiment) => experiment.id.toUpperCase() === wanted);
}

/** Its own id, and those of what it covers. */
export function idsOf({ id }: Experiment): string[] {
  return [id, ...Object.keys(ALIASES).filter((alias) => ALIASES[alias] === id)];
}
