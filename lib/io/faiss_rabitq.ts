import { MAX_RABITQ_BITS, type RaBitQuantizer } from "../codec/rabitq.ts";
import { rabitqLayout } from "../codec/rabitq_codes.ts";
import { IndexIVFRaBitQ, IndexRaBitQ } from "../index/rabitq.ts";
import type { Metric } from "../metric.ts";
import type { ByteReader } from "./byte_reader.ts";
import type { ByteWriter } from "./byte_writer.ts";
import { checkCodeMetric, checkFinite } from "./faiss_checks.ts";
import {
  readCodeLists,
  readFlatCodes,
  writeCodeLists,
  writeFlatCodes,
} from "./faiss_code_files.ts";
import { type Place, readHeader, readIVFHeader } from "./faiss_reader.ts";
import { writeHeader, writeIVFHeader } from "./faiss_writer.ts";

/** Reads the bits of a quantizer, whose other numbers repeat those of its index. */
export async function readRaBitQ(
  reader: ByteReader,
  { d, metric }: { d: number; metric: Metric },
  isMultibit: boolean,
): Promise<number> {
  const at = reader.offset;
  const dimension = await reader.u64("the RaBitQ quantizer's dimension");
  if (dimension !== BigInt(d)) {
    reader.fail(`the RaBitQ quantizer has dimension ${dimension} and the index ${d}`, at);
  }
  const codeSize = await reader.u64("the RaBitQ code size");
  const own = await reader.i32("the RaBitQ quantizer's metric");
  if (own !== metric) reader.fail(`the RaBitQ quantizer has metric ${own}, not ${metric}`, at + 16);
  const bits = isMultibit ? await reader.u64("the bits of a number") : 1n;
  if (bits < 1n || bits > MAX_RABITQ_BITS) {
    reader.fail(`numbers have ${bits} bits, not 1 to ${MAX_RABITQ_BITS}`, at + 20);
  }
  checkCodeSize(reader, codeSize, d, Number(bits), at + 8);
  return Number(bits);
}

function checkCodeSize(
  reader: ByteReader,
  codeSize: bigint,
  d: number,
  bits: number,
  at: number,
): void {
  const { codeSize: wanted } = rabitqLayout(d, bits);
  if (codeSize === BigInt(wanted)) return;
  reader.fail(`codes have ${codeSize} bytes and ${wanted} are needed`, at);
}

/** Reads the bits that queries are rounded to. */
export async function readQueryBits(reader: ByteReader): Promise<number> {
  const qb = await reader.u8("the bits of a query");
  if (qb > 8) reader.fail(`queries have ${qb} bits, not 0 to 8`, reader.offset - 1);
  return qb;
}

/** Reads the mean that codes are about; empty before training. */
export async function readCenter(
  reader: ByteReader,
  d: number,
  isTrained: boolean,
): Promise<Float32Array> {
  const length = await reader.count("the center", 4);
  if (length !== (isTrained ? d : 0)) {
    reader.fail(`a center of ${length} numbers where the dimension is ${d}`, reader.offset - 8);
  }
  const center = new Float32Array(length);
  const at = reader.offset;
  await reader.fill(center, "the center");
  checkFinite(reader, center, d, false, at, () => "the center");
  return center;
}

/** Reads an {@linkcode IndexRaBitQ}, after its four characters. */
export async function readFlatRaBitQ(
  { reader, backend }: Place,
  isMultibit: boolean,
): Promise<IndexRaBitQ> {
  const at = reader.offset;
  const header = await readHeader(reader);
  const { d, ntotal, isTrained, metric } = header;
  checkCodeMetric(reader, metric, at);
  const bits = await readRaBitQ(reader, header, isMultibit);
  // The codes come before what they are about.
  const codesAt = reader.offset;
  const length = await reader.count("the codes", 1);
  reader.offset += length;
  const center = await readCenter(reader, d, isTrained);
  const qb = await readQueryBits(reader);
  const end = reader.offset;
  using stack = new DisposableStack();
  const index = stack.use(new IndexRaBitQ(d, metric, bits, { backend }));
  if (isTrained) index.rabitq.restore(center);
  index.qb = qb;
  reader.offset = codesAt;
  await readFlatCodes(reader, index, ntotal);
  reader.offset = end;
  stack.move();
  return index;
}

/** Reads an {@linkcode IndexIVFRaBitQ}, after its four characters. */
export async function readIVFRaBitQ(place: Place, isMultibit: boolean): Promise<IndexIVFRaBitQ> {
  const { reader } = place;
  const at = reader.offset;
  using stack = new DisposableStack();
  const header = await readIVFHeader(place);
  const quantizer = stack.use(header.quantizer);
  const { d, nlist, metric } = header;
  checkCodeMetric(reader, metric, at);
  const bits = await readRaBitQ(reader, header, isMultibit);
  const sizeAt = reader.offset;
  checkCodeSize(reader, await reader.u64("the code size"), d, bits, sizeAt);
  if (!await reader.bool("by_residual")) {
    reader.fail("codes of RaBitQ that are about no centroids are not available", reader.offset - 1);
  }
  const qb = await readQueryBits(reader);
  const index = stack.use(new IndexIVFRaBitQ(quantizer, d, nlist, metric, bits));
  index.qb = qb;
  await readCodeLists(reader, index, header);
  stack.move();
  return index;
}

/** Writes what {@linkcode readRaBitQ} reads. */
export async function writeRaBitQ(
  writer: ByteWriter,
  { d, codeSize, metric, nbBits }: RaBitQuantizer,
  isMultibit: boolean,
): Promise<void> {
  await writer.u64(d);
  await writer.u64(codeSize);
  await writer.i32(metric);
  if (isMultibit) await writer.u64(nbBits);
}

/** Writes an {@linkcode IndexRaBitQ}. */
export async function writeFlatRaBitQ(writer: ByteWriter, index: IndexRaBitQ): Promise<void> {
  const isMultibit = index.rabitq.nbBits > 1;
  await writeHeader(writer, isMultibit ? "Ixrr" : "Ixrq", index);
  await writeRaBitQ(writer, index.rabitq, isMultibit);
  await writeFlatCodes(writer, index);
  const { center } = index.rabitq;
  await writer.u64(center.length);
  await writer.bytes(center);
  await writer.u8(index.qb);
}

/** Writes an {@linkcode IndexIVFRaBitQ}. */
export async function writeIVFRaBitQ(writer: ByteWriter, index: IndexIVFRaBitQ): Promise<void> {
  const isMultibit = index.rabitq.nbBits > 1;
  await writeIVFHeader(writer, isMultibit ? "Iwrr" : "Iwrq", index);
  await writeRaBitQ(writer, index.rabitq, isMultibit);
  await writer.u64(index.rabitq.codeSize);
  await writer.bool(true);
  await writer.u8(index.qb);
  await writeCodeLists(writer, index);
}
