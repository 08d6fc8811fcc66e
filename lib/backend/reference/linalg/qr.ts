import { checkFinite, checkLength, checkTall, checkTolerance } from "../../../linalg/checks.ts";
import { linalgSettings } from "../../../linalg/settings.ts";
import type { Computed, Dense, QrOptions, QrParts } from "../../linalg.ts";
import type { Steps } from "../steps.ts";
import {
  addScaled,
  anotherDirection,
  type Columns,
  dot,
  fromColumns,
  norm,
  scale,
  takeOut,
  toColumns,
} from "./columns.ts";
import { computed, hostNumbers } from "./operands.ts";

/** Columns of a panel. */
const PANEL = 32;

/** A decomposition in float64. */
interface Factors {
  /** Orthonormal columns. */
  q: Columns;
  /** Columns of R. */
  r: Columns;
  rank: number;
}

/** What is known of a decomposition after some columns. */
interface Progress {
  /** Orthonormal columns, of independent columns of A. */
  q: Columns;
  /** Which columns those are. */
  places: number[];
  /** Columns of R. */
  r: Columns;
}

const methods = { mgs, blocked, householder };

/** A = QR. */
export function* qr(a: Dense, options: QrOptions = {}): Steps<Computed<QrParts>> {
  checkTall(a);
  const { rows: m, columns: n } = a;
  const tolerance = options.tolerance ?? n * 2 ** -23;
  checkTolerance(tolerance, "decompose");
  const wanted = options.method ?? linalgSettings().forceQr ?? "auto";
  const method = wanted === "auto" ? "mgs" : wanted;
  if (!Object.hasOwn(methods, method)) {
    throw new RangeError(`Cannot decompose: there is no method "${method}"`);
  }
  checkDot(options.dot, "decompose");
  const data = hostNumbers(a);
  checkFinite(data, n, "decompose");
  const { q, r, rank } = yield* methods[method](toColumns(data, m, n), tolerance);
  return computed({ q: fromColumns(q, m), r: fromColumns(r, n), rank }, `qr_${method}`);
}

/** Refuses kernels of a GPU. */
function checkDot(kernel: QrOptions["dot"], action: string): void {
  if (kernel === undefined || kernel === "auto") return;
  throw new RangeError(
    `Cannot ${action}: the reference backend has no "${kernel}" kernel of projections`,
  );
}

/** c = Qᵀv. */
export function projectCoeffs(
  q: Dense,
  v: Float32Array,
  kernel?: QrOptions["dot"],
): Computed<Float32Array> {
  checkDot(kernel, "project");
  checkLength(v, q.rows, "v");
  const columns = toColumns(hostNumbers(q), q.rows, q.columns);
  return computed(Float32Array.from(columns, (column) => dot(column, v)), "project_coeffs");
}

/** v − Qc. */
export function updateVector(
  q: Dense,
  c: Float32Array,
  v: Float32Array,
): Computed<Float32Array> {
  checkLength(v, q.rows, "v");
  checkLength(c, q.columns, "c");
  const data = hostNumbers(q);
  const out = Float32Array.from(
    v,
    (value, i) => value - dot(c, data.subarray(i * q.columns, (i + 1) * q.columns)),
  );
  return computed(out, "update_vector");
}

/** Two-pass modified Gram–Schmidt, a column at a time. */
export function* mgs(a: Columns, tolerance: number): Steps<Factors> {
  const progress: Progress = { q: [], places: [], r: [] };
  for (const column of a) {
    append(progress, column, new Float64Array(a.length), norm(column), tolerance);
    yield;
  }
  return complete(progress, a[0]!.length);
}

/** The same by panels: first each panel loses its parts along the columns before it. */
function* blocked(a: Columns, tolerance: number): Steps<Factors> {
  const progress: Progress = { q: [], places: [], r: [] };
  for (let from = 0; from < a.length; from += PANEL) {
    const panel = a.slice(from, from + PANEL);
    const lengths = panel.map(norm);
    const before = progress.q.slice();
    const parts = panel.map((column) => {
      const r = new Float64Array(a.length);
      takeOut(column, before).forEach((part, i) => r[progress.places[i]!] = part);
      return r;
    });
    yield;
    panel.forEach((column, j) => append(progress, column, parts[j]!, lengths[j]!, tolerance));
    yield;
  }
  return complete(progress, a[0]!.length);
}

/** Appends a column, less its parts along those before it; `length` is what it had at first. */
function append(
  { q, places, r }: Progress,
  column: Float64Array,
  parts: Float64Array,
  length: number,
  tolerance: number,
): void {
  takeOut(column, q).forEach((part, i) => parts[places[i]!]! += part);
  const rest = norm(column);
  if (rest > tolerance * length) {
    scale(column, 1 / rest);
    parts[r.length] = rest;
    places.push(r.length);
    q.push(column);
  }
  r.push(parts);
}

/**
 * Puts other directions where columns are dependent. They come last: a later column of A that lies
 * along one of them would look dependent too.
 */
function complete({ q, places, r }: Progress, m: number): Factors {
  const all: Columns = [];
  places.forEach((place, i) => all[place] = q[i]!);
  const basis = q.slice();
  for (let j = 0; j < r.length; j++) {
    if (all[j] === undefined) basis.push(all[j] = anotherDirection(basis, m, j));
  }
  return { q: all, r, rank: q.length };
}

/**
 * Householder reflections H: R = H … H A, Q = H … H I (Golub and Van Loan, §5.2). A dependent column
 * takes no reflection, and leaves its row to the next one.
 */
function* householder(a: Columns, tolerance: number): Steps<Factors> {
  const m = a[0]!.length;
  const reflectors: Columns = [];
  const places: number[] = [];
  const r: Columns = [];
  for (const [j, column] of a.entries()) {
    const length = norm(column);
    for (const v of reflectors) reflect(column, v);
    const row = reflectors.length;
    const rest = norm(column.subarray(row));
    if (rest > tolerance * length) {
      const v = new Float64Array(m);
      v.set(column.subarray(row), row);
      v[row]! += column[row]! < 0 ? -rest : rest;
      scale(v, 1 / norm(v));
      reflect(column, v);
      reflectors.push(v);
      places.push(j);
    }
    const parts = new Float64Array(a.length);
    places.forEach((place, i) => parts[place] = column[i]!);
    r.push(parts);
    yield;
  }
  const rank = places.length;
  a.forEach((_, j) => {
    if (!places.includes(j)) places.push(j);
  });
  const q: Columns = [];
  places.forEach((place, i) => {
    const column = new Float64Array(m);
    column[i] = 1;
    for (const v of reflectors.toReversed()) reflect(column, v);
    q[place] = column;
  });
  // A diagonal that is not negative makes R unique.
  a.forEach((_, i) => {
    if (r[i]![i]! >= 0) return;
    scale(q[i]!, -1);
    for (const column of r) column[i]! *= -1;
  });
  return { q, r, rank };
}

/** x ← (I − 2vvᵀ)x. */
function reflect(x: Float64Array, v: Float64Array): void {
  addScaled(x, -2 * dot(v, x), v);
}
