import type { Backend, IVFStore } from "../backend/backend.ts";
import type { ByteReader } from "./byte_reader.ts";
import { checkFinite } from "./faiss_checks.ts";
import { chunkRows, UNAVAILABLE } from "./faiss_codes.ts";

/** What the lists of a file have to agree with. */
export interface ListsExpected {
  d: number;
  nlist: number;
  ntotal: number;
  /** Ids are below this. */
  idLimit: bigint;
}

/** Reads a direct map, which repeats what the lists say, and drops it. */
export async function skipDirectMap(reader: ByteReader, ntotal: number): Promise<void> {
  const at = reader.offset;
  const type = await reader.u8("the direct map");
  if (type > 2) reader.fail(`the direct map has type ${type}`, at);
  const entries = await reader.count("the direct map", 8);
  if (entries !== (type === 1 ? ntotal : 0)) {
    reader.fail(`a direct map of type ${type} has ${entries} entries for ${ntotal} vectors`, at);
  }
  reader.offset += 8 * entries;
  if (type !== 2) return;
  const pairs = await reader.count("the direct map", 16);
  if (pairs > ntotal) reader.fail(`the direct map has ${pairs} ids for ${ntotal} vectors`, at);
  reader.offset += 16 * pairs;
}

/** Reads inverted lists into a new store. */
export async function readLists(
  reader: ByteReader,
  backend: Backend,
  expected: ListsExpected,
): Promise<IVFStore> {
  const { d, nlist, ntotal } = expected;
  const at = reader.offset;
  const code = await reader.text(4, "the inverted lists");
  let sizes: Float64Array = new Float64Array();
  if (code === "ilar") {
    sizes = await readSizes(reader, expected);
  } else if (code !== "il00") {
    const name = UNAVAILABLE.get(code);
    reader.fail(
      name === undefined
        ? `${JSON.stringify(code)} is no kind of inverted lists`
        : `${code} (${name}) is not available yet`,
      at,
    );
  }
  const total = sizes.reduce((sum, size) => sum + size, 0);
  if (total !== ntotal) {
    reader.fail(`the inverted lists hold ${total} vectors and the header says ${ntotal}`, at);
  }
  reader.need(total * (4 * d + 8), "the inverted lists");
  using stack = new DisposableStack();
  const store = stack.use(backend.createIVF(d, nlist));
  await fillStore(reader, store, sizes, expected);
  stack.move();
  return store;
}

async function readSizes(
  reader: ByteReader,
  { d, nlist, ntotal }: ListsExpected,
): Promise<Float64Array> {
  const at = reader.offset;
  const count = await reader.u64("the number of inverted lists");
  if (count !== BigInt(nlist)) reader.fail(`${count} inverted lists where nlist is ${nlist}`, at);
  const codeSize = await reader.u64("the code size");
  if (codeSize !== BigInt(4 * d)) {
    reader.fail(`codes have ${codeSize} bytes and ${4 * d} are needed`, at + 8);
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

/** Lists are small beside a chunk, or large: rows of many or of a part go to the store at once. */
async function fillStore(
  reader: ByteReader,
  store: IVFStore,
  sizes: Float64Array,
  { d, ntotal, idLimit }: ListsExpected,
): Promise<void> {
  const capacity = chunkRows(d, ntotal);
  const x = new Float32Array(capacity * d);
  const ids = new BigInt64Array(capacity);
  const lists = new BigInt64Array(capacity);
  let used = 0;
  for (const [list, size] of sizes.entries()) {
    const codesAt = reader.offset;
    const idsAt = codesAt + size * 4 * d;
    for (let row = 0; row < size;) {
      const n = Math.min(size - row, capacity - used);
      const codes = x.subarray(used * d, (used + n) * d);
      const at = codesAt + row * 4 * d;
      await reader.fillAt(at, codes, "the vectors of a list");
      checkFinite(reader, codes, d, false, at, (i) => `row ${row + i} of list ${list}`);
      const part = ids.subarray(used, used + n);
      await reader.fillAt(idsAt + row * 8, part, "the ids of a list");
      part.forEach((id, i) => {
        if (id < 0n || id >= idLimit) {
          reader.fail(`row ${row + i} of list ${list} has id ${id}`, idsAt + (row + i) * 8);
        }
      });
      lists.fill(BigInt(list), used, used + n);
      row += n;
      used += n;
      if (used === capacity) {
        await store.add(x, lists, ids);
        used = 0;
      }
    }
    reader.offset = idsAt + size * 8;
  }
  if (used > 0) {
    await store.add(x.subarray(0, used * d), lists.subarray(0, used), ids.subarray(0, used));
  }
}
