import type { GpuBuffer } from "../../../kernel/buffer.ts";
import type { CommandBuffer } from "../../../kernel/command_buffer.ts";
import { asksForTiles, getGemmTiles } from "../../../linalg/settings.ts";
import type { Element } from "../../linalg.ts";
import type { GpuContext } from "../context.ts";
import { floatBits, words } from "../words.ts";
import { argument, byFours, type Place, shortName } from "./operands.ts";
import { type TileKernel, tilePipeline } from "./tile.ts";
import { recordVendor } from "./vendor.ts";

/** A is m × n; V is n × k, B m × k. */
export interface TallShape {
  m: number;
  n: number;
  k: number;
}

/** Matrices of a product on the device. */
export interface TallBuffers {
  a: Place;
  /** V or B. */
  b: Place;
  /** The result, float32. */
  c: Place;
  /** Memory of {@linkcode partialBytes}; needed where those are not 0. */
  partial?: GpuBuffer | undefined;
}

/** How {@linkcode recordGemmAV} and {@linkcode recordGemmAtB} multiply. */
export interface TallOptions {
  /**
   * `fast` for this library's best, `naive` for a thread a number without tiles, `vendor`, or tiles
   * of any size. By default `fast`, unless `setGemmTiles` or a variable asks for tiles.
   */
  kernel?: "fast" | "naive" | "vendor" | TileKernel | undefined;
  /** Factor of the product; 1 by default. */
  alpha?: number | undefined;
  /** Factor of what the result holds; 0 by default. */
  beta?: number | undefined;
  /** Of A and V or B; float32 by default. */
  dtype?: Element | undefined;
  /** Whether the result of A·V lies where A does, of up to 64 columns: then `fast` reads rows before it writes them. */
  inPlace?: boolean | undefined;
}

/** Threadgroups that fill a GPU. */
const GROUPS = 128;

/** Kernel that tiles of settings, or the fastest choice, stand for. */
function kernelOf(
  context: GpuContext,
  side: "av" | "atb",
  kernel: TallOptions["kernel"],
): "fast" | "naive" | "vendor" | TileKernel {
  if (kernel !== undefined) return kernel;
  return asksForTiles(side) ? settingsTile(context, side) : "fast";
}

/** The tile that settings name. */
export function settingsTile(context: GpuContext, side: "av" | "atb"): TileKernel {
  const { padAtB, doubleBuffer, vectorLoads, ...tiles } = getGemmTiles(context.device);
  return { tile: tiles[side], doubleBuffer, vectorLoads, pad: side === "atb" && padAtB };
}

/** Rows, columns and threads of a tile of the result. */
type TallTile = readonly [rows: number, columns: number, threads: number];

/** Fast kernels of A·V, the ones that do most at once first. */
const AV_TILES: readonly TallTile[] = [[32, 64, 512], [16, 32, 256], [16, 16, 256], [8, 16, 256]];

/** The tile that does most at once and still fills a GPU; `whole`: as wide as the result. */
function tileAV({ m, k }: TallShape, whole: boolean): TallTile {
  const fits = AV_TILES.filter(([, columns]) => columns === 16 || columns < 2 * k);
  if (whole) return fits.find(([, columns]) => columns >= k)!;
  const fills = ([rows, columns]: TallTile) =>
    Math.ceil(m / rows) * Math.ceil(k / columns) >= 0.75 * GROUPS;
  return fits.find(fills) ?? fits.at(-1)!;
}

/** Rows and columns of a tile of the fused kernel. */
function tileFused(k: number): [rows: number, columns: number] {
  return k <= 16 ? [16, 16] : k <= 32 ? [16, 32] : [32, 64];
}

interface Split {
  name: string;
  tiles: number;
  /** Rows of A and B that a threadgroup adds up. */
  rows: number;
  chunks: number;
}

/** Rows of a chunk are a multiple of this, and of every slab. */
const CHUNK = 128;

/** How Aᵀ·B is split: long sums go to several threadgroups. */
function splitAtB({ m, n, k }: TallShape, dtype: Element): Split {
  const tilesOf = ([rows, columns]: readonly [number, number]) =>
    Math.ceil(n / rows) * Math.ceil(k / columns);
  const isShort = m <= 768 && tilesOf([8, 16]) <= 4 * GROUPS;
  const wide = k > 32 ? [64, 64] as const : k > 16 ? [16, 32] as const : [64, 16] as const;
  const tile = isShort || (k <= 16 && n < 64) ? [8, 16] as const : wide;
  const tiles = tilesOf(tile);
  const most = isShort ? 1 : Math.min(Math.floor(GROUPS / tiles), Math.floor(m / CHUNK));
  const rows = Math.max(1, Math.ceil(m / Math.max(1, most) / CHUNK)) * CHUNK;
  const name = `gemm_at_b_${shortName(dtype)}_bn${tile[0]}_bk${tile[1]}`;
  return { name, tiles, rows, chunks: Math.ceil(m / rows) };
}

/** Bytes of memory for partial sums that a product or a fused Z-step needs; often 0. */
export function partialBytes(
  context: GpuContext,
  what: "atb" | "fused",
  shape: TallShape,
  { kernel, dtype = "float32" }: TallOptions = {},
): number {
  const bytes = shape.n * shape.k * 4;
  if (what === "fused") return Math.ceil(shape.m / tileFused(shape.k)[0]) * bytes;
  if (kernelOf(context, "atb", kernel) !== "fast") return 0;
  const { chunks } = splitAtB(shape, dtype);
  return chunks > 1 ? chunks * bytes : 0;
}

interface Params {
  rows?: number;
  apart?: number;
  chunks?: number;
}

/** `TallParams`. */
function params(
  { a, b, c }: TallBuffers,
  { m, n, k }: TallShape,
  { alpha = 1, beta = 0, dtype = "float32" }: TallOptions,
  { rows = m, apart = 0, chunks = 1 }: Params = {},
): Uint32Array<ArrayBuffer> {
  const fours = Number(byFours(a, dtype)) | Number(byFours(b, dtype)) << 1;
  const factors = [floatBits(alpha), floatBits(beta)] as const;
  return words(m, n, k, a.line, b.line, c.line, ...factors, fours, rows, apart, chunks);
}

function places({ a, b, c }: TallBuffers) {
  return [argument(a), argument(b), argument(c)];
}

/**
 * Records C = alpha · A·V + beta · C.
 *
 * @returns The kernels.
 * @throws {RangeError} If a tile does not fit.
 */
export function recordGemmAV(
  context: GpuContext,
  commands: CommandBuffer,
  buffers: TallBuffers,
  shape: TallShape,
  options: TallOptions = {},
): string[] {
  const { m, n, k } = shape;
  if (m * k === 0) return [];
  const { dtype = "float32" } = options;
  const kernel = kernelOf(context, "av", options.kernel);
  if (kernel === "vendor" && n > 0) {
    return recordVendor(commands, buffers, { m, n: k, k: n }, options);
  }
  const args = [...places(buffers), params(buffers, shape, options)];
  if (typeof kernel === "object") {
    const { name, pipeline } = tilePipeline(context, "av", dtype, kernel, shape);
    const [rows, columns] = kernel.tile;
    const threadgroups = Math.ceil(m / rows) * Math.ceil(k / columns);
    commands.dispatch(pipeline, args, { threadgroups, threadgroup: rows * columns });
    return [name];
  }
  if (kernel === "naive") {
    const name = `gemm_naive_nn_${shortName(dtype)}`;
    const size = { threads: m * k, threadgroup: 256 };
    commands.dispatch(context.kernel("gemm_naive.metal", name), args, size);
    return [name];
  }
  const [rows, columns, threadgroup] = tileAV(shape, options.inPlace === true);
  const name = `gemm_av_${shortName(dtype)}_bm${rows}_bn${columns}`;
  commands.dispatch(context.kernel("gemm_tall.metal", name), args, {
    threadgroups: Math.ceil(m / rows) * Math.ceil(k / columns),
    threadgroup,
  });
  return [name];
}

/**
 * Records Z = alpha · Aᵀ·B + beta · Z.
 *
 * @returns The kernels.
 * @throws {RangeError} If a tile does not fit, or there is no memory for partial sums.
 */
export function recordGemmAtB(
  context: GpuContext,
  commands: CommandBuffer,
  buffers: TallBuffers,
  shape: TallShape,
  options: TallOptions = {},
): string[] {
  const { m, n, k } = shape;
  if (n * k === 0) return [];
  const { dtype = "float32" } = options;
  const kernel = kernelOf(context, "atb", options.kernel);
  if (kernel === "vendor" && m > 0) {
    return recordVendor(commands, buffers, { m: n, n: k, k: m, transposeA: true }, options);
  }
  if (typeof kernel === "object") {
    const { name, pipeline } = tilePipeline(context, "atb", dtype, kernel, shape);
    const [rows, columns] = kernel.tile;
    const args = [...places(buffers), params(buffers, shape, options)];
    const threadgroups = Math.ceil(n / rows) * Math.ceil(k / columns);
    commands.dispatch(pipeline, args, { threadgroups, threadgroup: rows * columns });
    return [name];
  }
  if (kernel === "naive") {
    const name = `gemm_naive_tn_${shortName(dtype)}`;
    const args = [...places(buffers), params(buffers, shape, options)];
    const size = { threads: n * k, threadgroup: 256 };
    commands.dispatch(context.kernel("gemm_naive.metal", name), args, size);
    return [name];
  }
  const { name, tiles, rows, chunks } = splitAtB(shape, dtype);
  const pipeline = context.kernel("gemm_tall.metal", name);
  const size = { threadgroups: tiles * Math.max(1, chunks), threadgroup: 256 };
  if (chunks <= 1) {
    commands.dispatch(pipeline, [...places(buffers), params(buffers, shape, options)], size);
    return [name];
  }
  const split = { ...buffers, c: { buffer: needPartial(buffers), line: k } };
  const how = params(split, shape, { dtype }, { rows, apart: n * k });
  commands.dispatch(pipeline, [...places(split), how], size);
  return [name, recordSum(context, commands, buffers, shape, options, chunks)];
}

/**
 * Records Z = Aᵀ(AV) in one pass over the rows of A, whose partial sums are added up.
 *
 * @returns The kernels.
 * @throws {RangeError} If there is no memory for partial sums.
 */
export function recordFusedZ(
  context: GpuContext,
  commands: CommandBuffer,
  buffers: TallBuffers,
  shape: TallShape,
): string[] {
  const { m, n, k } = shape;
  if (n * k === 0) return [];
  const [rows, columns] = tileFused(k);
  const chunks = Math.ceil(m / rows);
  const name = `z_fused_f32_bm${rows}_bn${columns}`;
  const split = { ...buffers, c: { buffer: needPartial(buffers), line: k } };
  const how = params(split, shape, {}, { apart: n * k });
  if (m > 0) {
    commands.dispatch(context.kernel("gemm_tall.metal", name), [...places(split), how], {
      threadgroups: chunks * Math.ceil(k / columns),
      threadgroup: 256,
    });
  }
  return [name, recordSum(context, commands, buffers, shape, {}, chunks)];
}

/** Records Z = Aᵀ(AV) by the kernel that computes A·V again for every number of Z. */
export function recordNaiveZ(
  context: GpuContext,
  commands: CommandBuffer,
  buffers: TallBuffers,
  shape: TallShape,
): string[] {
  const name = "z_naive_f32";
  const args = [...places(buffers), params(buffers, shape, {})];
  const size = { threads: shape.n * shape.k, threadgroup: 256 };
  commands.dispatch(context.kernel("gemm_naive.metal", name), args, size);
  return [name];
}

function needPartial({ partial }: TallBuffers): GpuBuffer {
  if (partial === undefined) {
    throw new RangeError("Cannot multiply: partial sums need the memory of partialBytes()");
  }
  return partial;
}

/** Z = alpha · Σ of partial sums + beta · Z. */
function recordSum(
  context: GpuContext,
  commands: CommandBuffer,
  buffers: TallBuffers,
  shape: TallShape,
  options: TallOptions,
  chunks: number,
): string {
  const { n, k } = shape;
  const how = params(buffers, shape, options, { apart: n * k, chunks });
  const args = [needPartial(buffers), argument(buffers.c), how];
  commands.dispatch(context.kernel("gemm_tall.metal", "tall_sum"), args, {
    threads: n * k,
    threadgroup: 256,
  });
  return "tall_sum";
}
