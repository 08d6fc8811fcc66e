import type { IndexFlatCodes } from "../index/flat_codes.ts";
import type { Index } from "../index/index.ts";
import type { IndexIVFCodes } from "../index/ivf_codes.ts";
import type { ByteReader } from "./byte_reader.ts";
import type { ByteWriter } from "./byte_writer.ts";
import { CHUNK_BYTES } from "./faiss_codes.ts";
import { readLists, restoreDirectMap, writeLists } from "./faiss_lists.ts";
import { mapRows } from "./faiss_map.ts";
import type { IVFHeader } from "./faiss_reader.ts";

/** Reads the codes of an index whose codec is trained, or that has none of them. */
export async function readFlatCodes(
  reader: ByteReader,
  index: IndexFlatCodes,
  ntotal: number,
): Promise<void> {
  const { codeSize } = index.codec;
  const at = reader.offset;
  const length = await reader.count("the codes", 1);
  if (BigInt(length) !== BigInt(ntotal) * BigInt(codeSize)) {
    reader.fail(`${length} bytes where ${ntotal} codes of ${codeSize} are needed`, at);
  }
  if (ntotal > 0 && !index.isTrained) {
    reader.fail(`an untrained index has ${ntotal} vectors`, at);
  }
  if (ntotal === 0 || mapRows(reader, index.store, ntotal, codeSize)) return;
  const rows = Math.max(1, Math.floor(CHUNK_BYTES / codeSize));
  const chunk = new Uint8Array(Math.min(rows, ntotal) * codeSize);
  for (let row = 0; row < ntotal; row += rows) {
    const part = chunk.subarray(0, Math.min(rows, ntotal - row) * codeSize);
    await reader.fill(part, "the codes");
    await index.store.add(part);
  }
}

/** An index that has codes in order: alone, or in a graph. */
export interface CodesInOrder extends Index {
  /** Bytes of a code. */
  readonly saCodeSize: number;
  /** Where the codes are. */
  readonly store: { codes(start: number, n: number): Uint8Array };
}

/** Writes the codes of an index. */
export async function writeFlatCodes(writer: ByteWriter, index: CodesInOrder): Promise<void> {
  const { ntotal, saCodeSize: codeSize } = index;
  await writer.u64(ntotal * codeSize);
  const rows = Math.max(1, Math.floor(CHUNK_BYTES / codeSize));
  for (let row = 0; row < ntotal; row += rows) {
    await writer.bytes(index.store.codes(row, Math.min(rows, ntotal - row)));
  }
}

/** Reads the lists of an index of which all else is there. */
export async function readCodeLists(
  reader: ByteReader,
  index: IndexIVFCodes,
  { isTrained, nprobe, ntotal, lists, directMap }: IVFHeader,
): Promise<void> {
  const expected = { ...lists, codeSize: index.codec.codeSize };
  await readLists(reader, expected, () => ({
    ...isTrained ? { store: index.store } : {},
    add: (rows, lists, ids) => index.store.add(rows, lists, ids),
  }));
  const store = isTrained ? index.store : undefined;
  index.restore({ nprobe, ntotal, store });
  await restoreDirectMap(reader, index, directMap);
}

/** Writes the lists of an index: empty ones before training. */
export async function writeCodeLists(writer: ByteWriter, index: IndexIVFCodes): Promise<void> {
  const store = index.isTrained ? index.store : undefined;
  const sizes = store?.sizes() ?? new Float64Array(index.nlist);
  await writeLists(writer, sizes, index.codec.codeSize, (list) => {
    const { codes: rows, ids } = index.store.list(list);
    return { rows, ids };
  }, store);
}
