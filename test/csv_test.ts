import assert from "node:assert/strict";
import { FormatError } from "../lib/errors.ts";
import { loadDigits, readCsv, writeCsv } from "../lib/io/mod.ts";
import { Matrix } from "../lib/matrix.ts";

const directory = await Deno.makeTempDir();
Deno.test.afterAll(() => Deno.remove(directory, { recursive: true }));
const path = `${directory}/a.csv`;

Deno.test("readCsv() returns what writeCsv() wrote, bit for bit", async () => {
  const values = Float32Array.of(0.1, -0, 1e-45, 3.4028235e38, 16777217, 1 / 3);
  await writeCsv(path, new Matrix(values, 3));
  assert.equal((await Deno.readTextFile(path)).split(",")[0], "0.1");
  assert.deepEqual((await readCsv(path)).data.map(Math.abs), values.map(Math.abs));
});

Deno.test("readCsv() takes header, delimiter, quotes, blank lines and a byte order mark", async () => {
  await Deno.writeTextFile(path, '\ufeff"a;\nb";c\r\n1;"2"\r\n\r\n +3 ;.5e1\r\n');
  const read = await readCsv(path, { header: true, delimiter: ";" });
  assert.deepEqual([read.rows, ...read.data], [2, 1, 2, 3, 5]);
});

Deno.test("writeCsv() quotes names of columns", async () => {
  const header = ["a,b", 'say "c"', "d"];
  await writeCsv(path, Matrix.from([[1, 2, 3]]), { header });
  assert.equal(await Deno.readTextFile(path), '"a,b","say ""c""",d\n1,2,3\n');
  assert.deepEqual([...(await readCsv(path, { header: true })).data], [1, 2, 3]);
  await assert.rejects(writeCsv(path, Matrix.from([[1, 2]]), { header }), TypeError);
});

Deno.test("readCsv() refuses what is no table of numbers, naming line and column", async () => {
  const cases: [string, RegExp][] = [
    ["", /there are no rows$/],
    ["1,2\n3,x\n", /line 2: column 2: "x" is not a 32-bit number$/],
    ["1,2\n3,\n", /line 2: column 2: "" is not a 32-bit number$/],
    ["nan\n", /line 1: column 1/],
    ["1\n0x10\n", /line 2: column 1/],
    ["1e39\n", /line 1: column 1/],
    ["1,2\n\n3\n", /line 3: it has 1 cells and the first row has 2$/],
    ['1,"2\n3', /line 2: Quote Not Closed/],
  ];
  for (const [text, message] of cases) {
    await Deno.writeTextFile(path, text);
    await assert.rejects(readCsv(path), (error) => {
      assert(error instanceof FormatError, String(error));
      assert.equal(error.path, path);
      assert.match(error.message, message);
      return true;
    });
  }
});

Deno.test("loadDigits() returns 1,797 images of 64 pixels with labels", async () => {
  const { x, labels, n, d } = await loadDigits();
  assert.deepEqual([n, d, x.length, labels.length], [1797, 64, 1797 * 64, 1797]);
  assert.deepEqual([...x.subarray(0, 8)], [0, 0, 5, 13, 9, 1, 0, 0]);
  assert.deepEqual([...labels.subarray(0, 10)], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  assert.deepEqual([Math.min(...x), Math.max(...x)], [0, 16]);
  assert.equal(labels.reduce((sum, label) => sum + label), 8070);
});
