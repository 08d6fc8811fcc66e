/**
 * What the native library says of itself, and its settings.
 *
 * @module
 */

import { invoke } from "../../../ffi/call.ts";
import { library } from "../../../ffi/library.ts";
import type { Report } from "../../../ffi/record.ts";
import type { RunInfo } from "../backend.ts";

/** What `mf_library_describe` reports. */
export interface LibraryInfo {
  /** Version of the library. */
  version: string;
  /** Instruction set in use. */
  isa: string;
  /** Instruction sets that run on this machine. */
  isas: string[];
  /** Threads in use. */
  threads: number;
  /** Cores of this machine. */
  cores: number;
}

let isa: string | undefined;

/** Describes the open library. */
export function describeLibrary(): LibraryInfo {
  const json = new Uint8Array(4096);
  invoke((call) => library().symbols.mf_library_describe(json, json.length, call));
  const end = json.indexOf(0);
  const info: LibraryInfo = JSON.parse(
    new TextDecoder().decode(end < 0 ? json : json.subarray(0, end)),
  );
  isa = info.isa;
  return info;
}

/** Sets the number of threads that take part in later calls. */
export function setThreads(threads: number): void {
  invoke((call) => library().symbols.mf_library_set_threads(threads, call));
}

/** Chooses the instruction set of later calls: one of `describeLibrary().isas`. */
export function setISA(name: string): void {
  const text = new TextEncoder().encode(`${name}\0`);
  invoke((call) => library().symbols.mf_library_set_isa(text, call));
  isa = undefined;
}

/** Names of `mf_variant`, from bit 0. */
export const variantNames = [
  "direct_f32",
  "tile_f32",
  "tile_bf16",
  "pairwise_f64",
  "panel_f32",
  "decode_f32",
  "table_f32",
] as const;

/** Names of the bits of `mf_<family>_variant`, of families that have their own. */
export const familyVariantNames = {
  binary: { 28: "hamming_direct", 29: "hamming_block" },
  blocks: { 16: "blocks_u8" },
  hnsw: { 24: "hnsw_walk", 25: "hnsw_filtered", 26: "hnsw_scan" },
  signs: { 27: "signs_count" },
} as const;

const namedBits: readonly (readonly [bit: number, name: string])[] = [
  ...Object.values(familyVariantNames).flatMap((names) => Object.entries(names))
    .map(([bit, name]) => [1 << Number(bit), name] as const),
  ...variantNames.map((name, bit) => [1 << bit, name] as const),
];

/** A call's report, as indexes show it. */
export function runInfo({ variants, threads, scanned, recomputed }: Report): RunInfo {
  return {
    backend: "cpu",
    engine: "native",
    isa: isa ?? describeLibrary().isa,
    variants: namedBits.filter(([bit]) => variants & bit).map(([, name]) => name),
    threads,
    scanned,
    recomputed,
  };
}
