import assert from "node:assert/strict";
import { DisposedError } from "../lib/errors.ts";
import { type DType, gpu, Tensor } from "../lib/kernel/mod.ts";
import { Random } from "../lib/random.ts";
import { device, onGpu } from "./gpu.ts";

const from = (values: Parameters<typeof Tensor.from>[0], shape?: number[], dtype?: DType) =>
  Tensor.from(values, shape, dtype, device());

Deno.test("Tensor.from() takes the shape of the nesting", onGpu, async () => {
  using a = from([[1, 2, 3], [4, 5, 6]]);
  assert.deepEqual([a.shape, a.dtype, a.strides], [[2, 3], "float32", [3, 1]]);
  assert.deepEqual([...await a.data()], [1, 2, 3, 4, 5, 6]);
  using b = from([[[true], [false]]]);
  assert.deepEqual([b.shape, b.dtype, [...b.dataSync()]], [[1, 2, 1], "bool", [1, 0]]);
  using c = from([5n, -6n]);
  assert.deepEqual([c.dtype, [...c.dataSync()]], ["int64", [5n, -6n]]);
  using d = from(2.5);
  assert.deepEqual([d.shape, d.size, d.item()], [[], 1, 2.5]);
  using e = from([]);
  assert.deepEqual([e.shape, e.size, e.dataSync().length], [[0], 0, 0]);
});

Deno.test("Tensor.from() keeps the type of a typed array", onGpu, () => {
  const arrays: [ArrayBufferView & ArrayLike<number | bigint>, DType][] = [
    [new Float32Array([1.5, -2]), "float32"],
    [new Float64Array([1.5, -2]), "float32"],
    [new Float16Array([1.5, -2]), "float16"],
    [new Int8Array([-128, 127]), "int8"],
    [new Uint8Array([0, 255]), "uint8"],
    [new Uint8ClampedArray([0, 255]), "uint8"],
    [new Int16Array([-32768, 32767]), "int16"],
    [new Uint16Array([0, 65535]), "uint16"],
    [new Int32Array([-(2 ** 31), 2 ** 31 - 1]), "int32"],
    [new Uint32Array([0, 2 ** 32 - 1]), "uint32"],
    [new BigInt64Array([-(2n ** 63n), 2n ** 63n - 1n]), "int64"],
    [new BigUint64Array([0n, 2n ** 64n - 1n]), "uint64"],
  ];
  for (const [array, dtype] of arrays) {
    using tensor = from(array);
    assert.equal(tensor.dtype, dtype);
    assert.deepEqual([...tensor.dataSync()], Array.from<number | bigint>(array));
    using shaped = from(array, [1, 2]);
    assert.deepEqual(shaped.shape, [1, 2]);
  }
});

Deno.test("Tensor.from() rounds to bfloat16 and float16, ties to even", onGpu, () => {
  using b = from(
    [1, 1 + 2 ** -8, 1 + 3 * 2 ** -8, -3.14159, 1e38, NaN, Infinity, 1e-40],
    undefined,
    "bfloat16",
  );
  const found = [...b.dataSync()];
  assert.deepEqual(found.slice(0, 4), [1, 1, 1 + 2 ** -6, -3.140625]);
  assert.ok(Math.abs(Number(found[4]) / 1e38 - 1) < 2 ** -8);
  assert.deepEqual(found.slice(5, 7), [NaN, Infinity]);
  assert.ok(Math.abs(Number(found[7]) / 1e-40 - 1) < 0.5);
  using h = from([1, 65504, 1e6, 2 ** -24, 1 + 2 ** -11], undefined, "float16");
  assert.deepEqual([...h.dataSync()], [1, 65504, Infinity, 2 ** -24, 1]);
});

Deno.test("Tensor.from() refuses what it cannot hold", onGpu, () => {
  const type = (body: () => Tensor) => assert.throws(body, TypeError);
  const range = (body: () => Tensor) => assert.throws(body, RangeError);
  type(() => from([[1, 2], [3]]));
  type(() => from([[1, 2], 3]));
  type(() => from([1, [2]]));
  type(() => from(["1"] as unknown as number[]));
  type(() => from([1, 2, 3], [2]));
  type(() => from([1], [1], "float64" as DType));
  type(() => from(new DataView(new ArrayBuffer(4))));
  range(() => from([1, 2], [-2]));
  range(() => from([1.5], [1], "int32"));
  range(() => from([256], [1], "uint8"));
  range(() => from([-1], [1], "uint32"));
  range(() => from([NaN], [1], "int32"));
  range(() => from([1.5], [1], "int64"));
  range(() => from([2n ** 63n], [1], "int64"));
  range(() => from([2n ** 53n + 1n - 2n ** 64n], [1], "int64"));
});

Deno.test("Tensor.zeros() and full() fill every type", onGpu, () => {
  for (const dtype of ["float32", "float16", "bfloat16", "int8", "uint64", "bool"] as const) {
    using zeros = Tensor.zeros([2, 3], dtype, device());
    assert.deepEqual([...zeros.dataSync()].map(Number), new Array(6).fill(0));
    using ones = Tensor.full([5], 1, dtype, device());
    assert.deepEqual([...ones.dataSync()].map(Number), new Array(5).fill(1));
  }
  assert.throws(() => Tensor.full([1], 300, "uint8", device()), RangeError);
});

Deno.test("views share memory, which goes with the last of them", onGpu, () => {
  const before = device().memory().active;
  const a = from([[1, 2, 3], [4, 5, 6], [7, 8, 9]]);
  const one = device().memory().active - before;
  const t = a.transpose();
  const s = a.slice(1);
  assert.equal(t.buffer, a.buffer);
  assert.deepEqual([t.shape, t.strides, t.isContiguous], [[3, 3], [1, 3], false]);
  assert.deepEqual([...t.dataSync()], [1, 4, 7, 2, 5, 8, 3, 6, 9]);
  assert.deepEqual([s.shape, s.offset, s.isContiguous], [[2, 3], 12, true]);
  a.dispose();
  a.dispose();
  assert.throws(() => a.dataSync(), DisposedError);
  assert.throws(() => a.slice(0), DisposedError);
  assert.deepEqual([...s.dataSync()], [4, 5, 6, 7, 8, 9]);
  assert.deepEqual([...t.slice(2).dataSync()].slice(0, 3), [3, 6, 9]);
  t.dispose();
  s.dispose();
  assert.ok(device().memory().active <= before + one, "all but the slice that was dropped");
});

Deno.test("slice() counts from the end too, and refuses rows that are not there", onGpu, () => {
  using a = from([1, 2, 3, 4]);
  const rows = (start: number, end?: number) => {
    using view = a.slice(start, end);
    return [...view.dataSync()];
  };
  assert.deepEqual(rows(-2), [3, 4]);
  assert.deepEqual(rows(1, -1), [2, 3]);
  assert.deepEqual(rows(4), []);
  for (const [start, end] of [[0, 5], [3, 2], [-5, 4], [0.5, 2]] as const) {
    assert.throws(() => a.slice(start, end), RangeError);
  }
  using scalar = from(1);
  assert.throws(() => scalar.slice(0), RangeError);
});

Deno.test("views of any order of axes have the elements of theirs", onGpu, async () => {
  const random = new Random(7);
  for (let trial = 0; trial < 40; trial++) {
    const shape = Array.from({ length: 1 + random.integer(4) }, () => 1 + random.integer(4));
    const size = shape.reduce((a, b) => a * b, 1);
    using a = from(Float32Array.from({ length: size }, (_, i) => i), shape);
    const axes = random.permutation(shape.length);
    using t = a.transpose(...axes);
    const first = random.integer(t.shape[0]! + 1);
    using view = t.slice(first);
    const expected: number[] = [];
    const at = new Array<number>(shape.length).fill(0);
    for (let i = 0; i < view.size; i++) {
      let rest = i;
      for (let axis = shape.length - 1; axis >= 0; axis--) {
        at[axes[axis]!] = rest % view.shape[axis]! + (axis === 0 ? first : 0);
        rest = Math.floor(rest / view.shape[axis]!);
      }
      expected.push(at.reduce((sum, x, axis) => sum * shape[axis]! + x, 0));
    }
    assert.deepEqual([...await view.data()], expected, `${shape} ${axes} ${first}`);
  }
});

Deno.test("transpose() and reshape() refuse what fits no view", onGpu, () => {
  using a = from([[1, 2], [3, 4]]);
  assert.throws(() => a.transpose(0, 0), RangeError);
  assert.throws(() => a.transpose(0), RangeError);
  assert.throws(() => a.reshape([3]), TypeError);
  using t = a.transpose();
  assert.throws(() => t.reshape([4]), TypeError);
  using r = a.reshape([4, 1]);
  assert.deepEqual([r.shape, [...r.dataSync()]], [[4, 1], [1, 2, 3, 4]]);
});

Deno.test("item() takes the only element", onGpu, () => {
  using a = from([[true]]);
  assert.equal(a.item(), true);
  using b = from([7n]);
  assert.equal(b.item(), 7n);
  using c = from([1, 2]);
  assert.throws(() => c.item(), TypeError);
});

Deno.test("astype() and to() copy", onGpu, async () => {
  using a = from([[1, 2], [3, 4]]);
  using t = a.transpose();
  using i = await t.astype("int32");
  assert.deepEqual([i.dtype, [...i.dataSync()]], ["int32", [1, 3, 2, 4]]);
  using b = await t.to(gpu("emulator"));
  assert.deepEqual([b.strides, [...b.dataSync()]], [[1, 2], [1, 3, 2, 4]]);
  assert.notEqual(b.buffer, a.buffer);
  using half = from([1.5]);
  await assert.rejects(half.astype("int8"), RangeError);
});

Deno.test("a Tensor shows its shape and first elements", onGpu, async () => {
  using a = from(Float32Array.from({ length: 40 }, (_, i) => i / 3), [20, 2]);
  assert.equal(
    Deno.inspect(a),
    "Tensor float32 [20, 2] 0, 0.33333, 0.66667, 1, 1.3333, 1.6667, 2, 2.3333, …",
  );
  const display = Symbol.for("Jupyter.display") as unknown as keyof Tensor;
  const bundle = await (a[display] as unknown as () => Promise<Record<string, string>>)();
  assert.match(bundle["text/html"]!, /the first 10 of 20 rows/);
  assert.match(bundle["text/plain"]!, /0\.33333/);
  a.dispose();
  assert.equal(Deno.inspect(a), "Tensor (disposed)");
});
