import { UnsupportedError } from "../errors.ts";
import { IndexIVFPQFastScan, IndexPQFastScan } from "../index/fast_scan.ts";
import { IndexFlat } from "../index/flat.ts";
import { IndexGraph } from "../index/graph.ts";
import { IndexIDMap, IndexIDMap2 } from "../index/id_map.ts";
import type { Index } from "../index/index.ts";
import type { IndexIVF } from "../index/ivf.ts";
import { IndexIVFFlat } from "../index/ivf_flat.ts";
import { IndexLSH } from "../index/lsh.ts";
import { IndexPreTransform } from "../index/pre_transform.ts";
import { IndexRefine } from "../index/refine.ts";
import { IndexIVFPQ, IndexPQ } from "../index/product_quantizer.ts";
import { IndexIVFRaBitQ, IndexRaBitQ } from "../index/rabitq.ts";
import { IndexIVFScalarQuantizer, IndexScalarQuantizer } from "../index/scalar_quantizer.ts";
import { Metric } from "../metric.ts";
import type { ByteWriter } from "./byte_writer.ts";
import { writeAdditiveIndex } from "./faiss_additive_indexes.ts";
import { chunkRows, HEADER_DUMMY } from "./faiss_codes.ts";
import { writePreTransform, writeRefine } from "./faiss_composites.ts";
import { writeIVFPQFastScan, writePQFastScan } from "./faiss_fast_scan.ts";
import { writeGraphIndex } from "./faiss_graphs.ts";
import { writeDirectMap, writeLists } from "./faiss_lists.ts";
import { writeLSH } from "./faiss_lsh.ts";
import { writeIVFPQ, writePQ } from "./faiss_product.ts";
import { writeFlatRaBitQ, writeIVFRaBitQ } from "./faiss_rabitq.ts";
import { writeIVFSQ, writeSQ } from "./faiss_scalar.ts";

/** Writes one index, and those inside it, as FAISS does. */
export async function writeRecord(writer: ByteWriter, index: Index): Promise<void> {
  await index.hold("write", async () => {
    if (index instanceof IndexFlat) {
      await writeFlat(writer, index);
    } else if (index instanceof IndexIVFFlat) {
      await writeIVFFlat(writer, index);
    } else if (index instanceof IndexGraph) {
      await writeGraphIndex(writer, index);
    } else if (index instanceof IndexIDMap) {
      await writeIDMap(writer, index);
    } else if (index instanceof IndexPQ) {
      await writePQ(writer, index);
    } else if (index instanceof IndexIVFPQ) {
      await writeIVFPQ(writer, index);
    } else if (index instanceof IndexPQFastScan) {
      await writePQFastScan(writer, index);
    } else if (index instanceof IndexIVFPQFastScan) {
      await writeIVFPQFastScan(writer, index);
    } else if (index instanceof IndexLSH) {
      await writeLSH(writer, index);
    } else if (index instanceof IndexRaBitQ) {
      await writeFlatRaBitQ(writer, index);
    } else if (index instanceof IndexIVFRaBitQ) {
      await writeIVFRaBitQ(writer, index);
    } else if (index instanceof IndexScalarQuantizer) {
      await writeSQ(writer, index);
    } else if (index instanceof IndexIVFScalarQuantizer) {
      await writeIVFSQ(writer, index);
    } else if (index instanceof IndexPreTransform) {
      await writePreTransform(writer, index);
    } else if (index instanceof IndexRefine) {
      await writeRefine(writer, index);
    } else if (!await writeAdditiveIndex(writer, index)) {
      throw new UnsupportedError(`Cannot write ${index.constructor.name}: it has no file format`);
    }
  });
}

/** Writes what every index starts with. */
export async function writeHeader(writer: ByteWriter, code: string, index: Index): Promise<void> {
  await writer.text(code);
  await writer.i32(index.d);
  await writer.u64(index.ntotal);
  await writer.u64(HEADER_DUMMY);
  await writer.u64(HEADER_DUMMY);
  await writer.bool(index.isTrained);
  await writer.i32(index.metric);
  if (index.metric > Metric.L2) await writer.f32(index.metricArg);
}

/** Code of a flat index, or of the vectors of another one. */
export function flatCode(metric: Metric): string {
  return metric === Metric.L2 ? "IxF2" : metric === Metric.InnerProduct ? "IxFI" : "IxFl";
}

async function writeFlat(writer: ByteWriter, index: IndexFlat): Promise<void> {
  const { d, metric, ntotal, store } = index;
  await writeHeader(writer, flatCode(metric), index);
  await writer.u64(ntotal * d);
  const rows = chunkRows(d, ntotal);
  const chunk = new Float32Array(rows * d);
  for (let row = 0; row < ntotal; row += rows) {
    const part = chunk.subarray(0, Math.min(rows, ntotal - row) * d);
    store.get(row, part);
    await writer.bytes(part);
  }
}

/** The header of an index with inverted lists. */
export async function writeIVFHeader(
  writer: ByteWriter,
  code: string,
  index: IndexIVF,
): Promise<void> {
  await writeHeader(writer, code, index);
  await writer.u64(index.nlist);
  await writer.u64(index.nprobe);
  await writer.keeping(() => writeRecord(writer, index.quantizer));
  await writeDirectMap(writer, index);
}

async function writeIVFFlat(writer: ByteWriter, index: IndexIVFFlat): Promise<void> {
  const { d, store } = index;
  await writeIVFHeader(writer, "IwFl", index);
  await writeLists(writer, store.sizes(), 4 * d, (list) => {
    const { x: rows, ids } = store.list(list);
    return { rows, ids };
  }, store);
}

async function writeIDMap(writer: ByteWriter, index: IndexIDMap): Promise<void> {
  await writeHeader(writer, index instanceof IndexIDMap2 ? "IxM2" : "IxMp", index);
  await writeRecord(writer, index.index);
  await writer.u64(index.idMap.length);
  await writer.bytes(index.idMap);
}
