/**
 * Methods of the QR by shape, its kernels of projections, and bands and streams of the SVD.
 *
 * @module
 */

import type { Computed, Dense, LinearAlgebra, QrParts, SvdParts } from "../../backend/linalg.ts";
import { QR_METHODS, type TunedQr, type TunedSvd } from "../../tuning/mod.ts";
import { gaussian } from "../datasets.ts";
import { choose, contest, crossover, type Tuner } from "./contest.ts";

type Shape = readonly [rows: number, columns: number];

const QR_SHAPES: readonly Shape[] = [[64, 16], [256, 128], [1024, 64], [4096, 128], [4096, 512]];
const QUICK_QR: readonly Shape[] = [[24, 8], [40, 16]];
const DOT_ROWS = [64, 128, 256, 512, 1024, 2048, 4096, 8192, 16_384];
const SVD_SHAPES = [[256, 128, 16], [512, 256, 32], [1024, 256, 32], [4096, 512, 64]] as const;

function dense(rows: number, columns: number, seed = 1): Dense {
  return { data: gaussian(rows, columns, seed), rows, columns, dtype: "float32" };
}

/** The fastest method of each shape. */
export async function tuneQr(tuner: Tuner, linalg: LinearAlgebra): Promise<TunedQr[]> {
  const found: TunedQr[] = [];
  for (const [rows, columns] of tuner.quick ? QUICK_QR : QR_SHAPES) {
    const a = dense(rows, columns);
    const ranked = await contest(tuner, QR_METHODS, (method) => method, [{
      name: `qr ${rows}x${columns}`,
      subject: (method) => ({
        name: method,
        work: () => linalg.qr(a, { method }),
        error: (result) => {
          const { q, r } = (result as Computed<QrParts>).value;
          return Math.max(defect(q, a), residual(a, q, r));
        },
      }),
    }]);
    const method = choose(ranked, (method) => method === "blocked");
    if (method) found.push({ rows, columns, method });
  }
  return found;
}

/** ‖QᵀQ − I‖ over some pairs of columns. */
function defect(q: Float32Array, { rows, columns }: Dense): number {
  let worst = 0;
  for (let i = 0; i < columns; i++) {
    for (const j of [0, i >> 1, i]) {
      let sum = 0;
      for (let row = 0; row < rows; row++) sum += q[row * columns + i]! * q[row * columns + j]!;
      const error = Math.abs(sum - Number(i === j));
      if (!(error <= worst)) worst = error;
    }
  }
  return worst;
}

/** ‖A − QR‖ by the largest number of A, in some rows. */
function residual({ data, rows, columns }: Dense, q: Float32Array, r: Float32Array): number {
  const a = data as Float32Array;
  let [worst, largest] = [0, 0];
  for (let row = 0; row < rows; row += Math.ceil(rows / 16)) {
    for (let j = 0; j < columns; j++) {
      const given = a[row * columns + j]!;
      let apart = given;
      for (let i = 0; i <= j; i++) apart -= q[row * columns + i]! * r[i * columns + j]!;
      if (!(Math.abs(apart) <= worst)) worst = Math.abs(apart);
      largest = Math.max(largest, Math.abs(given));
    }
  }
  return worst / largest;
}

/** How far U diag(s) and AV are apart, by the largest value, in some rows. */
function tripletError({ data, rows, columns }: Dense, { u, s, v }: SvdParts): number {
  const a = data as Float32Array;
  let worst = 0;
  for (let row = 0; row < rows; row += Math.ceil(rows / 16)) {
    s.forEach((value, j) => {
      let apart = -u[row * s.length + j]! * value;
      for (let i = 0; i < columns; i++) apart += a[row * columns + i]! * v[i * s.length + j]!;
      if (!(Math.abs(apart) <= worst)) worst = Math.abs(apart);
    });
  }
  return worst / s[0]!;
}

/** Rows from which projections are faster by simdgroups than by plain threads. */
export async function tuneQrDot(tuner: Tuner, linalg: LinearAlgebra): Promise<number | null> {
  const columns = tuner.quick ? 8 : 64;
  const points = [];
  for (const rows of tuner.quick ? [32, 128] : DOT_ROWS) {
    const q = dense(rows, columns);
    const v = gaussian(rows, 1, 3);
    const kernels = ["simple", "simd"] as const;
    const ranked = await contest(tuner, kernels, (dot) => dot, [{
      name: `qr dot ${rows}x${columns}`,
      subject: (dot) => ({
        name: dot,
        work: () => linalg.projectCoeffs(q, v, dot),
        expects: new RegExp(`_${dot}_`),
        error: (result) => projectionError(q, v, (result as { value: Float32Array }).value),
      }),
    }]);
    const time = (dot: string) => {
      return ranked.find(({ candidate }) => candidate === dot)?.mean ?? Infinity;
    };
    points.push({ size: rows, first: time("simple"), second: time("simd") });
  }
  return crossover(points);
}

function projectionError({ data, rows, columns }: Dense, v: Float32Array, c: Float32Array): number {
  const q = data as Float32Array;
  let worst = 0;
  for (let column = 0; column < columns; column++) {
    let [sum, size] = [0, 0];
    for (let row = 0; row < rows; row++) {
      sum += q[row * columns + column]! * v[row]!;
      size += Math.abs(q[row * columns + column]! * v[row]!);
    }
    const error = Math.abs(c[column]! - sum) / size;
    if (!(error <= worst)) worst = error;
  }
  return worst;
}

/** The fastest bands of each shape; of a GPU, and streams. */
export async function tuneSvd(
  tuner: Tuner,
  linalg: LinearAlgebra,
  most: { streams: number },
): Promise<TunedSvd[]> {
  const found: TunedSvd[] = [];
  for (const [rows, columns, k] of tuner.quick ? [[48, 32, 8]] as const : SVD_SHAPES) {
    const a = dense(rows, columns);
    const candidates = [{ band: 0, streams: 1 }];
    for (const band of tuner.quick ? [4] : [8, 16, 32]) {
      for (const streams of tuner.quick ? [1, 2] : [1, 2, 4, 8]) {
        const fits = band < k && streams <= Math.min(most.streams, Math.ceil(k / band));
        if (fits) candidates.push({ band, streams });
      }
    }
    const name = ({ band, streams }: { band: number; streams: number }) =>
      band === 0 ? "mono" : `band ${band} on ${streams}`;
    const start = gaussian(columns, k, 4);
    const ranked = await contest(tuner, candidates, name, [{
      name: `svd ${rows}x${columns} k${k}`,
      subject: (candidate) => ({
        name: name(candidate),
        // By the host's clock: times of command buffers that overlap on streams add up to more.
        work: async () =>
          (await linalg.topkSvd(a, k, { ...candidate, start, iterations: 4 })).value,
        error: (value) => {
          const parts = value as SvdParts;
          const shape = { ...a, columns: k };
          return Math.max(defect(parts.u, shape), tripletError(a, parts));
        },
      }),
    }]);
    const best = choose(ranked, ({ band }) => band === 0);
    if (best) found.push({ rows, columns, k, ...best });
  }
  return found;
}
