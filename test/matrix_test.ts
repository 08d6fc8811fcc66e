import assert from "node:assert/strict";
import { Matrix, toIds, toRows, type VectorInput } from "../lib/matrix.ts";

Deno.test("toRows() passes a Float32Array through without a copy", () => {
  const x = new Float32Array(6);
  assert.equal(toRows(x, 3, "x"), x);
  assert.equal(toRows(new Matrix(x, 3), 3, "x"), x);
});

Deno.test("toRows() reads every form of the same rows", () => {
  const forms: VectorInput[] = [
    [[1, 2], [3, 4]],
    [Float32Array.of(1, 2), Float32Array.of(3, 4)],
    [1, 2, 3, 4],
    Float64Array.of(1, 2, 3, 4),
    Float16Array.of(1, 2, 3, 4),
    Int8Array.of(1, 2, 3, 4),
    Uint8Array.of(1, 2, 3, 4),
    Matrix.from([[1, 2], [3, 4]]),
  ];
  for (const form of forms) assert.deepEqual([...toRows(form, 2, "x")], [1, 2, 3, 4]);
});

Deno.test("toRows() refuses what is empty, in wrong rows or no array, naming the argument", () => {
  const bad: [VectorInput, RegExp][] = [
    [new Float32Array(0), /queries: it is empty/],
    [[], /queries: it is empty/],
    [new Float32Array(5), /queries: length 5 is not a multiple of the dimension 2/],
    [[[1, 2], [3]], /queries: row 1 has 1 numbers, not 2/],
    [new Matrix(new Float32Array(6), 3), /queries: rows have 3 numbers, not 2/],
    ["ab" as unknown as VectorInput, /queries: it is no array/],
    [undefined as unknown as VectorInput, /queries: it is no array/],
    [new Int32Array(2) as unknown as VectorInput, /queries: it is no array/],
  ];
  for (const [input, message] of bad) {
    assert.throws(() => toRows(input, 2, "queries"), { name: "TypeError", message });
  }
});

Deno.test("toIds() reads numbers, bigints and typed arrays", () => {
  const ids = BigInt64Array.of(1n, 2n ** 62n);
  assert.equal(toIds(ids, 2, "ids"), ids);
  assert.deepEqual([...toIds([1, 2n ** 62n], 2, "ids")], [...ids]);
  assert.deepEqual([...toIds(Int32Array.of(7), undefined, "ids")], [7n]);
});

Deno.test("toIds() refuses wrong counts and ids, naming the position", () => {
  assert.throws(() => toIds([1], 2, "ids"), { name: "TypeError", message: /1 ids for 2 rows/ });
  const bad: [(number | bigint)[] | BigInt64Array, RegExp][] = [
    [[0, -1], /ids: -1 at position 1 is negative/],
    [BigInt64Array.of(0n, 4n, -9n), /ids: -9 at position 2 is negative/],
    [[1.5], /ids: 1.5 at position 0/],
    [[2 ** 53], /position 0 is no 64-bit integer/],
    [[2n ** 63n], /position 0 is no 64-bit integer/],
    [[NaN], /position 0/],
  ];
  for (const [ids, message] of bad) {
    assert.throws(() => toIds(ids, undefined, "ids"), { name: "RangeError", message });
  }
});

Deno.test("Matrix shares its rows' memory and refuses rows that are not there", () => {
  const m = Matrix.from([[1, 2], [3, 4]]);
  m.row(1)[0] = 9;
  assert.deepEqual([...m.data], [1, 2, 9, 4]);
  for (const i of [-1, 2, 0.5]) assert.throws(() => m.row(i), RangeError);
  assert.throws(() => new Matrix(new Float32Array(5), 2), TypeError);
  assert.throws(() => Matrix.from([1, 2, 3]), TypeError);
  assert.equal(Matrix.from([1, 2, 3], 3).rows, 1);
});

Deno.test("Matrix shows its shape in a terminal and its numbers in a notebook", () => {
  const m = Matrix.from([[1, 2.5]]);
  assert.equal(Deno.inspect(m), "Matrix(1 × 2)");
  const show = m as unknown as Record<symbol, () => Record<string, string>>;
  const bundle = show[Symbol.for("Jupyter.display")]!();
  assert.match(bundle["text/html"]!, /<td[^>]*>2.5<\/td>/);
});
