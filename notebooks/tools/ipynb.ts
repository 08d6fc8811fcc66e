/**
 * Notebooks as files: nbformat 4.
 *
 * @module
 */

import { join } from "node:path";

/** Text as nbformat keeps it: whole, or in lines. */
export type Multiline = string | readonly string[];

/** What a cell displayed, by MIME type. */
export interface Displayed {
  output_type: "display_data" | "execute_result";
  data: Readonly<Record<string, unknown>>;
  metadata?: Readonly<Record<string, unknown>>;
}

/** What a cell printed. */
export interface Printed {
  output_type: "stream";
  name: string;
  text: Multiline;
}

/** What a cell threw. */
export interface Thrown {
  output_type: "error";
  ename: string;
  evalue: string;
  traceback: readonly string[];
}

/** One output of a cell. */
export type Output = Displayed | Printed | Thrown;

/** One cell. */
export interface Cell {
  cell_type: "markdown" | "code" | "raw";
  id?: string;
  source: Multiline;
  metadata: Readonly<Record<string, unknown>>;
  /** Of code cells. */
  outputs?: readonly Output[];
}

/** A notebook. */
export interface Notebook {
  nbformat: number;
  nbformat_minor: number;
  metadata: Readonly<Record<string, unknown>>;
  cells: readonly Cell[];
}

/**
 * The text of a field that may be in lines.
 *
 * @param text As nbformat has it.
 */
export function joined(text: Multiline): string {
  return typeof text === "string" ? text : text.join("");
}

/**
 * One type of an output as text; undefined where the output has none of that type.
 *
 * @param output What a cell displayed.
 * @param type MIME type.
 */
export function textOf(output: Displayed, type: string): string | undefined {
  const value = output.data[type];
  return typeof value === "string" || isLines(value) ? joined(value) : undefined;
}

/**
 * Reads a notebook.
 *
 * @param text The file's text.
 * @param name The file's name, for messages.
 * @throws {SyntaxError} Where it is not JSON, not nbformat 4, or has no cells.
 */
export function parseNotebook(text: string, name: string): Notebook {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new SyntaxError(`Cannot read ${name}: not JSON (${(cause as Error).message})`, { cause });
  }
  const reason = findFault(value);
  if (reason !== undefined) throw new SyntaxError(`Cannot read ${name}: ${reason}`);
  return value as Notebook;
}

/**
 * The notebooks of a folder.
 *
 * @param folder Its path.
 * @returns Each notebook, by file name, in order.
 * @throws {Deno.errors.NotFound} If the folder has none.
 * @throws {SyntaxError} If a file is no notebook.
 */
export async function readNotebooks(folder: string): Promise<Map<string, Notebook>> {
  const names: string[] = [];
  for await (const { name } of Deno.readDir(folder)) {
    if (name.endsWith(".ipynb")) names.push(name);
  }
  if (names.length === 0) {
    throw new Deno.errors.NotFound(`Cannot read notebooks: ${folder} has none`);
  }
  const notebooks = new Map<string, Notebook>();
  for (const name of names.sort()) {
    notebooks.set(name, parseNotebook(await Deno.readTextFile(join(folder, name)), name));
  }
  return notebooks;
}

/** What is wrong with a notebook, if anything is. */
function findFault(value: unknown): string | undefined {
  if (!isObject(value)) return "not a notebook";
  if (value.nbformat !== 4) return `nbformat ${JSON.stringify(value.nbformat)}, not 4`;
  if (!isObject(value.metadata)) return "no metadata";
  if (!Array.isArray(value.cells) || value.cells.length === 0) return "no cells";
  for (const [i, cell] of value.cells.entries()) {
    const fault = findCellFault(cell);
    if (fault !== undefined) return `cell ${i + 1} ${fault}`;
  }
  return undefined;
}

function findCellFault(cell: unknown): string | undefined {
  if (!isObject(cell)) return "is not an object";
  if (!["markdown", "code", "raw"].includes(String(cell.cell_type))) return "is of no known type";
  if (!isText(cell.source)) return "has no source";
  if (!isObject(cell.metadata)) return "has no metadata";
  if (cell.cell_type !== "code") return undefined;
  if (!Array.isArray(cell.outputs)) return "has no list of outputs";
  return cell.outputs.every(isOutput) ? undefined : "has a broken output";
}

function isOutput(output: unknown): boolean {
  if (!isObject(output)) return false;
  switch (output.output_type) {
    case "stream":
      return typeof output.name === "string" && isText(output.text);
    case "error":
      return typeof output.ename === "string" && typeof output.evalue === "string" &&
        isLines(output.traceback);
    case "display_data":
    case "execute_result":
      return isObject(output.data);
    default:
      return false;
  }
}

function isText(value: unknown): boolean {
  return typeof value === "string" || isLines(value);
}

function isLines(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((line) => typeof line === "string");
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
