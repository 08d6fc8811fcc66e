import type { GpuBuffer } from "../../../kernel/buffer.ts";
import type { GpuContext } from "../context.ts";
import { part, type Place } from "./operands.ts";
import type { TallShape } from "./tall.ts";
import type { Op } from "./work.ts";
import { zBytes, zOps, type ZProduct, type ZWorkspace } from "./z_step.ts";

/** Columns of V that a Z-step takes at a time. */
export interface Band {
  from: number;
  width: number;
}

/** Bands of `band` columns, the last one maybe narrower; 0 is one band of all. */
export function splitBands(k: number, band: number): Band[] {
  const width = band === 0 ? k : Math.min(band, k);
  return Array.from(
    { length: Math.ceil(k / width) },
    (_, i) => ({ from: i * width, width: Math.min(width, k - i * width) }),
  );
}

/** Bands of each stream: in turns, or neighbours together. */
export function assignBands(
  bands: readonly Band[],
  streams: number,
  assignment: "round-robin" | "block",
): Band[][] {
  const used = Math.min(streams, bands.length);
  const parts = Array.from({ length: used }, (): Band[] => []);
  bands.forEach((band, i) => {
    const at = assignment === "block" ? Math.floor(i * used / bands.length) : i % used;
    parts[at]!.push(band);
  });
  return parts;
}

/** Memory for the bands of one stream: one after the other uses it. */
export function bandWorkspace(
  context: GpuContext,
  bands: readonly Band[],
  { m, n }: TallShape,
  how: ZProduct,
  scratch: (bytes: number, label: string) => GpuBuffer,
): ZWorkspace {
  // Partial sums of a narrower band may be more: it is split into more chunks.
  const bytes = bands.map(({ width: k }) => zBytes(context, { m, n, k }, how));
  return {
    b: scratch(Math.max(...bytes.map(({ b }) => b)), "workspace of A·V"),
    partial: scratch(Math.max(...bytes.map(({ partial }) => partial)), "partial sums"),
  };
}

/** Operations of the Z-step of some bands; each reads and writes its own columns of V and Z. */
export function bandOps(
  context: GpuContext,
  { a, v, z }: { a: Place; v: Place; z: Place },
  workspace: ZWorkspace,
  bands: readonly Band[],
  { m, n }: TallShape,
  how: ZProduct,
): Op[] {
  return bands.flatMap(({ from, width }) => {
    const places = { a, v: part(v, 0, from), z: part(z, 0, from) };
    return zOps(context, places, workspace, { m, n, k: width }, how);
  });
}
