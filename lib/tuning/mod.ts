/**
 * The tuning table of a device: shipped in `data/tuning`, or of the folder that `METALFAISS_TUNING`
 * names. Shipped tables are imported, so that they are there in a package without files.
 *
 * @module
 */

import { readVariable } from "../env.ts";
import { isKey, parseTuning, type TuningTable } from "./table.ts";
import { shipped } from "./shipped.ts";

export { formatTuning, isKey, parseTuning, QR_METHODS, TUNING_VERSION } from "./table.ts";
export type { TunedGemm, TunedIvf, TunedQr, TunedSvd, TuningTable } from "./table.ts";

/** What tables are told apart by: a `GpuDevice`, or the native library with its ISA as name. */
export interface TunedDevice {
  /** `native`, or the engine of a GPU. */
  readonly engine: string;
  /** The GPU's name, or the ISA of the CPU's kernels. */
  readonly name: string;
}

/**
 * The key of a device, which its file is named by.
 *
 * @param device The device.
 *
 * @example
 * ```ts
 * import { tuningKey } from "@metalfaiss/metalfaiss/profile";
 * import assert from "node:assert/strict";
 *
 * assert.equal(tuningKey({ engine: "cuda", name: "NVIDIA H200" }), "nvidia-h200");
 * assert.equal(tuningKey({ engine: "native", name: "avx2" }), "cpu-avx2");
 * ```
 */
export function tuningKey({ engine, name }: TunedDevice): string {
  if (engine === "emulator") return "emulator";
  const slug = name.toLowerCase().replace(/[^a-z0-9_]+/g, "-").replace(/^[-_]+|-+$/g, "");
  const key = engine === "native" ? `cpu-${slug}` : slug;
  return isKey(key) ? key : "unknown";
}

/** Tables that were read, by folder and key. */
const read = new Map<string, TuningTable | undefined>();

/**
 * What was measured on a device; nothing where that was never done.
 *
 * @param device The device.
 * @throws {FormatError} If its file is damaged; it names the file.
 *
 * @example
 * ```ts
 * import { tuningFor } from "@metalfaiss/metalfaiss/profile";
 * import assert from "node:assert/strict";
 *
 * assert.deepEqual(tuningFor({ engine: "cuda", name: "a GPU of tomorrow" }), {});
 * ```
 */
export function tuningFor(device: TunedDevice): Partial<TuningTable> {
  const key = tuningKey(device);
  const folder = readVariable("METALFAISS_TUNING");
  const name = `${folder ?? ""}\0${key}`;
  if (!read.has(name)) read.set(name, folder === undefined ? ship(key) : load(folder, key));
  return read.get(name) ?? {};
}

/** Forgets what was read, so that files are read again. */
export function forgetTuning(): void {
  read.clear();
}

function ship(key: string): TuningTable | undefined {
  const json = shipped[key];
  if (json === undefined) return undefined;
  return parseTuning(JSON.stringify(json), `data/tuning/${key}.json`);
}

function load(folder: string, key: string): TuningTable | undefined {
  const path = `${folder.replace(/\/+$/, "")}/${key}.json`;
  let text: string;
  try {
    text = Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  return parseTuning(text, path);
}

/**
 * The entry of the most similar shape: least distance of the logarithms of its sizes.
 *
 * @param entries Entries of a table.
 * @param sizes Sizes of the shape, by the entries' names of them.
 */
export function nearestShape<T extends object>(
  entries: readonly T[] | undefined,
  sizes: Readonly<Partial<Record<keyof T, number>>>,
): T | undefined {
  let [best, least] = [undefined as T | undefined, Infinity];
  for (const entry of entries ?? []) {
    let apart = 0;
    for (const name in sizes) {
      const [theirs, ours] = [entry[name as keyof T] as number, sizes[name as keyof T]!];
      apart += Math.log2(theirs / Math.max(1, ours)) ** 2;
    }
    if (apart < least) [best, least] = [entry, apart];
  }
  return best;
}
