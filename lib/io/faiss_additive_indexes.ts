import {
  IndexAdditiveQuantizer,
  IndexLocalSearchQuantizer,
  IndexProductLocalSearchQuantizer,
  IndexProductResidualQuantizer,
  IndexResidualQuantizer,
} from "../index/additive_quantizer.ts";
import type { Index } from "../index/index.ts";
import {
  IndexIVFAdditiveQuantizer,
  IndexIVFLocalSearchQuantizer,
  IndexIVFProductLocalSearchQuantizer,
  IndexIVFProductResidualQuantizer,
  IndexIVFResidualQuantizer,
} from "../index/ivf_additive_quantizer.ts";
import { LocalSearchQuantizer } from "../codec/local_search_quantizer.ts";
import type { AdditiveQuantizer } from "../codec/additive_quantizer.ts";
import { ProductResidualQuantizer } from "../codec/product_additive_quantizer.ts";
import { ResidualQuantizer } from "../codec/residual_quantizer.ts";
import type { ByteReader } from "./byte_reader.ts";
import type { ByteWriter } from "./byte_writer.ts";
import {
  type AdditiveKind,
  type AdditiveRecord,
  readAdditive,
  recordCodeSize,
  restoreAdditive,
  writeAdditive,
} from "./faiss_additive.ts";
import { checkCodeMetric } from "./faiss_checks.ts";
import {
  readCodeLists,
  readFlatCodes,
  writeCodeLists,
  writeFlatCodes,
} from "./faiss_code_files.ts";
import { type Place, readHeader, readIVFHeader } from "./faiss_reader.ts";
import { writeHeader, writeIVFHeader } from "./faiss_writer.ts";

/** Sizes of a product's quantizer. */
function productSizes({ nbits, parts }: AdditiveRecord): [number, number, number] {
  return [parts.length, nbits.length / parts.length, nbits[0]!];
}

/** The kind of additive quantizer that four characters are of, `IxRq` or `IwRQ` and their like. */
export function additiveKind(code: string): AdditiveKind | undefined {
  // With a Q it is what FAISS wrote before it had norms.
  const kind = /^I(?:x(Rq|LS|PR|PL)|w(RQ|LS|PR|PL))$/.exec(code);
  return (kind?.[1] ?? kind?.[2])?.toUpperCase() as AdditiveKind | undefined;
}

function checkSize(reader: ByteReader, at: number, record: AdditiveRecord, size: bigint): void {
  const wanted = recordCodeSize(record);
  if (size === BigInt(wanted)) return;
  reader.fail(`codes have ${size} bytes and ${wanted} are needed`, at);
}

/** Reads an index of additive codes, after its four characters. */
export async function readAdditiveIndex(
  { reader, backend }: Place,
  kind: AdditiveKind,
): Promise<IndexAdditiveQuantizer> {
  const at = reader.offset;
  const { d, ntotal, isTrained, metric } = await readHeader(reader);
  checkCodeMetric(reader, metric, at);
  const record = await readAdditive(reader, kind, d);
  checkTrained(reader, record, isTrained, at);
  const sizeAt = reader.offset;
  checkSize(reader, sizeAt, record, await reader.u64("the code size"));
  const { nbits, searchType } = record;
  const options = { backend, searchType };
  using stack = new DisposableStack();
  const make = {
    RQ: () => new IndexResidualQuantizer(d, nbits.length, nbits, metric, options),
    LS: () => new IndexLocalSearchQuantizer(d, nbits.length, nbits[0]!, metric, options),
    PR: () => new IndexProductResidualQuantizer(d, ...productSizes(record), metric, options),
    PL: () => new IndexProductLocalSearchQuantizer(d, ...productSizes(record), metric, options),
  };
  const index = stack.use<IndexAdditiveQuantizer>(make[kind]());
  restoreAdditive(index.aq, record);
  await readFlatCodes(reader, index, ntotal);
  stack.move();
  return index;
}

/** Reads an index with lists of additive codes, after its four characters. */
export async function readIVFAdditive(
  place: Place,
  kind: AdditiveKind,
): Promise<IndexIVFAdditiveQuantizer> {
  const { reader } = place;
  const at = reader.offset;
  using stack = new DisposableStack();
  const header = await readIVFHeader(place);
  const coarse = stack.use(header.quantizer);
  const { d, nlist, isTrained, metric } = header;
  checkCodeMetric(reader, metric, at);
  const sizeAt = reader.offset;
  const codeSize = await reader.u64("the code size");
  const record = await readAdditive(reader, kind, d);
  checkTrained(reader, record, isTrained, at);
  checkSize(reader, sizeAt, record, codeSize);
  const byResidual = await reader.bool("by_residual");
  await reader.i32("use_precomputed_table");
  const { nbits, searchType } = record;
  const [M, bits] = [nbits.length, nbits[0]!];
  const options = { byResidual, searchType };
  const product = productSizes(record);
  const make = {
    RQ: () => new IndexIVFResidualQuantizer(coarse, d, nlist, M, nbits, metric, options),
    LS: () => new IndexIVFLocalSearchQuantizer(coarse, d, nlist, M, bits, metric, options),
    PR: () => new IndexIVFProductResidualQuantizer(coarse, d, nlist, ...product, metric, options),
    PL: () =>
      new IndexIVFProductLocalSearchQuantizer(coarse, d, nlist, ...product, metric, options),
  };
  const index = stack.use<IndexIVFAdditiveQuantizer>(make[kind]());
  restoreAdditive(index.aq, record);
  await readCodeLists(reader, index, header);
  stack.move();
  return index;
}

function checkTrained(
  reader: ByteReader,
  record: AdditiveRecord,
  isTrained: boolean,
  at: number,
): void {
  if (record.isTrained === isTrained) return;
  reader.fail(`the index is ${isTrained ? "" : "not "}trained, unlike its quantizer`, at);
}

function kindOf(aq: AdditiveQuantizer): AdditiveKind {
  if (aq instanceof ResidualQuantizer) return "RQ";
  if (aq instanceof LocalSearchQuantizer) return "LS";
  return aq instanceof ProductResidualQuantizer ? "PR" : "PL";
}

/** Writes an index of additive codes. False: it is another. */
export async function writeAdditiveIndex(writer: ByteWriter, index: Index): Promise<boolean> {
  if (index instanceof IndexAdditiveQuantizer) {
    const kind = kindOf(index.aq);
    await writeHeader(writer, kind === "RQ" ? "IxRq" : `Ix${kind}`, index);
    await writeAdditive(writer, index.aq);
    await writer.u64(index.aq.codeSize);
    await writeFlatCodes(writer, index);
    return true;
  }
  if (!(index instanceof IndexIVFAdditiveQuantizer)) return false;
  await writeIVFHeader(writer, `Iw${kindOf(index.aq)}`, index);
  await writer.u64(index.aq.codeSize);
  await writeAdditive(writer, index.aq);
  await writer.bool(index.byResidual);
  // FAISS's use_precomputed_table, which is 0 unless a user sets it.
  await writer.i32(0);
  await writeCodeLists(writer, index);
  return true;
}
