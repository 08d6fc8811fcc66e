/**
 * Types of elements.
 *
 * @module
 */

/** Type of a tensor's elements. */
export type DType =
  | "float32"
  | "float16"
  | "bfloat16"
  | "int8"
  | "uint8"
  | "int16"
  | "uint16"
  | "int32"
  | "uint32"
  | "int64"
  | "uint64"
  | "bool";

/** What a tensor's elements come as: bfloat16 as Float32Array, bool as Uint8Array of 0 and 1. */
export type TensorData =
  | Float32Array<ArrayBuffer>
  | Float16Array<ArrayBuffer>
  | Int8Array<ArrayBuffer>
  | Uint8Array<ArrayBuffer>
  | Int16Array<ArrayBuffer>
  | Uint16Array<ArrayBuffer>
  | Int32Array<ArrayBuffer>
  | Uint32Array<ArrayBuffer>
  | BigInt64Array<ArrayBuffer>
  | BigUint64Array<ArrayBuffer>;

/** How a type is stored and named. */
interface Traits {
  /** Bytes of an element. */
  bytes: number;
  /** Name in MSL. */
  msl: string;
  /** Array of the stored elements; those of bfloat16 are their bits. */
  array: new (buffer: ArrayBuffer) => TensorData;
}

const traits: Readonly<Record<DType, Traits>> = {
  float32: { bytes: 4, msl: "float", array: Float32Array },
  float16: { bytes: 2, msl: "float16_t", array: Float16Array },
  bfloat16: { bytes: 2, msl: "bfloat16_t", array: Uint16Array },
  int8: { bytes: 1, msl: "int8_t", array: Int8Array },
  uint8: { bytes: 1, msl: "uint8_t", array: Uint8Array },
  int16: { bytes: 2, msl: "int16_t", array: Int16Array },
  uint16: { bytes: 2, msl: "uint16_t", array: Uint16Array },
  int32: { bytes: 4, msl: "int32_t", array: Int32Array },
  uint32: { bytes: 4, msl: "uint32_t", array: Uint32Array },
  int64: { bytes: 8, msl: "int64_t", array: BigInt64Array },
  uint64: { bytes: 8, msl: "uint64_t", array: BigUint64Array },
  bool: { bytes: 1, msl: "bool", array: Uint8Array },
};

/** Whether a value names a type. */
export function isDType(value: unknown): value is DType {
  return typeof value === "string" && Object.hasOwn(traits, value);
}

/** Fails where a value names no type. */
export function checkDType(value: unknown, action: string): asserts value is DType {
  if (isDType(value)) return;
  const all = Object.keys(traits).join(", ");
  throw new TypeError(`Cannot ${action}: dtype must be one of ${all}, got ${String(value)}`);
}

/** Bytes of an element. */
export function dtypeBytes(dtype: DType): number {
  return traits[dtype].bytes;
}

/** Name of the type in MSL. */
export function dtypeMSL(dtype: DType): string {
  return traits[dtype].msl;
}

/** The type that a typed array has; doubles, which GPUs lack, become float32. */
export function dtypeOf(array: ArrayBufferView): DType | undefined {
  if (array instanceof Float32Array || array instanceof Float64Array) return "float32";
  if (array instanceof Float16Array) return "float16";
  if (array instanceof Int8Array) return "int8";
  if (array instanceof Uint8Array || array instanceof Uint8ClampedArray) return "uint8";
  if (array instanceof Int16Array) return "int16";
  if (array instanceof Uint16Array) return "uint16";
  if (array instanceof Int32Array) return "int32";
  if (array instanceof Uint32Array) return "uint32";
  if (array instanceof BigInt64Array) return "int64";
  if (array instanceof BigUint64Array) return "uint64";
  return undefined;
}

/** Memory for `count` stored elements. */
export function storedArray(dtype: DType, count: number): TensorData {
  return new traits[dtype].array(new ArrayBuffer(count * traits[dtype].bytes));
}

/** Plain values as they are stored: rounded for floats, refused where an integer type lacks them. */
export function encode(
  values: ArrayLike<number | bigint | boolean>,
  dtype: DType,
): TensorData {
  const out = storedArray(dtype, values.length);
  if (dtype === "bfloat16") {
    for (let i = 0; i < values.length; i++) out[i] = toBfloat16(Number(values[i]!));
  } else if (dtype === "float32" || dtype === "float16") {
    for (let i = 0; i < values.length; i++) out[i] = Number(values[i]!);
  } else if (dtype === "bool") {
    for (let i = 0; i < values.length; i++) out[i] = values[i] ? 1 : 0;
  } else {
    const isBig = dtype === "int64" || dtype === "uint64";
    for (let i = 0; i < values.length; i++) {
      const value = values[i]!;
      if (!isBig) out[i] = Number(value);
      else if (typeof value !== "number" || Number.isInteger(value)) out[i] = BigInt(value);
      // BigInts are compared as such: as numbers, neighbours beyond 2^53 are the same.
      if (
        typeof value === "bigint" ? BigInt(out[i]!) !== value : Number(out[i]) !== Number(value)
      ) {
        throw new RangeError(
          `Cannot make a tensor: element ${i}, ${value}, is no ${dtype}`,
        );
      }
    }
  }
  return out;
}

/** Stored elements as {@linkcode TensorData}. */
export function decode(stored: TensorData, dtype: DType): TensorData {
  if (dtype !== "bfloat16") return stored;
  const out = new Float32Array(stored.length);
  const bits = new Uint32Array(out.buffer);
  for (let i = 0; i < stored.length; i++) bits[i] = (stored[i] as number) << 16;
  return out;
}

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** Bits of the nearest bfloat16, ties to even. */
function toBfloat16(value: number): number {
  float[0] = value;
  const all = bits[0]!;
  if ((all & 0x7fff_ffff) > 0x7f80_0000) return all >>> 16 | 0x40;
  return (all + 0x7fff + (all >>> 16 & 1)) >>> 16;
}
