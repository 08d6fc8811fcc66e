import type { InvertedLists, ListPlaces } from "../backend/backend.ts";
import { DirectMapType, isSequence } from "../index/direct_map.ts";
import type { IndexIVF } from "../index/ivf.ts";
import type { ByteReader } from "./byte_reader.ts";
import type { ByteWriter } from "./byte_writer.ts";
import { ANY_ID, CHUNK_BYTES, UNAVAILABLE } from "./faiss_codes.ts";
import { openLists, readOnDisk, remember, writeListsBeside, writeOrigin } from "./faiss_ondisk.ts";

/** What the lists of a file have to agree with. */
export interface ListsExpected {
  /** Bytes of a row. */
  codeSize: number;
  nlist: number;
  ntotal: number;
  /** Ids are below this. */
  idLimit: bigint;
}

/** Reads a direct map, which repeats what the lists say: its kind is kept. */
export async function readDirectMap(reader: ByteReader, ntotal: number): Promise<DirectMapType> {
  const at = reader.offset;
  const type = await reader.u8("the direct map") as DirectMapType;
  if (type > DirectMapType.Hashtable) reader.fail(`the direct map has type ${type}`, at);
  const entries = await reader.count("the direct map", 8);
  if (entries !== (type === DirectMapType.Array ? ntotal : 0)) {
    reader.fail(`a direct map of type ${type} has ${entries} entries for ${ntotal} vectors`, at);
  }
  reader.offset += 8 * entries;
  if (type !== DirectMapType.Hashtable) return type;
  const pairs = await reader.count("the direct map", 16);
  if (pairs > ntotal) reader.fail(`the direct map has ${pairs} ids for ${ntotal} vectors`, at);
  reader.offset += 16 * pairs;
  return type;
}

/** Makes the direct map of an index whose lists were read. */
export async function restoreDirectMap(
  reader: ByteReader,
  index: IndexIVF,
  type: DirectMapType,
): Promise<void> {
  if (type === DirectMapType.Array && !isSequence(index.heldIds())) {
    reader.fail(`a direct map of type ${type} is of ids that are not 0 to ntotal - 1`);
  }
  await index.setDirectMapType(type);
}

/** Writes a direct map. */
export async function writeDirectMap(writer: ByteWriter, index: IndexIVF): Promise<void> {
  const { directMapType: type, ntotal } = index;
  await writer.u8(type);
  const step = CHUNK_BYTES / 16;
  if (type === DirectMapType.Array) {
    await writer.u64(ntotal);
    for (let from = 0; from < ntotal; from += step) {
      const length = Math.min(step, ntotal - from);
      const ids = BigInt64Array.from({ length }, (_, i) => BigInt(from + i));
      await writer.bytes(index.store.locate(ids));
    }
    return;
  }
  await writer.u64(0);
  if (type !== DirectMapType.Hashtable) return;
  const held = index.heldIds();
  await writer.u64(held.length);
  for (let from = 0; from < held.length; from += step) {
    const ids = held.subarray(from, from + step);
    const pairs = new BigInt64Array(2 * ids.length);
    index.store.locate(ids).forEach((location, i) => pairs.set([ids[i]!, location], 2 * i));
    await writer.bytes(pairs);
  }
}

/** Where the rows of lists go. */
export interface ListsTarget {
  /** Takes the rows of a mapped file, where it can. */
  store?: InvertedLists;
  /** Takes rows, whose bytes are only there until it is done. */
  add(rows: Uint8Array<ArrayBuffer>, lists: BigInt64Array, ids: BigInt64Array): Promise<void>;
  /** Refuses bad rows: `at` is where in the file they start. */
  check?(rows: Uint8Array<ArrayBuffer>, at: number, rowName: (row: number) => string): void;
}

/**
 * Reads inverted lists. `open` makes what takes their rows, once their sizes are known to be
 * sound.
 */
export async function readLists<T extends ListsTarget>(
  reader: ByteReader,
  expected: ListsExpected,
  open: () => T,
): Promise<T> {
  const at = reader.offset;
  const code = await reader.text(4, "the inverted lists");
  if (code === "ilod") {
    const origin = await readOnDisk(reader, expected);
    checkTotal(reader, origin.places.sizes, expected, at);
    using data = await openLists(reader, origin);
    const target = open();
    await take(data, target, origin.places, expected);
    if (target.store !== undefined) remember(target.store, origin);
    return target;
  }
  let places: ListPlaces = {
    sizes: new Float64Array(),
    rows: new Float64Array(),
    ids: new Float64Array(),
  };
  if (code === "ilar") {
    const sizes = await readSizes(reader, expected);
    places = consecutive(sizes, reader.offset, expected.codeSize);
  } else if (code !== "il00") {
    const name = UNAVAILABLE.get(code);
    reader.fail(
      name === undefined
        ? `${JSON.stringify(code)} is no kind of inverted lists`
        : `${code} (${name}) is not available yet`,
      at,
    );
  }
  const total = checkTotal(reader, places.sizes, expected, at);
  const bytes = total * (expected.codeSize + 8);
  reader.need(bytes, "the inverted lists");
  const end = reader.offset + bytes;
  const target = open();
  await take(reader, target, places, expected);
  reader.offset = end;
  return target;
}

/** The lists hold the vectors that the header counts. */
function checkTotal(
  reader: ByteReader,
  sizes: Float64Array,
  { ntotal }: ListsExpected,
  at: number,
): number {
  const total = sizes.reduce((sum, size) => sum + size, 0);
  if (total !== ntotal) {
    reader.fail(`the inverted lists hold ${total} vectors and the header says ${ntotal}`, at);
  }
  return total;
}

/** Places of lists of which each is rows, then ids. */
function consecutive(sizes: Float64Array, start: number, codeSize: number): ListPlaces {
  const [rows, ids] = [new Float64Array(sizes.length), new Float64Array(sizes.length)];
  sizes.forEach((size, i) => {
    rows[i] = start;
    ids[i] = start + size * codeSize;
    start += size * (codeSize + 8);
  });
  return { sizes, rows, ids };
}

/** Leaves rows where they are, if the file is mapped and the store can, or hands them over. */
async function take(
  reader: ByteReader,
  target: ListsTarget,
  places: ListPlaces,
  expected: ListsExpected,
): Promise<void> {
  if (reader.map === undefined || target.store?.map === undefined || expected.ntotal === 0) {
    await fill(reader, target, places, expected);
    return;
  }
  // Ids that others take for positions have to be some.
  if (expected.idLimit < ANY_ID) await checkIds(reader, places, expected);
  target.store.map(reader.map, places);
}

async function readSizes(
  reader: ByteReader,
  { codeSize: wanted, nlist, ntotal }: ListsExpected,
): Promise<Float64Array> {
  const at = reader.offset;
  const count = await reader.u64("the number of inverted lists");
  if (count !== BigInt(nlist)) reader.fail(`${count} inverted lists where nlist is ${nlist}`, at);
  const codeSize = await reader.u64("the code size");
  if (codeSize !== BigInt(wanted)) {
    reader.fail(`codes have ${codeSize} bytes and ${wanted} are needed`, at + 8);
  }
  const kind = await reader.text(4, "the kind of the list sizes");
  if (kind !== "full" && kind !== "sprs") {
    reader.fail(`list sizes are ${JSON.stringify(kind)}, not full or sprs`, at + 16);
  }
  const length = await reader.count("the list sizes", 8);
  if (kind === "full" ? length !== nlist : length % 2 !== 0 || length > 2 * nlist) {
    reader.fail(`${length} list sizes where nlist is ${nlist}`, at + 20);
  }
  const sizes = new Float64Array(nlist);
  for (let i = 0; i < length; i++) {
    let list = BigInt(i);
    if (kind === "sprs") {
      list = await reader.u64("a list number");
      if (list >= nlist) reader.fail(`list ${list} where nlist is ${nlist}`, reader.offset - 8);
      if (sizes[Number(list)] !== 0) reader.fail(`list ${list} twice`, reader.offset - 8);
      i++;
    }
    const size = await reader.u64("a list size");
    if (size > ntotal) {
      reader.fail(`list ${list} of ${size} vectors where all are ${ntotal}`, reader.offset - 8);
    }
    sizes[Number(list)] = Number(size);
  }
  return sizes;
}

/** Reads ids, each of which has to be below the limit. */
async function readIds(
  reader: ByteReader,
  at: number,
  into: BigInt64Array,
  idLimit: bigint,
  rowName: (row: number) => string,
): Promise<void> {
  await reader.fillAt(at, into, "the ids of a list");
  into.forEach((id, i) => {
    if (id < 0n || id >= idLimit) reader.fail(`${rowName(i)} has id ${id}`, at + i * 8);
  });
}

async function checkIds(
  reader: ByteReader,
  { sizes, ids }: ListPlaces,
  { idLimit, ntotal }: ListsExpected,
): Promise<void> {
  const chunk = new BigInt64Array(Math.min(ntotal, CHUNK_BYTES / 8));
  for (const [list, size] of sizes.entries()) {
    for (let row = 0; row < size; row += chunk.length) {
      const part = chunk.subarray(0, Math.min(chunk.length, size - row));
      const name = (i: number) => `row ${row + i} of list ${list}`;
      await readIds(reader, ids[list]! + row * 8, part, idLimit, name);
    }
  }
}

/** Lists are small beside a chunk, or large: rows of many or of a part are taken at once. */
async function fill(
  reader: ByteReader,
  target: ListsTarget,
  places: ListPlaces,
  { codeSize, ntotal, idLimit }: ListsExpected,
): Promise<void> {
  const capacity = Math.max(1, Math.min(ntotal, Math.floor(CHUNK_BYTES / codeSize)));
  const rows = new Uint8Array(capacity * codeSize);
  const ids = new BigInt64Array(capacity);
  const lists = new BigInt64Array(capacity);
  let used = 0;
  for (const [list, size] of places.sizes.entries()) {
    for (let row = 0; row < size;) {
      const n = Math.min(size - row, capacity - used);
      const codes = rows.subarray(used * codeSize, (used + n) * codeSize);
      const at = places.rows[list]! + row * codeSize;
      await reader.fillAt(at, codes, "the vectors of a list");
      const first = row;
      const name = (i: number) => `row ${first + i} of list ${list}`;
      target.check?.(codes, at, name);
      const part = ids.subarray(used, used + n);
      await readIds(reader, places.ids[list]! + row * 8, part, idLimit, name);
      lists.fill(BigInt(list), used, used + n);
      row += n;
      used += n;
      if (used === capacity) {
        await target.add(rows, lists, ids);
        used = 0;
      }
    }
  }
  if (used > 0) {
    const part = rows.subarray(0, used * codeSize);
    await target.add(part, lists.subarray(0, used), ids.subarray(0, used));
  }
}

/** Writes inverted lists; `list` gives the rows and ids of one, `store` is where they are. */
export async function writeLists(
  writer: ByteWriter,
  sizes: Float64Array,
  codeSize: number,
  list: (list: number) => { rows: ArrayBufferView; ids: BigInt64Array },
  store?: InvertedLists,
): Promise<void> {
  const name = writer.takeListsFile();
  if (name !== undefined) {
    await writeListsBeside(writer, name, sizes, codeSize, (i) => [list(i)]);
    return;
  }
  if (store !== undefined && await writeOrigin(writer, store, codeSize)) return;
  await writer.text("ilar");
  await writer.u64(sizes.length);
  await writer.u64(codeSize);
  await writeSizes(writer, sizes);
  for (const [i, size] of sizes.entries()) {
    if (size === 0) continue;
    const { rows, ids } = list(i);
    await writer.bytes(rows);
    await writer.bytes(ids);
  }
}

/** All sizes, or (list, size) pairs where at most half of the lists hold rows. */
async function writeSizes(writer: ByteWriter, sizes: Float64Array): Promise<void> {
  const held = Array.from(sizes.entries()).filter(([, size]) => size > 0);
  if (held.length > Math.floor(sizes.length / 2)) {
    await writer.text("full");
    await writer.u64(sizes.length);
    for (const size of sizes) await writer.u64(size);
  } else {
    await writer.text("sprs");
    await writer.u64(2 * held.length);
    for (const [list, size] of held) {
      await writer.u64(list);
      await writer.u64(size);
    }
  }
}
