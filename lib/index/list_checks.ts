/**
 * Checks of what searches of lists are given.
 *
 * @module
 */

import { Tensor } from "../kernel/tensor.ts";

/** Checks the number of results. */
export function checkK(k: number): void {
  if (!Number.isInteger(k) || k < 1) throw new RangeError(`Cannot search: k ${k} is not above 0`);
}

/** Checks the type and axes of data on a device. */
export function checkTensor(
  input: unknown,
  what: string,
  dtype: string,
  axes: readonly number[],
): asserts input is Tensor {
  if (!(input instanceof Tensor)) {
    throw new TypeError(`Cannot search: ${what} is no Tensor, others are`);
  }
  if (input.dtype !== dtype || !axes.includes(input.ndim) || !input.isContiguous) {
    throw new TypeError(
      `Cannot read ${what}: it is ${input.dtype} of [${input.shape.join(", ")}]; wanted is ` +
        `${dtype} of ${axes.join(" or ")} axes, row by row`,
    );
  }
}

/** Checks that data lies on the same device as other data. */
export function checkDevice(first: Tensor, other: Tensor, what: string): void {
  if (first.device === other.device) return;
  throw new RangeError(
    `Cannot search: ${what} lies on ${other.device.name}, not on ${first.device.name}`,
  );
}
