import { MAX_NBITS, type ProductQuantizer } from "../codec/product_quantizer.ts";
import type { ByteReader } from "./byte_reader.ts";
import type { ByteWriter } from "./byte_writer.ts";
import { checkFinite } from "./faiss_checks.ts";

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
