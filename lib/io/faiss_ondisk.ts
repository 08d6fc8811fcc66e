/**
 * Inverted lists that are in a file of their own: FAISS's OnDiskInvertedLists.
 *
 * @module
 */

import type { InvertedLists, ListPlaces } from "../backend/backend.ts";
import { writeAtomically } from "./atomic.ts";
import type { ByteReader } from "./byte_reader.ts";
import { ByteWriter, fileSink } from "./byte_writer.ts";
import type { ListsExpected } from "./faiss_lists.ts";

/** Lists start here, or at a multiple of it, so that rows lie as they do in memory. */
const ALIGNED = 64;
/** Longest name of a file. */
const MOST_NAME = 4096;
/** What FAISS writes for a list that has no place. */
const NO_PLACE = 2n ** 64n - 1n;

/** Lists in a file of their own, and which file. */
interface OnDisk {
  /** The name, as the index's file has it. */
  name: string;
  /** Where the lists are. */
  places: ListPlaces;
  /** Rows that each has room for. */
  capacities: Float64Array;
  /** Bytes of the file. */
  totalBytes: number;
}

/** Where the lists of stores came from: true as long as they are mapped. */
const origins = new WeakMap<InvertedLists, OnDisk>();

/** Reads where lists are, after the four characters of their kind. */
export async function readOnDisk(
  reader: ByteReader,
  { codeSize: wanted, nlist, ntotal }: ListsExpected,
): Promise<OnDisk> {
  const at = reader.offset;
  const count = await reader.u64("the number of inverted lists");
  if (count !== BigInt(nlist)) reader.fail(`${count} inverted lists where nlist is ${nlist}`, at);
  const codeSize = await reader.u64("the code size");
  if (codeSize !== BigInt(wanted)) {
    reader.fail(`codes have ${codeSize} bytes and ${wanted} are needed`, at + 8);
  }
  const length = await reader.count("the lists' places", 24);
  if (length !== nlist) reader.fail(`${length} places of ${nlist} lists`, reader.offset - 8);
  const [sizes, capacities] = [new Float64Array(nlist), new Float64Array(nlist)];
  const [rows, ids] = [new Float64Array(nlist), new Float64Array(nlist)];
  let end = 0n;
  for (let list = 0; list < nlist; list++) {
    const size = await reader.u64("a list's size");
    const capacity = await reader.u64("a list's capacity");
    const offset = await reader.u64("a list's offset");
    if (size === 0n) continue;
    const after = offset + capacity * (codeSize + 8n);
    if (size > capacity || size > ntotal || after > Number.MAX_SAFE_INTEGER) {
      reader.fail(
        `list ${list} of ${size} vectors has room for ${capacity} from byte ${offset} on`,
        reader.offset - 24,
      );
    }
    if (after > end) end = after;
    [sizes[list], capacities[list], rows[list]] = [Number(size), Number(capacity), Number(offset)];
    ids[list] = rows[list]! + capacities[list]! * wanted;
  }
  const slots = await reader.count("the free places", 16);
  reader.offset += 16 * slots;
  const nameAt = reader.offset;
  const bytes = await reader.count("the name of the lists' file", 1);
  if (bytes === 0 || bytes > MOST_NAME) {
    reader.fail(`the name of the lists' file has ${bytes} bytes, not 1 to ${MOST_NAME}`, nameAt);
  }
  const name = await reader.text(bytes, "the name of the lists' file");
  if (name.includes("\0")) reader.fail("the name of the lists' file holds a NUL", nameAt + 8);
  const totalBytes = await reader.u64("the bytes of the lists' file");
  if (totalBytes < end || totalBytes > Number.MAX_SAFE_INTEGER) {
    reader.fail(`lists end at byte ${end} of a file of ${totalBytes}`, reader.offset - 8);
  }
  return { name, places: { sizes, rows, ids }, capacities, totalBytes: Number(totalBytes) };
}

/** Opens the file that lists are in. */
export async function openLists(
  reader: ByteReader,
  { name, totalBytes }: OnDisk,
): Promise<ByteReader> {
  if (reader.openOther === undefined) {
    return reader.fail(`lists are in the file ${JSON.stringify(name)}: readIndex() opens it`);
  }
  const data = await reader.openOther(name);
  if (data.size >= totalBytes) return data;
  data[Symbol.dispose]();
  return data.fail(`it has ${data.size} bytes, and the index says ${totalBytes}`, 0);
}

/** Remembers where lists came from that stay there. */
export function remember(store: InvertedLists, origin: OnDisk): void {
  if (store.mapped) origins.set(store, origin);
}

/** Writes lists into a file of their own, and where they are there into that of the index. */
export async function writeListsBeside(
  writer: ByteWriter,
  name: string,
  sizes: Float64Array,
  codeSize: number,
  list: (list: number) => Iterable<{ rows: ArrayBufferView; ids: BigInt64Array }>,
): Promise<void> {
  const origin = place(name, sizes, codeSize);
  await writeData(origin, codeSize, list);
  writer.listsWritten = name;
  await writeRecord(writer, origin, codeSize);
}

/** Where lists of such sizes go in a new file. */
export function place(name: string, sizes: Float64Array, codeSize: number): OnDisk {
  const [rows, ids] = [new Float64Array(sizes.length), new Float64Array(sizes.length)];
  let end = 0;
  sizes.forEach((size, list) => {
    if (size === 0) return;
    rows[list] = Math.ceil(end / ALIGNED) * ALIGNED;
    ids[list] = rows[list]! + size * codeSize;
    end = ids[list]! + size * 8;
  });
  return { name, places: { sizes, rows, ids }, capacities: sizes, totalBytes: end };
}

/**
 * Writes a new file of lists. One that is there already is left alone: an index may need it.
 *
 * @param list Parts of a list, in order: rows of each, then ids of each.
 */
export async function writeData(
  { name, places }: OnDisk,
  codeSize: number,
  list: (list: number) => Iterable<{ rows: ArrayBufferView; ids: BigInt64Array }>,
): Promise<void> {
  const taken = await Deno.lstat(name).then(() => true, (error) => {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  });
  if (taken) {
    throw new Deno.errors.AlreadyExists(
      `Cannot write lists to ${JSON.stringify(name)}: the file exists, and an index may need it`,
    );
  }
  await writeAtomically(name, async (file) => {
    const writer = new ByteWriter(fileSink(file));
    let at = 0;
    for (const [i, size] of places.sizes.entries()) {
      if (size === 0) continue;
      await writer.bytes(new Uint8Array(places.rows[i]! - at));
      const ids: BigInt64Array[] = [];
      let held = 0;
      for (const part of list(i)) {
        await writer.bytes(part.rows);
        ids.push(part.ids);
        held += part.ids.length;
      }
      if (held !== size) throw new RangeError(`Cannot write list ${i}: it has ${held} vectors now`);
      for (const part of ids) await writer.bytes(part);
      at = places.rows[i]! + size * (codeSize + 8);
    }
    await writer.flush();
  });
}

/** Writes where the lists of a store are, if they are in a file of their own. */
export async function writeOrigin(
  writer: ByteWriter,
  store: InvertedLists,
  codeSize: number,
): Promise<boolean> {
  const origin = store.mapped ? origins.get(store) : undefined;
  if (origin === undefined) return false;
  await writeRecord(writer, origin, codeSize);
  return true;
}

async function writeRecord(
  writer: ByteWriter,
  { name, places, capacities, totalBytes }: OnDisk,
  codeSize: number,
): Promise<void> {
  const { sizes, rows } = places;
  const facts = new BigUint64Array(3 * sizes.length);
  sizes.forEach((size, list) => {
    facts[3 * list] = BigInt(size);
    facts[3 * list + 1] = BigInt(capacities[list]!);
    facts[3 * list + 2] = size === 0 ? NO_PLACE : BigInt(rows[list]!);
  });
  const text = new TextEncoder().encode(name);
  await writer.text("ilod");
  await writer.u64(sizes.length);
  await writer.u64(codeSize);
  await writer.u64(sizes.length);
  await writer.bytes(facts);
  // No free places.
  await writer.u64(0);
  await writer.u64(text.length);
  await writer.bytes(text);
  await writer.u64(totalBytes);
}
