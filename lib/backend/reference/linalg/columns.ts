/** A matrix as its columns, in float64. */
export type Columns = Float64Array[];

/** Columns of a row-major matrix. */
export function toColumns(data: ArrayLike<number>, rows: number, columns: number): Columns {
  return Array.from(
    { length: columns },
    (_, j) => Float64Array.from({ length: rows }, (_, i) => data[i * columns + j]!),
  );
}

/** A row-major matrix of columns. */
export function fromColumns(columns: Columns, rows: number): Float32Array {
  const data = new Float32Array(rows * columns.length);
  columns.forEach((column, j) => {
    for (let i = 0; i < rows; i++) data[i * columns.length + j] = column[i]!;
  });
  return data;
}

/** Σ xᵢ yᵢ. */
export function dot(x: ArrayLike<number>, y: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += x[i]! * y[i]!;
  return sum;
}

/** ‖x‖. */
export function norm(x: ArrayLike<number>): number {
  return Math.sqrt(dot(x, x));
}

/** to ← to + factor · x. */
export function addScaled(to: Float64Array, factor: number, x: ArrayLike<number>): void {
  for (let i = 0; i < to.length; i++) to[i]! += factor * x[i]!;
}

/** x ← factor · x. */
export function scale(x: Float64Array, factor: number): void {
  for (let i = 0; i < x.length; i++) x[i]! *= factor;
}

/**
 * Takes the parts along orthonormal columns out of v, in two passes of modified Gram–Schmidt: what
 * the first leaves of them by rounding, the second takes.
 *
 * @param v The vector, changed.
 * @param basis Orthonormal columns.
 * @returns The parts.
 */
export function takeOut(v: Float64Array, basis: Columns): Float64Array {
  const parts = new Float64Array(basis.length);
  for (let pass = 0; pass < 2; pass++) {
    basis.forEach((q, i) => {
      const part = dot(q, v);
      addScaled(v, -part, q);
      parts[i]! += part;
    });
  }
  return parts;
}

/**
 * A unit vector orthogonal to fewer than m orthonormal columns of m numbers: the first of the
 * coordinate axes from `from` on that lies far enough from them, without its parts along them.
 */
export function anotherDirection(basis: Columns, m: number, from: number): Float64Array {
  // Lengths² of what is left of all axes sum up to m − n ≥ 1: one of them has 1/m at least.
  for (let t = 0; t < m; t++) {
    const v = new Float64Array(m);
    v[(from + t) % m] = 1;
    takeOut(v, basis);
    const length = norm(v);
    if (length * length * m < 0.5) continue;
    scale(v, 1 / length);
    return v;
  }
  throw new RangeError(`Cannot find a direction: ${basis.length} columns of ${m} have no other`);
}
