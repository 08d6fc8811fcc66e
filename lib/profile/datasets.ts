/**
 * Seeded synthetic vectors, fast enough for a million rows.
 *
 * @module
 */

/** How {@linkcode clustered} draws rows. */
export interface ClusteredOptions {
  /** Number of clusters. */
  clusters?: number;
  /** Spread of the centres, in units of the spread within a cluster. */
  separation?: number;
  /** Directions in which a cluster extends; real embeddings have far fewer than dimensions. */
  intrinsic?: number;
  /** Seed. */
  seed?: number;
}

/** How {@linkcode manifold} draws rows. */
export interface ManifoldOptions {
  /** Dimension of the surface. */
  intrinsic?: number;
  /** How much it bends: waves a unit of its coordinates. */
  curvature?: number;
  /** Spread of the noise off the surface; its coordinates spread by about 1. */
  noise?: number;
  /** Seed. */
  seed?: number;
}

/** Waves that make up a surface. */
const WAVES = 32;

/** Standard normal values: two draws from a table of quantiles make one. */
class Normal {
  static #quantiles: Float32Array | undefined;
  readonly #table: Float32Array = Normal.#quantiles ??= normalQuantiles(1 << 16);
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(seed: number) {
    this.#a = seed | 0;
    this.#b = (seed / 2 ** 32) | 0;
    this.#c = 0x9e3779b9 | 0;
    for (let i = 0; i < 12; i++) this.bits();
  }

  /** 32 random bits, by Chris Doty-Humphrey's sfc32. */
  bits(): number {
    const t = (((this.#a + this.#b) | 0) + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + t | 0;
    return t >>> 0;
  }

  /** Writes `scale` times standard normal values. */
  fill(out: Float32Array, scale = 1): void {
    const table = this.#table;
    const factor = scale * Math.SQRT1_2;
    for (let i = 0; i < out.length; i++) {
      const bits = this.bits();
      out[i] = (table[bits & 0xffff]! + table[bits >>> 16]!) * factor;
    }
  }
}

/** Quantiles of the standard normal distribution at the middles of `n` equal steps. */
function normalQuantiles(n: number): Float32Array {
  const table = new Float32Array(n);
  // Newton's method on the distribution function, walking out from the median.
  let z = 0;
  for (let i = n / 2; i < n; i++) {
    const p = (i + 0.5) / n;
    for (let step = 0; step < 4; step++) {
      z -= (normalDistribution(z) - p) * Math.sqrt(2 * Math.PI) * Math.exp(z * z / 2);
    }
    table[i] = z;
    table[n - 1 - i] = -z;
  }
  return table;
}

/** P(Z ≤ z) for z ≥ 0, by its Taylor series about 0. */
function normalDistribution(z: number): number {
  let term = z;
  let sum = z;
  for (let i = 1; term > 1e-17; i++) {
    term *= z * z / (2 * i + 1);
    sum += term;
  }
  return 0.5 + sum * Math.exp(-z * z / 2) / Math.sqrt(2 * Math.PI);
}

/**
 * Rows of independent standard normal values.
 *
 * @example
 * ```ts
 * import { gaussian } from "@metalfaiss/metalfaiss/profile";
 * import assert from "node:assert/strict";
 *
 * assert.equal(gaussian(100, 64).length, 6400);
 * assert.deepEqual(gaussian(2, 4, 7), gaussian(2, 4, 7));
 * ```
 *
 * @param n Number of rows.
 * @param d Dimension.
 * @param seed Seed.
 * @returns `n × d` values, row-major.
 */
export function gaussian(n: number, d: number, seed = 1): Float32Array<ArrayBuffer> {
  const out = new Float32Array(n * d);
  new Normal(seed).fill(out);
  return out;
}

/**
 * Rows of a mixture of Gaussian clusters, each extended mostly in a few directions of its own.
 *
 * @example
 * ```ts
 * import { clustered } from "@metalfaiss/metalfaiss/profile";
 * import assert from "node:assert/strict";
 *
 * assert.equal(clustered(1000, 32, { clusters: 10 }).length, 32_000);
 * ```
 *
 * @param n Number of rows.
 * @param d Dimension.
 * @param options Shape of the mixture.
 * @returns `n × d` values, row-major, in random order.
 */
export function clustered(
  n: number,
  d: number,
  options: ClusteredOptions = {},
): Float32Array<ArrayBuffer> {
  const { clusters = 2000, separation = 1.2, intrinsic = 8, seed = 1 } = options;
  const normal = new Normal(seed);
  const centers = new Float32Array(clusters * d);
  normal.fill(centers, separation);
  // Directions are shared in a pool, which keeps them few and the generator fast.
  const pool = new Float32Array(256 * d);
  normal.fill(pool, Math.sqrt(1 / intrinsic));
  const out = new Float32Array(n * d);
  normal.fill(out, 0.35);
  const along = new Float32Array(intrinsic);
  for (let row = 0; row < n; row++) {
    const cluster = normal.bits() % clusters;
    normal.fill(along);
    const start = row * d;
    for (let j = 0; j < d; j++) out[start + j]! += centers[cluster * d + j]!;
    for (let i = 0; i < intrinsic; i++) {
      const from = ((cluster * 31 + i * 17) & 255) * d;
      const weight = along[i]!;
      for (let j = 0; j < d; j++) out[start + j]! += weight * pool[from + j]!;
    }
  }
  return out;
}

/**
 * Rows near a bent surface of few dimensions, denser in the middle: without clusters, as embeddings are.
 *
 * @example
 * ```ts
 * import { manifold } from "@metalfaiss/metalfaiss/profile";
 * import assert from "node:assert/strict";
 *
 * assert.equal(manifold(1000, 32, { intrinsic: 6 }).length, 32_000);
 * ```
 *
 * @param n Number of rows.
 * @param d Dimension.
 * @param options Shape of the surface.
 * @returns `n × d` values, row-major, in random order.
 */
export function manifold(
  n: number,
  d: number,
  options: ManifoldOptions = {},
): Float32Array<ArrayBuffer> {
  const { intrinsic = 10, curvature = 1, noise = 0.02, seed = 1 } = options;
  const normal = new Normal(seed);
  const [along, phases, across] = [intrinsic * WAVES, WAVES, WAVES * d].map((size) =>
    new Float32Array(size)
  ) as [Float32Array, Float32Array, Float32Array];
  normal.fill(along, curvature / Math.sqrt(intrinsic));
  normal.fill(phases, Math.PI);
  normal.fill(across, Math.sqrt(2 / WAVES));
  const out = new Float32Array(n * d);
  normal.fill(out, noise);
  const place = new Float32Array(intrinsic);
  for (let row = 0; row < n; row++) {
    normal.fill(place);
    for (let wave = 0; wave < WAVES; wave++) {
      let angle = phases[wave]!;
      for (let i = 0; i < intrinsic; i++) angle += place[i]! * along[wave * intrinsic + i]!;
      const height = Math.sin(angle);
      for (let j = 0; j < d; j++) out[row * d + j]! += height * across[wave * d + j]!;
    }
  }
  return out;
}
