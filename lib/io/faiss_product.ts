import { MAX_NBITS, type ProductQuantizer } from "../codec/product_quantizer.ts";
import { IndexIVFPQ, IndexPQ } from "../index/product_quantizer.ts";
import type { ByteReader } from "./byte_reader.ts";
import type { ByteWriter } from "./byte_writer.ts";
import { checkCodeMetric, checkFinite } from "./faiss_checks.ts";
import {
  type CodesInOrder,
  readCodeLists,
  readFlatCodes,
  writeCodeLists,
  writeFlatCodes,
} from "./faiss_code_files.ts";
import { type Place, readHeader, readIVFHeader } from "./faiss_reader.ts";
import { writeHeader, writeIVFHeader } from "./faiss_writer.ts";

/** A product quantizer as a file has it. */
export interface ProductRecord {
  /** Parts of a vector. */
  M: number;
  /** Bits of a part's number. */
  nbits: number;
  /** `M × 2 ** nbits × d / M`; zeros before training. */
  centroids: Float32Array;
}

/** Reads the product quantizer of an index of dimension `d`. */
export async function readProduct(reader: ByteReader, d: number): Promise<ProductRecord> {
  const at = reader.offset;
  const dimension = await reader.u64("the product quantizer's dimension");
  if (dimension !== BigInt(d)) {
    reader.fail(`the product quantizer has dimension ${dimension} and the index ${d}`, at);
  }
  const parts = await reader.u64("the number of sub-quantizers");
  if (parts < 1n || parts > d || BigInt(d) % parts !== 0n) {
    reader.fail(`the dimension ${d} is not divisible by M ${parts}`, at + 8);
  }
  const bits = await reader.u64("the bits of a sub-quantizer");
  if (bits < 1n || bits > MAX_NBITS) {
    reader.fail(`sub-quantizers have ${bits} bits, not 1 to ${MAX_NBITS}`, at + 16);
  }
  const [M, nbits] = [Number(parts), Number(bits)];
  const length = await reader.count("the sub-quantizers' centroids", 4);
  if (length !== d * 2 ** nbits) {
    reader.fail(`${length} numbers of centroids where ${d * 2 ** nbits} are needed`, at + 24);
  }
  const centroids = new Float32Array(length);
  const start = reader.offset;
  await reader.fill(centroids, "the sub-quantizers' centroids");
  checkFinite(reader, centroids, d / M, false, start, (i) => `centroid ${i}`);
  return { M, nbits, centroids };
}

/** Writes a product quantizer; zeros for one that is not trained. */
export async function writeProduct(writer: ByteWriter, pq: ProductQuantizer): Promise<void> {
  await writer.u64(pq.d);
  await writer.u64(pq.M);
  await writer.u64(pq.nbits);
  await writer.u64(pq.d * pq.ksub);
  await writer.bytes(pq.isTrained ? pq.centroids : new Float32Array(pq.d * pq.ksub));
}

/** FAISS's `ST_PQ`: queries are not quantized, and nothing is filtered beforehand. */
const SEARCH_TYPE = 0;

/** Reads an {@linkcode IndexPQ}, after its four characters. */
export async function readPQ({ reader, backend }: Place): Promise<IndexPQ> {
  const at = reader.offset;
  const { d, ntotal, isTrained, metric } = await readHeader(reader);
  checkCodeMetric(reader, metric, at);
  const { M, nbits, centroids } = await readProduct(reader, d);
  using stack = new DisposableStack();
  const index = stack.use(new IndexPQ(d, M, nbits, metric, { backend }));
  if (isTrained) index.pq.restore(centroids);
  await readFlatCodes(reader, index, ntotal);
  const type = await reader.i32("the kind of search");
  if (type !== SEARCH_TYPE) {
    reader.fail(`a search of kind ${type} is not available`, reader.offset - 4);
  }
  await reader.bool("whether signs are encoded");
  await reader.i32("the Hamming threshold");
  stack.move();
  return index;
}

/** Reads an {@linkcode IndexIVFPQ}, after its four characters. */
export async function readIVFPQ(place: Place): Promise<IndexIVFPQ> {
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
  const { M, nbits, centroids } = await readProduct(reader, d);
  const index = stack.use(
    new IndexIVFPQ(quantizer, d, nlist, M, nbits, metric, { byResidual }),
  );
  if (codeSize !== BigInt(index.pq.codeSize)) {
    reader.fail(`codes have ${codeSize} bytes and ${index.pq.codeSize} are needed`, sizeAt);
  }
  if (isTrained) index.pq.restore(centroids);
  await readCodeLists(reader, index, header);
  stack.move();
  return index;
}

/** Writes an {@linkcode IndexPQ}, or the codes of a graph as one. */
export async function writePQ(
  writer: ByteWriter,
  index: CodesInOrder & { readonly pq: ProductQuantizer },
): Promise<void> {
  await writeHeader(writer, "IxPq", index);
  await writeProduct(writer, index.pq);
  await writeFlatCodes(writer, index);
  await writer.i32(SEARCH_TYPE);
  await writer.bool(false);
  // The threshold that FAISS starts with: all codes are within it.
  await writer.i32(index.pq.M * index.pq.nbits + 1);
}

/** Writes an {@linkcode IndexIVFPQ}. */
export async function writeIVFPQ(writer: ByteWriter, index: IndexIVFPQ): Promise<void> {
  await writeIVFHeader(writer, "IwPQ", index);
  await writer.bool(index.byResidual);
  await writer.u64(index.pq.codeSize);
  await writeProduct(writer, index.pq);
  await writeCodeLists(writer, index);
}
