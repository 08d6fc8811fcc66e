/**
 * How searches of flat rows are cut up. Sizes only: nothing here touches a device.
 *
 * @module
 */

import type { FastMetric } from "./metrics.ts";

/** Most neighbours that one search finds. */
export const MOST_K = 2048;
/** Bases up to here are searched by all their keys: a sample would be most of them. */
const SMALL_BASE = 8192;
/** Fewest and most sampled rows, and rows a sampled one stands for. */
const SAMPLES = { least: 2048, most: 16_384, each: 128 };
/** Candidates a query: fewest, and most wanted where a larger sample can help. */
const CAPACITY = { least: 1024, most: 16_384 };
/** Threadgroups that keep a large GPU busy to the end. */
const THREADGROUPS = 4096;
/** Queries up to which rows are read where they lie; more come through threadgroup memory. */
const MOST_DIRECT = 32;
/** Bytes of threadgroup memory that kernels leave for queries. */
export const STAGED_BYTES = 24 * 1024;

/** A kernel's shape. */
export interface Tile {
  /** End of its name. */
  name: string;
  /** Whether rows are read where they lie, with the queries in threadgroup memory. */
  direct: boolean;
  /** Queries a threadgroup. */
  queries: number;
  /** Rows that a threadgroup looks at together. */
  rows: number;
}

const directTiles: readonly Tile[] = [
  { name: "1", direct: true, queries: 1, rows: 128 },
  { name: "4", direct: true, queries: 4, rows: 128 },
  { name: "16", direct: true, queries: 16, rows: 128 },
];
const tiles: readonly Tile[] = [
  { name: "16x256", direct: false, queries: 16, rows: 256 },
  { name: "64x128", direct: false, queries: 64, rows: 128 },
  { name: "128x128", direct: false, queries: 128, rows: 128 },
];

/** Bytes of threadgroup memory that hold a direct kernel's queries. */
export function stagedBytes(tile: Tile, width4: number): number {
  return tile.direct ? tile.queries * width4 * 16 : 0;
}

/**
 * The kernel for so many queries.
 *
 * @param nq Queries.
 * @param width4 Groups of four numbers a row.
 */
export function scanTile(nq: number, width4: number): Tile {
  const direct = directTiles.find((tile) => nq <= tile.queries) ?? directTiles.at(-1)!;
  if (nq <= MOST_DIRECT && stagedBytes(direct, width4) <= STAGED_BYTES) return direct;
  return keysTile(nq);
}

/** The kernel that gives every key to so many queries. */
export function keysTile(nq: number): Tile {
  return nq <= 32 ? tiles[0]! : nq <= 64 ? tiles[1]! : tiles[2]!;
}

/** Threadgroups of a scan, and the rows that each looks at. */
export interface Strips {
  /** Threadgroups: query tiles × strips. */
  groups: [x: number, y: number];
  /** Rows a strip. */
  strip: number;
}

/** Cuts rows so that a scan has a few thousand threadgroups where there is work. */
export function cutStrips(nq: number, rows: number, tile: Tile): Strips {
  const across = Math.ceil(nq / tile.queries);
  const blocks = Math.ceil(rows / tile.rows);
  const wanted = Math.min(blocks, Math.max(1, Math.ceil(THREADGROUPS / across)));
  const strip = Math.ceil(blocks / wanted) * tile.rows;
  return { groups: [across, Math.ceil(rows / strip)], strip };
}

/** How the nearest rows are found. */
export type FlatPlan =
  | { kind: "dense" }
  | {
    kind: "sampled";
    /** Rows that bounds are taken from. */
    samples: number;
    /** Which of the sampled keys is the bound, from 1. */
    rank: number;
    /** Candidates that a query has room for. */
    capacity: number;
  };

/**
 * Plans a search.
 *
 * @param rows Rows looked at.
 * @param k Neighbours wanted, at most `rows`.
 */
export function planFlat(rows: number, k: number): FlatPlan {
  if (rows <= SMALL_BASE) return { kind: "dense" };
  let samples = Math.min(Math.max(Math.ceil(rows / SAMPLES.each), SAMPLES.least), SAMPLES.most);
  for (;;) {
    const rank = rankOf(samples, rows, k);
    const expected = rank * rows / samples;
    const capacity = nextPowerOfTwo(Math.max(4 * expected, 2 * k, CAPACITY.least));
    const enough = capacity <= CAPACITY.most || samples * 8 > rows;
    if (enough && capacity * 2 > rows) return { kind: "dense" };
    if (enough) return { kind: "sampled", samples, rank, capacity };
    samples *= 2;
  }
}

/**
 * The rank of a sample's key that fewer than k rows lie below with a chance of one in
 * thousands of millions: of a Poisson distribution about as many as are expected, and four
 * deviations.
 */
function rankOf(samples: number, rows: number, k: number): number {
  const expected = k * samples / rows;
  return Math.min(samples, Math.ceil(expected + 4 * Math.sqrt(expected) + 4));
}

/** Bytes of scratch that a query takes. */
export function queryBytes(plan: FlatPlan, rows: number, k: number, width4: number): number {
  const own = width4 * 32 + 32 + k * 12;
  if (plan.kind === "dense") return own + rows * 4;
  return own + plan.samples * 4 + plan.capacity * 8;
}

/** Rounding of keys: how far they may be from the exact ones. */
export interface KeyErrors {
  /** Bound on the relative error of a dot product. */
  rounding: number;
  /** Error of a key in proportion to it. */
  relative: number;
  /** Error of a key from products that underflow. */
  absolute: number;
}

/**
 * Bounds on what rounding does to keys.
 *
 * @param d Dimension.
 * @param metric The metric.
 * @param differences Whether keys are distances, from differences.
 */
export function keyErrors(d: number, metric: FastMetric, differences = false): KeyErrors {
  // Products may lose all below 2^-126; those of cosines are multiplied by up to 2^60.
  const absolute = (d + 16) * 2 ** (metric === "cosine" ? -64 : -124);
  if (differences) return { rounding: 0, relative: (d + 8) * 2 ** -23, absolute };
  return { rounding: (d + 16) * 2 ** -24, relative: 2 ** -21, absolute };
}

/** Pieces that a row of numbers is cut into to find the best k of it. */
export function topkParts(columns: number, rows: number): number {
  // A piece a threadgroup; more pieces leave more to merge.
  const busy = Math.ceil(THREADGROUPS / 4 / rows);
  return Math.max(1, Math.min(Math.ceil(columns / SMALL_BASE), busy));
}

/** Threads that each query's candidates get: more where few queries have many results. */
export function selectThreads(nq: number, k: number): number {
  return nq <= 128 && k > 128 ? 1024 : 256;
}

/** The power of two that is at least `value`. */
export function nextPowerOfTwo(value: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(1, value)));
}
