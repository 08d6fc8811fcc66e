/**
 * The packed little-endian records of graphs. Offsets are held against the header by
 * `test/abi_graph_test.ts`.
 *
 * @module
 */

import type { GraphPlan, HNSWOptions } from "../lib/backend/backend.ts";

/** `sizeof(mf_hnsw)`. */
export const GRAPH_BYTES = 32;
/** `sizeof(mf_hnsw_build)`. */
export const PLAN_BYTES = 48;
/** `MF_HNSW_STEPS`. */
export const HNSW_STEPS = 2 ** 31;

/** `mf_hnsw_start`. */
export const starts = { entry: 0, links: 1, random: 2 } as const;
/** `mf_hnsw_kind`. */
export const kinds = { neighbors: 1, spread: 2 } as const;

/** An `mf_hnsw`; `codec` is a handle, or 0. */
export function graphRecord(options: Omit<HNSWOptions, "codec">, codec: number): Uint8Array {
  const bytes = new Uint8Array(GRAPH_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, codec, true);
  view.setUint32(4, options.d, true);
  view.setUint32(8, options.m, true);
  view.setUint32(12, options.width ?? 2 * options.m, true);
  view.setUint32(16, options.metric, true);
  view.setFloat32(20, options.metricArg, true);
  view.setUint32(24, starts[options.start ?? "entry"], true);
  view.setUint32(28, options.seed ?? 0, true);
  return bytes;
}

/** An `mf_hnsw_build` of a graph's handle. */
export function planRecord(plan: GraphPlan, object: number): Uint8Array {
  const bytes = new Uint8Array(PLAN_BYTES);
  const view = new DataView(bytes.buffer);
  const { neighbors, keep, sample, back, rounds, exact, list, candidates } = plan;
  [object, kinds[plan.kind], neighbors, keep, sample, back, rounds, Number(exact), list, candidates]
    .forEach((value, i) => view.setUint32(4 * i, value, true));
  return bytes;
}
