/**
 * Measuring: timing with interleaved contenders, the machine's roofline, synthetic data.
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

export * from "./datasets.ts";
export * from "./measure.ts";
export * from "./roofline.ts";
