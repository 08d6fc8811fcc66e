/**
 * Indexes over graphs in files: what follows their four characters.
 *
 * @module
 */

import type { GraphPlaces, HNSWGraph } from "../backend/backend.ts";
import { copyProduct, copyScalar } from "../index/code_checks.ts";
import type { IndexGraph } from "../index/graph.ts";
import { type HNSWParameters, IndexHNSWFlat } from "../index/hnsw.ts";
import { IndexHNSWPQ, IndexHNSWSQ } from "../index/hnsw_codes.ts";
import type { Index } from "../index/index.ts";
import { IndexNNDescentFlat } from "../index/nn_descent.ts";
import { type IndexNSG, IndexNSGFlat, IndexNSGPQ, IndexNSGSQ } from "../index/nsg.ts";
import { IndexPQ } from "../index/product_quantizer.ts";
import { IndexScalarQuantizer } from "../index/scalar_quantizer.ts";
import type { ByteReader } from "./byte_reader.ts";
import type { ByteWriter } from "./byte_writer.ts";
import { CHUNK_BYTES } from "./faiss_codes.ts";
import { readGraph, skipGraph, writeGraph } from "./faiss_hnsw.ts";
import { readNeighbors, readSpread, writeNeighbors, writeSpread } from "./faiss_nsg.ts";
import { readPQ, writePQ } from "./faiss_product.ts";
import { type Header, type Place, readFlatHeader, readHeader, readRows } from "./faiss_reader.ts";
import { readSQ, writeSQ } from "./faiss_scalar.ts";
import { flatCode, writeHeader } from "./faiss_writer.ts";

/** Graphs over codes, and those over vectors, by their four characters. */
const OVER_CODES = { IHNs: "IxSQ", IHNp: "IxPq", INSs: "IxSQ", INSp: "IxPq" } as const;

/** Bytes that follow the codes of a product quantizer's index. */
const PRODUCT_TRAILER = 9;
/** A graph that stays in its file. */
type GraphInFile = Omit<GraphPlaces, "rows">;

/** Reads an index over a graph. */
export async function readGraphIndex(place: Place, code: string): Promise<IndexGraph> {
  const { reader } = place;
  const at = reader.offset;
  const header = await readHeader(reader);
  if (!header.isTrained && (header.ntotal > 0 || !(code in OVER_CODES))) {
    reader.fail(`a graph of ${header.ntotal} vectors is marked as not trained`, at);
  }
  using stack = new DisposableStack();
  let graph: HNSWGraph | undefined;
  let places: GraphInFile | undefined;
  let made: (storage: IndexScalarQuantizer | IndexPQ | undefined) => IndexGraph;
  if (code === "INNf") {
    const { K, neighbors, nndescent } = await readNeighbors(reader, header);
    graph = neighbors;
    made = () => {
      const { d, metric, metricArg } = header;
      const options = { backend: place.backend, metricArg };
      const index = stack.use(new IndexNNDescentFlat(d, K, metric, options));
      Object.assign(index.nndescent, nndescent);
      return index;
    };
  } else if (code.startsWith("INS")) {
    const { R, nsg, build, spread } = await readSpread(reader, header.ntotal);
    graph = spread;
    made = (storage) => {
      const index = stack.use(makeNSG(place, header, R, storage));
      Object.assign(index.nsg, nsg);
      Object.assign(index.build, build);
      return index;
    };
  } else {
    const isMapped = reader.map !== undefined && header.ntotal > 0;
    const read = isMapped
      ? await skipGraph(reader, header.ntotal)
      : await readGraph(reader, header.ntotal);
    if ("places" in read) places = read.places;
    else graph = read.graph;
    made = (storage) => stack.use(makeHNSW(place, header, read.hnsw, storage));
  }
  const storageAt = reader.offset;
  const kind = await reader.text(4, "the kind of storage");
  const index = code in OVER_CODES
    ? await readCodes(
      place,
      header,
      OVER_CODES[code as keyof typeof OVER_CODES],
      kind,
      made,
      places,
    )
    : await readVectors(place, header, kind, () => made(undefined), places);
  if (index === undefined) {
    return reader.fail(`${code} has its vectors in ${JSON.stringify(kind)}`, storageAt);
  }
  if (graph !== undefined && header.ntotal > 0) await index.store.restore(graph);
  stack.move();
  return index;
}

function makeHNSW(
  { backend }: Place,
  { d, metric, metricArg }: Header,
  hnsw: Partial<HNSWParameters> & { M: number },
  storage: IndexScalarQuantizer | IndexPQ | undefined,
) {
  const index = storage === undefined
    ? new IndexHNSWFlat(d, hnsw.M, metric, { backend, metricArg })
    : storage instanceof IndexPQ
    ? new IndexHNSWPQ(d, storage.pq.M, hnsw.M, storage.pq.nbits, metric, { backend })
    : new IndexHNSWSQ(d, storage.sq.qtype, hnsw.M, metric, { backend, ...rangeOf(storage) });
  Object.assign(index.hnsw, hnsw);
  return index;
}

function makeNSG(
  { backend }: Place,
  { d, metric, metricArg }: Header,
  R: number,
  storage: IndexScalarQuantizer | IndexPQ | undefined,
): IndexNSG {
  if (storage === undefined) return new IndexNSGFlat(d, R, metric, { backend, metricArg });
  if (storage instanceof IndexPQ) {
    return new IndexNSGPQ(d, storage.pq.M, R, storage.pq.nbits, metric, { backend });
  }
  return new IndexNSGSQ(d, storage.sq.qtype, R, metric, { backend, ...rangeOf(storage) });
}

function rangeOf({ sq: { rangeStat, rangeStatArg } }: IndexScalarQuantizer) {
  return { rangeStat, rangeStatArg };
}

/** The vectors of a graph; nothing where the kind of storage is another. */
async function readVectors(
  { reader }: Place,
  header: Header,
  kind: string,
  made: () => IndexGraph,
  places: GraphInFile | undefined,
): Promise<IndexGraph | undefined> {
  if (kind !== "IxF2" && kind !== "IxFI" && kind !== "IxFl") return undefined;
  const at = reader.offset - 4;
  const flat = await readFlatHeader(reader, kind);
  checkSame(reader, header, flat, at);
  const index = made();
  if (places === undefined) {
    await readRows(reader, flat, (x) => index.store.addRows(x));
  } else {
    const bytes = 4 * flat.d * flat.ntotal;
    reader.need(bytes, "the vectors");
    index.store.map!(reader.map!, { ...places, rows: reader.offset });
    reader.offset += bytes;
  }
  return index;
}

/** The codes of a graph; nothing where the kind of storage is another. */
async function readCodes(
  place: Place,
  header: Header,
  wanted: "IxSQ" | "IxPq",
  kind: string,
  made: (storage: IndexScalarQuantizer | IndexPQ) => IndexGraph,
  places: GraphInFile | undefined,
): Promise<IndexGraph | undefined> {
  if (kind !== wanted) return undefined;
  const { reader, backend } = place;
  const at = reader.offset - 4;
  using storage = await (kind === "IxSQ" ? readSQ : readPQ)({ reader, backend });
  checkSame(reader, header, storage, at);
  const index = made(storage);
  if (storage instanceof IndexScalarQuantizer) {
    copyScalar(storage.sq, (index as IndexHNSWSQ | IndexNSGSQ).sq);
  } else {
    copyProduct(storage.pq, (index as IndexHNSWPQ | IndexNSGPQ).pq);
  }
  if (places !== undefined) {
    const end = reader.offset - (kind === "IxPq" ? PRODUCT_TRAILER : 0);
    const rows = end - storage.ntotal * storage.saCodeSize;
    index.store.map!(reader.map!, { ...places, rows });
    return index;
  }
  const rows = Math.max(1, Math.floor(CHUNK_BYTES / storage.saCodeSize));
  for (let row = 0; row < storage.ntotal; row += rows) {
    const n = Math.min(rows, storage.ntotal - row);
    await index.store.addRows(storage.store.codes(row, n));
  }
  return index;
}

/** What a graph and its storage both say has to be the same. */
function checkSame(
  reader: ByteReader,
  graph: Header,
  storage: Pick<Index, "d" | "ntotal" | "isTrained" | "metric" | "metricArg">,
  at: number,
): void {
  if (
    storage.d === graph.d && storage.ntotal === graph.ntotal && storage.metric === graph.metric &&
    storage.metricArg === graph.metricArg && storage.isTrained === graph.isTrained
  ) return;
  reader.fail(
    `a graph of ${graph.ntotal} vectors of ${graph.d} (metric ${graph.metric}) has ` +
      `${storage.ntotal} vectors of ${storage.d} (metric ${storage.metric})`,
    at,
  );
}

/** Writes an index over a graph. */
export async function writeGraphIndex(writer: ByteWriter, index: IndexGraph): Promise<void> {
  if (index instanceof IndexNNDescentFlat) {
    await writeHeader(writer, "INNf", index);
    await writeNeighbors(writer, index);
    await writeVectors(writer, index);
  } else if (index instanceof IndexHNSWFlat) {
    await writeHeader(writer, "IHNf", index);
    await writeGraph(writer, index);
    await writeVectors(writer, index);
  } else if (index instanceof IndexHNSWSQ) {
    await writeHeader(writer, "IHNs", index);
    await writeGraph(writer, index);
    await writeSQ(writer, index);
  } else if (index instanceof IndexHNSWPQ) {
    await writeHeader(writer, "IHNp", index);
    await writeGraph(writer, index);
    await writePQ(writer, index);
  } else if (index instanceof IndexNSGSQ) {
    await writeHeader(writer, "INSs", index);
    await writeSpread(writer, index);
    await writeSQ(writer, index);
  } else if (index instanceof IndexNSGPQ) {
    await writeHeader(writer, "INSp", index);
    await writeSpread(writer, index);
    await writePQ(writer, index);
  } else {
    await writeHeader(writer, "INSf", index);
    await writeSpread(writer, index as IndexNSGFlat);
    await writeVectors(writer, index);
  }
}

async function writeVectors(writer: ByteWriter, index: IndexGraph): Promise<void> {
  await writeHeader(writer, flatCode(index.metric), index);
  await writer.u64(index.ntotal * index.d);
  for (const x of index.chunks(CHUNK_BYTES)) await writer.bytes(x);
}
