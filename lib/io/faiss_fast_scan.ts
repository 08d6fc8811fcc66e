import { CodeBlocks, isBlockSize } from "../codec/code_blocks.ts";
import { IndexIVFPQFastScan, IndexPQFastScan } from "../index/fast_scan.ts";
import type { ByteReader } from "./byte_reader.ts";
import type { ByteWriter } from "./byte_writer.ts";
import {
  readBlockCodes,
  readBlockLists,
  writeBlockCodes,
  writeBlockLists,
} from "./faiss_blocks.ts";
import { checkCodeMetric } from "./faiss_checks.ts";
import { readProduct, writeProduct } from "./faiss_product.ts";
import { type Place, readHeader, readIVFHeader } from "./faiss_reader.ts";
import { writeHeader, writeIVFHeader } from "./faiss_writer.ts";

/** Bits of a part. */
const NBITS = 4;

function even(M: number): number {
  return M + M % 2;
}

/** The layout of an index's codes in files. */
function blocksOf({ pq: { M }, bbs }: IndexPQFastScan | IndexIVFPQFastScan): CodeBlocks {
  return new CodeBlocks(M, bbs);
}

async function readBBS(reader: ByteReader): Promise<number> {
  const bbs = await reader.i32("the codes of a block");
  if (!isBlockSize(bbs)) reader.fail(`blocks have ${bbs} codes`, reader.offset - 4);
  return bbs;
}

function checkQBS(value: bigint, reader: ByteReader, bytes: number): number {
  if (value < 0n || value > Number.MAX_SAFE_INTEGER) {
    reader.fail(`groups of queries are ${value}`, reader.offset - bytes);
  }
  return Number(value);
}

/** Reads the quantizer of an index, which has 4 bits. */
async function readFastProduct(reader: ByteReader, d: number) {
  const at = reader.offset;
  const product = await readProduct(reader, d);
  if (product.nbits !== NBITS) {
    reader.fail(
      `sub-quantizers have ${product.nbits} bits, and a fast scan is of ${NBITS}`,
      at + 16,
    );
  }
  return product;
}

/** Reads an {@linkcode IndexPQFastScan}, after its four characters. */
export async function readPQFastScan({ reader, backend }: Place): Promise<IndexPQFastScan> {
  const at = reader.offset;
  const { d, ntotal, isTrained, metric } = await readHeader(reader);
  checkCodeMetric(reader, metric, at);
  const { M, centroids } = await readFastProduct(reader, d);
  const implem = await reader.i32("implem");
  const bbs = await readBBS(reader);
  const qbs = checkQBS(BigInt(await reader.i32("qbs")), reader, 4);
  const held = await reader.u64("the codes in blocks");
  const wanted = Math.ceil(ntotal / bbs) * bbs;
  if (held !== BigInt(wanted)) {
    reader.fail(`blocks hold ${held} codes, and ${wanted} are needed`, reader.offset - 8);
  }
  const parts = await reader.u64("the parts of a code");
  if (parts !== BigInt(even(M))) {
    reader.fail(`codes in blocks have ${parts} parts, not ${even(M)}`, reader.offset - 8);
  }
  using stack = new DisposableStack();
  const index = stack.use(new IndexPQFastScan(d, M, NBITS, metric, { backend, bbs }));
  Object.assign(index, { implem, qbs });
  if (isTrained) index.pq.restore(centroids);
  await readBlockCodes(reader, index, blocksOf(index), ntotal);
  stack.move();
  return index;
}

/** Reads an {@linkcode IndexIVFPQFastScan}, after its four characters. */
export async function readIVFPQFastScan(place: Place): Promise<IndexIVFPQFastScan> {
  const { reader } = place;
  const at = reader.offset;
  using stack = new DisposableStack();
  const header = await readIVFHeader(place);
  const quantizer = stack.use(header.quantizer);
  const { d, nlist, isTrained, metric } = header;
  checkCodeMetric(reader, metric, at);
  const byResidual = await reader.bool("by_residual");
  const sizeAt = reader.offset;
  const codeSize = await reader.u64("the code size");
  const bbs = await readBBS(reader);
  const parts = await reader.u64("the parts of a code");
  const implem = await reader.i32("implem");
  const qbs2 = checkQBS(await reader.u64("qbs2"), reader, 8);
  const { M, centroids } = await readFastProduct(reader, d);
  if (codeSize !== BigInt(even(M) / 2)) {
    reader.fail(`codes have ${codeSize} bytes and ${even(M) / 2} are needed`, sizeAt);
  }
  if (parts !== BigInt(even(M))) {
    reader.fail(`codes in blocks have ${parts} parts, not ${even(M)}`, sizeAt + 12);
  }
  const index = stack.use(
    new IndexIVFPQFastScan(quantizer, d, nlist, M, NBITS, metric, { byResidual, bbs }),
  );
  Object.assign(index, { implem, qbs2 });
  if (isTrained) index.pq.restore(centroids);
  await readBlockLists(reader, index, blocksOf(index), header);
  stack.move();
  return index;
}

/** Writes an {@linkcode IndexPQFastScan}. */
export async function writePQFastScan(writer: ByteWriter, index: IndexPQFastScan): Promise<void> {
  const { bbs, ntotal } = index;
  await writeHeader(writer, "IPfs", index);
  await writeProduct(writer, index.pq);
  await writer.i32(index.implem);
  await writer.i32(bbs);
  await writer.i32(index.qbs);
  await writer.u64(Math.ceil(ntotal / bbs) * bbs);
  await writer.u64(even(index.pq.M));
  await writeBlockCodes(writer, index, blocksOf(index));
}

/** Writes an {@linkcode IndexIVFPQFastScan}. */
export async function writeIVFPQFastScan(
  writer: ByteWriter,
  index: IndexIVFPQFastScan,
): Promise<void> {
  await writeIVFHeader(writer, "IwPf", index);
  await writer.bool(index.byResidual);
  await writer.u64(index.pq.codeSize);
  await writer.i32(index.bbs);
  await writer.u64(even(index.pq.M));
  await writer.i32(index.implem);
  await writer.u64(index.qbs2);
  await writeProduct(writer, index.pq);
  await writeBlockLists(writer, index, blocksOf(index));
}
