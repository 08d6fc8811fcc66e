/**
 * Tables of records.
 *
 * @module
 */

import { type MimeBundle, plainText, tableBundle } from "../display.ts";

/** How {@linkcode table} shows rows. */
export interface TableOptions {
  /** A line above the table. */
  caption?: string | undefined;
  /** Keys that are shown, in order; by default all, as they first appear. */
  columns?: readonly string[] | undefined;
}

/** Rows that show themselves as a table. Make one with {@linkcode table}. */
export class Table {
  /** The rows, also those past the ones shown. */
  readonly rows: readonly Readonly<Record<string, unknown>>[];
  /** Keys that are shown. */
  readonly columns: readonly string[];
  /** A line above the table; may be empty. */
  readonly caption: string;

  /** Use {@linkcode table}. */
  constructor(
    rows: readonly Readonly<Record<string, unknown>>[],
    columns: readonly string[],
    caption: string,
  ) {
    this.rows = rows;
    this.columns = columns;
    this.caption = caption;
  }

  /** The table as plain text. */
  toString(): string {
    return plainText(this.#bundle());
  }

  /** What a notebook shows. */
  [Symbol.for("Jupyter.display")](): MimeBundle {
    return this.#bundle();
  }

  /** What `console.log` shows. */
  [Symbol.for("Deno.customInspect")](): string {
    return this.toString();
  }

  #bundle(): MimeBundle {
    const cells = this.rows.map((row) => this.columns.map((name) => valueOf(row, name)));
    return tableBundle(this.columns, cells, this.caption);
  }
}

/** What a record has itself, or by its class; not what every object has. */
function valueOf(row: Readonly<Record<string, unknown>>, name: string): unknown {
  return Object.hasOwn(row, name) || !(name in Object.prototype) ? row[name] : undefined;
}

/**
 * Records as a table: in a notebook HTML and data, in a terminal text. Numbers are short and to the
 * right, what is missing is empty, and what is nested is JSON. At most 50 rows are shown.
 *
 * @param rows The records; keys may differ.
 * @param options Caption and columns.
 * @returns What `show()`, a notebook's last line and `console.log` show.
 * @throws {TypeError} If `rows` is no array, or a row no record, naming it.
 *
 * @example
 * ```ts
 * import { table } from "@metalfaiss/metalfaiss/notebook";
 * import assert from "node:assert/strict";
 *
 * const found = table([{ kernel: "naive", ms: 12.34567 }, { kernel: "tiled", ms: 1.5 }], {
 *   caption: "Products",
 * });
 * assert.equal(
 *   String(found),
 *   "Products\nkernel     ms\nnaive   12.35\ntiled     1.5",
 * );
 * ```
 */
export function table(
  rows: readonly Readonly<Record<string, unknown>>[],
  options: TableOptions = {},
): Table {
  if (!Array.isArray(rows)) {
    throw new TypeError(`Cannot make a table: rows are ${typeof rows}, not an array`);
  }
  rows.forEach((row, i) => {
    if (typeof row === "object" && row !== null) return;
    throw new TypeError(`Cannot make a table: row ${i} is ${row === null ? "null" : typeof row}`);
  });
  const columns = options.columns ?? [...new Set(rows.flatMap((row) => Object.keys(row)))];
  return new Table(rows, columns, options.caption ?? "");
}
