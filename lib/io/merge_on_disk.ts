import { fileURLToPath } from "node:url";
import { NotTrainedError, UnsupportedError } from "../errors.ts";
import { IndexIVFPQFastScan } from "../index/fast_scan.ts";
import type { Index } from "../index/index.ts";
import { IndexIVF } from "../index/ivf.ts";
import { IndexIVFCodes } from "../index/ivf_codes.ts";
import { IndexIVFFlat } from "../index/ivf_flat.ts";
import { readIndex } from "./faiss_file.ts";
import { place, remember, writeData } from "./faiss_ondisk.ts";

/** How indexes are merged on disk. */
export interface MergeOnDiskOptions {
  /** Whether vectors get new ids: those of the first, then those of the second after them, and on. */
  shiftIds?: boolean;
}

/**
 * Fills a trained, empty index with the vectors of others, list by list, without ever holding more
 * than one list: they go to a new file, which the index maps. Write the index then; its file
 * names that of the lists. FAISS's `merge_ondisk`.
 *
 * @param index Index with inverted lists, trained and without vectors.
 * @param shards Indexes of the same training, or their files, which are mapped one by one.
 * @param path New file for the lists.
 * @param options Whether ids are shifted.
 * @throws {TypeError} If a shard has other lists.
 * @throws {UnsupportedError} If the lists hold codes in blocks, as those of a fast scan, or the backend
 * cannot map files.
 *
 * @example
 * ```ts
 * import { indexFactory, IndexIVF, mergeOnDisk, Random, readIndex } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * const random = new Random(1);
 * const x = Float32Array.from({ length: 400 * 4 }, () => random.normal());
 * using index = indexFactory(4, "IVF4,Flat");
 * await index.train(x);
 * assert(index instanceof IndexIVF);
 * const folder = await Deno.makeTempDir();
 * await index.save(`${folder}/trained.faiss`);
 * for (const half of [0, 1]) {
 *   using shard = await readIndex(`${folder}/trained.faiss`);
 *   await shard.add(x.subarray(half * 800, half * 800 + 800));
 *   await shard.save(`${folder}/shard${half}.faiss`);
 * }
 * if (index.backend.mapFile !== undefined) {
 *   const shards = [`${folder}/shard0.faiss`, `${folder}/shard1.faiss`];
 *   await mergeOnDisk(index, shards, `${folder}/all.ivfdata`, { shiftIds: true });
 *   assert.equal(index.ntotal, 400);
 * }
 * ```
 */
export async function mergeOnDisk(
  index: IndexIVF,
  shards: readonly (IndexIVF | string | URL)[],
  path: string | URL,
  { shiftIds = false }: MergeOnDiskOptions = {},
): Promise<void> {
  const name = path instanceof URL ? fileURLToPath(path) : path;
  const { backend, nlist } = index;
  if (backend.mapFile === undefined) {
    throw new UnsupportedError(`Cannot merge on disk: the ${backend.name} backend maps no files`);
  }
  if (index instanceof IndexIVFPQFastScan) {
    throw new UnsupportedError("Cannot merge on disk: codes in blocks are not mapped");
  }
  if (!index.isTrained) throw new NotTrainedError("Cannot merge on disk: call train() first");
  if (index.ntotal > 0) throw new TypeError("Cannot merge on disk: the index has vectors already");
  using stack = new DisposableStack();
  const parts: IndexIVF[] = [];
  for (const shard of shards) {
    const part: Index = shard instanceof IndexIVF
      ? shard
      : stack.use(await readIndex(shard, { backend, mmap: true }));
    index.checkMergeable(part);
    parts.push(part as IndexIVF);
  }
  const sizes = new Float64Array(nlist);
  const firstIds: bigint[] = [];
  let total = 0n;
  for (const part of parts) {
    firstIds.push(shiftIds ? total : 0n);
    total += BigInt(part.ntotal);
    part.store.sizes().forEach((size, list) => sizes[list]! += size);
  }
  const codeSize = bytesOfRow(index);
  const origin = place(name, sizes, codeSize);
  await writeData(origin, codeSize, function* (list) {
    for (const [i, part] of parts.entries()) {
      const { rows, ids } = listOf(part, list);
      yield { rows, ids: firstIds[i] === 0n ? ids : ids.map((id) => id + firstIds[i]!) };
    }
  });
  if (total === 0n) return;
  using file = backend.mapFile(await Deno.realPath(name));
  await index.takeLists(file, origin.places);
  remember(index.store, origin);
}

function bytesOfRow(index: IndexIVF): number {
  return index instanceof IndexIVFCodes ? index.codec.codeSize : 4 * index.d;
}

/** Copies of a list's rows, as files have them, and its ids. */
function listOf(index: IndexIVF, list: number): { rows: ArrayBufferView; ids: BigInt64Array } {
  if (index instanceof IndexIVFFlat) {
    const { x: rows, ids } = index.store.list(list);
    return { rows, ids };
  }
  if (index instanceof IndexIVFCodes) {
    const { codes: rows, ids } = index.store.list(list);
    return { rows, ids };
  }
  throw new UnsupportedError(`Cannot merge on disk: the lists of ${index.constructor.name}`);
}
