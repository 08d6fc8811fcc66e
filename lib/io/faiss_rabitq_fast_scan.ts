import { CodeBlocks, isBlockSize } from "../codec/code_blocks.ts";
import { IndexIVFRaBitQFastScan, IndexRaBitQFastScan } from "../index/rabitq_fast_scan.ts";
import type { ByteReader } from "./byte_reader.ts";
import type { ByteWriter } from "./byte_writer.ts";
import {
  readBlockCodes,
  readBlockLists,
  writeBlockCodes,
  writeBlockLists,
} from "./faiss_blocks.ts";
import { checkCodeMetric } from "./faiss_checks.ts";
import {
  checkCodeSize,
  readCenter,
  readQueryBits,
  readRaBitQ,
  writeRaBitQ,
} from "./faiss_rabitq.ts";
import { type Place, readHeader, readIVFHeader } from "./faiss_reader.ts";
import { writeHeader, writeIVFHeader } from "./faiss_writer.ts";

/** Bits of a query where it stays as it is, which FAISS's fast scan cannot do. */
const QUERY_BITS = 8;

/** Parts of four signs, an even number of them. */
function partsOf(d: number): number {
  return 2 * Math.ceil(d / 8);
}

/** The layout of an index's codes in files. */
function blocksOf({ d, rabitq, bbs }: IndexRaBitQFastScan | IndexIVFRaBitQFastScan): CodeBlocks {
  return new CodeBlocks(partsOf(d), bbs, rabitq.codeSize - Math.ceil(d / 8));
}

async function readBBS(reader: ByteReader): Promise<number> {
  const bbs = await reader.i32("the codes of a block");
  if (!isBlockSize(bbs)) reader.fail(`blocks have ${bbs} codes`, reader.offset - 4);
  return bbs;
}

async function checkParts(reader: ByteReader, d: number): Promise<void> {
  const parts = await reader.u64("the parts of a code");
  if (parts === BigInt(partsOf(d))) return;
  reader.fail(`codes in blocks have ${parts} parts, not ${partsOf(d)}`, reader.offset - 8);
}

/** Reads an {@linkcode IndexRaBitQFastScan}, after its four characters. */
export async function readRaBitQFastScan({ reader, backend }: Place): Promise<IndexRaBitQFastScan> {
  const at = reader.offset;
  const header = await readHeader(reader);
  const { d, ntotal, isTrained, metric } = header;
  checkCodeMetric(reader, metric, at);
  const bits = await readRaBitQ(reader, header, true);
  const center = await readCenter(reader, d, true);
  const qb = await readQueryBits(reader);
  const bbs = await readBBS(reader);
  const held = await reader.u64("the codes in blocks");
  const wanted = Math.ceil(ntotal / bbs) * bbs;
  if (held !== BigInt(wanted)) {
    reader.fail(`blocks hold ${held} codes, and ${wanted} are needed`, reader.offset - 8);
  }
  await checkParts(reader, d);
  const sizeAt = reader.offset;
  checkCodeSize(reader, await reader.u64("the code size"), d, bits, sizeAt);
  using stack = new DisposableStack();
  const index = stack.use(new IndexRaBitQFastScan(d, metric, bits, { backend, bbs }));
  index.qb = qb;
  if (isTrained) index.rabitq.restore(center);
  await readBlockCodes(reader, index, blocksOf(index), ntotal);
  stack.move();
  return index;
}

/** Reads an {@linkcode IndexIVFRaBitQFastScan}, after its four characters. */
export async function readIVFRaBitQFastScan(place: Place): Promise<IndexIVFRaBitQFastScan> {
  const { reader } = place;
  const at = reader.offset;
  using stack = new DisposableStack();
  const header = await readIVFHeader(place);
  const quantizer = stack.use(header.quantizer);
  const { d, nlist, metric } = header;
  checkCodeMetric(reader, metric, at);
  const bits = await readRaBitQ(reader, header, true);
  if (!await reader.bool("by_residual")) {
    reader.fail("codes of RaBitQ that are about no centroids are not available", reader.offset - 1);
  }
  const sizeAt = reader.offset;
  checkCodeSize(reader, await reader.u64("the code size"), d, bits, sizeAt);
  const bbs = await readBBS(reader);
  const qbs2 = await reader.u64("qbs2");
  if (qbs2 > Number.MAX_SAFE_INTEGER) reader.fail(`groups are ${qbs2}`, reader.offset - 8);
  await checkParts(reader, d);
  const implem = await reader.i32("implem");
  const qb = await readQueryBits(reader);
  const centered = await reader.bool("centered");
  const index = stack.use(new IndexIVFRaBitQFastScan(quantizer, d, nlist, metric, bits, { bbs }));
  Object.assign(index, { qb, centered, implem, qbs2: Number(qbs2) });
  await readBlockLists(reader, index, blocksOf(index), header);
  stack.move();
  return index;
}

/** Writes an {@linkcode IndexRaBitQFastScan}. */
export async function writeRaBitQFastScan(
  writer: ByteWriter,
  index: IndexRaBitQFastScan,
): Promise<void> {
  const { d, bbs, ntotal, rabitq } = index;
  await writeHeader(writer, "Irfn", index);
  await writeRaBitQ(writer, rabitq, true);
  await writer.u64(d);
  await writer.bytes(rabitq.isTrained ? rabitq.center : new Float32Array(d));
  await writer.u8(index.qb || QUERY_BITS);
  await writer.i32(bbs);
  await writer.u64(Math.ceil(ntotal / bbs) * bbs);
  await writer.u64(partsOf(d));
  await writer.u64(rabitq.codeSize);
  await writeBlockCodes(writer, index, blocksOf(index));
}

/** Writes an {@linkcode IndexIVFRaBitQFastScan}. */
export async function writeIVFRaBitQFastScan(
  writer: ByteWriter,
  index: IndexIVFRaBitQFastScan,
): Promise<void> {
  const { d, rabitq } = index;
  await writeIVFHeader(writer, "Iwrn", index);
  await writeRaBitQ(writer, rabitq, true);
  await writer.bool(true);
  await writer.u64(rabitq.codeSize);
  await writer.i32(index.bbs);
  await writer.u64(index.qbs2);
  await writer.u64(partsOf(d));
  await writer.i32(index.implem);
  await writer.u8(index.qb || QUERY_BITS);
  await writer.bool(index.centered);
  await writeBlockLists(writer, index, blocksOf(index));
}
