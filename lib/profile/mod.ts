/**
 * Measuring: timing with interleaved contenders, checked and ranked measurements, limits of CPU and GPU,
 * streams, timelines, memory, the environment, tuning tables, synthetic data.
 *
 * @example
 * ```ts
 * import { measure } from "@metalfaiss/metalfaiss/profile";
 * import assert from "node:assert/strict";
 *
 * const timing = await measure(() => new Float32Array(1000).fill(1), { budget: 10 });
 * assert.ok(timing.p10 <= timing.median && timing.median <= timing.p90);
 * ```
 *
 * @module
 */

export * from "./capture.ts";
export * from "./datasets.ts";
export * from "./environment.ts";
export * from "./fan.ts";
export * from "./measure.ts";
export * from "./measurement.ts";
export * from "./memory.ts";
export * from "./roofline.ts";
export * from "./timeline.ts";
export * from "./trace.ts";
export * from "./variants/mod.ts";
export * from "./tune/mod.ts";
export {
  formatTuning,
  nearestShape,
  parseTuning,
  type TunedDevice,
  type TunedGemm,
  type TunedIvf,
  type TunedQr,
  type TunedSvd,
  TUNING_VERSION,
  tuningFor,
  tuningKey,
  type TuningTable,
} from "../tuning/mod.ts";
export { type VariableName, variables } from "../env.ts";
export { type Knob, knobs, type KnownValues } from "../knobs.ts";
