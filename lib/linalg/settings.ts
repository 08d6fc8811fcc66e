/**
 * What the `METALFAISS_*` variables and the tuning table say of linear algebra. Variables are read
 * at each call and go before the table.
 *
 * @module
 */

import { choiceVariable, integerVariable, switchVariable, tileVariable } from "../env.ts";
import { nearestShape, QR_METHODS, type TunedDevice, tuningFor } from "../tuning/mod.ts";

/** Rows and columns of a tile. */
export type Tile = readonly [rows: number, columns: number];

/** How kernels of gemmAV and gemmAtB go about it. */
export interface GemmTiles {
  /** Rows × columns of a threadgroup's part of A·V. */
  av: Tile;
  /** The same of Aᵀ·B. */
  atb: Tile;
  /** Two buffers a tile: one is filled while the other is used. */
  doubleBuffer: boolean;
  /** Loads of four numbers. */
  vectorLoads: boolean;
  /** Padded lines in gemmAtB's tiles. */
  padAtB: boolean;
}

let chosen: Partial<GemmTiles> = {};

/** Tiles where nothing was tuned: Apple's M3 family likes them slim. */
function defaultTiles(device: TunedDevice | undefined): { av: Tile; atb: Tile } {
  return /^Apple M3\b/.test(device?.name ?? "")
    ? { av: [32, 8], atb: [8, 32] }
    : { av: [16, 16], atb: [16, 16] };
}

/**
 * Tiles in use: those set by {@linkcode setGemmTiles}, else by variables, else by the tuning table of
 * the device, else the defaults.
 *
 * @param device Whose tuning table counts; by default none.
 * @throws {RangeError} If a variable has no sense, or its tile has more than 1,024 threads.
 */
export function getGemmTiles(device?: TunedDevice): GemmTiles {
  const side = integerVariable("METALFAISS_GEMM_TILE_SQ", 1);
  const square: Tile | undefined = side === undefined ? undefined : [side, side];
  const tuned = device && tuningFor(device).gemm;
  const usual = tuned ?? defaultTiles(device);
  const tiles = {
    av: chosen.av ?? tileVariable("METALFAISS_GEMM_TILE_AV") ?? square ?? usual.av,
    atb: chosen.atb ?? tileVariable("METALFAISS_GEMM_TILE_ATB") ?? square ?? usual.atb,
    doubleBuffer: chosen.doubleBuffer ?? switchVariable("METALFAISS_GEMM_DB") ??
      tuned?.doubleBuffer ?? false,
    vectorLoads: chosen.vectorLoads ?? switchVariable("METALFAISS_GEMM_V4") ?? tuned?.vectorLoads ??
      false,
    padAtB: chosen.padAtB ?? switchVariable("METALFAISS_GEMM_PAD_ATB") ?? tuned?.padAtB ?? false,
  };
  checkTile(tiles.av);
  checkTile(tiles.atb);
  return tiles;
}

/**
 * Sets the tiles of this process; what is left out is by variables and defaults again.
 *
 * @param tiles Rows × columns of a threadgroup's part, and how kernels go about it.
 * @throws {RangeError} If a tile has more than 1,024 threads, or a side is not a positive integer.
 */
export function setGemmTiles(tiles: Partial<GemmTiles>): void {
  for (const tile of [tiles.av, tiles.atb]) {
    if (tile !== undefined) checkTile(tile);
  }
  chosen = { ...tiles };
}

/**
 * Whether {@linkcode setGemmTiles}, a variable or the tuning table asks for kernels of these tiles; else
 * a GPU takes its fastest ones.
 */
export function asksForTiles(side: "av" | "atb", device?: TunedDevice): boolean {
  const isAv = side === "av";
  return chosen[side] !== undefined || chosen.doubleBuffer !== undefined ||
    chosen.vectorLoads !== undefined || (!isAv && chosen.padAtB !== undefined) ||
    tileVariable(isAv ? "METALFAISS_GEMM_TILE_AV" : "METALFAISS_GEMM_TILE_ATB") !== undefined ||
    integerVariable("METALFAISS_GEMM_TILE_SQ", 1) !== undefined ||
    switchVariable("METALFAISS_GEMM_DB") !== undefined ||
    switchVariable("METALFAISS_GEMM_V4") !== undefined ||
    (!isAv && switchVariable("METALFAISS_GEMM_PAD_ATB") !== undefined) ||
    (device !== undefined && tuningFor(device).gemm?.tiled === true);
}

/** Checks a tile: a thread a number, at most 1,024. */
export function checkTile([rows, columns]: Tile): void {
  const sides = [rows, columns];
  if (!sides.every((side) => Number.isInteger(side) && side > 0) || rows * columns > 1024) {
    throw new RangeError(
      `Cannot use a tile of ${rows} × ${columns}: sides are positive integers, and at most 1,024 threads`,
    );
  }
}

/** A product, QR or SVD that settings are wanted for. */
export interface LinalgCase {
  /** Whose tuning table counts; by default none. */
  device?: TunedDevice | undefined;
  /** m. */
  rows?: number | undefined;
  /** n. */
  columns?: number | undefined;
  /** Columns of V. */
  k?: number | undefined;
}

/** What the other variables and the tuning table ask for. */
export interface LinalgSettings {
  /** Kernel of projections. */
  qrDot: "simple" | "simd" | "auto";
  /** Rows from which `auto` takes `simd`. */
  qrSimdFrom: number;
  /** `METALFAISS_FORCE_QR`: the method where a caller leaves it open, whatever the shape. */
  forceQr: typeof QR_METHODS[number] | undefined;
  /** The fastest method where the caller leaves it open, as far as it was measured. */
  qrMethod: typeof QR_METHODS[number] | undefined;
  /** `METALFAISS_FORCE_SVD`: the Z-step where a caller leaves it open. */
  forceSvd: "mono" | "banded" | "naive" | undefined;
  /** Columns a band; 0 for one band. */
  svdBand: number;
  svdStreams: number;
  encodeOnce: boolean;
  /** Whether products are our kernels', not the vendor's. */
  gemmKernel: boolean;
}

/**
 * Reads the variables, and the tuning table for what they leave open.
 *
 * @param about The device, and the shape as far as it is known.
 * @throws {RangeError} If a variable that is asked for has no sense.
 * @throws {FormatError} If the tuning table is damaged.
 */
export function linalgSettings(about: LinalgCase = {}): LinalgSettings {
  const { device, rows, columns, k } = about;
  const tuned = device === undefined ? {} : tuningFor(device);
  const isShaped = rows !== undefined && columns !== undefined;
  const svd = isShaped && k !== undefined
    ? nearestShape(tuned.svd, { rows, columns, k })
    : undefined;
  const readForceQr = () => choiceVariable("METALFAISS_FORCE_QR", QR_METHODS);
  // Each is read when it is asked for: what has no sense is an error only where it counts.
  return {
    get qrDot() {
      return choiceVariable("METALFAISS_QR_DOT", ["simple", "simd", "auto"]) ?? "auto";
    },
    qrSimdFrom: tuned.qrSimdFrom === undefined ? 512 : tuned.qrSimdFrom ?? Infinity,
    get forceQr() {
      return readForceQr();
    },
    get qrMethod() {
      return readForceQr() ??
        (isShaped ? nearestShape(tuned.qr, { rows, columns })?.method : undefined);
    },
    get forceSvd() {
      return choiceVariable("METALFAISS_FORCE_SVD", ["mono", "banded", "naive"]);
    },
    get svdBand() {
      return integerVariable("METALFAISS_SVD_BAND") ?? svd?.band ?? 0;
    },
    get svdStreams() {
      return integerVariable("METALFAISS_SVD_STREAMS", 1) ?? svd?.streams ?? 1;
    },
    get encodeOnce() {
      return switchVariable("METALFAISS_USE_COMPILE") ?? true;
    },
    get gemmKernel() {
      const work = isShaped && k !== undefined ? rows * columns * k : 0;
      return switchVariable("METALFAISS_USE_GEMM_KERNEL") ?? work < (tuned.vendorFrom ?? Infinity);
    },
  };
}
