import type { CodeBlocks } from "../codec/code_blocks.ts";
import type { IndexFlatCodes } from "../index/flat_codes.ts";
import type { IndexIVFCodes } from "../index/ivf_codes.ts";
import type { ByteReader } from "./byte_reader.ts";
import type { ByteWriter } from "./byte_writer.ts";
import { CHUNK_BYTES } from "./faiss_codes.ts";
import { type ListsExpected, restoreDirectMap } from "./faiss_lists.ts";
import type { IVFHeader } from "./faiss_reader.ts";

/** What FAISS writes for the size of a code where it is that of a part of a block. */
const NO_CODE_SIZE = 2n ** 64n - 1n;

/** Codes that whole blocks of a chunk hold. */
function chunkCodes({ bbs, blockBytes }: CodeBlocks): number {
  return Math.max(1, Math.floor(CHUNK_BYTES / blockBytes)) * bbs;
}

/** Reads codes in blocks of an index that is trained, or that has none of them. */
export async function readBlockCodes(
  reader: ByteReader,
  index: IndexFlatCodes,
  blocks: CodeBlocks,
  ntotal: number,
): Promise<void> {
  const at = reader.offset;
  const length = await reader.count("the codes", 1);
  if (length !== blocks.bytesOf(ntotal)) {
    reader.fail(
      `${length} bytes where blocks of ${ntotal} codes have ${blocks.bytesOf(ntotal)}`,
      at,
    );
  }
  if (ntotal > 0 && !index.isTrained) {
    reader.fail(`an untrained index has ${ntotal} vectors`, at);
  }
  const step = chunkCodes(blocks);
  const chunk = new Uint8Array(blocks.bytesOf(Math.min(step, ntotal)));
  for (let row = 0; row < ntotal; row += step) {
    const n = Math.min(step, ntotal - row);
    const part = chunk.subarray(0, blocks.bytesOf(n));
    await reader.fill(part, "the codes");
    await index.store.add(blocks.unpack(part, n));
  }
}

/** Writes the codes of an index in blocks. */
export async function writeBlockCodes(
  writer: ByteWriter,
  index: IndexFlatCodes,
  blocks: CodeBlocks,
): Promise<void> {
  const { ntotal } = index;
  await writer.u64(blocks.bytesOf(ntotal));
  const step = chunkCodes(blocks);
  for (let row = 0; row < ntotal; row += step) {
    await writer.bytes(blocks.pack(index.store.codes(row, Math.min(step, ntotal - row))));
  }
}

/** Where the rows of a list are in a file. */
interface ListAt {
  size: number;
  ids: number;
  codes: number;
}

/** Checks lists in blocks, without reading what they hold. */
async function checkBlockLists(
  reader: ByteReader,
  blocks: CodeBlocks,
  { codeSize: wanted, nlist, ntotal }: ListsExpected,
): Promise<ListAt[]> {
  const at = reader.offset;
  const count = await reader.u64("the number of inverted lists");
  if (count !== BigInt(nlist)) reader.fail(`${count} inverted lists where nlist is ${nlist}`, at);
  const codeSize = await reader.u64("the code size");
  if (codeSize !== NO_CODE_SIZE && codeSize !== BigInt(wanted)) {
    reader.fail(`codes have ${codeSize} bytes and ${wanted} are needed`, at + 8);
  }
  const bbs = await reader.u64("the codes of a block");
  if (bbs !== BigInt(blocks.bbs)) {
    reader.fail(`blocks of lists have ${bbs} codes and those of the index ${blocks.bbs}`, at + 16);
  }
  const bytes = await reader.u64("the bytes of a block");
  if (bytes !== BigInt(blocks.blockBytes)) {
    reader.fail(`blocks have ${bytes} bytes and ${blocks.blockBytes} are needed`, at + 24);
  }
  // Two lengths a list: a list takes memory only where bytes are behind it.
  reader.need(16 * nlist, "the inverted lists");
  const lists: ListAt[] = [];
  let total = 0;
  for (let list = 0; list < nlist; list++) {
    const start = reader.offset;
    const size = await reader.count(`the ids of list ${list}`, 8);
    const ids = reader.offset;
    reader.offset += 8 * size;
    const length = await reader.count(`the codes of list ${list}`, 1);
    if (length !== blocks.bytesOf(size)) {
      reader.fail(
        `list ${list} of ${size} vectors has ${length} bytes of codes, not ${blocks.bytesOf(size)}`,
        start,
      );
    }
    lists.push({ size, ids, codes: reader.offset });
    reader.offset += length;
    total += size;
  }
  if (total !== ntotal) {
    reader.fail(`the inverted lists hold ${total} vectors and the header says ${ntotal}`, at);
  }
  return lists;
}

/** Reads the lists of an index of which all else is there. */
export async function readBlockLists(
  reader: ByteReader,
  index: IndexIVFCodes,
  blocks: CodeBlocks,
  { isTrained, nprobe, ntotal, lists: expected, directMap }: IVFHeader,
): Promise<void> {
  const at = reader.offset;
  const kind = await reader.text(4, "the inverted lists");
  let lists: ListAt[] = [];
  if (kind === "ilbl") {
    const { codeSize } = index.codec;
    lists = await checkBlockLists(reader, blocks, { ...expected, codeSize });
  } else if (kind !== "il00") {
    reader.fail(`${JSON.stringify(kind)} is no kind of lists of codes in blocks`, at);
  } else if (ntotal > 0) {
    reader.fail(`there are no lists and the header says ${ntotal} vectors`, at);
  }
  const end = reader.offset;
  await fillLists(reader, index, blocks, lists, expected.idLimit);
  reader.offset = end;
  index.restore({ nprobe, ntotal, store: isTrained ? index.store : undefined });
  await restoreDirectMap(reader, index, directMap);
}

/** Lists are small beside a chunk, or large: rows of many or of a part are taken at once. */
async function fillLists(
  reader: ByteReader,
  index: IndexIVFCodes,
  blocks: CodeBlocks,
  lists: ListAt[],
  idLimit: bigint,
): Promise<void> {
  const { codeSize, bbs } = blocks;
  const total = lists.reduce((sum, { size }) => sum + size, 0);
  if (total === 0) return;
  const room = Math.ceil(Math.min(total, chunkCodes(blocks)) / bbs) * bbs;
  const codes = new Uint8Array(room * codeSize);
  const [ids, to] = [new BigInt64Array(room), new BigInt64Array(room)];
  let used = 0;
  const flush = async () => {
    await index.store.add(
      codes.subarray(0, used * codeSize),
      to.subarray(0, used),
      ids.subarray(0, used),
    );
    used = 0;
  };
  for (const [list, at] of lists.entries()) {
    for (let row = 0; row < at.size;) {
      // Parts of a list begin where a block does.
      const whole = Math.floor((room - used) / bbs) * bbs;
      const n = Math.min(at.size - row, Math.max(whole, 0));
      if (n === 0) {
        await flush();
        continue;
      }
      const part = new Uint8Array(blocks.bytesOf(n));
      await reader.fillAt(at.codes + blocks.bytesOf(row), part, "the codes of a list");
      codes.set(blocks.unpack(part, n), used * codeSize);
      const numbers = ids.subarray(used, used + n);
      const idsAt = at.ids + 8 * row;
      await reader.fillAt(idsAt, numbers, "the ids of a list");
      numbers.forEach((id, i) => {
        if (id < 0n || id >= idLimit) {
          reader.fail(`row ${row + i} of list ${list} has id ${id}`, idsAt + 8 * i);
        }
      });
      to.fill(BigInt(list), used, used + n);
      row += n;
      used += n;
    }
  }
  if (used > 0) await flush();
}

/** Writes the lists of an index in blocks: empty ones before training. */
export async function writeBlockLists(
  writer: ByteWriter,
  index: IndexIVFCodes,
  blocks: CodeBlocks,
): Promise<void> {
  await writer.text("ilbl");
  await writer.u64(index.nlist);
  await writer.bytes(BigUint64Array.of(NO_CODE_SIZE));
  await writer.u64(blocks.bbs);
  await writer.u64(blocks.blockBytes);
  for (let list = 0; list < index.nlist; list++) {
    const none = { codes: new Uint8Array(), ids: new BigInt64Array() };
    const { codes, ids } = index.isTrained ? index.store.list(list) : none;
    await writer.u64(ids.length);
    await writer.bytes(ids);
    await writer.u64(blocks.bytesOf(ids.length));
    await writer.bytes(blocks.pack(codes));
  }
}
