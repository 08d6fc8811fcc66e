/**
 * Tuning tables: what was found to be fastest on a device, as `data/tuning/<device>.json` keeps it.
 *
 * @module
 */

import { FormatError } from "../errors.ts";

/** Version of the files that this module reads and writes. */
export const TUNING_VERSION = 1;

/** Bytes of the largest file that is read. */
const MOST_BYTES = 1 << 20;
/** Entries of the longest list by shape. */
const MOST_SHAPES = 256;
const FORMAT = "metalfaiss tuning";

/** Tiles and loads of the kernels of gemmAV and gemmAtB. */
export interface TunedGemm {
  /** Rows × columns of a threadgroup's part of A·V. */
  av: readonly [rows: number, columns: number];
  /** The same of Aᵀ·B. */
  atb: readonly [rows: number, columns: number];
  /** Two buffers a tile. */
  doubleBuffer: boolean;
  /** Loads of four numbers. */
  vectorLoads: boolean;
  /** Padded lines in gemmAtB's tiles. */
  padAtB: boolean;
  /** Whether these kernels are faster than those of fixed tiles, which otherwise run. */
  tiled: boolean;
}

/** Methods of the QR. */
export const QR_METHODS = ["mgs", "blocked", "householder"] as const;

/** The fastest QR of a shape. */
export interface TunedQr {
  /** m. */
  rows: number;
  /** n. */
  columns: number;
  /** What was fastest. */
  method: "mgs" | "blocked" | "householder";
}

/** The fastest Z-step of a shape. */
export interface TunedSvd {
  /** m. */
  rows: number;
  /** n. */
  columns: number;
  /** Columns of V. */
  k: number;
  /** Columns a band; 0 for one band. */
  band: number;
  /** Streams that bands run on. */
  streams: number;
}

/** How inverted lists are searched. */
export interface TunedIvf {
  /** Threads a threadgroup of the scan. */
  threads: number;
  /** Rows a query from which scan and selection are fused; null: never. */
  fusedFrom: number | null;
}

/** What was found on one device; what is left out was not measured. */
export interface TuningTable {
  /** Key of the device: the name of the file. */
  device: string;
  /** Where and when it was measured. */
  environment?: Readonly<Record<string, unknown>> | undefined;
  /** Tiles of products. */
  gemm?: TunedGemm | undefined;
  /** Multiply-adds m·n·k from which the vendor's product is faster than ours; null: never. */
  vendorFrom?: number | null | undefined;
  /** Rows from which projections of the QR are faster by simdgroups; null: never. */
  qrSimdFrom?: number | null | undefined;
  /** The fastest QR by shape. */
  qr?: readonly TunedQr[] | undefined;
  /** The fastest Z-step by shape. */
  svd?: readonly TunedSvd[] | undefined;
  /** How inverted lists are searched fastest. */
  ivf?: TunedIvf | undefined;
}

type Fields = Record<string, unknown>;

/**
 * Reads a tuning table.
 *
 * @param text The file's text.
 * @param path Its name, for errors.
 * @throws {FormatError} If it is truncated, of another version, or holds what has no sense.
 */
export function parseTuning(text: string, path: string): TuningTable {
  const fail = (reason: string, cause?: unknown): never => {
    throw new FormatError(`Cannot read tuning table ${path}: ${reason}`, { path, cause });
  };
  if (text.length > MOST_BYTES) fail(`it has ${text.length} characters, at most ${MOST_BYTES}`);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    fail(`it is no JSON, or only a part of it (${(error as Error).message})`, error);
  }
  const file = object(json, "it", fail);
  if (file.format !== FORMAT) fail(`its format is not "${FORMAT}"`);
  if (file.version !== TUNING_VERSION) {
    fail(`version ${JSON.stringify(file.version)} is unknown, expected ${TUNING_VERSION}`);
  }
  const known = ["format", "version", "device", "environment", ...Object.keys(readers)];
  const unknown = Object.keys(file).find((name) => !known.includes(name));
  if (unknown !== undefined) fail(`field ${unknown} is unknown`);
  if (typeof file.device !== "string" || !isKey(file.device)) {
    fail("device must be a name of small letters, digits, - and _");
  }
  const table: Fields = { device: file.device };
  if (file.environment !== undefined) {
    table.environment = object(file.environment, "environment", fail);
  }
  for (const [name, read] of Object.entries(readers)) {
    if (file[name] !== undefined) table[name] = read(file[name], name, fail);
  }
  return table as unknown as TuningTable;
}

/**
 * The text of a table's file.
 *
 * @param table What was found.
 */
export function formatTuning(table: TuningTable): string {
  const text = JSON.stringify({ format: FORMAT, version: TUNING_VERSION, ...table }, null, 2);
  // Pairs and rows of numbers on one line each: what people read and compare.
  return text.replace(/\[\n\s+(\d+),\n\s+(\d+)\n\s+\]/g, "[$1, $2]")
    .replace(/\{\n\s+"rows"[^}]*\}/g, (entry) => entry.replace(/\s*\n\s*/g, " ")) + "\n";
}

/** Whether a text can name a device and its file. */
export function isKey(text: string): boolean {
  return /^[a-z0-9][a-z0-9_-]{0,99}$/.test(text);
}

type Fail = (reason: string) => never;
type Reader = (value: unknown, name: string, fail: Fail) => unknown;

const readers: Record<string, Reader> = {
  gemm: (value, name, fail) => {
    const gemm = object(value, name, fail);
    return {
      av: tile(gemm.av, `${name}.av`, fail),
      atb: tile(gemm.atb, `${name}.atb`, fail),
      doubleBuffer: flag(gemm.doubleBuffer, `${name}.doubleBuffer`, fail),
      vectorLoads: flag(gemm.vectorLoads, `${name}.vectorLoads`, fail),
      padAtB: flag(gemm.padAtB, `${name}.padAtB`, fail),
      tiled: flag(gemm.tiled, `${name}.tiled`, fail),
    };
  },
  vendorFrom: crossover,
  qrSimdFrom: crossover,
  qr: (value, name, fail) =>
    list(value, name, fail).map((entry, i) => {
      const { rows, columns, method } = object(entry, `${name}[${i}]`, fail);
      if (!QR_METHODS.some((known) => known === method)) {
        fail(`${name}[${i}].method must be one of ${QR_METHODS.join(", ")}`);
      }
      return {
        rows: integer(rows, `${name}[${i}].rows`, 1, fail),
        columns: integer(columns, `${name}[${i}].columns`, 1, fail),
        method,
      };
    }),
  svd: (value, name, fail) =>
    list(value, name, fail).map((entry, i) => {
      const { rows, columns, k, band, streams } = object(entry, `${name}[${i}]`, fail);
      return {
        rows: integer(rows, `${name}[${i}].rows`, 1, fail),
        columns: integer(columns, `${name}[${i}].columns`, 1, fail),
        k: integer(k, `${name}[${i}].k`, 1, fail),
        band: integer(band, `${name}[${i}].band`, 0, fail),
        streams: integer(streams, `${name}[${i}].streams`, 1, fail, 64),
      };
    }),
  ivf: (value, name, fail) => {
    const ivf = object(value, name, fail);
    const threads = integer(ivf.threads, `${name}.threads`, 32, fail, 1024);
    if (threads % 32 !== 0) fail(`${name}.threads must be a multiple of 32`);
    return { threads, fusedFrom: crossover(ivf.fusedFrom, `${name}.fusedFrom`, fail) };
  },
};

function object(value: unknown, name: string, fail: Fail): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return fail(`${name} must be an object`);
  }
  return value as Fields;
}

function list(value: unknown, name: string, fail: Fail): unknown[] {
  if (!Array.isArray(value)) return fail(`${name} must be a list`);
  return value.length <= MOST_SHAPES ? value : fail(`${name} has more than ${MOST_SHAPES} entries`);
}

function flag(value: unknown, name: string, fail: Fail): boolean {
  return typeof value === "boolean" ? value : fail(`${name} must be true or false`);
}

function integer(
  value: unknown,
  name: string,
  least: number,
  fail: Fail,
  most: number = Number.MAX_SAFE_INTEGER,
): number {
  const isIt = typeof value === "number" && Number.isInteger(value) && value >= least &&
    value <= most;
  return isIt ? value : fail(`${name} must be an integer from ${least} to ${most}`);
}

function crossover(value: unknown, name: string, fail: Fail): number | null {
  return value === null ? null : integer(value, name, 0, fail);
}

function tile(value: unknown, name: string, fail: Fail): readonly [number, number] {
  const sides = Array.isArray(value) ? value : fail(`${name} must be two sides`);
  if (sides.length !== 2) fail(`${name} must be two sides`);
  const [rows, columns] = sides.map((side: unknown) => integer(side, name, 1, fail, 1024));
  if (rows! * columns! > 1024) fail(`${name} has more than 1024 threads`);
  return [rows!, columns!];
}
