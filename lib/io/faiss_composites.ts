import type { Index } from "../index/index.ts";
import { IndexFlat } from "../index/flat.ts";
import { IndexPreTransform, MOST_TRANSFORMS } from "../index/pre_transform.ts";
import { IndexRefine, IndexRefineFlat } from "../index/refine.ts";
import type { VectorTransform } from "../transform/transform.ts";
import type { ByteReader } from "./byte_reader.ts";
import type { ByteWriter } from "./byte_writer.ts";
import { type Header, type Place, readHeader, readRecord } from "./faiss_reader.ts";
import { readTransform, writeTransform } from "./faiss_transforms.ts";
import { writeHeader, writeRecord } from "./faiss_writer.ts";

/** Reads transforms, and the index behind them. */
export async function readPreTransform(place: Place): Promise<IndexPreTransform> {
  const { reader } = place;
  const at = reader.offset;
  const header = await readHeader(reader, true);
  const count = await reader.i32("the number of transforms");
  if (count < 0 || count > MOST_TRANSFORMS) {
    reader.fail(`there are ${count} transforms, not 0 to ${MOST_TRANSFORMS}`, reader.offset - 4);
  }
  const chain: VectorTransform[] = [];
  let d = header.d;
  for (let i = 0; i < count; i++) {
    const transformAt = reader.offset;
    const transform = await readTransform(reader);
    if (transform.dIn !== d) {
      reader.fail(`transform ${i} takes ${transform.dIn} numbers where ${d} come`, transformAt);
    }
    d = transform.dOut;
    chain.push(transform);
  }
  using stack = new DisposableStack();
  const indexAt = reader.offset;
  const index = stack.use(await readRecord(place));
  if (index.d !== d) {
    reader.fail(`the index takes ${index.d} numbers where ${d} come`, indexAt);
  }
  const whole = new IndexPreTransform(chain, index);
  whole.ownFields = true;
  checkHeader(reader, header, whole, at);
  stack.move();
  return whole;
}

/** Reads an index of candidates, and the one that compares them. */
export async function readRefine(place: Place): Promise<IndexRefine> {
  const { reader } = place;
  const at = reader.offset;
  const header = await readHeader(reader, true);
  using stack = new DisposableStack();
  const { ntotal } = header;
  const base = stack.use(await readRecord({ ...place, positions: ntotal }));
  const refineAt = reader.offset;
  const refine = stack.use(await readRecord({ ...place, positions: ntotal }));
  const kFactor = await reader.f32("k_factor");
  if (!(kFactor >= 1 && kFactor <= 1000)) {
    reader.fail(`k_factor is ${kFactor}, not 1 to 1000`, reader.offset - 4);
  }
  const fits = base.d === refine.d && base.metric === refine.metric &&
    base.metricArg === refine.metricArg && base.ntotal === refine.ntotal;
  if (!fits) {
    reader.fail(
      `candidates are of ${base.ntotal} vectors of ${base.d} (metric ${base.metric}), and ` +
        `compared are ${refine.ntotal} of ${refine.d} (metric ${refine.metric})`,
      refineAt,
    );
  }
  const whole = refine instanceof IndexFlat
    ? new IndexRefineFlat(base, refine)
    : new IndexRefine(base, refine);
  whole.kFactor = kFactor;
  whole.ownFields = whole.ownRefineIndex = true;
  checkHeader(reader, header, whole, at);
  stack.move();
  return whole;
}

/** What the header of an index around others says is what they are. */
function checkHeader(reader: ByteReader, header: Header, index: Index, at: number): void {
  for (const name of ["d", "ntotal", "isTrained", "metric"] as const) {
    if (header[name] === index[name]) continue;
    reader.fail(`the header's ${name} is ${header[name]}, and the parts' ${index[name]}`, at);
  }
}

/** Writes transforms, and the index behind them. */
export async function writePreTransform(
  writer: ByteWriter,
  index: IndexPreTransform,
): Promise<void> {
  await writeHeader(writer, "IxPT", index);
  await writer.i32(index.chain.length);
  for (const transform of index.chain) await writeTransform(writer, transform);
  await writeRecord(writer, index.index);
}

/** Writes an index of candidates, and the one that compares them. */
export async function writeRefine(writer: ByteWriter, index: IndexRefine): Promise<void> {
  await writeHeader(writer, "IxRF", index);
  await writeRecord(writer, index.baseIndex);
  await writeRecord(writer, index.refineIndex);
  await writer.f32(index.kFactor);
}
