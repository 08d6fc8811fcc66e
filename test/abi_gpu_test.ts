import assert from "node:assert/strict";
import {
  ARGUMENT_BYTES,
  Command,
  COPY_BYTES,
  DISPATCH_BYTES,
  FILL_BYTES,
  MULTIPLY_BYTES,
  PROGRAM_BYTES,
  ProgramWriter,
  SYNC_BYTES,
} from "../lib/kernel/program_writer.ts";
import { SOURCE_BYTES, sourceRecord } from "../lib/kernel/source_record.ts";
import { parseHeader } from "./header.ts";

const path = new URL("../swift/Sources/CMetalFaiss/include/metalfaiss.h", import.meta.url);
const { structs, enums } = parseHeader(await Deno.readTextFile(path));

/** The fields of a struct that begins at `start`; arrays as arrays. */
function read(bytes: Uint8Array, name: string, start: number): Record<string, number | number[]> {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const { fields, bytes: size } = structs[name]!;
  const ends = Object.values(fields).map(({ offset }) => offset).slice(1).concat(size);
  return Object.fromEntries(
    Object.entries(fields).map(([key, { type, offset }], i) => {
      const width = type === "double" ? 8 : 4;
      const values: number[] = [];
      for (let at = offset; at < ends[i]!; at += width) {
        values.push(
          width === 8 ? view.getFloat64(start + at, true) : view.getUint32(start + at, true),
        );
      }
      return [key, values.length === 1 ? values[0]! : values];
    }),
  );
}

Deno.test("records of GPU commands have the header's sizes", () => {
  assert.equal(SOURCE_BYTES, structs.mf_gpu_source!.bytes);
  assert.equal(PROGRAM_BYTES, structs.mf_gpu_program!.bytes);
  assert.equal(DISPATCH_BYTES, structs.mf_gpu_dispatch!.bytes);
  assert.equal(ARGUMENT_BYTES, structs.mf_gpu_argument!.bytes);
  assert.equal(COPY_BYTES, structs.mf_gpu_copy!.bytes);
  assert.equal(FILL_BYTES, structs.mf_gpu_fill!.bytes);
  assert.equal(SYNC_BYTES, structs.mf_gpu_sync!.bytes);
  assert.equal(MULTIPLY_BYTES, structs.mf_gpu_multiply!.bytes);
  assert.equal(7 * 8, structs.mf_gpu_times!.bytes);
  assert.equal(16, structs.mf_gpu_constant!.bytes);
});

Deno.test("Command has the header's numbers", () => {
  const plain = Object.fromEntries(
    Object.entries(enums.mf_gpu_command!).map(([key, value]) => [key.replace("MF_", ""), value]),
  );
  assert.deepEqual({ ...Command }, plain);
});

Deno.test("ProgramWriter writes each field where the header has it", () => {
  const writer = new ProgramWriter();
  writer.dispatch(1, 7, 2, 3, new Uint32Array([4, 5, 6]), new Uint32Array([8, 9, 10]));
  writer.buffer(11, 2 ** 33);
  writer.value(new Uint8Array([1, 2, 3]));
  writer.memory(16);
  writer.memory(32);
  writer.memory(48);
  writer.end();
  writer.copy(1, 2, 3, 4, 5);
  writer.fill(1, 2, 3, 4);
  writer.sync(5, 1, 2 ** 40);
  writer.multiply({
    a: 1,
    b: 2,
    c: 3,
    flags: 15,
    offsets: [4, 5, 6],
    lines: [7, 8, 9],
    sizes: [10, 11, 2 ** 33],
    alpha: 0.5,
    beta: -1,
  });
  const bytes = writer.finish({ buffers: [101, 102], pipelines: [103], events: [104] }, "é");

  const objectsAt = 32 + 104 + 40 + 32 + 24 + 112;
  assert.deepEqual(read(bytes, "mf_gpu_program", 0), {
    bytes: objectsAt + 16 + 2,
    commands: 5,
    objects_at: objectsAt,
    buffers: 2,
    pipelines: 1,
    events: 1,
    label_length: 2,
    reserved: 0,
  });
  assert.deepEqual(read(bytes, "mf_gpu_dispatch", 32), {
    kind: 1,
    bytes: 104,
    pipeline: 7,
    arguments: 2,
    memories: 3,
    reserved: 0,
    grid: [4, 5, 6],
    threadgroup: [8, 9, 10],
  });
  assert.deepEqual(read(bytes, "mf_gpu_argument", 80), { buffer: 11, length: 0, offset: 2 ** 33 });
  assert.deepEqual(read(bytes, "mf_gpu_argument", 96), {
    buffer: 0xffff_ffff,
    length: 3,
    offset: 0,
  });
  assert.deepEqual([...bytes.subarray(112, 115)], [1, 2, 3]);
  const view = new DataView(bytes.buffer);
  assert.deepEqual([120, 124, 128].map((at) => view.getUint32(at, true)), [16, 32, 48]);
  assert.deepEqual(read(bytes, "mf_gpu_copy", 136), {
    kind: 3,
    bytes: 40,
    from: 1,
    to: 3,
    from_offset: 2,
    to_offset: 4,
    length: 5,
  });
  assert.deepEqual(read(bytes, "mf_gpu_fill", 176), {
    kind: 4,
    bytes: 32,
    buffer: 1,
    value: 4,
    offset: 2,
    length: 3,
  });
  assert.deepEqual(read(bytes, "mf_gpu_sync", 208), {
    kind: 5,
    bytes: 24,
    event: 1,
    reserved: 0,
    value: 2 ** 40,
  });
  assert.deepEqual(read(bytes, "mf_gpu_multiply", 232), {
    kind: 7,
    bytes: 112,
    a: 1,
    b: 2,
    c: 3,
    flags: 15,
    a_offset: 4,
    b_offset: 5,
    c_offset: 6,
    a_line: 7,
    b_line: 8,
    c_line: 9,
    m: 10,
    n: 11,
    k: 2 ** 33,
    alpha: 0.5,
    beta: -1,
  });
  assert.deepEqual(
    [0, 4, 8, 12].map((at) => view.getUint32(objectsAt + at, true)),
    [101, 102, 103, 104],
  );
});

Deno.test("ProgramWriter grows, and is empty after reset()", () => {
  const writer = new ProgramWriter();
  const payload = new Float32Array(1000).fill(1.5);
  for (let i = 0; i < 50; i++) {
    writer.dispatch(1, 0, 1, 0, new Uint32Array([1, 1, 1]), new Uint32Array([1, 1, 1]));
    writer.value(payload);
    writer.end();
  }
  const bytes = writer.finish({ buffers: [], pipelines: [1], events: [] });
  assert.equal(bytes.length, 32 + 50 * (48 + 16 + 4000) + 4);
  const last = 32 + 49 * 4064;
  assert.equal(new DataView(bytes.buffer).getFloat32(last + 64, true), 1.5);

  const empty = writer.reset().finish({ buffers: [], pipelines: [], events: [] });
  assert.deepEqual(read(empty, "mf_gpu_program", 0), {
    bytes: 32,
    commands: 0,
    objects_at: 32,
    buffers: 0,
    pipelines: 0,
    events: 0,
    label_length: 0,
    reserved: 0,
  });
});

Deno.test("sourceRecord() writes each field where the header has it", () => {
  const { record, bytes } = sourceRecord("kernel", false, {
    name: "näm",
    mathMode: "fast",
    macros: { N: 4, ON: true },
  });
  const prefix = "#define N 4\n#define ON 1\n";
  assert.deepEqual(read(record, "mf_gpu_source", 0), {
    math_mode: 2,
    is_path: 0,
    name_length: 4,
    prefix_length: prefix.length,
    text_length: 6,
    reserved: 0,
  });
  assert.equal(new TextDecoder().decode(bytes), `näm${prefix}kernel`);
});
