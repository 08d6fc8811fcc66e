import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Backend } from "../backend/backend.ts";
import { backend as selectedBackend } from "../backend/select.ts";
import { UnsupportedError } from "../errors.ts";
import type { Index } from "../index/index.ts";
import { writeAtomically } from "./atomic.ts";
import { ByteReader } from "./byte_reader.ts";
import { ByteWriter, fileSink } from "./byte_writer.ts";
import { openMapped, openNamed } from "./faiss_map.ts";
import { readRecord } from "./faiss_reader.ts";
import { writeRecord } from "./faiss_writer.ts";

/** How an index is read. */
export interface ReadIndexOptions {
  /** Backend that will hold and search it; the selected one unless given. */
  backend?: Backend;
  /**
   * Whether vectors, codes, graphs and inverted lists stay in the file, which is mapped into memory:
   * it opens in milliseconds whatever its size, and takes no heap. Numbers in it are not checked,
   * as reading does; a search never leaves the file. Vectors that change are copied first, lists one
   * by one. Searches throw a {@linkcode FormatError} once the file is shorter; replace it as
   * {@linkcode writeIndex} does, and the index keeps the old one. Other parts are read.
   */
  mmap?: boolean;
  /** Whether lists in a file of their own are looked for beside the index, not where it says. */
  ondiskSameDir?: boolean;
}

/** How an index is written. */
export interface WriteIndexOptions {
  /**
   * A new file that the inverted lists go to, as FAISS's OnDiskInvertedLists; the index names it as
   * given. It may be larger than memory: whoever reads the index maps it.
   */
  ondisk?: string | URL;
}

/**
 * Writes an index to a file that FAISS reads too, atomically: a crash leaves the old file.
 * {@linkcode Metric.Cosine} isn't known to FAISS, which refuses such a file; normalise
 * the vectors and use the inner product if it has to read them.
 *
 * @param index Index to write.
 * @param path File to write.
 * @param options Where inverted lists go.
 * @throws {UnsupportedError} If the index has no file format, or no lists that could go elsewhere.
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
export async function writeIndex(
  index: Index,
  path: string | URL,
  { ondisk }: WriteIndexOptions = {},
): Promise<void> {
  const lists = ondisk instanceof URL ? fileURLToPath(ondisk) : ondisk;
  let written: string | undefined;
  try {
    await writeAtomically(path, async (file) => {
      const writer = new ByteWriter(fileSink(file), lists);
      try {
        await writeRecord(writer, index);
      } finally {
        written = writer.listsWritten;
      }
      if (lists !== undefined && written === undefined) {
        throw new UnsupportedError(
          `Cannot write lists to ${JSON.stringify(lists)}: the index has none`,
        );
      }
      await writer.flush();
    });
  } catch (error) {
    if (written !== undefined) await Deno.remove(written);
    throw error;
  }
}

/**
 * Reads an index from a file written here or by FAISS. The file may come from anywhere: sizes
 * are checked against its length before memory is taken for them.
 *
 * @param path File to read.
 * @param options Backend to use, and whether the file is mapped.
 * @returns The index; the caller disposes of it.
 * @throws {FormatError} If the file is damaged, or of a kind that isn't available.
 * @throws {UnsupportedError} If it is to be mapped and the backend cannot.
 *
 * @example A file that is searched where it lies
 * ```ts
 * import { backend, IndexFlatL2, readIndex, writeIndex } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * using index = new IndexFlatL2(2);
 * await index.add([[0, 0], [3, 4]]);
 * const path = `${await Deno.makeTempDir()}/points.faiss`;
 * await writeIndex(index, path);
 *
 * if (backend().mapFile !== undefined) {
 *   using same = await readIndex(path, { mmap: true });
 *   assert.equal(same.memoryUsage(), 0);
 *   assert.deepEqual([...(await same.search([[3, 3]], 1)).labels], [1n]);
 * }
 * ```
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
  const { backend = selectedBackend(), mmap = false, ondiskSameDir = false } = options;
  using reader = await (mmap ? openMapped(path, backend) : ByteReader.open(path));
  const folder = dirname(path instanceof URL ? fileURLToPath(path) : path);
  reader.openOther = (name) => {
    return openNamed(reader, ondiskSameDir ? join(folder, basename(name)) : name, backend);
  };
  return await readWhole(reader, backend);
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
  options: Pick<ReadIndexOptions, "backend"> = {},
): Promise<Index> {
  return await readWhole(ByteReader.of(bytes), options.backend ?? selectedBackend());
}

async function readWhole(reader: ByteReader, backend: Backend): Promise<Index> {
  using stack = new DisposableStack();
  const index = stack.use(await readRecord({ reader, backend }));
  reader.end();
  stack.move();
  return index;
}
