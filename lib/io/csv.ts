import type { CsvError, Options } from "npm:csv-parse@7.0.3/sync";
import { FormatError } from "../errors.ts";
import { Matrix } from "../matrix.ts";
import { writeAtomically } from "./atomic.ts";
import { ByteWriter, fileSink } from "./byte_writer.ts";

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/** How a CSV file is read. */
export interface CsvOptions {
  /** Whether the first line names the columns and is skipped; false unless given. */
  header?: boolean;
  /** What separates cells; a comma unless given. */
  delimiter?: string;
}

/** How a CSV file is written. */
export interface CsvWriteOptions {
  /** Names of the columns, for a first line; none unless given. */
  header?: readonly string[];
  /** What separates cells; a comma unless given. */
  delimiter?: string;
}

/**
 * Reads a CSV file of numbers, one vector a line. Empty lines are skipped. The parser is loaded by the
 * first call, so that nothing else needs npm.
 *
 * @param path File to read, in UTF-8.
 * @param options Delimiter and whether there is a header.
 * @returns The rows, `lines × cells`.
 * @throws {FormatError} If a cell isn't a finite number or a line has another number of cells than
 * the first, with line and column, or there are no rows.
 * @throws {TypeError} If the npm package csv-parse cannot be loaded.
 *
 * @example
 * ```ts
 * import { readCsv } from "@metalfaiss/metalfaiss/io";
 * import assert from "node:assert/strict";
 *
 * const path = `${await Deno.makeTempDir()}/points.csv`;
 * await Deno.writeTextFile(path, "x;y\n1;2.5\n-3;4e2\n");
 * const points = await readCsv(path, { header: true, delimiter: ";" });
 * assert.deepEqual([...points.row(1)], [-3, 400]);
 * ```
 */
export async function readCsv(path: string | URL, options: CsvOptions = {}): Promise<Matrix> {
  return await parseCsv(await Deno.readTextFile(path), String(path), options);
}

/**
 * Writes rows as CSV, atomically, each number as the shortest text that reads back to the
 * same 32-bit float.
 *
 * @param path File to write.
 * @param rows Rows to write.
 * @param options Delimiter and names of columns.
 * @throws {TypeError} If `header` has another length than a row.
 *
 * @example
 * ```ts
 * import { Matrix } from "@metalfaiss/metalfaiss";
 * import { writeCsv } from "@metalfaiss/metalfaiss/io";
 * import assert from "node:assert/strict";
 *
 * const path = `${await Deno.makeTempDir()}/points.csv`;
 * await writeCsv(path, Matrix.from([[0.1, 2]]), { header: ["x", "y"] });
 * assert.equal(await Deno.readTextFile(path), "x,y\n0.1,2\n");
 * ```
 */
export async function writeCsv(
  path: string | URL,
  rows: Matrix,
  { header, delimiter = "," }: CsvWriteOptions = {},
): Promise<void> {
  if (header !== undefined && header.length !== rows.columns) {
    throw new TypeError(
      `Cannot write CSV: header has ${header.length} names and rows have ${rows.columns} cells`,
    );
  }
  await writeAtomically(path, async (file) => {
    const writer = new ByteWriter(fileSink(file));
    if (header !== undefined) {
      await writer.text(header.map((name) => quote(name, delimiter)).join(delimiter) + "\n");
    }
    for (let i = 0; i < rows.rows; i++) {
      await writer.text(Array.from(rows.row(i), shortest).join(delimiter) + "\n");
    }
    await writer.flush();
  });
}

/** Parses CSV text; `path` is for messages. */
async function parseCsv(
  text: string,
  path: string,
  { header = false, delimiter = "," }: CsvOptions,
): Promise<Matrix> {
  const { parse } = await import("npm:csv-parse@7.0.3/sync");
  let data = new Float32Array(1024);
  let columns = -1;
  let rows = 0;
  const fail = (line: number, reason: string): never => {
    throw new FormatError(`Cannot read ${JSON.stringify(path)}: line ${line}: ${reason}`, { path });
  };
  const takeRow = (cells: string[], { lines }: { lines: number }): null => {
    if (columns === -1) columns = cells.length;
    if (cells.length !== columns) {
      fail(lines, `it has ${cells.length} cells and the first row has ${columns}`);
    }
    const start = rows++ * columns;
    if (start + columns > data.length) {
      const larger = new Float32Array(2 * (start + columns));
      larger.set(data);
      data = larger;
    }
    cells.forEach((cell, column) => {
      const trimmed = cell.trim();
      const value = NUMBER.test(trimmed) ? Math.fround(Number(trimmed)) : NaN;
      if (!Number.isFinite(value)) {
        fail(lines, `column ${column + 1}: ${JSON.stringify(cell)} is not a 32-bit number`);
      }
      data[start + column] = value;
    });
    return null;
  };
  const options: Options<string[]> = {
    bom: true,
    delimiter,
    from: header ? 2 : 1,
    on_record: takeRow,
    relax_column_count: true,
    skip_empty_lines: true,
  };
  try {
    parse(text, options);
  } catch (error) {
    if (error instanceof FormatError) throw error;
    fail(Number((error as CsvError)["lines"]), (error as CsvError).message);
  }
  if (rows === 0) fail(1, "there are no rows");
  return new Matrix(data.slice(0, rows * columns), columns);
}

/** The shortest decimal text of a 32-bit float: 0.1, not 0.10000000149011612. */
function shortest(value: number): string {
  for (let digits = 6; digits < 9; digits++) {
    const text = String(Number(value.toPrecision(digits)));
    if (Math.fround(Number(text)) === value) return text;
  }
  return String(value);
}

function quote(name: string, delimiter: string): string {
  return name.includes(delimiter) || /["\r\n]/.test(name)
    ? `"${name.replaceAll('"', '""')}"`
    : name;
}
