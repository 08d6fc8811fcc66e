/**
 * How tensors look in notebooks and terminals.
 *
 * @module
 */

import { type MimeBundle, tableBundle } from "../display.ts";
import type { DType, TensorData } from "./dtype.ts";

/** What is shown of a tensor besides its elements. */
interface Described {
  readonly shape: readonly number[];
  readonly dtype: DType;
}

const MOST_ROWS = 10;
const MOST_COLUMNS = 8;

function cell(value: number | bigint, dtype: DType): string {
  if (dtype === "bool") return value ? "true" : "false";
  return typeof value === "number" && !Number.isInteger(value)
    ? `${Number(value.toPrecision(5))}`
    : `${value}`;
}

/** Its first rows as a table; all axes but the last count as rows. */
export function tensorBundle(tensor: Described, data: TensorData): MimeBundle {
  const columns = tensor.shape.at(-1) ?? 1;
  const rows = columns === 0 ? 0 : data.length / columns;
  const shown = Math.min(columns, MOST_COLUMNS);
  const more = columns > shown;
  const body: string[][] = [];
  for (let row = 0; row < Math.min(rows, MOST_ROWS); row++) {
    const cells = [`${row}`];
    for (let column = 0; column < shown; column++) {
      cells.push(cell(data[row * columns + column]!, tensor.dtype));
    }
    body.push(more ? [...cells, "…"] : cells);
  }
  const header = ["", ...Array.from({ length: shown }, (_, i) => `${i}`), ...(more ? ["…"] : [])];
  const left = rows > MOST_ROWS ? `; the first ${MOST_ROWS} of ${rows} rows` : "";
  return tableBundle(header, body, `Tensor ${tensor.dtype} [${tensor.shape.join(", ")}]${left}`);
}

/** It in one line; without its elements where they are not given. */
export function tensorLine(tensor: Described, data: TensorData | undefined): string {
  const head = `Tensor ${tensor.dtype} [${tensor.shape.join(", ")}]`;
  if (data === undefined) return head;
  const values: string[] = [];
  for (let i = 0; i < Math.min(data.length, MOST_COLUMNS); i++) {
    values.push(cell(data[i]!, tensor.dtype));
  }
  return `${head} ${values.join(", ")}${data.length > MOST_COLUMNS ? ", …" : ""}`;
}
