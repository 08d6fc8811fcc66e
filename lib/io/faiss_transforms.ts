import { UnsupportedError } from "../errors.ts";
import {
  CenteringTransform,
  NormalizationTransform,
  RemapDimensionsTransform,
} from "../transform/elementwise.ts";
import { HadamardRotation } from "../transform/hadamard.ts";
import { ITQMatrix, ITQTransform } from "../transform/itq.ts";
import { LinearTransform } from "../transform/linear.ts";
import { PCAMatrix } from "../transform/pca_matrix.ts";
import { RandomRotationMatrix } from "../transform/random_rotation.ts";
import type { VectorTransform } from "../transform/transform.ts";
import type { ByteReader } from "./byte_reader.ts";
import type { ByteWriter } from "./byte_writer.ts";
import { checkFinite } from "./faiss_checks.ts";
import { MAX_DIMENSION } from "./faiss_codes.ts";

/** What follows the numbers of every transform. */
interface Trailer {
  dIn: number;
  dOut: number;
  isTrained: boolean;
}

/** Reads one transform. */
export async function readTransform(reader: ByteReader): Promise<VectorTransform> {
  const at = reader.offset;
  const code = await reader.text(4, "the kind of transform");
  switch (code) {
    case "RmDT":
      return await readRemap(reader, at);
    case "VNrm": {
      const norm = await reader.f32("the norm");
      const { dIn, dOut } = await readTrailer(reader, true);
      if (dIn !== dOut) reader.fail(`a transform of lengths makes ${dOut} of ${dIn} numbers`, at);
      return make(reader, at, () => new NormalizationTransform(dIn, norm));
    }
    case "VCnt": {
      const mean = await readFloats(reader, "the mean");
      const { dIn, dOut, isTrained } = await readTrailer(reader);
      if (dIn !== dOut) reader.fail(`a transform of means makes ${dOut} of ${dIn} numbers`, at);
      checkCount(reader, at, mean, isTrained ? dIn : 0, "the mean");
      return Object.assign(new CenteringTransform(dIn), { mean, isTrained });
    }
    case "HRot": {
      const seed = await reader.u32("the seed");
      const { dIn, dOut } = await readTrailer(reader, true);
      const rotation = make(reader, at, () => new HadamardRotation(dIn, seed));
      if (rotation.dOut !== dOut) {
        reader.fail(`a Hadamard rotation makes ${dOut} of ${dIn} numbers`, at);
      }
      return rotation;
    }
    case "Viqt":
      return await readITQTransform(reader, at);
  }
  return await readLinear(reader, code, at);
}

async function readRemap(reader: ByteReader, at: number): Promise<RemapDimensionsTransform> {
  const map = new Int32Array(await reader.count("the map", 4));
  await reader.fill(map, "the map");
  const { dIn, dOut } = await readTrailer(reader, true);
  checkCount(reader, at, map, dOut, "the map");
  return make(reader, at, () => new RemapDimensionsTransform(dIn, map));
}

async function readITQTransform(reader: ByteReader, at: number): Promise<ITQTransform> {
  const mean = await readFloats(reader, "the mean");
  const doPca = await reader.bool("do_pca");
  const itqAt = reader.offset;
  const itq = await readLinear(reader, await reader.text(4, "the kind of transform"), itqAt);
  if (!(itq instanceof ITQMatrix)) reader.fail("an ITQ transform has no ITQ matrix", itqAt);
  const bothAt = reader.offset;
  const pcaThenItq = await readLinear(
    reader,
    await reader.text(4, "the kind of transform"),
    bothAt,
  );
  const { dIn, dOut, isTrained } = await readTrailer(reader);
  checkCount(reader, at, mean, isTrained ? dIn : 0, "the mean");
  if (itq.dIn !== dOut || pcaThenItq.dIn !== dIn || pcaThenItq.dOut !== dOut) {
    reader.fail(`parts of an ITQ transform do not make ${dOut} of ${dIn} numbers`, at);
  }
  if (itq.isTrained !== isTrained || pcaThenItq.isTrained !== isTrained) {
    reader.fail("only parts of an ITQ transform are trained", at);
  }
  const transform = make(reader, at, () => new ITQTransform(dIn, dOut, doPca));
  return Object.assign(transform, { mean, itq, pcaThenItq, isTrained });
}

/** Reads a transform with a matrix, whose kind was read. */
async function readLinear(reader: ByteReader, code: string, at: number): Promise<LinearTransform> {
  switch (code) {
    case "LTra":
      return await readMatrix(reader, at, ({ dIn, dOut }) => new LinearTransform(dIn, dOut));
    case "rrot":
      return await readMatrix(reader, at, ({ dIn, dOut }) => new RandomRotationMatrix(dIn, dOut));
    case "Viqm": {
      const maxIter = await reader.i32("the iterations");
      const seed = await reader.i32("the seed");
      return await readMatrix(reader, at, ({ dIn, dOut }) => {
        if (dIn !== dOut) throw new RangeError(`an ITQ matrix makes ${dOut} of ${dIn} numbers`);
        return new ITQMatrix(dIn, { maxIter, seed });
      });
    }
    case "Pcam":
    case "PcAm":
    case "PCAm":
      return await readPCA(reader, code, at);
  }
  return reader.fail(`${JSON.stringify(code)} is no kind of transform that fits here`, at);
}

async function readPCA(reader: ByteReader, code: string, at: number): Promise<LinearTransform> {
  const eigenPower = await reader.f32("the power of eigenvalues");
  // Older files lack some of these.
  const epsilon = code === "Pcam" ? await reader.f32("epsilon") : 0;
  const randomRotation = await reader.bool("random_rotation");
  const balancedBins = code === "PCAm" ? 0 : await reader.i32("balanced_bins");
  const mean = await readFloats(reader, "the mean");
  const eigenvalues = await readFloats(reader, "the eigenvalues");
  const pcaMat = await readFloats(reader, "the components");
  return await readMatrix(reader, at, ({ dIn, dOut, isTrained }) => {
    const options = { eigenPower, epsilon, randomRotation, balancedBins };
    const pca = new PCAMatrix(dIn, dOut, options);
    checkCount(reader, at, mean, isTrained ? dIn : 0, "the mean");
    checkCount(reader, at, eigenvalues, isTrained ? dIn : 0, "the eigenvalues");
    const isWhole = pcaMat.length % dIn === 0 && pcaMat.length >= (isTrained ? dOut * dIn : 0);
    if (!isWhole) reader.fail(`components have ${pcaMat.length} numbers for d ${dIn}`, at);
    return Object.assign(pca, { mean, eigenvalues, pcaMat });
  });
}

/** Reads matrix, bias and trailer, and makes a transform with them. */
async function readMatrix(
  reader: ByteReader,
  at: number,
  create: (trailer: Trailer) => LinearTransform,
): Promise<LinearTransform> {
  const haveBias = await reader.bool("have_bias");
  const a = await readFloats(reader, "the matrix");
  const b = await readFloats(reader, "the bias");
  const trailer = await readTrailer(reader);
  const { dIn, dOut, isTrained } = trailer;
  checkCount(reader, at, a, isTrained ? dIn * dOut : 0, "the matrix");
  checkCount(reader, at, b, isTrained && haveBias ? dOut : 0, "the bias");
  const transform = make(reader, at, () => create(trailer));
  return Object.assign(transform, { haveBias, a, b, isTrained });
}

async function readTrailer(reader: ByteReader, needsTrained = false): Promise<Trailer> {
  const at = reader.offset;
  const dIn = await reader.i32("the dimension of what a transform takes");
  const dOut = await reader.i32("the dimension of what a transform gives");
  const isTrained = await reader.bool("is_trained");
  for (const d of [dIn, dOut]) {
    if (d < 1 || d > MAX_DIMENSION) {
      reader.fail(`a transform has dimension ${d}, not 1 to ${MAX_DIMENSION}`, at);
    }
  }
  if (needsTrained && !isTrained) reader.fail("a transform without training is not trained", at);
  return { dIn, dOut, isTrained };
}

async function readFloats(reader: ByteReader, what: string): Promise<Float32Array> {
  const values = new Float32Array(await reader.count(what, 4));
  const at = reader.offset;
  await reader.fill(values, what);
  checkFinite(reader, values, 1, false, at, (i) => `number ${i} of ${what}`);
  return values;
}

function checkCount(
  reader: ByteReader,
  at: number,
  values: ArrayLike<number>,
  wanted: number,
  what: string,
): void {
  if (values.length === wanted) return;
  reader.fail(`${what} of a transform has ${values.length} numbers, not ${wanted}`, at);
}

/** What a constructor refuses is the file's fault. */
function make<T>(reader: ByteReader, at: number, create: () => T): T {
  try {
    return create();
  } catch (error) {
    if (!(error instanceof RangeError || error instanceof UnsupportedError)) throw error;
    return reader.fail(error.message.replace(/^Cannot [^:]*: /, ""), at);
  }
}

/** Writes one transform, as FAISS does. */
export async function writeTransform(
  writer: ByteWriter,
  transform: VectorTransform,
): Promise<void> {
  if (transform instanceof LinearTransform) {
    await writeLinear(writer, transform);
  } else if (transform instanceof HadamardRotation) {
    await writer.text("HRot");
    await writer.bytes(Uint32Array.of(transform.seed));
  } else if (transform instanceof RemapDimensionsTransform) {
    await writer.text("RmDT");
    await writeVector(writer, transform.map);
  } else if (transform instanceof NormalizationTransform) {
    await writer.text("VNrm");
    await writer.f32(transform.norm);
  } else if (transform instanceof CenteringTransform) {
    await writer.text("VCnt");
    await writeVector(writer, transform.mean);
  } else if (transform instanceof ITQTransform) {
    await writer.text("Viqt");
    await writeVector(writer, transform.mean);
    await writer.bool(transform.doPca);
    await writeTransform(writer, transform.itq);
    await writeTransform(writer, transform.pcaThenItq);
  } else {
    throw new UnsupportedError(`Cannot write ${transform.constructor.name}: it has no file format`);
  }
  await writer.i32(transform.dIn);
  await writer.i32(transform.dOut);
  await writer.bool(transform.isTrained);
}

/** An OPQMatrix is written as its matrix alone, as FAISS does. */
async function writeLinear(writer: ByteWriter, transform: LinearTransform): Promise<void> {
  if (transform instanceof RandomRotationMatrix) {
    await writer.text("rrot");
  } else if (transform instanceof PCAMatrix) {
    await writer.text("Pcam");
    await writer.f32(transform.eigenPower);
    await writer.f32(transform.epsilon);
    await writer.bool(transform.randomRotation);
    await writer.i32(transform.balancedBins);
    await writeVector(writer, transform.mean);
    await writeVector(writer, transform.eigenvalues);
    await writeVector(writer, transform.pcaMat);
  } else if (transform instanceof ITQMatrix) {
    await writer.text("Viqm");
    await writer.i32(transform.maxIter);
    await writer.i32(transform.seed);
  } else {
    await writer.text("LTra");
  }
  await writer.bool(transform.haveBias);
  await writeVector(writer, transform.a);
  await writeVector(writer, transform.b);
}

async function writeVector(writer: ByteWriter, values: Float32Array | Int32Array): Promise<void> {
  await writer.u64(values.length);
  await writer.bytes(values);
}
