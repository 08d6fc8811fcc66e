import {
  isQuantizerType,
  type QuantizerType,
  RangeStat,
  scalarCodeSize,
  trainedLength,
} from "../codec/quantizer_type.ts";
import type { ScalarQuantizer } from "../codec/scalar_quantizer.ts";
import { IndexIVFScalarQuantizer, IndexScalarQuantizer } from "../index/scalar_quantizer.ts";
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

/** A scalar quantizer as a file has it. */
interface ScalarRecord {
  qtype: QuantizerType;
  rangeStat: RangeStat;
  rangeStatArg: number;
  /** Least values and ranges; nothing before training. */
  trained: Float32Array;
}

/** Quantizers of FAISS that are not available, by their numbers. */
const LATER: readonly [from: number, to: number, name: string][] = [
  [9, 9, "0bit"],
  [10, 14, "TurboQuant (tqmse)"],
  [15, 18, "TurboQuant (tq)"],
  [19, 26, "EDEN"],
];

/** Reads the scalar quantizer of an index of dimension `d`. */
async function readScalar(
  reader: ByteReader,
  d: number,
  isTrained: boolean,
): Promise<ScalarRecord> {
  const at = reader.offset;
  const qtype = await reader.i32("the quantizer's type");
  if (!isQuantizerType(qtype)) {
    const name = LATER.find(([from, to]) => from <= qtype && qtype <= to)?.[2];
    reader.fail(
      name === undefined
        ? `there is no scalar quantizer of type ${qtype}`
        : `a scalar quantizer of type ${qtype} (${name}) is not available yet`,
      at,
    );
  }
  const rangeStat = await reader.i32("the quantizer's range") as RangeStat;
  if (!Object.values(RangeStat).includes(rangeStat)) {
    reader.fail(`the quantizer's range is of kind ${rangeStat}`, at + 4);
  }
  const rangeStatArg = await reader.f32("the argument of the quantizer's range");
  if (!Number.isFinite(rangeStatArg)) {
    reader.fail(`the argument of the quantizer's range is ${rangeStatArg}`, at + 8);
  }
  const dimension = await reader.u64("the quantizer's dimension");
  if (dimension !== BigInt(d)) {
    reader.fail(`the quantizer has dimension ${dimension} and the index ${d}`, at + 12);
  }
  const codeSize = await reader.u64("the code size");
  const wanted = scalarCodeSize(qtype, d);
  if (codeSize !== BigInt(wanted)) {
    reader.fail(`codes have ${codeSize} bytes and ${wanted} are needed`, at + 20);
  }
  const length = await reader.count("the ranges", 4);
  const expected = trainedLength(qtype, d);
  if (length !== expected && (isTrained || length !== 0)) {
    reader.fail(`${length} numbers of ranges where ${expected} are needed`, at + 28);
  }
  const trained = new Float32Array(length);
  const start = reader.offset;
  await reader.fill(trained, "the ranges");
  checkFinite(reader, trained, 1, false, start, (i) => `range number ${i}`);
  return { qtype, rangeStat, rangeStatArg, trained };
}

/** Writes a scalar quantizer. */
async function writeScalar(writer: ByteWriter, sq: ScalarQuantizer): Promise<void> {
  await writer.i32(sq.qtype);
  await writer.i32(sq.rangeStat);
  await writer.f32(sq.rangeStatArg);
  await writer.u64(sq.d);
  await writer.u64(sq.codeSize);
  const { trained } = sq;
  await writer.u64(trained.length);
  await writer.bytes(trained);
}

/** Reads an {@linkcode IndexScalarQuantizer}, after its four characters. */
export async function readSQ({ reader, backend }: Place): Promise<IndexScalarQuantizer> {
  const at = reader.offset;
  const { d, ntotal, isTrained, metric } = await readHeader(reader);
  checkCodeMetric(reader, metric, at);
  const { qtype, trained, ...range } = await readScalar(reader, d, isTrained);
  using stack = new DisposableStack();
  const index = stack.use(new IndexScalarQuantizer(d, qtype, metric, { backend, ...range }));
  if (isTrained) index.sq.restore(trained);
  await readFlatCodes(reader, index, ntotal);
  stack.move();
  return index;
}

/** Reads an {@linkcode IndexIVFScalarQuantizer}, after its four characters. */
export async function readIVFSQ(place: Place): Promise<IndexIVFScalarQuantizer> {
  const { reader } = place;
  const at = reader.offset;
  using stack = new DisposableStack();
  const header = await readIVFHeader(place);
  const quantizer = stack.use(header.quantizer);
  const { d, nlist, isTrained, metric } = header;
  checkCodeMetric(reader, metric, at);
  const { qtype, trained, ...range } = await readScalar(reader, d, isTrained);
  const sizeAt = reader.offset;
  const codeSize = await reader.u64("the code size");
  if (codeSize !== BigInt(scalarCodeSize(qtype, d))) {
    reader.fail(`codes have ${codeSize} bytes, unlike those of the quantizer`, sizeAt);
  }
  const byResidual = await reader.bool("by_residual");
  const options = { byResidual, ...range };
  const index = stack.use(
    new IndexIVFScalarQuantizer(quantizer, d, nlist, qtype, metric, options),
  );
  if (isTrained) index.sq.restore(trained);
  await readCodeLists(reader, index, header);
  stack.move();
  return index;
}

/** Writes an {@linkcode IndexScalarQuantizer}, or the codes of a graph as one. */
export async function writeSQ(
  writer: ByteWriter,
  index: CodesInOrder & { readonly sq: ScalarQuantizer },
): Promise<void> {
  await writeHeader(writer, "IxSQ", index);
  await writeScalar(writer, index.sq);
  await writeFlatCodes(writer, index);
}

/** Writes an {@linkcode IndexIVFScalarQuantizer}. */
export async function writeIVFSQ(
  writer: ByteWriter,
  index: IndexIVFScalarQuantizer,
): Promise<void> {
  await writeIVFHeader(writer, "IwSq", index);
  await writeScalar(writer, index.sq);
  await writer.u64(index.sq.codeSize);
  await writer.bool(index.byResidual);
  await writeCodeLists(writer, index);
}
