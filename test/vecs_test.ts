import assert from "node:assert/strict";
import { FormatError } from "../lib/errors.ts";
import {
  readBvecs,
  readFvecs,
  readIvecs,
  type Rows,
  writeBvecs,
  writeFvecs,
  writeIvecs,
} from "../lib/io/mod.ts";

const directory = await Deno.makeTempDir();
Deno.test.afterAll(() => Deno.remove(directory, { recursive: true }));

/** A file of 32-bit integers. */
async function file(name: string, ...values: number[]): Promise<string> {
  const path = `${directory}/${name}`;
  await Deno.writeFile(path, new Uint8Array(Int32Array.from(values).buffer));
  return path;
}

Deno.test("readFvecs() returns what writeFvecs() wrote, in the format's bytes", async () => {
  const path = `${directory}/a.fvecs`;
  await writeFvecs(path, { data: Float32Array.of(1, 2, 3, 4), rows: 2, columns: 2 });
  const bytes = await Deno.readFile(path);
  assert.deepEqual([...new Int32Array(bytes.buffer)].filter((_, i) => i % 3 === 0), [2, 2]);
  const read = await readFvecs(path);
  assert.deepEqual([read.rows, read.columns, ...read.data], [2, 2, 1, 2, 3, 4]);
});

Deno.test("readIvecs() and readBvecs() return what was written", async () => {
  const integers = { data: Int32Array.of(-1, 7, 2 ** 31 - 1), rows: 1, columns: 3 };
  await writeIvecs(`${directory}/a.ivecs`, integers);
  assert.deepEqual(await readIvecs(`${directory}/a.ivecs`), integers);
  const bytes = { data: Uint8Array.of(0, 255, 3), rows: 3, columns: 1 };
  await writeBvecs(`${directory}/a.bvecs`, bytes);
  assert.deepEqual(await readBvecs(`${directory}/a.bvecs`), bytes);
});

Deno.test("readFvecs() reads start and count, across chunks of 16 MiB", async () => {
  const [rows, columns] = [1100, 4000];
  const data = Float32Array.from({ length: rows * columns }, (_, i) => i % 9973);
  const path = `${directory}/large.fvecs`;
  await writeFvecs(path, { data, rows, columns });
  assert.deepEqual((await readFvecs(path)).data, data);
  const part = await readFvecs(path, { start: 5, count: 2 });
  assert.deepEqual(part.data, data.subarray(5 * columns, 7 * columns));
  assert.equal((await readFvecs(path, { start: 1090, count: 1000 })).rows, 10);
  assert.equal((await readFvecs(path, { start: 1100 })).rows, 0);
});

Deno.test("readFvecs() refuses what is no row", async () => {
  const path = await file("rows.fvecs", 1, 0, 1, 0);
  for (const start of [-1, 0.5, NaN, 3]) {
    await assert.rejects(readFvecs(path, { start }), RangeError);
  }
  for (const count of [-1, 0.5, NaN]) await assert.rejects(readFvecs(path, { count }), RangeError);
});

Deno.test("readIvecs() refuses damaged files, naming file and byte", async () => {
  const cases: [string, number[], RegExp][] = [
    ["empty", [], /at byte 0: the dimension of row 0 needs 4 bytes and 0 remain$/],
    ["zero", [0, 0], /the dimension of row 0 is 0$/],
    ["negative", [-2, 0, 0], /the dimension of row 0 is -2$/],
    ["huge", [2 ** 31 - 1, 0], /8 bytes are not whole rows of 8589934592 bytes$/],
    ["cut", [2, 0, 0, 2, 0], /20 bytes are not whole rows of 12 bytes$/],
    ["ragged", [2, 0, 0, 1, 0, 0], /at byte 12: row 1 has dimension 1 and row 0 has 2$/],
  ];
  for (const [name, values, message] of cases) {
    const path = await file(name, ...values);
    await assert.rejects(readIvecs(path), (error) => {
      assert(error instanceof FormatError);
      assert.equal(error.path, path);
      assert.match(error.message, message);
      return true;
    });
  }
  await assert.rejects(readIvecs(directory), FormatError);
});

Deno.test("writeFvecs() refuses data of another length, and nothing", async () => {
  const rows: Rows<Float32Array> = { data: new Float32Array(5), rows: 2, columns: 2 };
  await assert.rejects(() => writeFvecs(`${directory}/b.fvecs`, rows), TypeError);
  const none = { data: new Float32Array(), rows: 0, columns: 2 };
  await assert.rejects(() => writeFvecs(`${directory}/b.fvecs`, none), TypeError);
});
