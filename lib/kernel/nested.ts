/**
 * Nested arrays of numbers.
 *
 * @module
 */

/** A plain value. */
export type Scalar = number | bigint | boolean;

/** Values in arrays of any depth; arrays of one level must be of one length. */
export type Nested = Scalar | readonly Nested[];

/** Values row by row, and the shape they had. */
export function flatten(values: Nested): { flat: Scalar[]; shape: number[] } {
  const shape: number[] = [];
  for (let level: Nested | undefined = values; Array.isArray(level); level = level[0]) {
    shape.push(level.length);
  }
  const flat: Scalar[] = [];
  collect(values, shape, 0, flat);
  return { flat, shape };
}

function collect(values: Nested, shape: readonly number[], depth: number, flat: Scalar[]): void {
  if (!Array.isArray(values)) {
    if (depth === shape.length && isScalar(values)) {
      flat.push(values);
      return;
    }
    throw new TypeError(`Cannot make a tensor: ${String(values)} is no number or boolean`);
  }
  if (values.length !== shape[depth]) {
    throw new TypeError(
      depth < shape.length
        ? `Cannot make a tensor: rows of ${shape[depth]} and of ${values.length} values are mixed`
        : "Cannot make a tensor: numbers and arrays are mixed",
    );
  }
  for (const value of values) collect(value, shape, depth + 1, flat);
}

function isScalar(value: unknown): value is Scalar {
  return typeof value === "number" || typeof value === "bigint" || typeof value === "boolean";
}

/** Elements of a shape. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, length) => product * length, 1);
}

/** Fails where a shape is not one. */
export function checkShape(shape: readonly number[], action: string): void {
  if (!Array.isArray(shape)) {
    throw new TypeError(`Cannot ${action}: the shape must be an array, got ${String(shape)}`);
  }
  for (const length of shape) {
    if (!Number.isSafeInteger(length) || length < 0) {
      throw new RangeError(
        `Cannot ${action}: the shape [${shape.join(", ")}] must have integers from 0`,
      );
    }
  }
}

/** Strides of rows that follow each other, in elements. */
export function rowStrides(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = stride;
    stride *= shape[axis]!;
  }
  return strides;
}

/** Whether elements of a shape lie one after the other, in order of rows. */
export function isRowContiguous(shape: readonly number[], strides: readonly number[]): boolean {
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] === 0) return true;
    if (shape[axis] !== 1 && strides[axis] !== stride) return false;
    stride *= shape[axis]!;
  }
  return true;
}

/** Elements from the first that a view has to behind its last. */
export function extentOf(shape: readonly number[], strides: readonly number[]): number {
  let last = 0;
  for (const [axis, length] of shape.entries()) {
    if (length === 0) return 0;
    last += (length - 1) * strides[axis]!;
  }
  return last + 1;
}

/** Calls `body` with the place of each element of a view, row by row. */
export function forEachPlace(
  shape: readonly number[],
  strides: readonly number[],
  body: (place: number, index: number) => void,
): void {
  const size = sizeOf(shape);
  const at = new Array<number>(shape.length).fill(0);
  let place = 0;
  for (let index = 0; index < size; index++) {
    body(place, index);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      place += strides[axis]!;
      if (++at[axis]! < shape[axis]!) break;
      place -= strides[axis]! * shape[axis]!;
      at[axis] = 0;
    }
  }
}
