/**
 * Files whose rows stay where they are.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import type { Backend, MappableRows } from "../backend/backend.ts";
import { UnsupportedError } from "../errors.ts";
import { ByteReader } from "./byte_reader.ts";

/**
 * Opens a file, and maps it. Deno checks the permission to read it; what the library maps has to
 * be the same file.
 *
 * @throws {UnsupportedError} If the backend cannot map files.
 */
export async function openMapped(path: string | URL, backend: Backend): Promise<ByteReader> {
  if (backend.mapFile === undefined) {
    throw new UnsupportedError(
      `Cannot map ${JSON.stringify(String(path))}: the ${backend.name} backend has no file maps`,
    );
  }
  using stack = new DisposableStack();
  const reader = stack.use(await ByteReader.open(path));
  if (reader.size === 0) return stack.move(), reader;
  const absolute = await Deno.realPath(path instanceof URL ? fileURLToPath(path) : path);
  const map = stack.use(backend.mapFile(absolute));
  if (!await reader.isFile(map)) reader.fail("another file took its place while it was opened");
  reader.map = map;
  stack.move();
  return reader;
}

/** Opens a file that another one names: mapped where the backend can, as it may be large. */
export async function openNamed(
  reader: ByteReader,
  name: string,
  backend: Backend,
): Promise<ByteReader> {
  try {
    const { isFile } = await Deno.stat(name);
    if (!isFile) reader.fail(`lists are in ${JSON.stringify(name)}, which is no file`);
    return await (backend.mapFile ? openMapped(name, backend) : ByteReader.open(name));
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return reader.fail(`lists are in ${JSON.stringify(name)}, which is not there`);
  }
}

/**
 * Leaves `n` rows of `rowBytes` where they are, if the file is mapped and the store can.
 *
 * @returns Whether it did; the reader is behind them then.
 */
export function mapRows(
  reader: ByteReader,
  store: MappableRows,
  n: number,
  rowBytes: number,
): boolean {
  if (reader.map === undefined || store.map === undefined || n === 0) return false;
  reader.need(n * rowBytes, "the vectors");
  store.map(reader.map, reader.offset, n);
  reader.offset += n * rowBytes;
  return true;
}
