/**
 * Files of indexes of bits, in FAISS's format.
 *
 * @module
 */

import { backend as selectedBackend } from "../backend/select.ts";
import type { IndexBinary } from "../index/binary/index_binary.ts";
import { writeAtomically } from "./atomic.ts";
import { ByteReader } from "./byte_reader.ts";
import { ByteWriter, fileSink } from "./byte_writer.ts";
import { readBinaryRecord } from "./faiss_binary_reader.ts";
import { writeBinaryRecord } from "./faiss_binary_writer.ts";
import type { ReadIndexOptions } from "./faiss_file.ts";

/**
 * Writes an index of bits to a file that FAISS reads too, atomically: a crash leaves the old file.
 *
 * @param index Index to write.
 * @param path File to write.
 *
 * @example
 * ```ts
 * import { IndexBinaryFlat, readIndexBinary, writeIndexBinary } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * using index = new IndexBinaryFlat(8);
 * await index.add(Uint8Array.of(0, 7));
 * const path = `${await Deno.makeTempDir()}/bits.faiss`;
 * await writeIndexBinary(index, path);
 *
 * using same = await readIndexBinary(path);
 * assert.deepEqual([...(await same.search(Uint8Array.of(3), 1)).labels], [1n]);
 * ```
 */
export async function writeIndexBinary(index: IndexBinary, path: string | URL): Promise<void> {
  await writeAtomically(path, async (file) => {
    const writer = new ByteWriter(fileSink(file));
    await writeBinaryRecord(writer, index);
    await writer.flush();
  });
}

/**
 * Reads an index of bits from a file written here or by FAISS. The file may come from anywhere: sizes
 * are checked against its length before memory is taken for them.
 *
 * @param path File to read.
 * @param options Backend to use.
 * @returns The index; the caller disposes of it.
 * @throws {FormatError} If the file is damaged, or of a kind that isn't available.
 */
export async function readIndexBinary(
  path: string | URL,
  options: Pick<ReadIndexOptions, "backend"> = {},
): Promise<IndexBinary> {
  using reader = await ByteReader.open(path);
  return await readWhole(reader, options);
}

/**
 * The bytes that {@linkcode writeIndexBinary} would put into a file.
 *
 * @param index Index to write.
 * @returns Bytes in FAISS's file format.
 */
export async function serializeIndexBinary(index: IndexBinary): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  const writer = new ByteWriter((bytes) => {
    parts.push(bytes.slice());
    return Promise.resolve();
  });
  await writeBinaryRecord(writer, index);
  await writer.flush();
  return await new Blob(parts).bytes();
}

/**
 * Reads an index of bits from bytes in FAISS's file format.
 *
 * @param bytes All of the file.
 * @param options Backend to use.
 * @returns The index; the caller disposes of it.
 * @throws {FormatError} If the bytes are damaged, or of a kind that isn't available.
 *
 * @example
 * ```ts
 * import {
 *   deserializeIndexBinary,
 *   indexBinaryFactory,
 *   serializeIndexBinary,
 * } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * using index = indexBinaryFactory(32, "BHNSW8");
 * using same = await deserializeIndexBinary(await serializeIndexBinary(index));
 * assert.deepEqual([same.d, same.ntotal], [32, 0]);
 * ```
 */
export async function deserializeIndexBinary(
  bytes: Uint8Array,
  options: Pick<ReadIndexOptions, "backend"> = {},
): Promise<IndexBinary> {
  return await readWhole(ByteReader.of(bytes), options);
}

async function readWhole(
  reader: ByteReader,
  { backend = selectedBackend() }: ReadIndexOptions,
): Promise<IndexBinary> {
  using stack = new DisposableStack();
  const index = stack.use(await readBinaryRecord({ reader, backend }));
  reader.end();
  stack.move();
  return index;
}
