import type { Backend } from "../backend/backend.ts";
import { backend as selectedBackend } from "../backend/select.ts";
import type { Index } from "../index/index.ts";
import { writeAtomically } from "./atomic.ts";
import { ByteReader } from "./byte_reader.ts";
import { ByteWriter, fileSink } from "./byte_writer.ts";
import { readRecord } from "./faiss_reader.ts";
import { writeRecord } from "./faiss_writer.ts";

/** How an index is read. */
export interface ReadIndexOptions {
  /** Backend that will hold and search it; the selected one unless given. */
  backend?: Backend;
}

/**
 * Writes an index to a file that FAISS reads too, atomically: a crash leaves the old file.
 * {@linkcode Metric.Cosine} isn't known to FAISS, which refuses such a file; normalise
 * the vectors and use the inner product if it has to read them.
 *
 * @param index Index to write.
 * @param path File to write.
 * @throws {UnsupportedError} If the index has no file format.
 *
 * @example
 * ```ts
 * import { IndexFlatL2, readIndex, writeIndex } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * using index = new IndexFlatL2(2);
 * await index.add([[0, 0], [3, 4]]);
 * const path = `${await Deno.makeTempDir()}/points.faiss`;
 * await writeIndex(index, path);
 *
 * using same = await readIndex(path);
 * assert.deepEqual([...(await same.search([[3, 3]], 1)).labels], [1n]);
 * ```
 */
export async function writeIndex(index: Index, path: string | URL): Promise<void> {
  await writeAtomically(path, async (file) => {
    const writer = new ByteWriter(fileSink(file));
    await writeRecord(writer, index);
    await writer.flush();
  });
}

/**
 * Reads an index from a file written here or by FAISS. The file may come from anywhere: sizes
 * are checked against its length before memory is taken for them.
 *
 * @param path File to read.
 * @param options Backend to use.
 * @returns The index; the caller disposes of it.
 * @throws {FormatError} If the file is damaged, or of a kind that isn't available.
 *
 * @example A damaged file
 * ```ts
 * import { FormatError, readIndex } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * const path = `${await Deno.makeTempDir()}/points.faiss`;
 * await Deno.writeTextFile(path, "IxF2");
 * await assert.rejects(readIndex(path), FormatError);
 * ```
 */
export async function readIndex(
  path: string | URL,
  options: ReadIndexOptions = {},
): Promise<Index> {
  using reader = await ByteReader.open(path);
  return await readWhole(reader, options);
}

/**
 * The bytes that {@linkcode writeIndex} would put into a file.
 *
 * @param index Index to write.
 * @returns Bytes in FAISS's file format.
 * @throws {UnsupportedError} If the index has no file format.
 *
 * @example
 * ```ts
 * import { deserializeIndex, IndexFlatL2, serializeIndex } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * using index = new IndexFlatL2(2);
 * await index.add([[3, 4]]);
 * const bytes = await serializeIndex(index);
 * using same = await deserializeIndex(bytes);
 * assert.deepEqual([...same.reconstruct(0)], [3, 4]);
 * ```
 */
export async function serializeIndex(index: Index): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  const writer = new ByteWriter((bytes) => {
    parts.push(bytes.slice());
    return Promise.resolve();
  });
  await writeRecord(writer, index);
  await writer.flush();
  return await new Blob(parts).bytes();
}

/**
 * Reads an index from bytes in FAISS's file format.
 *
 * @param bytes All of the file.
 * @param options Backend to use.
 * @returns The index; the caller disposes of it.
 * @throws {FormatError} If the bytes are damaged, or of a kind that isn't available.
 *
 * @example
 * ```ts
 * import { deserializeIndex, IndexFlatIP, serializeIndex } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * using index = new IndexFlatIP(3);
 * using same = await deserializeIndex(await serializeIndex(index));
 * assert.deepEqual([same.d, same.ntotal], [3, 0]);
 * ```
 */
export async function deserializeIndex(
  bytes: Uint8Array,
  options: ReadIndexOptions = {},
): Promise<Index> {
  return await readWhole(ByteReader.of(bytes), options);
}

async function readWhole(
  reader: ByteReader,
  { backend = selectedBackend() }: ReadIndexOptions,
): Promise<Index> {
  using stack = new DisposableStack();
  const index = stack.use(await readRecord({ reader, backend }));
  reader.end();
  stack.move();
  return index;
}
