import type { ByteReader } from "./byte_reader.ts";

/** A type of element of an `.npy` file, in NumPy's short form. */
export type NpyDtype =
  | "f2"
  | "f4"
  | "f8"
  | "i1"
  | "i2"
  | "i4"
  | "i8"
  | "u1"
  | "u2"
  | "u4"
  | "u8"
  | "b1";

/** What an `.npy` header says. */
export interface NpyHeader {
  dtype: NpyDtype;
  fortran: boolean;
  shape: number[];
  /** Product of the shape. */
  length: number;
}

const MAGIC_BYTE = 0x93;
const MAGIC = "NUMPY";
const ALIGN = 64;
// NumPy leaves room for the first axis to grow to this many digits in place.
const GROWTH_DIGITS = 21;
const HEADER_LIMIT = 65_536;

/** Bytes of one element. */
export function itemSize(dtype: NpyDtype): number {
  return Number(dtype.slice(1));
}

/** Reads magic, version and dictionary; the data are known to be there when it returns. */
export async function readNpyHeader(reader: ByteReader): Promise<NpyHeader> {
  const first = await reader.u8("the magic");
  if (first !== MAGIC_BYTE || await reader.text(5, "the magic") !== MAGIC) {
    reader.fail("it is not an npy file", 0);
  }
  const version = await reader.u8("the version");
  const minor = await reader.u8("the version");
  if (version < 1 || version > 3 || minor !== 0) {
    reader.fail(`npy version ${version}.${minor} is unknown`, 6);
  }
  const bytes = version === 1
    ? await reader.u16("the header length")
    : await reader.u32("the header length");
  if (bytes > HEADER_LIMIT) reader.fail(`the header claims ${bytes} bytes`);
  const at = reader.offset;
  const text = await reader.text(bytes, "the header");

  const dictionary = /^\{(.*)\}\s*$/s.exec(text)?.[1] ?? reader.fail("the header has no {}", at);
  const dtype = parseDtype(reader, at, dictionary);
  const fortran = /'fortran_order'\s*:\s*(True|False)/.exec(dictionary)?.[1] ??
    reader.fail("the header has no fortran_order", at);
  const tuple = /'shape'\s*:\s*\(([\d\s,]*)\)/.exec(dictionary)?.[1] ??
    reader.fail("the header has no shape of whole numbers", at);
  const shape = tuple.split(",").map((part) => part.trim()).filter((part) => part !== "")
    .map(Number);
  // In exact integers: a product that wraps would pass the check that follows.
  const exact = shape.reduce((product, n) => product * BigInt(n), 1n);
  if (!shape.every(Number.isSafeInteger)) reader.fail(`the shape (${shape}) is too large`, at);
  reader.need(exact * BigInt(itemSize(dtype)), `an array of shape (${shape.join(", ")})`);
  return { dtype, fortran: fortran === "True", shape, length: Number(exact) };
}

/** The bytes before the data, as NumPy itself would write them. */
export function npyHeader(dtype: NpyDtype, shape: readonly number[]): string {
  const order = itemSize(dtype) === 1 ? "|" : "<";
  const tuple = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(", ")})`;
  let text = `{'descr': '${order}${dtype}', 'fortran_order': False, 'shape': ${tuple}, }`;
  if (shape.length > 0) text += " ".repeat(GROWTH_DIGITS - String(shape[0]).length);
  const prefix = 1 + MAGIC.length + 4;
  text = text.padEnd(Math.ceil((prefix + text.length + 1) / ALIGN) * ALIGN - prefix - 1) + "\n";
  return text;
}

function parseDtype(reader: ByteReader, at: number, dictionary: string): NpyDtype {
  const descr = /'descr'\s*:\s*'([^']*)'/.exec(dictionary)?.[1] ??
    reader.fail("the header has no simple descr: arrays of records are not available", at);
  const dtype = descr.slice(1);
  if (!/^([<|=>])(f[248]|[iu][1248]|b1)$/.test(descr)) {
    reader.fail(`the data type ${JSON.stringify(descr)} is not available`, at);
  }
  if (descr[0] === ">" && !dtype.endsWith("1")) {
    reader.fail(`the data type ${JSON.stringify(descr)} is big-endian, which is not available`, at);
  }
  return dtype as NpyDtype;
}
