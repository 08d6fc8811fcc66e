/**
 * Checks of what operations of linear algebra are given: the same errors on every backend.
 *
 * @module
 */

/** Rows and columns. */
export interface Shape {
  readonly rows: number;
  readonly columns: number;
}

/** A shape, as errors show it. */
export function shapeText({ rows, columns }: Shape): string {
  return `${rows} × ${columns}`;
}

/** Sizes of a product: m × k by k × n. */
export interface ProductShape {
  readonly m: number;
  readonly n: number;
  readonly k: number;
}

/**
 * Sizes of op(A) op(B) + C.
 *
 * @throws {TypeError} If the shapes do not fit.
 */
export function productShape(
  a: Shape,
  b: Shape,
  { transposeA = false, transposeB = false, beta = 0, c }: {
    transposeA?: boolean | undefined;
    transposeB?: boolean | undefined;
    beta?: number | undefined;
    c?: Shape | undefined;
  } = {},
): ProductShape {
  const [m, k] = transposeA ? [a.columns, a.rows] : [a.rows, a.columns];
  const [kB, n] = transposeB ? [b.columns, b.rows] : [b.rows, b.columns];
  if (k !== kB) {
    const [ofA, ofB] = [transposeA ? ", transposed" : "", transposeB ? ", transposed" : ""];
    throw new TypeError(
      `Cannot multiply: A is ${shapeText(a)}${ofA}, B is ${shapeText(b)}${ofB}`,
    );
  }
  if (c !== undefined && (c.rows !== m || c.columns !== n)) {
    throw new TypeError(`Cannot multiply: the product is ${m} × ${n}, C is ${shapeText(c)}`);
  }
  if (beta !== 0 && c === undefined) {
    throw new TypeError(`Cannot multiply: beta is ${beta}, and there is no C`);
  }
  return { m, n, k };
}

/** Sizes of a matrix-vector product: each of `batch` matrices is n × k, or k × n. */
export interface GemvShape {
  readonly n: number;
  readonly k: number;
  readonly batch: number;
}

/**
 * Sizes of W x: x is batch × k; W is (batch · n) × k, or for `nn` (batch · k) × n.
 *
 * @throws {TypeError} If the shapes do not fit.
 * @throws {RangeError} If `batch` is no positive integer.
 */
export function gemvShape(
  w: Shape,
  x: Shape,
  { layout = "nt", batch = 1, bias, y, beta = 0 }: {
    layout?: "nt" | "nn" | undefined;
    batch?: number | undefined;
    bias?: Shape | undefined;
    y?: Shape | undefined;
    beta?: number | undefined;
  } = {},
): GemvShape {
  checkCount(batch, "batch", "multiply");
  const perMatrix = w.rows / batch;
  const [n, k] = layout === "nt" ? [perMatrix, w.columns] : [w.columns, perMatrix];
  if (!Number.isInteger(perMatrix) || x.rows !== batch || x.columns !== k) {
    const how = batch === 1 ? layout : `${layout}, batch ${batch}`;
    throw new TypeError(`Cannot multiply: W is ${shapeText(w)} (${how}), x is ${shapeText(x)}`);
  }
  const fits = (rows: Shape) => rows.columns === n && rows.rows === batch;
  if (y !== undefined && !fits(y)) {
    throw new TypeError(`Cannot multiply: the result is ${batch} × ${n}, y is ${shapeText(y)}`);
  }
  if (beta !== 0 && y === undefined) {
    throw new TypeError(`Cannot multiply: beta is ${beta}, and there is no y`);
  }
  if (bias !== undefined && !fits(bias) && !(bias.rows === 1 && bias.columns === n)) {
    throw new TypeError(
      `Cannot multiply: the result is ${batch} × ${n}, the bias is ${shapeText(bias)}`,
    );
  }
  return { n, k, batch };
}

/**
 * Checks that a matrix has a QR decomposition here.
 *
 * @throws {TypeError} If it has fewer rows than columns.
 */
export function checkTall(a: Shape, action = "decompose"): void {
  if (a.columns < 1) throw new TypeError(`Cannot ${action}: A is ${shapeText(a)}, without columns`);
  if (a.rows < a.columns) {
    throw new TypeError(`Cannot ${action}: A is ${shapeText(a)}, with fewer rows than columns`);
  }
}

/**
 * Checks how many singular values are asked for.
 *
 * @throws {RangeError} If there are not so many.
 */
export function checkRank(k: number, a: Shape): void {
  const most = Math.min(a.rows, a.columns);
  if (!Number.isInteger(k) || k < 1 || k > most) {
    throw new RangeError(
      `Cannot find ${k} singular values: a matrix of ${shapeText(a)} has ${most}`,
    );
  }
}

/**
 * Checks a count.
 *
 * @throws {RangeError} If it is no integer, or below `least`.
 */
export function checkCount(value: number, what: string, action: string, least = 1): void {
  if (!Number.isInteger(value) || value < least) {
    const wanted = least === 0 ? "an integer from 0" : "a positive integer";
    throw new RangeError(`Cannot ${action}: ${what} ${value} is not ${wanted}`);
  }
}

/**
 * Checks a tolerance.
 *
 * @throws {RangeError} If it is NaN or negative.
 */
export function checkTolerance(value: number, action: string): void {
  if (!(value >= 0)) {
    throw new RangeError(`Cannot ${action}: tolerance ${value} is not 0 or more`);
  }
}

/**
 * Checks that all numbers are finite.
 *
 * @param data Numbers, row by row.
 * @param columns Numbers a row.
 * @param action What cannot be done with others, for the error.
 * @throws {RangeError} If one is NaN or infinite; it names the row.
 */
export function checkFinite(data: ArrayLike<number>, columns: number, action: string): void {
  // A loop without a branch a number; where it finds something, another says where.
  let zero = 0;
  for (let i = 0; i < data.length; i++) zero += data[i]! * 0;
  if (zero === 0) return;
  for (let i = 0; i < data.length; i++) {
    if (Number.isFinite(data[i])) continue;
    const [row, column] = [Math.floor(i / columns), i % columns];
    throw new RangeError(
      `Cannot ${action}: row ${row} holds ${data[i]} in column ${column}`,
    );
  }
}

/**
 * Checks a vector's length.
 *
 * @throws {TypeError} If it is another.
 */
export function checkLength(data: ArrayLike<number>, length: number, what: string): void {
  if (data.length !== length) {
    throw new TypeError(`Cannot read ${what}: it has ${data.length} numbers, not ${length}`);
  }
}
