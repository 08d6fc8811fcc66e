/**
 * How tensors look in notebooks and terminals.
 *
 * @module
 */

import { gridBundle, type MimeBundle, propertiesBundle } from "../display.ts";
import { formatDigits } from "../display_cells.ts";
import type { DType, TensorData } from "./dtype.ts";

/** What is shown of a tensor besides its elements. */
interface Described {
  readonly shape: readonly number[];
  readonly dtype: DType;
}

const MOST_COLUMNS = 8;

function cell(value: number | bigint, dtype: DType): string {
  if (dtype === "bool") return value ? "true" : "false";
  return typeof value === "number" && !Number.isInteger(value)
    ? formatDigits(value, 5)
    : `${value}`;
}

/** Its first rows as a table; all axes but the last count as rows. */
export function tensorBundle(tensor: Described, data: TensorData): MimeBundle {
  const { shape, dtype } = tensor;
  const format = (value: unknown) => cell(value as number | bigint, dtype);
  return gridBundle(data, shape.at(-1) ?? 1, titleOf(tensor), "", format);
}

/** A tensor without memory. */
export function disposedBundle(): MimeBundle {
  return propertiesBundle([["disposed", true]], "Tensor");
}

function titleOf({ shape, dtype }: Described): string {
  return `Tensor ${dtype} [${shape.join(", ")}]`;
}

/** It in one line; without its elements where they are not given. */
export function tensorLine(tensor: Described, data: TensorData | undefined): string {
  const head = titleOf(tensor);
  if (data === undefined) return head;
  const values: string[] = [];
  for (let i = 0; i < Math.min(data.length, MOST_COLUMNS); i++) {
    values.push(cell(data[i]!, tensor.dtype));
  }
  return `${head} ${values.join(", ")}${data.length > MOST_COLUMNS ? ", …" : ""}`;
}
