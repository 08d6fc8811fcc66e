import type { GpuBuffer } from "../../../kernel/buffer.ts";
import { Tensor } from "../../../kernel/tensor.ts";
import { checkNumbers } from "../../../linalg/numbers.ts";
import type { Computed, Dense, Element, HostNumbers } from "../../linalg.ts";
import { run } from "../steps.ts";
import type { Work } from "./work.ts";

/** Where a matrix lies on the device. */
export interface Place {
  buffer: GpuBuffer;
  /** Bytes before its first element; 0 by default. */
  offset?: number;
  /** Elements from a row to the next. */
  line: number;
}

/** A matrix on the device. */
export interface Operand extends Place {
  rows: number;
  columns: number;
  dtype: Element;
}

const shortNames = { float32: "f32", float16: "f16", bfloat16: "bf16" } as const;

/** A type as kernels' names have it. */
export function shortName(dtype: Element): "f32" | "f16" | "bf16" {
  return shortNames[dtype];
}

/** Bytes of an element. */
export function elementBytes(dtype: Element): number {
  return dtype === "float32" ? 4 : 2;
}

/** An argument of a kernel. */
export function argument({ buffer, offset = 0 }: Place): { buffer: GpuBuffer; offset: number } {
  return { buffer, offset };
}

/** A part of a matrix: it begins at a row and a column. */
export function part(place: Place, row: number, column: number, bytes = 4): Place {
  const offset = (place.offset ?? 0) + (row * place.line + column) * bytes;
  return { buffer: place.buffer, offset, line: place.line };
}

/** Whether rows start at multiples of four elements, also in memory. */
export function byFours({ offset = 0, line }: Place, dtype: Element): boolean {
  return line % 4 === 0 && offset % (4 * elementBytes(dtype)) === 0;
}

/**
 * A matrix on the device: what lies there stays, the host's is written there.
 *
 * @throws {TypeError} If the numbers are of another type, not as many as its shape says, or on
 * another device.
 */
export async function operand(work: Work, dense: Dense, what: string): Promise<Operand> {
  const { data, rows, columns, dtype } = dense;
  if (!(data instanceof Tensor)) {
    checkNumbers(data, dtype);
    if (data.length !== rows * columns) {
      throw new TypeError(
        `Cannot read ${what}: ${data.length} numbers are not ${rows} × ${columns}`,
      );
    }
    return { buffer: await work.upload(data, what), line: columns, rows, columns, dtype };
  }
  if (data.device !== work.context.device) {
    throw new TypeError(`Cannot read ${what}: it lies on another device`);
  }
  if (data.dtype !== dtype) {
    throw new TypeError(`Cannot read ${what}: the tensor is of ${data.dtype}, not ${dtype}`);
  }
  const [height, width] = data.shape;
  const isMatrix = data.ndim === 2 && height === rows && width === columns &&
    (columns < 2 || data.strides[1] === 1);
  if (!isMatrix && !(data.isContiguous && data.size === rows * columns)) {
    throw new TypeError(
      `Cannot read ${what}: a tensor [${data.shape.join(", ")}] of strides ` +
        `[${data.strides.join(", ")}] holds no rows of ${rows} × ${columns}`,
    );
  }
  const line = isMatrix && rows > 1 ? data.strides[0]! : columns;
  return { buffer: data.buffer, offset: data.offset, line, rows, columns, dtype };
}

/** Whether a result has to stay on the device. */
export function isResident(...operands: readonly (Dense | undefined)[]): boolean {
  return operands.some((dense) => dense?.data instanceof Tensor);
}

/**
 * Runs what `encode` records to a rows × columns result of float32: a Tensor where an operand is one.
 */
export async function produce(
  work: Work,
  [rows, columns]: readonly [number, number],
  resident: boolean,
  encode: (result: GpuBuffer) => void,
  signal?: AbortSignal,
): Promise<Computed<Dense>> {
  const dtype = "float32";
  const dense = (data: HostNumbers | Tensor): Dense => ({ data, rows, columns, dtype });
  if (!resident) {
    const data = new Float32Array(rows * columns);
    if (data.length > 0) {
      const buffer = work.memory.scratch(data.byteLength, "result");
      encode(buffer);
      await run(work.finish(), signal);
      await buffer.read(data);
    }
    return { value: dense(data), run: work.execution() };
  }
  const tensor = Tensor.empty([rows, columns], dtype, work.context.device);
  try {
    if (tensor.size > 0) encode(tensor.buffer);
    await run(work.finish(), signal);
  } catch (error) {
    tensor.dispose();
    throw error;
  }
  return { value: dense(tensor), run: work.execution() };
}
