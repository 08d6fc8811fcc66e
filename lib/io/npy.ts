import { writeAtomically } from "./atomic.ts";
import { ByteReader } from "./byte_reader.ts";
import { ByteWriter, fileSink } from "./byte_writer.ts";
import { type NpyDtype, npyHeader, readNpyHeader } from "./npy_header.ts";

export type { NpyDtype } from "./npy_header.ts";

/** Arrays that an `.npy` file can hold. */
export type NpyData =
  | Float16Array
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigUint64Array;

/** An array read from an `.npy` file. */
export interface NpyArray {
  /** Values in C order: the last axis changes fastest. Booleans are bytes, 0 or 1. */
  data: NpyData;
  /** Length of each axis; empty for a single value. */
  shape: number[];
  /** Type of the values in the file. */
  dtype: NpyDtype;
}

const ARRAYS = {
  f2: Float16Array,
  f4: Float32Array,
  f8: Float64Array,
  i1: Int8Array,
  i2: Int16Array,
  i4: Int32Array,
  i8: BigInt64Array,
  u1: Uint8Array,
  u2: Uint16Array,
  u4: Uint32Array,
  u8: BigUint64Array,
  b1: Uint8Array,
} as const;

/**
 * Reads an `.npy` file of version 1, 2 or 3. An array in Fortran order is turned to C order.
 *
 * @param path File to read.
 * @returns Values, shape and data type.
 * @throws {FormatError} If the file is cut off, too long, big-endian, or holds records or objects.
 *
 * @example
 * ```ts
 * import { readNpy, writeNpy } from "@metalfaiss/metalfaiss/io";
 * import assert from "node:assert/strict";
 *
 * const path = `${await Deno.makeTempDir()}/x.npy`;
 * await writeNpy(path, Float32Array.of(1, 2, 3, 4, 5, 6), [2, 3]);
 * const { data, shape, dtype } = await readNpy(path);
 * assert.deepEqual([dtype, shape, data.at(-1)], ["f4", [2, 3], 6]);
 * ```
 */
export async function readNpy(path: string | URL): Promise<NpyArray> {
  using reader = await ByteReader.open(path);
  const { dtype, fortran, shape, length } = await readNpyHeader(reader);
  const data = new ARRAYS[dtype](length);
  await reader.fill(data, "the data");
  reader.end();
  return { data: fortran && shape.length > 1 ? toCOrder(data, shape) : data, shape, dtype };
}

/**
 * Writes an `.npy` file (version 1, C order), atomically. The bytes are those of `numpy.save`.
 *
 * @param path File to write.
 * @param data Values in C order; an array of booleans is written as `b1`.
 * @param shape Length of each axis.
 * @throws {TypeError} If `data` has another length than `shape` says.
 *
 * @example
 * ```ts
 * import { writeNpy } from "@metalfaiss/metalfaiss/io";
 * import assert from "node:assert/strict";
 *
 * const path = `${await Deno.makeTempDir()}/ids.npy`;
 * await writeNpy(path, BigInt64Array.of(1n, 2n), [2]);
 * assert.equal((await Deno.stat(path)).size, 128 + 16);
 * ```
 */
export async function writeNpy(
  path: string | URL,
  data: NpyData | readonly boolean[],
  shape: readonly number[],
): Promise<void> {
  if (!shape.every((n) => Number.isSafeInteger(n) && n >= 0)) {
    throw new TypeError(
      `Cannot write npy: the shape (${shape.join(", ")}) is not of whole numbers`,
    );
  }
  const length = shape.reduce((product, n) => product * n, 1);
  if (data.length !== length) {
    throw new TypeError(
      `Cannot write npy: data has ${data.length} values and the shape (${shape.join(", ")}) ` +
        `needs ${length}`,
    );
  }
  const values = isBooleans(data) ? Uint8Array.from(data, Number) : data;
  const dtype = isBooleans(data) ? "b1" : dtypeOf(data);
  const header = npyHeader(dtype, shape);
  await writeAtomically(path, async (file) => {
    const writer = new ByteWriter(fileSink(file));
    const size = header.length;
    await writer.bytes(Uint8Array.of(0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, size, size >> 8));
    await writer.text(header);
    await writer.bytes(values);
    await writer.flush();
  });
}

function isBooleans(data: NpyData | readonly boolean[]): data is readonly boolean[] {
  return Array.isArray(data);
}

function dtypeOf(data: NpyData): NpyDtype {
  for (const [dtype, array] of Object.entries(ARRAYS)) {
    if (data instanceof array) return dtype as NpyDtype;
  }
  throw new TypeError("Cannot write npy: data is not a typed array of numbers");
}

/** Moves values from "first axis fastest" to "last axis fastest". */
function toCOrder<T extends NpyData>(data: T, shape: readonly number[]): T {
  const out = data.slice() as T;
  const strides: number[] = [];
  shape.reduce((stride, n) => (strides.push(stride), stride * n), 1);
  const index = shape.map(() => 0);
  let from = 0;
  for (let to = 0; to < out.length; to++) {
    out[to] = data[from]!;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      index[axis]!++;
      from += strides[axis]!;
      if (index[axis]! < shape[axis]!) break;
      from -= strides[axis]! * shape[axis]!;
      index[axis] = 0;
    }
  }
  return out;
}
