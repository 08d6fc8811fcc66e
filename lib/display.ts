/**
 * What notebooks and terminals show: tables, and objects that show themselves.
 *
 * @module
 */

import {
  escapeHtml,
  fieldType,
  formatCell,
  formatCount,
  formatNumber,
  oneLine,
  pad,
  textWidth,
  toJson,
} from "./display_cells.ts";

/** What a notebook shows: content by MIME type. */
export type MimeBundle = Record<string, unknown>;

/** A column of a table. */
export interface Column {
  /** Its name. */
  name: string;
  /** Its values as text; by default short numbers, and JSON of what is nested. */
  format?: ((value: unknown) => string) | undefined;
  /** Whether it is laid to the right; by default where all values are numbers. */
  right?: boolean | undefined;
  /** Whether it is left out where no row has a value. */
  optional?: boolean | undefined;
}

/** Rows that a table shows. */
const MOST_ROWS = 50;
/** Kernels that are named. */
const MOST_KERNELS = 4;

/**
 * A table as HTML, as a data resource and as plain text. All that is shown is escaped, and nothing
 * has a colour: themes of notebooks bring theirs.
 *
 * @param columns Names of the columns, or more about them.
 * @param rows Values, row by row; strings are shown as they are.
 * @param caption A line above the table.
 * @param most Rows that are shown, with a line that counts the others.
 * @returns The bundle that `Jupyter.display` methods return.
 */
export function tableBundle(
  columns: readonly (string | Column)[],
  rows: readonly (readonly unknown[])[],
  caption: string,
  most: number = MOST_ROWS,
): MimeBundle {
  const shown = rows.slice(0, most);
  const more = rows.length > most ? `… ${formatCount(rows.length - most, "more row")}` : "";
  const laid = columns.flatMap((column, at) => layOut(column, shown.map((row) => row[at])));
  return {
    "text/html": html(laid, shown.length, caption, more),
    "application/vnd.dataresource+json": dataResource(laid, shown.length, caption),
    "text/plain": plain(laid, shown.length, caption, more),
  };
}

interface LaidColumn {
  name: string;
  values: readonly unknown[];
  cells: readonly string[];
  right: boolean;
}

function layOut(column: string | Column, values: readonly unknown[]): LaidColumn[] {
  const { name, format = formatCell, right, optional } = typeof column === "string"
    ? { name: column }
    : column;
  const there = values.filter((value) => value !== undefined && value !== null && value !== "");
  if (optional && there.length === 0) return [];
  const isNumber = (value: unknown) => typeof value === "number" || typeof value === "bigint";
  return [{
    name,
    values,
    cells: values.map((value) => format(value)),
    right: right ?? (there.length > 0 && there.every(isNumber)),
  }];
}

function html(columns: readonly LaidColumn[], rows: number, caption: string, more: string): string {
  // JupyterLab lays every cell to the right that does not say otherwise.
  const cell = (tag: string, text: string, right: boolean) =>
    `<${tag} style="text-align:${right ? "right" : "left"}">${escapeHtml(text)}</${tag}>`;
  const row = (tag: string, text: (column: LaidColumn) => string) =>
    `<tr>${columns.map((column) => cell(tag, text(column), column.right)).join("")}</tr>`;
  const body = Array.from({ length: rows }, (_, i) => row("td", ({ cells }) => cells[i]!));
  const foot = more === ""
    ? ""
    : `<tfoot><tr><td colspan="${columns.length}" style="text-align:left">${more}</td></tr></tfoot>`;
  return `<table class="tex2jax_ignore">${captionHtml(caption)}<thead>${
    row("th", ({ name }) => name)
  }</thead><tbody>${body.join("")}</tbody>${foot}</table>`;
}

function captionHtml(caption: string): string {
  return caption === "" ? "" : `<caption style="text-align:left">${escapeHtml(caption)}</caption>`;
}

function plain(
  columns: readonly LaidColumn[],
  rows: number,
  caption: string,
  more: string,
): string {
  const padded = columns.map(({ name, cells, right }) => {
    const lines = [name, ...cells].map(oneLine);
    const width = Math.max(...lines.map(textWidth));
    return lines.map((text) => pad(text, width, right));
  });
  const lines = Array.from({ length: rows + 1 }, (_, i) => {
    return padded.map((column) => column[i]!).join("  ").trimEnd();
  });
  const [above, below] = [oneLine(caption), more].map((line) => line === "" ? [] : [line]);
  return [...above!, ...lines, ...below!].join("\n");
}

/** A tabular data resource of Frictionless Data. */
function dataResource(columns: readonly LaidColumn[], rows: number, title: string): unknown {
  const names = distinct(columns.map(({ name }) => name));
  return {
    ...(title === "" ? {} : { title }),
    schema: {
      fields: columns.map(({ values }, i) => ({ name: names[i], type: fieldType(values) })),
    },
    data: Array.from({ length: rows }, (_, row) => {
      return Object.fromEntries(columns.map(({ values }, i) => [names[i], toJson(values[row])]));
    }),
  };
}

/** Names of fields that differ. */
function distinct(names: readonly string[]): string[] {
  const taken = new Set<string>();
  return names.map((name, at) => {
    let free = name || `column ${at}`;
    for (let i = 2; taken.has(free); i++) free = `${name} (${i})`;
    taken.add(free);
    return free;
  });
}

/**
 * Properties of one thing as a table.
 *
 * @param properties Names and values; what is null or undefined is left out.
 * @param caption What it is.
 */
export function propertiesBundle(
  properties: Iterable<readonly [name: string, value: unknown]>,
  caption: string,
): MimeBundle {
  const rows = [...properties].filter(([, value]) => value !== undefined && value !== null);
  return tableBundle(["property", { name: "value", right: false }], rows, caption);
}

/** Rows and columns that are shown of numbers. */
const GRID_ROWS = 10;
const GRID_COLUMNS = 8;

/**
 * The first rows of row-major numbers.
 *
 * @param data The numbers.
 * @param columns Numbers a row.
 * @param title What they are.
 * @param after Follows the title and what is left out.
 * @param format A number as text.
 */
export function gridBundle(
  data: ArrayLike<number | bigint>,
  columns: number,
  title: string,
  after = "",
  format: (value: unknown) => string = formatCell,
): MimeBundle {
  const rows = columns === 0 ? 0 : data.length / columns;
  const width = Math.min(columns, GRID_COLUMNS);
  const more = columns > width;
  const header = Array.from({ length: width }, (_, i) => ({ name: `${i}`, format }));
  const body = Array.from({ length: Math.min(rows, GRID_ROWS) }, (_, row) => {
    const cells = Array.from({ length: width }, (_, i) => data[row * columns + i]);
    return [row, ...cells, ...(more ? ["…"] : [])];
  });
  const left = rows > GRID_ROWS ? `; the first ${GRID_ROWS} of ${formatNumber(rows)} rows` : "";
  return tableBundle(["row", ...header, ...(more ? ["…"] : [])], body, title + left + after);
}

/** What says what it ran: results of searches and of linear algebra. */
interface Ran {
  readonly backend: string;
  readonly engine: string;
  readonly isa: string;
  readonly variants: readonly string[];
}

/** What ran, in a few words: backend, engine, instruction set and kernels. */
export function ranText({ backend, engine, isa, variants }: Ran): string {
  const on = [engine, isa].filter((part) => part !== "" && part !== "none");
  const kernels = variants.length > MOST_KERNELS
    ? [...variants.slice(0, MOST_KERNELS), "…"]
    : variants;
  return `${backend} (${on.join(", ")})${kernels.length > 0 ? `: ${kernels.join(", ")}` : ""}`;
}

/** The plain text of a bundle: what `console.log` shows. */
export function plainText(bundle: MimeBundle): string {
  return String(bundle["text/plain"] ?? "");
}

/**
 * Gives a plain object what notebooks and `console.log` ask for. Copies by spread, JSON and comparisons
 * do not see it.
 *
 * @param value The object; it is changed.
 * @param bundle What is shown of it; called when it is shown.
 * @returns The object.
 */
export function withDisplay<T extends object>(value: T, bundle: (value: T) => MimeBundle): T {
  const hidden = { enumerable: false, configurable: true, writable: true };
  return Object.defineProperties(value, {
    [Symbol.for("Jupyter.display")]: { ...hidden, value: () => bundle(value) },
    [Symbol.for("Deno.customInspect")]: { ...hidden, value: () => plainText(bundle(value)) },
  });
}
