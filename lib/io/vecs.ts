import { Matrix } from "../matrix.ts";
import { writeAtomically } from "./atomic.ts";
import { ByteReader } from "./byte_reader.ts";
import { ByteWriter, fileSink } from "./byte_writer.ts";

const CHUNK = 16 * 1024 * 1024;

/** Rows of a file that holds something other than 32-bit floats. */
export interface Rows<T> {
  /** Row-major values, `rows × columns`. */
  data: T;
  /** Number of rows. */
  rows: number;
  /** Values in a row. */
  columns: number;
}

/** Which rows to read. */
export interface VecsOptions {
  /** First row; 0 unless given. */
  start?: number;
  /** Most rows to read; all that follow unless given. */
  count?: number;
}

type Values = Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer> | Uint8Array<ArrayBuffer>;

/**
 * Reads an `.fvecs` file: each row is its dimension (32-bit) and that many floats.
 *
 * @param path File to read.
 * @param options First row and number of rows.
 * @returns The rows, `rows × columns`.
 * @throws {FormatError} If the file is empty or cut off, or its rows differ in dimension.
 * @throws {RangeError} If `start` or `count` is negative, fractional or past the end.
 *
 * @example Two rows of three
 * ```ts
 * import { Matrix } from "@metalfaiss/metalfaiss";
 * import { readFvecs, writeFvecs } from "@metalfaiss/metalfaiss/io";
 * import assert from "node:assert/strict";
 *
 * const path = `${await Deno.makeTempDir()}/base.fvecs`;
 * await writeFvecs(path, Matrix.from([[1, 2, 3], [4, 5, 6]]));
 * const last = await readFvecs(path, { start: 1 });
 * assert.deepEqual([...last.data], [4, 5, 6]);
 * ```
 */
export async function readFvecs(path: string | URL, options: VecsOptions = {}): Promise<Matrix> {
  const { data, columns } = await readVecs(path, options, Float32Array);
  return new Matrix(data, columns);
}

/**
 * Reads an `.ivecs` file: each row is its dimension (32-bit) and that many 32-bit
 * integers. Ground truth of nearest neighbours comes this way.
 *
 * @param path File to read.
 * @param options First row and number of rows.
 * @returns The rows, `rows × columns`.
 * @throws {FormatError} If the file is empty or cut off, or its rows differ in dimension.
 * @throws {RangeError} If `start` or `count` is negative, fractional or past the end.
 *
 * @example
 * ```ts
 * import { readIvecs, writeIvecs } from "@metalfaiss/metalfaiss/io";
 * import assert from "node:assert/strict";
 *
 * const path = `${await Deno.makeTempDir()}/truth.ivecs`;
 * await writeIvecs(path, { data: Int32Array.of(7, 9), rows: 1, columns: 2 });
 * assert.deepEqual([...(await readIvecs(path)).data], [7, 9]);
 * ```
 */
export function readIvecs(
  path: string | URL,
  options: VecsOptions = {},
): Promise<Rows<Int32Array>> {
  return readVecs(path, options, Int32Array);
}

/**
 * Reads a `.bvecs` file: each row is its dimension (32-bit) and that many bytes.
 *
 * @param path File to read.
 * @param options First row and number of rows.
 * @returns The rows, `rows × columns`.
 * @throws {FormatError} If the file is empty or cut off, or its rows differ in dimension.
 * @throws {RangeError} If `start` or `count` is negative, fractional or past the end.
 *
 * @example
 * ```ts
 * import { readBvecs, writeBvecs } from "@metalfaiss/metalfaiss/io";
 * import assert from "node:assert/strict";
 *
 * const path = `${await Deno.makeTempDir()}/base.bvecs`;
 * await writeBvecs(path, { data: Uint8Array.of(0, 255), rows: 2, columns: 1 });
 * assert.equal((await readBvecs(path)).rows, 2);
 * ```
 */
export function readBvecs(
  path: string | URL,
  options: VecsOptions = {},
): Promise<Rows<Uint8Array>> {
  return readVecs(path, options, Uint8Array);
}

/**
 * Writes an `.fvecs` file, atomically.
 *
 * @param path File to write.
 * @param rows Rows to write.
 * @throws {TypeError} If `data` isn't `rows × columns` long, or there is nothing to write.
 *
 * @example
 * ```ts
 * import { Matrix } from "@metalfaiss/metalfaiss";
 * import { writeFvecs } from "@metalfaiss/metalfaiss/io";
 * import assert from "node:assert/strict";
 *
 * const path = `${await Deno.makeTempDir()}/base.fvecs`;
 * await writeFvecs(path, Matrix.from([[1, 2, 3]]));
 * assert.equal((await Deno.stat(path)).size, 16);
 * ```
 */
export function writeFvecs(
  path: string | URL,
  rows: Matrix | Rows<Float32Array>,
): Promise<void> {
  return writeVecs(path, rows);
}

/**
 * Writes an `.ivecs` file, atomically.
 *
 * @param path File to write.
 * @param rows Rows to write.
 * @throws {TypeError} If `data` isn't `rows × columns` long, or there is nothing to write.
 *
 * @example
 * ```ts
 * import { writeIvecs } from "@metalfaiss/metalfaiss/io";
 * import assert from "node:assert/strict";
 *
 * const path = `${await Deno.makeTempDir()}/truth.ivecs`;
 * await writeIvecs(path, { data: Int32Array.of(7, 9), rows: 1, columns: 2 });
 * assert.equal((await Deno.stat(path)).size, 12);
 * ```
 */
export function writeIvecs(path: string | URL, rows: Rows<Int32Array>): Promise<void> {
  return writeVecs(path, rows);
}

/**
 * Writes a `.bvecs` file, atomically.
 *
 * @param path File to write.
 * @param rows Rows to write.
 * @throws {TypeError} If `data` isn't `rows × columns` long, or there is nothing to write.
 *
 * @example
 * ```ts
 * import { writeBvecs } from "@metalfaiss/metalfaiss/io";
 * import assert from "node:assert/strict";
 *
 * const path = `${await Deno.makeTempDir()}/base.bvecs`;
 * await writeBvecs(path, { data: Uint8Array.of(0, 255), rows: 2, columns: 1 });
 * assert.equal((await Deno.stat(path)).size, 10);
 * ```
 */
export function writeBvecs(path: string | URL, rows: Rows<Uint8Array>): Promise<void> {
  return writeVecs(path, rows);
}

interface Kind<T> {
  readonly BYTES_PER_ELEMENT: number;
  new (length: number): T;
}

async function readVecs<T extends Values>(
  path: string | URL,
  { start = 0, count = Infinity }: VecsOptions,
  kind: Kind<T>,
): Promise<Rows<T>> {
  if (!Number.isSafeInteger(start) || start < 0) {
    throw new RangeError(`Cannot read ${path}: start is ${start}, not a row`);
  }
  if (count !== Infinity && (!Number.isSafeInteger(count) || count < 0)) {
    throw new RangeError(`Cannot read ${path}: count is ${count}, not a number of rows`);
  }
  using reader = await ByteReader.open(path);
  const columns = await reader.i32("the dimension of row 0");
  if (columns < 1) reader.fail(`the dimension of row 0 is ${columns}`, 0);
  const rowBytes = 4 + columns * kind.BYTES_PER_ELEMENT;
  if (reader.size % rowBytes !== 0) {
    reader.fail(`${reader.size} bytes are not whole rows of ${rowBytes} bytes`, 0);
  }
  const total = reader.size / rowBytes;
  if (start > total) {
    throw new RangeError(`Cannot read ${path}: start is ${start} and the file has ${total} rows`);
  }
  const rows = Math.min(count, total - start);
  const data = new kind(rows * columns);
  const out = new Uint8Array(data.buffer);

  reader.offset = start * rowBytes;
  const chunkRows = Math.max(1, Math.min(rows, Math.floor(CHUNK / rowBytes)));
  const chunk = new Uint8Array(chunkRows * rowBytes);
  const view = new DataView(chunk.buffer);
  for (let row = 0; row < rows; row += chunkRows) {
    const n = Math.min(chunkRows, rows - row);
    const at = reader.offset;
    await reader.fill(chunk.subarray(0, n * rowBytes), "the rows");
    for (let i = 0; i < n; i++) {
      const d = view.getInt32(i * rowBytes, true);
      if (d !== columns) {
        reader.fail(
          `row ${start + row + i} has dimension ${d} and row 0 has ${columns}`,
          at + i * rowBytes,
        );
      }
      const values = chunk.subarray(i * rowBytes + 4, (i + 1) * rowBytes);
      out.set(values, (row + i) * (rowBytes - 4));
    }
  }
  return { data, rows, columns };
}

async function writeVecs<T extends Float32Array | Int32Array | Uint8Array>(
  path: string | URL,
  { data, rows, columns }: Rows<T>,
): Promise<void> {
  if (rows < 1 || columns < 1) throw new TypeError("Cannot write rows: there are none");
  if (data.length !== rows * columns) {
    throw new TypeError(
      `Cannot write rows: data has ${data.length} values and ${rows} × ${columns} are needed`,
    );
  }
  await writeAtomically(path, async (file) => {
    const writer = new ByteWriter(fileSink(file));
    for (let row = 0; row < rows; row++) {
      await writer.i32(columns);
      await writer.bytes(data.subarray(row * columns, (row + 1) * columns));
    }
    await writer.flush();
  });
}
