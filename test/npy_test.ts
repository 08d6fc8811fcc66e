import assert from "node:assert/strict";
import { FormatError } from "../lib/errors.ts";
import { type NpyData, readNpy, writeNpy } from "../lib/io/mod.ts";

const directory = await Deno.makeTempDir();
Deno.test.afterAll(() => Deno.remove(directory, { recursive: true }));
let files = 0;

interface Raw {
  header?: string;
  data?: ArrayBufferView<ArrayBuffer>;
  version?: number;
  size?: number;
}

/** A file of a header and bytes, right or wrong. */
async function file(
  { header = "", data = new Uint8Array(), version = 1, size = header.length }: Raw,
): Promise<string> {
  const path = `${directory}/${files++}.npy`;
  const length = version === 1
    ? [size & 255, size >> 8]
    : [size, size >> 8, size >> 16, size >> 24];
  const start = Uint8Array.of(0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, version, 0, ...length);
  await Deno.writeFile(path, await new Blob([start, header, data]).bytes());
  return path;
}

function header(descr: string, shape: string, fortran = "False"): string {
  return `{'descr': '${descr}', 'fortran_order': ${fortran}, 'shape': ${shape}, }\n`;
}

Deno.test("readNpy() returns what writeNpy() wrote, for every data type", async () => {
  const arrays: [string, NpyData][] = [
    ["f2", Float16Array.of(1, -2.5, 65504)],
    ["f4", Float32Array.of(1, NaN, -Infinity)],
    ["f8", Float64Array.of(0.1, 2, 1e300)],
    ["i1", Int8Array.of(-128, 0, 127)],
    ["i2", Int16Array.of(-32768, 0, 1)],
    ["i4", Int32Array.of(-1, 2, 3)],
    ["i8", BigInt64Array.of(-1n, 2n ** 62n, 0n)],
    ["u1", Uint8Array.of(0, 1, 255)],
    ["u2", Uint16Array.of(0, 1, 65535)],
    ["u4", Uint32Array.of(0, 1, 2 ** 32 - 1)],
    ["u8", BigUint64Array.of(0n, 1n, 2n ** 64n - 1n)],
  ];
  const path = `${directory}/a.npy`;
  for (const [dtype, data] of arrays) {
    await writeNpy(path, data, [3, 1]);
    assert.deepEqual(await readNpy(path), { data, shape: [3, 1], dtype });
  }
  await writeNpy(path, [true, false], [2]);
  assert.deepEqual(await readNpy(path), { data: Uint8Array.of(1, 0), shape: [2], dtype: "b1" });
});

Deno.test("readNpy() reads empty arrays and single values", async () => {
  const path = `${directory}/a.npy`;
  await writeNpy(path, new Float32Array(), [0, 128]);
  assert.deepEqual((await readNpy(path)).shape, [0, 128]);
  await writeNpy(path, Float32Array.of(5), []);
  assert.deepEqual(await readNpy(path), { data: Float32Array.of(5), shape: [], dtype: "f4" });
});

Deno.test("readNpy() reads versions 2 and 3", async () => {
  for (const version of [2, 3]) {
    const path = await file({ header: header("<i2", "(2,)"), data: Int16Array.of(3, 4), version });
    assert.deepEqual((await readNpy(path)).data, Int16Array.of(3, 4));
  }
});

Deno.test("readNpy() turns Fortran order to C order", async () => {
  const columns = Uint8Array.of(11, 21, 12, 22, 13, 23);
  const path = await file({ header: header("|u1", "(2, 3)", "True"), data: columns });
  assert.deepEqual((await readNpy(path)).data, Uint8Array.of(11, 12, 13, 21, 22, 23));

  // In a 2 × 3 × 2 array, C order counts 0 … 11 where Fortran order holds i0 * 6 + i1 * 2 + i2.
  const cube = Uint8Array.of(0, 6, 2, 8, 4, 10, 1, 7, 3, 9, 5, 11);
  const other = await file({ header: header("|u1", "(2, 3, 2)", "True"), data: cube });
  assert.deepEqual([...(await readNpy(other)).data], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
});

Deno.test("readNpy() refuses damaged and foreign files, naming file and byte", async () => {
  const cases: [Raw, RegExp][] = [
    [{ header: header(">f4", "(1,)"), data: new Float32Array(1) }, /big-endian/],
    [{ header: header("|O", "(1,)"), data: new Float32Array(1) }, /data type "\|O"/],
    [{ header: header("<c8", "(1,)"), data: new Float32Array(2) }, /data type "<c8"/],
    [{ header: "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }" }, /records/],
    [{ header: header("<f4", "(2,)"), data: new Float32Array(1) }, /needs 8 bytes and 4 remain/],
    [{ header: header("<f4", "(1,)"), data: new Float32Array(2) }, /4 bytes follow/],
    [{ header: header("<f4", "(-1,)") }, /no shape of whole numbers/],
    [{ header: header("<f4", "(1.5,)") }, /no shape of whole numbers/],
    [{ header: header("<f8", "(2305843009213693952, 8)") }, /is too large/],
    [{ header: header("<f8", "(4294967296, 4294967296, 1)") }, /needs 147573952589676412928 bytes/],
    [{ header: header("<f4", "(0, 99999999999999999999)") }, /is too large/],
    [{ header: header("<f4", "(1,)", "Maybe") }, /no fortran_order/],
    [{ header: "nothing" }, /no \{\}/],
    [{ version: 4 }, /version 4\.0/],
    [{ version: 2, size: 2 ** 31 - 1 }, /claims 2147483647 bytes/],
    [{ header: "{", size: 100 }, /needs 100 bytes and 1 remain/],
  ];
  for (const [raw, message] of cases) {
    const path = await file(raw);
    await assert.rejects(readNpy(path), (error) => {
      assert(error instanceof FormatError, String(error));
      assert.match(error.message, message);
      return true;
    });
  }
  await Deno.writeTextFile(`${directory}/b.npy`, "no npy file");
  await assert.rejects(readNpy(`${directory}/b.npy`), /at byte 0: it is not an npy file$/);
});

Deno.test("writeNpy() refuses a shape that does not fit", async () => {
  const path = `${directory}/c.npy`;
  await assert.rejects(writeNpy(path, new Float32Array(5), [2, 3]), TypeError);
  await assert.rejects(writeNpy(path, new Float32Array(1), [-1, -1]), TypeError);
  await assert.rejects(writeNpy(path, new DataView(new ArrayBuffer(2)) as never, [2]), TypeError);
  await assert.rejects(Deno.stat(path), Deno.errors.NotFound);
});
