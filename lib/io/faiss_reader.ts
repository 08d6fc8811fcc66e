import type { Backend } from "../backend/backend.ts";
import type { DirectMapType } from "../index/direct_map.ts";
import { IndexFlat, IndexFlatIP, IndexFlatL2 } from "../index/flat.ts";
import { IndexIDMap, IndexIDMap2 } from "../index/id_map.ts";
import type { Index } from "../index/index.ts";
import { IndexIVFFlat } from "../index/ivf_flat.ts";
import { MOST_NESTED } from "../index/nesting.ts";
import { Metric } from "../metric.ts";
import type { ByteReader } from "./byte_reader.ts";
import { additiveKind, readAdditiveIndex, readIVFAdditive } from "./faiss_additive_indexes.ts";
import { checkFinite } from "./faiss_checks.ts";
import { readPreTransform, readRefine } from "./faiss_composites.ts";
import { ANY_ID, chunkRows, MAX_DIMENSION, UNAVAILABLE } from "./faiss_codes.ts";
import { readIVFPQFastScan, readPQFastScan } from "./faiss_fast_scan.ts";
import { readGraphIndex } from "./faiss_graphs.ts";
import { type ListsExpected, readDirectMap, readLists, restoreDirectMap } from "./faiss_lists.ts";
import { readLSH } from "./faiss_lsh.ts";
import { mapRows } from "./faiss_map.ts";
import { readIVFPQ, readPQ } from "./faiss_product.ts";
import { readFlatRaBitQ, readIVFRaBitQ } from "./faiss_rabitq.ts";
import { readIVFRaBitQFastScan, readRaBitQFastScan } from "./faiss_rabitq_fast_scan.ts";
import { readIVFSQ, readSQ } from "./faiss_scalar.ts";

// Lists of an untrained index take memory with no bytes behind them.
export const MAX_UNTRAINED_LISTS = 2 ** 18;
const MAX_LISTS = 2 ** 31;
const METRICS: ReadonlySet<number> = new Set(Object.values(Metric));

/** What every index starts with. */
export interface Header {
  d: number;
  ntotal: number;
  isTrained: boolean;
  metric: Metric;
  metricArg: number;
}

/** Where an index is read from, and for what. */
export interface Place {
  reader: ByteReader;
  backend: Backend;
  /** Set inside an id map: ids that the index returns are positions below this. */
  positions?: number;
  /** Indexes that this one lies in. */
  depth?: number;
}

/** Reads one index, and those inside it. */
export async function readRecord(place: Place): Promise<Index> {
  const { reader } = place;
  const at = reader.offset;
  const code = await reader.text(4, "the kind of index");
  const inside = { ...place, depth: (place.depth ?? 0) + 1 };
  if (inside.depth > MOST_NESTED) {
    reader.fail(`more than ${MOST_NESTED} indexes lie inside one another`, at);
  }
  switch (code) {
    case "IxF2":
    case "IxFI":
    case "IxFl":
      return await readFlat(place, code);
    case "IwFl":
      return await readIVFFlat(place);
    case "IxPq":
      return await readPQ(place);
    case "IwPQ":
      return await readIVFPQ(place);
    case "IxSQ":
      return await readSQ(place);
    case "IwSq":
      return await readIVFSQ(place);
    case "IPfs":
      return await readPQFastScan(place);
    case "IwPf":
      return await readIVFPQFastScan(place);
    case "IHNf":
    case "IHNp":
    case "IHNs":
    case "INNf":
    case "INSf":
    case "INSp":
    case "INSs":
      return await readGraphIndex(place, code);
    case "IxHe":
      return await readLSH(place);
    case "Ixrq":
    case "Ixrr":
      return await readFlatRaBitQ(place, code === "Ixrr");
    case "Irfn":
      return await readRaBitQFastScan(place);
    case "Iwrn":
      return await readIVFRaBitQFastScan(place);
    case "Iwrq":
    case "Iwrr":
      return await readIVFRaBitQ(place, code === "Iwrr");
    case "IxMp":
    case "IxM2":
      if (place.positions !== undefined) {
        reader.fail(`${code} is not available where ids are positions`, at);
      }
      return await readIDMap(inside, code);
    case "IxPT":
      return await readPreTransform(inside);
    case "IxRF":
      return await readRefine(inside);
  }
  const additive = additiveKind(code);
  if (additive !== undefined) {
    return code.startsWith("Ix")
      ? await readAdditiveIndex(place, additive)
      : await readIVFAdditive(place, additive);
  }
  if (code.startsWith("IB")) {
    reader.fail(`${code} is an index of bits: readIndexBinary reads it`, at);
  }
  const name = UNAVAILABLE.get(code);
  return reader.fail(
    name === undefined
      ? `${JSON.stringify(code)} is no kind of index`
      : `${code} (${name}) is not available yet`,
    at,
  );
}

/**
 * Reads what follows the kind of every index.
 *
 * @param isOuter Whether it is that of an index around others, where FAISS leaves the p of Lp out.
 */
export async function readHeader(reader: ByteReader, isOuter = false): Promise<Header> {
  const d = await reader.i32("the dimension");
  if (d < 1 || d > MAX_DIMENSION) {
    reader.fail(`the dimension is ${d}, not 1 to ${MAX_DIMENSION}`, reader.offset - 4);
  }
  const ntotal = await reader.i64("the number of vectors");
  if (ntotal < 0n || ntotal > Number.MAX_SAFE_INTEGER) {
    reader.fail(`the number of vectors is ${ntotal}`, reader.offset - 8);
  }
  await reader.i64("the header");
  await reader.i64("the header");
  const isTrained = await reader.bool("is_trained");
  const metric = await reader.i32("the metric");
  if (!METRICS.has(metric)) reader.fail(`metric ${metric} is not available`, reader.offset - 4);
  const metricArg = metric > Metric.L2 ? await reader.f32("the metric's argument") : 0;
  if (!Number.isFinite(metricArg) || metric === Metric.Lp && metricArg <= 0 && !isOuter) {
    reader.fail(`the metric's argument is ${metricArg}`, reader.offset - 4);
  }
  return { d, ntotal: Number(ntotal), isTrained, metric: metric as Metric, metricArg };
}

/** Header of a flat index, after which its vectors follow. */
export async function readFlatHeader(reader: ByteReader, code: string): Promise<Header> {
  const at = reader.offset;
  const header = await readHeader(reader);
  const { d, ntotal, isTrained, metric } = header;
  if (
    code === "IxF2" && metric !== Metric.L2 || code === "IxFI" && metric !== Metric.InnerProduct
  ) {
    reader.fail(`${code} has metric ${metric}`, at);
  }
  if (!isTrained) reader.fail("a flat index is marked as not trained", at);
  const length = await reader.count("the vectors", 4);
  if (BigInt(length) !== BigInt(ntotal) * BigInt(d)) {
    reader.fail(`${length} numbers where ${ntotal} vectors of ${d} are needed`, reader.offset - 8);
  }
  return header;
}

/** Hands over the vectors of a flat index, many at a time. */
export async function readRows(
  reader: ByteReader,
  { d, ntotal, metric }: Header,
  add: (x: Float32Array<ArrayBuffer>) => Promise<void>,
): Promise<void> {
  const allowNaN = metric === Metric.NaNEuclidean;
  const rows = chunkRows(d, ntotal);
  const chunk = new Float32Array(Math.min(rows, ntotal) * d);
  for (let row = 0; row < ntotal; row += rows) {
    const part = chunk.subarray(0, Math.min(rows, ntotal - row) * d);
    const start = reader.offset;
    await reader.fill(part, "the vectors");
    checkFinite(reader, part, d, allowNaN, start, (i) => `row ${row + i}`);
    await add(part);
  }
}

async function readFlat({ reader, backend }: Place, code: string): Promise<IndexFlat> {
  const header = await readFlatHeader(reader, code);
  const { d, metric, metricArg } = header;
  using stack = new DisposableStack();
  const options = { metricArg, backend };
  const index = stack.use(
    code === "IxF2"
      ? new IndexFlatL2(d, options)
      : code === "IxFI"
      ? new IndexFlatIP(d, options)
      : new IndexFlat(d, metric, options),
  );
  if (!mapRows(reader, index.store, header.ntotal, 4 * d)) {
    await readRows(reader, header, (x) => index.store.add(x, metric === Metric.NaNEuclidean));
  }
  stack.move();
  return index;
}

/** What indexes with inverted lists start with. */
export interface IVFHeader extends Header {
  nlist: number;
  /** At most `nlist`: FAISS looks at all lists when there are fewer. */
  nprobe: number;
  /** What the lists have to agree with, but for the size of codes. */
  lists: Omit<ListsExpected, "codeSize">;
  /** The index that finds the lists; the caller disposes of it. */
  quantizer: Index;
  /** How vectors are found by their ids. */
  directMap: DirectMapType;
}

/** How many lists there are, and how many of them a query looks at. */
export async function readListCounts(
  reader: ByteReader,
): Promise<{ nlist: bigint; nprobe: bigint }> {
  const nlist = await reader.u64("nlist");
  if (nlist < 1n || nlist >= MAX_LISTS) reader.fail(`nlist is ${nlist}`, reader.offset - 8);
  const nprobe = await reader.u64("nprobe");
  if (nprobe < 1n || nprobe >= MAX_LISTS) reader.fail(`nprobe is ${nprobe}`, reader.offset - 8);
  return { nlist, nprobe };
}

/** Reads all of an index with inverted lists that comes before what is special to it. */
export async function readIVFHeader(place: Place): Promise<IVFHeader> {
  const { reader, positions } = place;
  const at = reader.offset;
  const header = await readHeader(reader);
  const { d, ntotal, isTrained } = header;
  const { nlist, nprobe } = await readListCounts(reader);

  using stack = new DisposableStack();
  const quantizerAt = reader.offset;
  // Its labels are list numbers by construction.
  const inner = { ...place, positions: Number(nlist), depth: (place.depth ?? 0) + 1 };
  const quantizer = stack.use(await reader.copying(() => readRecord(inner)));
  if (quantizer.d !== d) {
    reader.fail(`the quantizer has dimension ${quantizer.d} and the index ${d}`, quantizerAt);
  }
  if (isTrained ? quantizer.ntotal !== Number(nlist) : ntotal > 0) {
    reader.fail(
      isTrained
        ? `the quantizer has ${quantizer.ntotal} centroids and nlist is ${nlist}`
        : `an untrained index has ${ntotal} vectors`,
      at,
    );
  }
  if (!isTrained && nlist > MAX_UNTRAINED_LISTS) {
    reader.fail(`an untrained index has ${nlist} lists`, at);
  }
  const directMap = await readDirectMap(reader, ntotal);
  stack.move();
  const idLimit = positions === undefined ? ANY_ID : BigInt(positions);
  return {
    ...header,
    nlist: Number(nlist),
    nprobe: Math.min(Number(nprobe), Number(nlist)),
    lists: { nlist: Number(nlist), ntotal, idLimit },
    quantizer,
    directMap,
  };
}

async function readIVFFlat(place: Place): Promise<IndexIVFFlat> {
  const { reader, backend } = place;
  const { lists, directMap, ...header } = await readIVFHeader(place);
  const { d, nlist } = header;
  using stack = new DisposableStack();
  stack.use(header.quantizer);
  const { store } = await readLists(reader, { ...lists, codeSize: 4 * d }, () => {
    const store = stack.use(backend.createIVF(d, nlist));
    const numbers = (rows: Uint8Array<ArrayBuffer>) =>
      new Float32Array(rows.buffer, rows.byteOffset, rows.length / 4);
    return {
      store,
      add: (rows, lists, ids) => store.add(numbers(rows), lists, ids),
      check: (rows, at, rowName) => checkFinite(reader, numbers(rows), d, false, at, rowName),
    };
  });
  const index = IndexIVFFlat.fromParts({ ...header, store });
  await restoreDirectMap(reader, index, directMap);
  stack.move();
  return index;
}

/** The ids of the vectors that a map holds, none of them negative. */
export async function readMapIds(
  reader: ByteReader,
  ntotal: number,
): Promise<BigInt64Array<ArrayBuffer>> {
  const length = await reader.count("the ids", 8);
  if (length !== ntotal) reader.fail(`${length} ids for ${ntotal} vectors`, reader.offset - 8);
  const ids = new BigInt64Array(length);
  const idsAt = reader.offset;
  await reader.fill(ids, "the ids");
  ids.forEach((id, i) => {
    if (id < 0n) reader.fail(`row ${i} has id ${id}`, idsAt + 8 * i);
  });
  return ids;
}

async function readIDMap(place: Place, code: string): Promise<IndexIDMap> {
  const { reader } = place;
  const at = reader.offset;
  const { d, ntotal, metric } = await readHeader(reader, true);
  using stack = new DisposableStack();
  const index = stack.use(await readRecord({ ...place, positions: ntotal }));
  if (index.d !== d || index.ntotal !== ntotal || index.metric !== metric) {
    reader.fail(
      `a map of ${ntotal} vectors of ${d} (metric ${metric}) holds an index of ` +
        `${index.ntotal} vectors of ${index.d} (metric ${index.metric})`,
      at,
    );
  }
  const ids = await readMapIds(reader, ntotal);
  const map = (code === "IxM2" ? IndexIDMap2 : IndexIDMap).fromParts(index, ids);
  stack.move();
  return map;
}
