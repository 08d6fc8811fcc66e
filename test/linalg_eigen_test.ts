import assert from "node:assert/strict";
import { eigenSymmetric } from "../lib/linalg/mod.ts";
import { decodeNumbers, encodeNumbers, fromBfloat16, toBfloat16 } from "../lib/linalg/numbers.ts";
import { startVectors } from "../lib/linalg/start.ts";
import { Random } from "../lib/random.ts";
import { assertAtMost } from "./linalg.ts";

function symmetric(n: number, value: (i: number, j: number) => number): Float64Array {
  const a = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) a[i * n + j] = a[j * n + i] = value(i, j);
  }
  return a;
}

Deno.test("eigenSymmetric finds values and orthonormal vectors to the last digits", () => {
  const random = new Random(1);
  const cases: [string, number, Float64Array][] = [
    ["one", 1, Float64Array.of(-3)],
    ["zeros", 4, new Float64Array(16)],
    ["identity", 5, symmetric(5, (i, j) => Number(i === j))],
    ["Hilbert", 12, symmetric(12, (i, j) => 1 / (i + j + 1))],
    ["tiny", 9, symmetric(9, () => 1e-200 * random.normal())],
    ["huge", 9, symmetric(9, () => 1e150 * random.normal())],
    ["two blocks", 6, symmetric(6, (i, j) => i < 3 === j < 3 ? 1 : 0)],
    ...[2, 3, 40, 97].map((n): [string, number, Float64Array] => {
      return [`Gaussian ${n}`, n, symmetric(n, () => random.normal())];
    }),
  ];
  for (const [name, n, a] of cases) {
    const { values, vectors } = eigenSymmetric(a, n);
    const size = a.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
    for (let i = 0; i < n; i++) {
      if (i > 0) assert.ok(values[i - 1]! >= values[i]!, name);
      for (let j = 0; j < n; j++) {
        let [back, product] = [0, 0];
        for (let c = 0; c < n; c++) {
          back += vectors[i * n + c]! * (values[c]! / size) * vectors[j * n + c]!;
          product += vectors[c * n + i]! * vectors[c * n + j]!;
        }
        assertAtMost(Math.abs(back - a[i * n + j]! / size), n * 1e-15, `${name}: A`);
        assertAtMost(Math.abs(product - Number(i === j)), n * 1e-15, `${name}: VᵀV`);
      }
    }
  }
});

Deno.test("eigenSymmetric knows the values of a chain of springs", () => {
  const n = 50;
  const a = symmetric(n, (i, j) => i === j ? 2 : i - j === 1 ? -1 : 0);
  const { values } = eigenSymmetric(a, n);
  values.forEach((value, i) => {
    const expected = 2 + 2 * Math.cos(Math.PI * (i + 1) / (n + 1));
    assertAtMost(Math.abs(value - expected), 1e-14, `value ${i}`);
  });
});

Deno.test("eigenSymmetric refuses NaN and infinities, naming the row", () => {
  for (const value of [NaN, Infinity]) {
    const a = symmetric(3, (i, j) => i === 2 && j === 1 ? value : 1);
    assert.throws(() => eigenSymmetric(a, 3), (error: Error) => {
      assert.ok(error instanceof RangeError, `${error}`);
      assert.match(error.message, /row 2/);
      return true;
    });
  }
});

Deno.test("numbers are rounded to their type and read back", () => {
  const values = [0, -0, 1, -1.5, 3.14159, 1e-3, 65504, 1e30, Infinity, -Infinity, NaN];
  const float = Float32Array.from(values);
  assert.equal(encodeNumbers(float, "float32"), float);
  assert.deepEqual(decodeNumbers(encodeNumbers(values, "float32"), "float32"), float);
  assert.deepEqual(
    decodeNumbers(encodeNumbers(values, "float16"), "float16"),
    Float32Array.from(Float16Array.from(values)),
  );
  const brain = decodeNumbers(encodeNumbers(values, "bfloat16"), "bfloat16");
  values.forEach((value, i) => {
    if (!Number.isFinite(value) || value === 0) assert.ok(Object.is(brain[i], value), `${value}`);
    else assertAtMost(Math.abs(brain[i]! - value), Math.abs(value) * 2 ** -8, `${value}`);
  });
  // Ties go to even.
  assert.equal(fromBfloat16(toBfloat16(1 + 2 ** -8)), 1);
  assert.equal(fromBfloat16(toBfloat16(1 + 3 * 2 ** -8)), 1 + 2 ** -6);
  assert.throws(() => decodeNumbers(new Float32Array(1), "bfloat16"), TypeError);
});

Deno.test("start vectors are the same for a seed", () => {
  assert.deepEqual(startVectors(5, 3, 7), startVectors(5, 3, 7));
  assert.notDeepEqual(startVectors(5, 3, 7), startVectors(5, 3, 8));
  assert.equal(startVectors(5, 3, 7).length, 15);
});
