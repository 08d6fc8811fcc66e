import { IndexLSH } from "../index/lsh.ts";
import { Metric } from "../metric.ts";
import { RandomRotationMatrix } from "../transform/random_rotation.ts";
import type { ByteReader } from "./byte_reader.ts";
import type { ByteWriter } from "./byte_writer.ts";
import { checkFinite } from "./faiss_checks.ts";
import { MAX_DIMENSION } from "./faiss_codes.ts";
import { readFlatCodes, writeFlatCodes } from "./faiss_code_files.ts";
import { type Place, readHeader } from "./faiss_reader.ts";
import { readTransform, writeTransform } from "./faiss_transforms.ts";
import { writeHeader } from "./faiss_writer.ts";

/** Reads an {@linkcode IndexLSH}, after its four characters. */
export async function readLSH({ reader, backend }: Place): Promise<IndexLSH> {
  const at = reader.offset;
  const { d, ntotal, isTrained, metric } = await readHeader(reader);
  if (metric !== Metric.L2) reader.fail(`codes of signs have metric ${metric}, not L2`, at);
  const bitsAt = reader.offset;
  const nbits = await reader.i32("the bits of a code");
  const rotateData = await reader.bool("rotate_data");
  const trainThresholds = await reader.bool("train_thresholds");
  if (nbits < 1 || nbits > (rotateData ? MAX_DIMENSION : d)) {
    reader.fail(`codes have ${nbits} bits where the dimension is ${d}`, bitsAt);
  }
  const thresholds = await readThresholds(reader, trainThresholds && isTrained ? nbits : 0);
  const sizeAt = reader.offset;
  const codeSize = await reader.i32("the code size");
  const rotationAt = reader.offset;
  const rotation = await readTransform(reader);
  const fits = rotation.dIn === d && rotation.dOut === nbits;
  if (!(rotation instanceof RandomRotationMatrix) || !fits || rotation.haveBias) {
    return reader.fail(`there is no rotation of ${d} numbers to ${nbits}`, rotationAt);
  }
  if (rotateData && !rotation.isTrained) reader.fail("the rotation is not there", rotationAt);
  using stack = new DisposableStack();
  const index = stack.use(new IndexLSH(d, nbits, { rotateData, trainThresholds, backend }));
  if (codeSize !== index.lsh.codeSize) {
    reader.fail(`codes have ${codeSize} bytes and ${index.lsh.codeSize} are needed`, sizeAt);
  }
  index.lsh.restore(
    trainThresholds && isTrained ? thresholds : undefined,
    rotation.isTrained ? rotation.a : undefined,
  );
  await readFlatCodes(reader, index, ntotal);
  stack.move();
  return index;
}

async function readThresholds(reader: ByteReader, wanted: number): Promise<Float32Array> {
  const length = await reader.count("the thresholds", 4);
  if (length !== wanted) {
    reader.fail(`${length} thresholds where ${wanted} are needed`, reader.offset - 8);
  }
  const thresholds = new Float32Array(length);
  const at = reader.offset;
  await reader.fill(thresholds, "the thresholds");
  checkFinite(reader, thresholds, 1, false, at, (i) => `threshold ${i}`);
  return thresholds;
}

/** Writes an {@linkcode IndexLSH}. */
export async function writeLSH(writer: ByteWriter, index: IndexLSH): Promise<void> {
  const { nbits, rotateData, trainThresholds, thresholds, codeSize, rotation } = index.lsh;
  await index.lsh.prepare();
  await writeHeader(writer, "IxHe", index);
  await writer.i32(nbits);
  await writer.bool(rotateData);
  await writer.bool(trainThresholds);
  await writer.u64(thresholds.length);
  await writer.bytes(thresholds);
  await writer.i32(codeSize);
  await writeTransform(writer, rotation);
  await writeFlatCodes(writer, index);
}
