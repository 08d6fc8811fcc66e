import type { CodeStore } from "../backend/backend.ts";
import { IndexBinaryFlat } from "../index/binary/flat.ts";
import { IndexBinaryFromFloat } from "../index/binary/from_float.ts";
import { IndexBinaryHash, IndexBinaryMultiHash } from "../index/binary/hash.ts";
import { IndexBinaryHNSW } from "../index/binary/hnsw.ts";
import { IndexBinaryIDMap, IndexBinaryIDMap2 } from "../index/binary/id_map.ts";
import type { IndexBinary } from "../index/binary/index_binary.ts";
import { IndexBinaryIVF } from "../index/binary/ivf.ts";
import { MOST_NESTED } from "../index/nesting.ts";
import { Metric } from "../metric.ts";
import { BitReader } from "./bit_string.ts";
import type { ByteReader } from "./byte_reader.ts";
import { ANY_ID, CHUNK_BYTES, MAX_DIMENSION, UNAVAILABLE } from "./faiss_codes.ts";
import { readGraph } from "./faiss_hnsw.ts";
import { readDirectMap, readLists } from "./faiss_lists.ts";
import {
  MAX_UNTRAINED_LISTS,
  type Place,
  readListCounts,
  readMapIds,
  readRecord,
} from "./faiss_reader.ts";

/** Bits of a hash. */
const MOST_BITS = 64;

/** What every index of bits starts with. */
interface Header {
  d: number;
  codeSize: number;
  ntotal: number;
  isTrained: boolean;
}

/** Reads one index of bits, and those inside it. */
export async function readBinaryRecord(place: Place): Promise<IndexBinary> {
  const { reader } = place;
  const at = reader.offset;
  const code = await reader.text(4, "the kind of index");
  const inside = { ...place, depth: (place.depth ?? 0) + 1 };
  if (inside.depth > MOST_NESTED) {
    reader.fail(`more than ${MOST_NESTED} indexes lie inside one another`, at);
  }
  switch (code) {
    case "IBxF":
      return await readFlat(place);
    case "IBwF":
      return await readIVF(inside);
    case "IBHf":
      return await readHNSW(place);
    case "IBHh":
      return await readHash(place);
    case "IBHm":
      return await readMultiHash(place);
    case "IBMp":
    case "IBM2":
      if (place.positions !== undefined) {
        reader.fail(`${code} inside an id map is not available`, at);
      }
      return await readIDMap(inside, code);
    case "IBFf":
      return await readFromFloat(inside);
  }
  const name = UNAVAILABLE.get(code);
  return reader.fail(
    name === undefined
      ? `${JSON.stringify(code)} is no kind of index of bits`
      : `${code} (${name}) is not available yet`,
    at,
  );
}

async function readHeader(reader: ByteReader): Promise<Header> {
  const d = await reader.i32("the dimension");
  if (d < 8 || d > MAX_DIMENSION || d % 8 !== 0) {
    reader.fail(
      `the dimension is ${d}, not a multiple of 8 up to ${MAX_DIMENSION}`,
      reader.offset - 4,
    );
  }
  const codeSize = await reader.i32("the code size");
  if (codeSize !== d / 8) {
    reader.fail(`codes of ${d} bits have ${codeSize} bytes`, reader.offset - 4);
  }
  const ntotal = await reader.i64("the number of vectors");
  if (ntotal < 0n || ntotal > Number.MAX_SAFE_INTEGER) {
    reader.fail(`the number of vectors is ${ntotal}`, reader.offset - 8);
  }
  const isTrained = await reader.bool("is_trained");
  const metric = await reader.i32("the metric");
  if (metric !== Metric.L2) {
    reader.fail(`an index of bits has metric ${metric}`, reader.offset - 4);
  }
  return { d, codeSize, ntotal: Number(ntotal), isTrained };
}

/** Header of an index that needs no training. */
async function readTrained(reader: ByteReader): Promise<Header> {
  const at = reader.offset;
  const header = await readHeader(reader);
  if (!header.isTrained) reader.fail("an index without training is marked as not trained", at);
  return header;
}

/** Reads the codes of `ntotal` vectors, many at a time. */
async function readCodes(
  reader: ByteReader,
  { codeSize, ntotal }: Header,
  add: (codes: Uint8Array) => Promise<void>,
): Promise<void> {
  const length = await reader.count("the vectors", 1);
  if (BigInt(length) !== BigInt(ntotal) * BigInt(codeSize)) {
    reader.fail(
      `${length} bytes where ${ntotal} vectors of ${codeSize} are needed`,
      reader.offset - 8,
    );
  }
  const rows = Math.max(1, Math.floor(CHUNK_BYTES / codeSize));
  const chunk = new Uint8Array(Math.min(rows, ntotal) * codeSize);
  for (let row = 0; row < ntotal; row += rows) {
    const part = chunk.subarray(0, Math.min(rows, ntotal - row) * codeSize);
    await reader.fill(part, "the vectors");
    await add(part);
  }
}

const into = (codes: CodeStore) => (part: Uint8Array) => codes.add(part);

async function readFlat({ reader, backend }: Place): Promise<IndexBinaryFlat> {
  const header = await readTrained(reader);
  using stack = new DisposableStack();
  const index = stack.use(new IndexBinaryFlat(header.d, { backend }));
  await readCodes(reader, header, into(index.store.codes));
  stack.move();
  return index;
}

/** The flat index that holds the vectors of another one, up to its vectors. */
async function readStorage(reader: ByteReader, outer: Header): Promise<void> {
  const at = reader.offset;
  const code = await reader.text(4, "the kind of storage");
  if (code !== "IBxF") {
    reader.fail(`the vectors are in ${JSON.stringify(code)}, not in a flat index`, at);
  }
  const { d, ntotal } = await readTrained(reader);
  if (d !== outer.d || ntotal !== outer.ntotal) {
    reader.fail(
      `an index of ${outer.ntotal} vectors of ${outer.d} bits holds ${ntotal} of ${d}`,
      at,
    );
  }
}

async function readHNSW({ reader, backend }: Place): Promise<IndexBinaryHNSW> {
  const header = await readTrained(reader);
  const { d, ntotal } = header;
  const { graph, hnsw } = await readGraph(reader, ntotal);
  await readStorage(reader, header);
  using stack = new DisposableStack();
  const store = stack.use(backend.createBinaryGraph(d, hnsw.M));
  await readCodes(reader, header, (codes) => store.addRows(codes));
  if (ntotal > 0) await store.restore(graph);
  const index = IndexBinaryHNSW.fromParts({ d, hnsw, store }, backend);
  stack.move();
  return index;
}

async function readIVF(place: Place): Promise<IndexBinaryIVF> {
  const { reader, backend, positions } = place;
  const at = reader.offset;
  const { d, codeSize, ntotal, isTrained } = await readHeader(reader);
  const { nlist, nprobe } = await readListCounts(reader);
  using stack = new DisposableStack();
  const quantizerAt = reader.offset;
  // Its labels are list numbers, which are positions.
  const code = await reader.text(4, "the kind of quantizer");
  if (code !== "IBxF" && code !== "IBHf") {
    reader.fail(`a quantizer of kind ${JSON.stringify(code)} is not available`, quantizerAt);
  }
  const quantizer = stack.use(code === "IBxF" ? await readFlat(place) : await readHNSW(place));
  if (quantizer.d !== d) {
    reader.fail(`the quantizer has ${quantizer.d} bits and the index ${d}`, quantizerAt);
  }
  if (isTrained && BigInt(quantizer.ntotal) !== nlist) {
    reader.fail(`the quantizer has ${quantizer.ntotal} centroids and nlist is ${nlist}`, at);
  }
  if (!isTrained && (ntotal > 0 || nlist > MAX_UNTRAINED_LISTS)) {
    reader.fail(`an untrained index has ${ntotal} vectors in ${nlist} lists`, at);
  }
  if (!isTrained && BigInt(quantizer.ntotal) === nlist) {
    reader.fail("an untrained index has all of its centroids", at);
  }
  await readDirectMap(reader, ntotal);
  const lists = Number(nlist);
  const idLimit = positions === undefined ? ANY_ID : BigInt(positions);
  const expected = { codeSize, nlist: lists, ntotal, idLimit };
  const { binary: store } = await readLists(reader, expected, () => {
    const binary = stack.use(backend.createBinaryLists(d, lists));
    return { binary, add: (rows, to, ids) => binary.lists.add(rows, to, ids) };
  });
  stack.move();
  return IndexBinaryIVF.fromParts({
    quantizer,
    d,
    nlist: lists,
    nprobe: Math.min(Number(nprobe), lists),
    ntotal,
    store,
  });
}

/** The number of bits of a hash, and other small numbers of theirs. */
async function readSmall(
  reader: ByteReader,
  what: string,
  least: number,
  most: number,
): Promise<number> {
  const value = await reader.i32(what);
  if (value < least || value > most) {
    reader.fail(`${what} is ${value}, not ${least} to ${most}`, reader.offset - 4);
  }
  return value;
}

/** A string of bits of which the length is known. */
async function readBits(reader: ByteReader, bits: bigint, what: string): Promise<BitReader> {
  const at = reader.offset;
  const length = await reader.count(what, 1);
  if (BigInt(length) !== (bits + 7n) / 8n) {
    reader.fail(`${what} takes ${length} bytes where ${bits} bits are needed`, at);
  }
  const bytes = new Uint8Array(length);
  await reader.fill(bytes, what);
  return new BitReader(bytes);
}

/** Which bucket a vector is in follows from its bits: what the file says of it is not needed. */
async function readHash({ reader, backend, positions }: Place): Promise<IndexBinaryHash> {
  const at = reader.offset;
  const { d, codeSize, ntotal } = await readTrained(reader);
  const b = await readSmall(reader, "the bits of a hash", 1, Math.min(d, MOST_BITS));
  const nflip = await readSmall(reader, "nflip", 0, b);
  const buckets = await reader.u64("the number of buckets");
  // Two counts of 8 bytes, an id and a code each.
  if (buckets > BigInt(ntotal)) {
    reader.fail(`${ntotal} vectors are in ${buckets} buckets`, reader.offset - 8);
  }
  const sizeBits = await readSmall(reader, "the bits of a size", buckets > 0n ? 1 : 0, 53);
  const sizes = await readBits(reader, buckets * BigInt(b + sizeBits), "the sizes of the buckets");
  reader.need(BigInt(ntotal) * BigInt(codeSize + 8), "the buckets");
  const idLimit = positions === undefined ? ANY_ID : BigInt(positions);
  using stack = new DisposableStack();
  const index = stack.use(new IndexBinaryHash(d, b, { backend }));
  for (let bucket = 0; bucket < buckets; bucket++) {
    sizes.skip(b);
    const size = sizes.read(sizeBits);
    const idsAt = reader.offset;
    const ids = new BigInt64Array(await reader.count("the ids of a bucket", 8));
    if (ids.length !== size) {
      reader.fail(`bucket ${bucket} of ${size} vectors has ${ids.length} ids`, idsAt);
    }
    await reader.fill(ids, "the ids of a bucket");
    ids.forEach((id, i) => {
      if (id >= 0n && id < idLimit) return;
      reader.fail(`row ${i} of bucket ${bucket} has id ${id}`, idsAt + 8 * (i + 1));
    });
    const codesAt = reader.offset;
    const codes = new Uint8Array(await reader.count("the vectors of a bucket", 1));
    if (codes.length !== size * codeSize) {
      reader.fail(`bucket ${bucket} of ${size} vectors has ${codes.length} bytes`, codesAt);
    }
    await reader.fill(codes, "the vectors of a bucket");
    if (size > 0) await index.appendWithIds(codes, ids);
  }
  if (index.ntotal !== ntotal) {
    reader.fail(`the buckets hold ${index.ntotal} vectors and the header says ${ntotal}`, at);
  }
  index.nflip = nflip;
  stack.move();
  return index;
}

async function readMultiHash({ reader, backend }: Place): Promise<IndexBinaryMultiHash> {
  const header = await readTrained(reader);
  const { d, ntotal } = header;
  await readStorage(reader, header);
  // The hashes come after the vectors that they are of: first these are passed over.
  const codesAt = reader.offset;
  const length = await reader.count("the vectors", 1);
  reader.offset += length;
  const b = await readSmall(reader, "the bits of a hash", 1, Math.min(d, MOST_BITS));
  const nhash = await readSmall(reader, "the number of hashes", 1, Math.floor(d / b));
  const nflip = await readSmall(reader, "nflip", 0, b);
  for (let hash = 0; hash < nhash; hash++) {
    const idBits = BigInt(await readSmall(reader, "the bits of an id", 0, 53));
    const buckets = await reader.u64("the number of buckets");
    if (buckets > BigInt(ntotal)) {
      reader.fail(`${ntotal} vectors are in ${buckets} buckets`, reader.offset - 8);
    }
    const bits = (BigInt(b) + idBits) * buckets + BigInt(ntotal) * idBits;
    const at = reader.offset;
    const bytes = await reader.count("the buckets", 1);
    if (BigInt(bytes) !== (bits + 7n) / 8n) {
      reader.fail(`the buckets take ${bytes} bytes where ${bits} bits are needed`, at);
    }
    reader.offset += bytes;
  }
  const end = reader.offset;
  using stack = new DisposableStack();
  const index = stack.use(new IndexBinaryMultiHash(d, nhash, b, { backend }));
  reader.offset = codesAt;
  await readCodes(reader, header, (codes) => index.append(codes));
  reader.offset = end;
  index.nflip = nflip;
  stack.move();
  return index;
}

async function readIDMap(place: Place, code: string): Promise<IndexBinaryIDMap> {
  const { reader } = place;
  const at = reader.offset;
  const { d, ntotal, isTrained } = await readHeader(reader);
  using stack = new DisposableStack();
  const index = stack.use(await readBinaryRecord({ ...place, positions: ntotal }));
  if (index.d !== d || index.ntotal !== ntotal || index.isTrained !== isTrained) {
    reader.fail(
      `a map of ${ntotal} vectors of ${d} bits holds an index of ${index.ntotal} of ${index.d}`,
      at,
    );
  }
  const ids = await readMapIds(reader, ntotal);
  const map = (code === "IBM2" ? IndexBinaryIDMap2 : IndexBinaryIDMap).fromParts(index, ids);
  stack.move();
  return map;
}

async function readFromFloat(place: Place): Promise<IndexBinaryFromFloat> {
  const { reader } = place;
  const at = reader.offset;
  const { d, ntotal, isTrained } = await readHeader(reader);
  using stack = new DisposableStack();
  const index = stack.use(await readRecord(place));
  if (
    index.d !== d || index.ntotal !== ntotal || index.isTrained !== isTrained ||
    index.metric !== Metric.L2
  ) {
    reader.fail(
      `an index of ${ntotal} vectors of ${d} bits holds one of ${index.ntotal} of ${index.d} ` +
        `(metric ${index.metric})`,
      at,
    );
  }
  const outer = new IndexBinaryFromFloat(index);
  outer.ownFields = true;
  stack.move();
  return outer;
}
