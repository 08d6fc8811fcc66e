/**
 * What was published, from `data/published.csv`.
 *
 * @module
 */

import { FormatError } from "../errors.ts";

/** A published figure. */
export interface Published {
  /** Its line in the table; the first figure is on line 2. */
  line: number;
  /** Id of the experiment. */
  experiment_id: string;
  /** What it was published in. */
  source: string;
  /** When; empty where it is not known. */
  date: string;
  /** What was measured. */
  experiment: string;
  /** At which sizes. */
  shape: string;
  /** Which way of doing it. */
  variant: string;
  /** What the value is: a time, a speed-up … */
  metric: string;
  /** The figure. */
  value: number;
  /** Of the value; empty for errors. */
  unit: string;
  /** Whether the figure can be right. */
  status: "valid" | "disputed" | "invalid" | "claim" | "target";
  /** Why not. */
  note: string;
}

/** Some of the published figures. */
export interface PublishedFilter {
  /** Id that they were published under. */
  id: string;
  /** What they were measured in, where an id stands for several. */
  experiment?: RegExp;
}

const TABLE = new URL("../../data/published.csv", import.meta.url);
const COLUMNS = [
  ...["experiment_id", "source", "date", "experiment", "shape", "variant", "metric", "value"],
  ...["unit", "status", "note"],
];
/** A cell, and what ends it. */
const CELL = /("(?:[^"]|"")*"|[^",]*)(,|$)/y;

/**
 * Reads the published figures.
 *
 * @param which Ids or filters; by default all.
 * @param table The table; by default the one that comes with this module.
 * @returns The figures that any of them claims, in the table's order.
 * @throws {FormatError} If the table is not what it should be, with the line.
 *
 * @example
 * ```ts
 * import { readPublished } from "@metalfaiss/metalfaiss/journal";
 * import assert from "node:assert/strict";
 *
 * const [first] = await readPublished(["J2"]);
 * assert.deepEqual([first!.value, first!.unit, first!.status], [0.0147, "s", "valid"]);
 * ```
 */
export async function readPublished(
  which?: readonly (string | PublishedFilter)[],
  table: string | URL = TABLE,
): Promise<Published[]> {
  const [header, ...lines] = (await readText(table)).trimEnd().split(/\r?\n/);
  const fail = (line: number, reason: string): never => {
    throw new FormatError(`Cannot read ${table}: line ${line}: ${reason}`, { path: `${table}` });
  };
  if (header !== COLUMNS.join()) fail(1, `its columns are not ${COLUMNS.join()}`);
  const figures = lines.map((text, i): Published => {
    const line = i + 2;
    const cells = cellsOf(text);
    if (cells?.length !== COLUMNS.length) fail(line, `it has not ${COLUMNS.length} cells`);
    const row = Object.fromEntries(COLUMNS.map((name, at) => [name, cells![at]!]));
    const value = Number(row.value);
    if (row.value === "" || !Number.isFinite(value)) fail(line, `"${row.value}" is no number`);
    return { ...row, line, value } as unknown as Published;
  });
  if (which === undefined) return figures;
  return figures.filter((figure) => which.some((filter) => claims(filter, figure)));
}

/** Whether a figure is one of those. */
export function claims(filter: string | PublishedFilter, figure: Published): boolean {
  if (typeof filter === "string") return filter === figure.experiment_id;
  const { id, experiment = /^/ } = filter;
  return id === figure.experiment_id && experiment.test(figure.experiment);
}

/** Cells of a line; undefined where quotes do not fit. */
function cellsOf(line: string): string[] | undefined {
  const cells: string[] = [];
  CELL.lastIndex = 0;
  for (;;) {
    const match = CELL.exec(line);
    if (match === null) return undefined;
    const [, cell, end] = match;
    cells.push(cell!.startsWith('"') ? cell!.slice(1, -1).replaceAll('""', '"') : cell!);
    if (end === "") return cells;
  }
}

/** Text of a file, also of a module that was imported from a registry. */
async function readText(from: string | URL): Promise<string> {
  if (!(from instanceof URL) || from.protocol === "file:") return await Deno.readTextFile(from);
  const response = await fetch(from);
  const text = await response.text();
  if (response.ok) return text;
  throw new FormatError(`Cannot read ${from}: ${response.status} ${response.statusText}`);
}
