import { UnsupportedError } from "../errors.ts";
import { IndexBinaryFlat } from "../index/binary/flat.ts";
import { IndexBinaryFromFloat } from "../index/binary/from_float.ts";
import { IndexBinaryHash, IndexBinaryMultiHash } from "../index/binary/hash.ts";
import { IndexBinaryHNSW } from "../index/binary/hnsw.ts";
import { IndexBinaryIDMap, IndexBinaryIDMap2 } from "../index/binary/id_map.ts";
import type { IndexBinary } from "../index/binary/index_binary.ts";
import { IndexBinaryIVF } from "../index/binary/ivf.ts";
import { copyCodes } from "../index/binary/positions.ts";
import { Metric } from "../metric.ts";
import { BitWriter } from "./bit_string.ts";
import type { ByteWriter } from "./byte_writer.ts";
import { CHUNK_BYTES } from "./faiss_codes.ts";
import { writeGraph } from "./faiss_hnsw.ts";
import { writeLists } from "./faiss_lists.ts";
import { writeRecord } from "./faiss_writer.ts";

/** Writes one index of bits, and those inside it, as FAISS does. */
export async function writeBinaryRecord(writer: ByteWriter, index: IndexBinary): Promise<void> {
  await index.hold("write", async () => {
    if (index instanceof IndexBinaryFlat) {
      await writeHeader(writer, "IBxF", index);
      await writeCodes(writer, index.ntotal * index.codeSize, index.store.codes);
    } else if (index instanceof IndexBinaryIVF) {
      await writeIVF(writer, index);
    } else if (index instanceof IndexBinaryHNSW) {
      await writeHeader(writer, "IBHf", index);
      await writeGraph(writer, index);
      await writeHeader(writer, "IBxF", index);
      await writer.u64(index.ntotal * index.codeSize);
      for (const x of index.chunks(CHUNK_BYTES)) await writer.bytes(x);
    } else if (index instanceof IndexBinaryIDMap) {
      await writeHeader(writer, index instanceof IndexBinaryIDMap2 ? "IBM2" : "IBMp", index);
      await writeBinaryRecord(writer, index.index);
      await writer.u64(index.idMap.length);
      await writer.bytes(index.idMap);
    } else if (index instanceof IndexBinaryHash) {
      await writeHash(writer, index);
    } else if (index instanceof IndexBinaryMultiHash) {
      await writeMultiHash(writer, index);
    } else if (index instanceof IndexBinaryFromFloat) {
      await writeHeader(writer, "IBFf", index);
      await writeRecord(writer, index.index);
    } else {
      throw new UnsupportedError(`Cannot write ${index.constructor.name}: it has no file format`);
    }
  });
}

async function writeHeader(writer: ByteWriter, code: string, index: IndexBinary): Promise<void> {
  await writer.text(code);
  await writer.i32(index.d);
  await writer.i32(index.codeSize);
  await writer.u64(index.ntotal);
  await writer.bool(index.isTrained);
  await writer.i32(Metric.L2);
}

async function writeCodes(
  writer: ByteWriter,
  bytes: number,
  codes: Parameters<typeof copyCodes>[0],
): Promise<void> {
  await writer.u64(bytes);
  for (const part of copyCodes(codes, CHUNK_BYTES)) await writer.bytes(part);
}

async function writeIVF(writer: ByteWriter, index: IndexBinaryIVF): Promise<void> {
  await writeHeader(writer, "IBwF", index);
  await writer.u64(index.nlist);
  await writer.u64(index.nprobe);
  await writeBinaryRecord(writer, index.quantizer);
  // A direct map of type "none": ours is kept by the store, not the file.
  await writer.u8(0);
  await writer.u64(0);
  const { lists } = index.store;
  await writeLists(writer, lists.sizes(), index.codeSize, (list) => {
    const { codes: rows, ids } = lists.list(list);
    return { rows, ids };
  });
}

/** Bits that a number up to `most` takes. */
function bitsFor(most: number): number {
  let bits = 0;
  while (most >= 2 ** bits) bits++;
  return bits;
}

/** The sizes of all buckets as a string of bits, and then their ids and vectors. */
async function writeHash(writer: ByteWriter, index: IndexBinaryHash): Promise<void> {
  const { b, codeSize, idMap, nflip, store } = index;
  await writeHeader(writer, "IBHh", index);
  await writer.i32(b);
  await writer.i32(nflip);
  const buckets = index.bucketsOf(0);
  await writer.u64(buckets.length);
  const sizeBits = bitsFor(buckets.reduce((most, { rows }) => Math.max(most, rows.length), 0));
  await writer.i32(sizeBits);
  const bits = new BitWriter((b + sizeBits) * buckets.length);
  for (const { low, high, rows } of buckets) {
    bits.writeKey(low, high, b);
    bits.write(rows.length, sizeBits);
  }
  await writer.u64(bits.bytes.length);
  await writer.bytes(bits.bytes);
  for (const { rows } of buckets) {
    await writer.u64(rows.length);
    await writer.bytes(BigInt64Array.from(rows, (row) => idMap[row]!));
    await writer.u64(rows.length * codeSize);
    for (const row of rows) await writer.bytes(store.codes.codes(row, 1));
  }
}

/** The vectors, and then the buckets of each hash as a string of bits. */
async function writeMultiHash(writer: ByteWriter, index: IndexBinaryMultiHash): Promise<void> {
  const { b, codeSize, nflip, nhash, ntotal, store } = index;
  await writeHeader(writer, "IBHm", index);
  await writeHeader(writer, "IBxF", index);
  await writeCodes(writer, ntotal * codeSize, store.codes);
  await writer.i32(b);
  await writer.i32(nhash);
  await writer.i32(nflip);
  // FAISS takes too few where all vectors are in one bucket, and their number is a power of two.
  const idBits = bitsFor(ntotal);
  for (let hash = 0; hash < nhash; hash++) {
    const buckets = index.bucketsOf(hash);
    await writer.i32(idBits);
    await writer.u64(buckets.length);
    const bits = new BitWriter((b + idBits) * buckets.length + ntotal * idBits);
    for (const { low, high, rows } of buckets) {
      bits.writeKey(low, high, b);
      bits.write(rows.length, idBits);
      for (const row of rows) bits.write(row, idBits);
    }
    await writer.u64(bits.bytes.length);
    await writer.bytes(bits.bytes);
  }
}
