import assert from "node:assert/strict";
import { Random } from "../lib/random.ts";
import { type Data, type Launch, launch, params, poison, testAllRan } from "./shaders.ts";

const orders: Record<string, (i: number, random: Random) => number> = {
  "random": (_, random) => random.normal(),
  "ascending": (i) => i - 1000,
  "descending": (i) => 1000 - i,
  "equal": () => -2.5,
  "few values": (_, random) => random.integer(3) - 1,
  "signed zeros": (i) => i % 2 === 0 ? -0 : 0,
  "NaN and infinities": (i, random) =>
    i % 3 === 0 ? NaN : i % 7 === 0 ? Infinity : i % 11 === 0 ? -Infinity : random.integer(5),
  "NaN": () => NaN,
  "extreme": (i) => (i % 2 ? 1 : -1) * (i % 5 ? 3.4028234663852886e38 : 1e-45),
};

function numbers(order: string, n: number, seed: number): Float32Array {
  const random = new Random(seed);
  return Float32Array.from({ length: n }, (_, i) => orders[order]!(i, random));
}

interface Best {
  values: number[];
  labels: bigint[];
}

/** The best k by sorting all: ties by label, NaN and the worst infinity left out. */
function sorted(
  values: readonly number[],
  labels: readonly bigint[],
  k: number,
  largest: boolean,
  relabel?: (label: bigint) => bigint,
): Best {
  const sign = largest ? -1 : 1;
  const order = values.map((value, i) => ({ value: value + 0, label: labels[i]! }))
    .filter(({ value, label }) =>
      !Number.isNaN(value) && value !== sign * Infinity && label !== -1n
    )
    .sort((a, b) => {
      if (a.value !== b.value) return sign * a.value < sign * b.value ? -1 : 1;
      return a.label < b.label ? -1 : a.label > b.label ? 1 : 0;
    });
  const best: Best = { values: [], labels: [] };
  for (let i = 0; i < k; i++) {
    const { value, label } = order[i] ?? { value: sign * Infinity, label: -1n };
    best.values.push(value);
    best.labels.push(label === -1n || !relabel ? label : relabel(label));
  }
  return best;
}

type Labels = "u32" | "i64";

function labelArray(type: Labels, length: number): Uint32Array | BigInt64Array {
  return type === "u32" ? new Uint32Array(length) : new BigInt64Array(length);
}

function toLabels(labels: ArrayLike<number | bigint>): bigint[] {
  return Array.from(labels, (label) => BigInt(label)).map((label) =>
    label === 0xffffffffn ? -1n : label
  );
}

/** Labels of columns that are not in their order. */
function relabeling(type: Labels, n: number): Uint32Array | BigInt64Array {
  return type === "u32"
    ? Uint32Array.from({ length: n }, (_, i) => 4_000_000_000 - 7 * i)
    : BigInt64Array.from({ length: n }, (_, i) => 2n ** 40n - 7n * BigInt(i));
}

interface Rows {
  rows: number;
  columns: number;
  k: number;
  parts: number;
  largest: boolean;
  labels: Labels;
  relabeled: boolean;
}

function rowsLaunch(values: Data, stride: number, relabel: Data, out: Data[], how: Rows): Launch {
  const { rows, columns, k, parts, largest, relabeled } = how;
  return {
    file: "topk.metal",
    kernel: `topk_rows_f32_${how.labels}`,
    args: [values, relabel, ...out],
    params: params(rows, columns, stride, k, parts, largest, relabeled),
    threadgroups: rows * parts,
    threadgroup: 256,
  };
}

async function checkRows(order: string, how: Rows): Promise<void> {
  const { rows, columns, k, largest, parts } = how;
  const stride = columns + 3;
  const values = numbers(order, rows * stride, columns);
  const relabel = relabeling(how.labels, how.relabeled ? columns : 1);
  const outValues = poison(new Float32Array(rows * parts * k));
  const outLabels = poison(labelArray(how.labels, rows * parts * k));
  await launch(rowsLaunch(values, stride, relabel, [outValues, outLabels], how));
  const length = Math.ceil(columns / parts);
  for (let part = 0; part < rows * parts; part++) {
    const row = Math.floor(part / parts);
    const [from, to] = [part % parts * length, Math.min((part % parts + 1) * length, columns)];
    const piece = from < to ? [...values.subarray(row * stride + from, row * stride + to)] : [];
    const labels = piece.map((_, i) => BigInt(from + i));
    const map = (label: bigint) => BigInt(relabel[Number(label)]!);
    const best = sorted(piece, labels, k, largest, how.relabeled ? map : undefined);
    const what = `${order} ${JSON.stringify(how)} part ${part}`;
    const at = [part * k, (part + 1) * k] as const;
    assert.deepEqual(toLabels(outLabels.subarray(...at)), best.labels, what);
    assert.deepEqual([...outValues.subarray(...at)], best.values, what);
  }
}

const base: Rows = {
  rows: 2,
  columns: 300,
  k: 10,
  parts: 1,
  largest: false,
  labels: "u32",
  relabeled: false,
};

for (const order of Object.keys(orders)) {
  Deno.test(`topk_rows sorts the best of data that is ${order}`, async () => {
    await checkRows(order, base);
    await checkRows(order, { ...base, columns: 2500, k: 100, largest: true });
    await checkRows(order, { ...base, rows: 1, columns: 5000, k: 2048, labels: "i64" });
  });
}

Deno.test("topk_rows takes any shape", async () => {
  for (const columns of [1, 2, 31, 2047, 2048, 2049]) {
    for (const k of [1, 37]) {
      await checkRows("random", { ...base, rows: 1, columns, k });
      await checkRows("few values", {
        ...base,
        columns,
        k,
        largest: true,
        labels: "i64",
        relabeled: true,
      });
    }
  }
  await checkRows("random", { ...base, columns: 5, k: 2048, relabeled: true });
  await checkRows("random", { ...base, columns: 4000, k: 50, parts: 7 });
  await checkRows("few values", { ...base, columns: 9000, k: 70, parts: 4, largest: true });
  await checkRows("random", { ...base, columns: 5, k: 3, parts: 4 });
});

Deno.test("topk_rows pads rows of nothing", async () => {
  const values = poison(new Float32Array(20));
  const labels = poison(new BigInt64Array(20));
  const how: Rows = { ...base, columns: 0, labels: "i64" };
  await launch(rowsLaunch(new Float32Array(1), 0, new BigInt64Array(1), [values, labels], how));
  assert.deepEqual([...values], new Array(20).fill(Infinity));
  assert.deepEqual([...labels], new Array(20).fill(-1n));
});

async function checkMerge(
  values: Float32Array,
  labels: Uint32Array | BigInt64Array,
  rows: number,
  k: number,
  largest: boolean,
  out: Labels,
  relabel?: Uint32Array | BigInt64Array,
): Promise<void> {
  const columns = values.length / rows;
  const outValues = poison(new Float32Array(rows * k));
  const outLabels = poison(labelArray(out, rows * k));
  const input = labels instanceof Uint32Array ? "u32" : "i64";
  await launch({
    file: "topk.metal",
    kernel: `topk_merge_f32_${input}_${out}`,
    args: [values, labels, relabel ?? labelArray(out, 1), outValues, outLabels],
    params: params(rows, columns, columns, k, 1, largest, relabel !== undefined),
    threadgroups: rows,
    threadgroup: 256,
  });
  for (let row = 0; row < rows; row++) {
    const all = [...values.subarray(row * columns, (row + 1) * columns)];
    const names = toLabels(labels.subarray(row * columns, (row + 1) * columns));
    const map = relabel && ((label: bigint) => BigInt(relabel[Number(label)]!));
    const best = sorted(all, names, k, largest, map);
    const what = `${input} ${out} ${rows} × ${columns}, k ${k}, row ${row}`;
    assert.deepEqual(toLabels(outLabels.subarray(row * k, (row + 1) * k)), best.labels, what);
    assert.deepEqual([...outValues.subarray(row * k, (row + 1) * k)], best.values, what);
  }
}

Deno.test("topk_merge ranks by value, then by label", async () => {
  const random = new Random(5);
  for (const columns of [1, 100, 2048, 3000]) {
    for (const k of [1, 10, 300]) {
      const values = numbers("few values", 2 * columns, k);
      const wide = BigInt64Array.from(values, () => {
        return (BigInt(random.integer(3)) << 40n) - (1n << 40n) + BigInt(random.integer(columns)) -
          5n;
      });
      await checkMerge(values, wide, 2, k, k === 10, "i64");
      const narrow = Uint32Array.from(values, () => random.integer(4) ? random.next() : 0xffffffff);
      await checkMerge(values, narrow, 2, k, k !== 10, "u32");
      const small = Uint32Array.from(values, (_, i) => i % columns ^ 1);
      const relabel = relabeling("i64", columns + 1) as BigInt64Array;
      await checkMerge(values, small, 2, k, false, "i64", relabel);
      await checkMerge(values, small, 2, k, false, "i64");
    }
  }
});

Deno.test("topk_merge keeps the better where the last one is there many times", async () => {
  const n = 6000;
  const values = new Float32Array(n).fill(3).map((value, i) => i >= n - 2000 ? 1 : value);
  const labels = new BigInt64Array(n).fill(9n).map((label, i) => i >= n - 2000 ? BigInt(i) : label);
  await checkMerge(values, labels, 1, 2048, false, "i64");
});

Deno.test("chunks of a row and their merge give what the whole row gives", async () => {
  const [rows, columns, k, parts] = [2, 6001, 20, 5];
  for (const order of ["random", "few values", "NaN and infinities"]) {
    const values = numbers(order, rows * columns, 3);
    const relabel = relabeling("i64", columns);
    const [partial, places] = [rows * parts * k, rows * parts * k].map((n, i) =>
      poison(i === 0 ? new Float32Array(n) : new Uint32Array(n))
    );
    const best = poison(new Float32Array(rows * k));
    const labels = poison(new BigInt64Array(rows * k));
    const how: Rows = { ...base, rows, columns, k, parts };
    await launch(rowsLaunch(values, columns, new Uint32Array(1), [partial!, places!], how), {
      file: "topk.metal",
      kernel: "topk_merge_f32_u32_i64",
      args: [partial!, places!, relabel, best, labels],
      params: params(rows, parts * k, parts * k, k, 1, false, true),
      threadgroups: rows,
      threadgroup: 256,
    });
    for (let row = 0; row < rows; row++) {
      const all = [...values.subarray(row * columns, (row + 1) * columns)];
      const expected = sorted(all, all.map((_, i) => BigInt(i)), k, false, (label) => {
        return BigInt(relabel[Number(label)]!);
      });
      assert.deepEqual([...labels.subarray(row * k, (row + 1) * k)], expected.labels, order);
      assert.deepEqual([...best.subarray(row * k, (row + 1) * k)], expected.values, order);
    }
  }
});

testAllRan("topk.metal");
