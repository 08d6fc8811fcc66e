import {
  type AdditiveQuantizer,
  MAX_ADDITIVE_NBITS,
  MAX_CODEBOOKS,
} from "../codec/additive_quantizer.ts";
import { areSums, countNorms } from "../codec/additive_norms.ts";
import {
  additiveCodeSize,
  AdditiveSearchType,
  isAdditiveSearchType,
  rowOffsets,
} from "../codec/additive_type.ts";
import { LocalSearchQuantizer } from "../codec/local_search_quantizer.ts";
import { ProductAdditiveQuantizer } from "../codec/product_additive_quantizer.ts";
import { ResidualQuantizer } from "../codec/residual_quantizer.ts";
import type { ByteReader } from "./byte_reader.ts";
import type { ByteWriter } from "./byte_writer.ts";
import { checkFinite } from "./faiss_checks.ts";

/** Which additive quantizer a file holds. */
export type AdditiveKind = "RQ" | "LS" | "PR" | "PL";

/** Most sums that a beam keeps. */
const MAX_BEAM = 4096;
/** Counts of local search are below this. */
const MAX_COUNT = 2n ** 31n;

/** An additive quantizer as a file has it. */
export interface AdditiveRecord {
  d: number;
  nbits: number[];
  isTrained: boolean;
  searchType: AdditiveSearchType;
  codebooks: Float32Array;
  normMin: number;
  normMax: number;
  qnorm: Float32Array;
  normTabs: Float32Array;
  /** Fields of {@linkcode ResidualQuantizer}, {@linkcode LocalSearchQuantizer}; none of products. */
  parameters: Record<string, number | boolean>;
  /** The quantizers of a product's parts. */
  parts: AdditiveRecord[];
}

async function readFloats(reader: ByteReader, what: string): Promise<Float32Array> {
  const numbers = new Float32Array(await reader.count(what, 4));
  const at = reader.offset;
  await reader.fill(numbers, what);
  checkFinite(reader, numbers, 1, false, at, (i) => `${what}: number ${i}`);
  return numbers;
}

async function readBits(reader: ByteReader): Promise<number[]> {
  const at = reader.offset;
  const count = await reader.u64("the number of codebooks");
  if (count < 1n || count > MAX_CODEBOOKS) {
    reader.fail(`there are ${count} codebooks, not 1 to ${MAX_CODEBOOKS}`, at);
  }
  const length = await reader.count("the bits of codebooks", 8);
  if (BigInt(length) !== count) {
    reader.fail(`${length} numbers of bits for ${count} codebooks`, at + 8);
  }
  const nbits = [];
  for (let m = 0; m < length; m++) {
    const bits = await reader.u64("the bits of a codebook");
    if (bits < 1n || bits > MAX_ADDITIVE_NBITS) {
      reader.fail(
        `codebook ${m} has ${bits} bits, not 1 to ${MAX_ADDITIVE_NBITS}`,
        reader.offset - 8,
      );
    }
    nbits.push(Number(bits));
  }
  return nbits;
}

async function readCount(reader: ByteReader, what: string): Promise<number> {
  const count = await reader.u64(what);
  if (count >= MAX_COUNT) reader.fail(`${what} is ${count}`, reader.offset - 8);
  return Number(count);
}

async function readResidual(reader: ByteReader): Promise<Record<string, number>> {
  const trainType = await reader.i32("the kind of training");
  const maxBeamSize = await reader.i32("the size of the beam");
  if (maxBeamSize < 1 || maxBeamSize > MAX_BEAM) {
    reader.fail(`the beam keeps ${maxBeamSize} sums, not 1 to ${MAX_BEAM}`, reader.offset - 4);
  }
  return { trainType, maxBeamSize };
}

async function readLocalSearch(
  reader: ByteReader,
  nbits: number[],
): Promise<Record<string, number | boolean>> {
  const at = reader.offset;
  const K = await reader.u64("the rows of a codebook");
  if (nbits.some((bits) => 2n ** BigInt(bits) !== K)) {
    reader.fail(`codebooks of ${nbits.join(", ")} bits are said to have ${K} rows`, at);
  }
  const trainIters = await readCount(reader, "train_iters");
  const encodeIlsIters = await readCount(reader, "encode_ils_iters");
  const trainIlsIters = await readCount(reader, "train_ils_iters");
  const icmIters = await readCount(reader, "icm_iters");
  const p = await reader.f32("the temperature");
  const lambd = await reader.f32("the regularization");
  if (!Number.isFinite(p) || !Number.isFinite(lambd)) {
    reader.fail(`p is ${p} and lambd is ${lambd}`, reader.offset - 8);
  }
  const chunkSize = await readCount(reader, "chunk_size");
  if (chunkSize === 0) reader.fail("chunk_size is 0", reader.offset - 8);
  const randomSeed = await reader.i32("the seed");
  const nperts = await readCount(reader, "nperts");
  const updateCodebooksWithDouble = await reader.bool("update_codebooks_with_double");
  const counts = { trainIters, encodeIlsIters, trainIlsIters, icmIters, chunkSize, nperts };
  return { ...counts, p, lambd, randomSeed, updateCodebooksWithDouble };
}

/** Reads an additive quantizer of vectors of `d` numbers. */
export async function readAdditive(
  reader: ByteReader,
  kind: AdditiveKind,
  d: number,
): Promise<AdditiveRecord> {
  const at = reader.offset;
  const dimension = await reader.u64("the additive quantizer's dimension");
  if (dimension !== BigInt(d)) {
    reader.fail(`the additive quantizer has dimension ${dimension} and is of ${d}`, at);
  }
  const nbits = await readBits(reader);
  const isTrained = await reader.bool("whether the quantizer is trained");
  const codebooksAt = reader.offset;
  const codebooks = await readFloats(reader, "the codebooks");
  const typeAt = reader.offset;
  const searchType = await reader.i32("the kind of search");
  if (!isAdditiveSearchType(searchType)) {
    return reader.fail(`a search of kind ${searchType} is not available`, typeAt);
  }
  const normMin = await reader.f32("the least norm");
  const normMax = await reader.f32("the greatest norm");
  if (isTrained && !(Number.isFinite(normMin) && Number.isFinite(normMax))) {
    reader.fail(`norms are from ${normMin} to ${normMax}`, typeAt + 4);
  }
  const wanted = countNorms(searchType);
  const qnorm = wanted > 0 ? await readFloats(reader, "the norms") : new Float32Array();
  const sums = areSums(searchType);
  const normTabs = sums ? await readFloats(reader, "the tables of norms") : new Float32Array();
  if (isTrained && (qnorm.length !== wanted || normTabs.length !== (sums ? 32 : 0))) {
    reader.fail(`${qnorm.length} norms where ${wanted} are needed`, typeAt + 12);
  }
  const common = { d, nbits, isTrained, searchType, codebooks, normMin, normMax, qnorm, normTabs };
  const rows = rowOffsets(nbits).at(-1)!;
  const check = (dsub: number) => {
    const needed = isTrained ? rows * dsub : 0;
    if (codebooks.length === needed) return;
    reader.fail(`${codebooks.length} numbers of codebooks where ${needed} are needed`, codebooksAt);
  };
  if (kind === "RQ" || kind === "LS") {
    check(d);
    const parameters = kind === "RQ"
      ? await readResidual(reader)
      : await readLocalSearch(reader, nbits);
    return { ...common, parameters, parts: [] };
  }
  const splitsAt = reader.offset;
  const splits = await reader.u64("the number of parts");
  if (splits < 1n || splits > d || BigInt(d) % splits !== 0n || nbits.length % Number(splits)) {
    reader.fail(
      `dimension ${d} and ${nbits.length} codebooks are not divisible by ${splits} parts`,
      splitsAt,
    );
  }
  const dsub = d / Number(splits);
  check(dsub);
  const parts = await readParts(reader, kind, { ...common, parameters: {}, parts: [] }, dsub);
  return { ...common, parameters: {}, parts };
}

/** Reads the quantizers of a product's parts, which agree with the whole and with one another. */
async function readParts(
  reader: ByteReader,
  kind: "PR" | "PL",
  whole: AdditiveRecord,
  dsub: number,
): Promise<AdditiveRecord[]> {
  const parts: AdditiveRecord[] = [];
  const each = whole.nbits.length * dsub / whole.d;
  for (let s = 0; s < whole.d / dsub; s++) {
    const at = reader.offset;
    const part = await readAdditive(reader, kind === "PR" ? "RQ" : "LS", dsub);
    const { nbits, isTrained, searchType, codebooks } = part;
    const from = s * codebooks.length;
    const agrees = nbits.length === each && nbits.every((bits) => bits === whole.nbits[0]) &&
      isTrained === whole.isTrained && searchType === AdditiveSearchType.Decompress &&
      JSON.stringify(part.parameters) === JSON.stringify(parts[0]?.parameters ?? part.parameters) &&
      codebooks.every((value, i) => value === whole.codebooks[from + i]);
    if (!agrees) reader.fail(`part ${s} of the quantizer differs from the whole`, at);
    parts.push(part);
  }
  if (whole.nbits.some((bits) => bits !== whole.nbits[0])) {
    reader.fail("the codebooks of a product differ in size");
  }
  return parts;
}

/** Makes a quantizer what a file says of it. */
export function restoreAdditive(aq: AdditiveQuantizer, record: AdditiveRecord): void {
  Object.assign(aq, record.parameters);
  if (aq instanceof ProductAdditiveQuantizer) {
    record.parts.forEach((part, s) => restoreAdditive(aq.quantizers[s]!, part));
  }
  if (!record.isTrained) return;
  const { codebooks, normMin, normMax, qnorm, normTabs } = record;
  aq.restore({ codebooks, normMin, normMax, qnorm, normTabs });
}

/** Bytes of a code of what a file says. */
export function recordCodeSize({ nbits, searchType }: AdditiveRecord): number {
  return additiveCodeSize(nbits, searchType);
}

async function writeFloats(writer: ByteWriter, numbers: Float32Array): Promise<void> {
  await writer.u64(numbers.length);
  await writer.bytes(numbers);
}

/** Writes an additive quantizer. */
export async function writeAdditive(writer: ByteWriter, aq: AdditiveQuantizer): Promise<void> {
  await writer.u64(aq.d);
  await writer.u64(aq.M);
  await writer.u64(aq.M);
  for (const bits of aq.nbits) await writer.u64(bits);
  await writer.bool(aq.isTrained);
  await writeFloats(writer, aq.codebooks);
  await writer.i32(aq.searchType);
  await writer.f32(aq.normMin);
  await writer.f32(aq.normMax);
  const none = new Float32Array();
  if (countNorms(aq.searchType) > 0) await writeFloats(writer, aq.trained?.qnorm ?? none);
  if (areSums(aq.searchType)) await writeFloats(writer, aq.trained?.normTabs ?? none);
  if (aq instanceof ResidualQuantizer) {
    await writer.i32(aq.trainType);
    await writer.i32(aq.maxBeamSize);
  } else if (aq instanceof LocalSearchQuantizer) {
    const { K, trainIters, encodeIlsIters, trainIlsIters, icmIters } = aq;
    for (const count of [K, trainIters, encodeIlsIters, trainIlsIters, icmIters]) {
      await writer.u64(count);
    }
    await writer.f32(aq.p);
    await writer.f32(aq.lambd);
    await writer.u64(aq.chunkSize);
    await writer.i32(aq.randomSeed);
    await writer.u64(aq.nperts);
    await writer.bool(aq.updateCodebooksWithDouble);
  } else if (aq instanceof ProductAdditiveQuantizer) {
    await writer.u64(aq.nsplits);
    for (const part of aq.quantizers) await writeAdditive(writer, part);
  }
}
