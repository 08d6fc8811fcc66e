import assert from "node:assert/strict";
import { normals } from "./grid.ts";
import {
  assertClose,
  dtypes,
  float,
  launch,
  params,
  poison,
  stored,
  testAllRan,
} from "./shaders.ts";

const file = "qr.metal";
const NONE = 2 ** 32 - 1;

interface Columns {
  m: number;
  n: number;
  line?: number;
  column?: number;
  next?: number;
  tolerance?: number;
}

/** `QrParams`. */
function qrParams(
  { m, n, line = n, column = NONE, next = NONE, tolerance = 0 }: Columns,
): Uint8Array {
  return params(m, n, line, column, next, float(tolerance));
}

/** Columns of a matrix in rows. */
function columnsOf(a: ArrayLike<number>, m: number, n: number, line = n): Float64Array[] {
  return Array.from(
    { length: n },
    (_, j) => Float64Array.from({ length: m }, (_, i) => a[i * line + j]!),
  );
}

function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

/** Orthonormal columns in rows, by Gram–Schmidt in float64. */
function orthonormal(m: number, n: number, seed: number): Float32Array {
  const columns = columnsOf(normals(m, n, seed), m, n);
  columns.forEach((column, j) => {
    for (let pass = 0; pass < 2; pass++) {
      for (const other of columns.slice(0, j)) {
        const sum = dot(other, column);
        for (let i = 0; i < m; i++) column[i]! -= sum * other[i]!;
      }
    }
    const length = Math.hypot(...column);
    for (let i = 0; i < m; i++) column[i]! /= length;
  });
  return Float32Array.from({ length: m * n }, (_, at) => columns[at % n]![Math.floor(at / n)]!);
}

for (const dtype of dtypes) {
  Deno.test(`projections and updates [${dtype}]`, async () => {
    for (const [m, n, more] of [[1, 1, 0], [37, 5, 3], [300, 40, 0], [65, 9, 1]] as const) {
      const line = n + more;
      const q = stored(normals(m, line, 1), dtype);
      const v = normals(1, m, 2);
      const columns = columnsOf(q.seen, m, n, line);
      const exact = columns.map((column) => dot(column, v));
      const how = { file, params: qrParams({ m, n, line }) };
      for (const kind of ["simple", "simd"] as const) {
        const c = poison(new Float32Array(n));
        const size = kind === "simd"
          ? { threadgroups: Math.ceil(n / 8), threadgroup: 256 }
          : { threads: n, threadgroup: 256 };
        const kernel = `qr_dot_${kind}_${dtype}`;
        await launch({ ...how, kernel, args: [q.data, v, c], ...size });
        assertClose(c, exact, 0, m * 2 ** -20, `${kernel} ${m} × ${n}`);
      }
      const c = normals(1, n, 3);
      const left = v.slice();
      await launch({
        ...how,
        kernel: `qr_update_${dtype}`,
        args: [q.data, c, left],
        threadgroups: Math.ceil(m / 8),
        threadgroup: 256,
      });
      const expected = Float64Array.from(
        v,
        (value, i) => value - dot(c, q.seen.subarray(i * line, i * line + n)),
      );
      assertClose(left, expected, 0, n * 2 ** -20, `update ${m} × ${n}`);
    }
  });

  Deno.test(`columns are inspected and scaled [${dtype}]`, async () => {
    const [m, n, line] = [300, 35, 36];
    const values = normals(m, line, 1);
    for (let i = 0; i < m; i++) values[i * line + 3] = 0;
    const a = stored(values, dtype);
    const largest = new Float32Array(n);
    const first = Uint32Array.of(NONE);
    const work = poison(new Float32Array(m * n));
    const all = poison(new Float32Array(m * n));
    const how = { file, params: qrParams({ m, n, line }) };
    await launch({
      ...how,
      kernel: `qr_inspect_${dtype}`,
      args: [a.data, largest, first],
      threadgroups: 2 * 2,
      threadgroup: 256,
    }, {
      ...how,
      kernel: `qr_load_${dtype}`,
      args: [a.data, largest, work],
      threads: m * n,
      threadgroup: 256,
    }, {
      ...how,
      kernel: `qr_scale_${dtype}`,
      args: [a.data, all],
      params: params(float(0.25)),
      more: [qrParams({ m, n, line })],
      threads: m * n,
      threadgroup: 256,
    });
    assert.deepEqual([...first], [NONE]);
    const columns = columnsOf(a.seen, m, n, line);
    const scaled = columnsOf(work, m, n);
    columns.forEach((column, j) => {
      const most = Math.max(...column.map(Math.abs));
      assert.equal(largest[j], most);
      if (most === 0) return assert.ok(scaled[j]!.every((value) => value === 0));
      const power = 2 ** -Math.floor(Math.log2(most));
      assert.deepEqual(scaled[j], column.map((value) => value * power));
    });
    columnsOf(all, m, n).forEach((column, j) => {
      assert.deepEqual(column, columns[j]!.map((value) => value / 4));
    });
    a.data[290 * line + 2] = dtype === "f32" ? NaN : 0x7fff;
    a.data[7 * line + 30] = dtype === "f32" ? -Infinity : dtype === "f16" ? 0xfc00 : 0xff80;
    await launch({
      ...how,
      kernel: `qr_inspect_${dtype}`,
      args: [a.data, largest, first],
      threadgroups: 2 * 2,
      threadgroup: 256,
    });
    assert.deepEqual([...first], [7]);
  });
}

Deno.test("lengths of columns", async () => {
  const [m, n] = [77, 35];
  const a = normals(m, n, 4);
  const lengths = poison(new Float32Array(n));
  const how = { file, kernel: "qr_lengths", args: [a, lengths], params: qrParams({ m, n }) };
  await launch({ ...how, threadgroups: 2, threadgroup: 640 });
  assertClose(lengths, columnsOf(a, m, n).map((x) => Math.hypot(...x)), 1e-6, 0, "lengths");
});

Deno.test("a column ends with its length, or as 0 where it depends on others", async () => {
  const [m, n] = [90, 4];
  for (const [scale, tolerance, dependent] of [[1, 0.5, false], [1e-30, 0, false], [1, 2, true]]) {
    const q = normals(m, n, 5);
    const v = normals(1, m, 6).map((value) => value * (scale as number));
    const length = Math.hypot(...v);
    const diagonal = poison(new Float32Array(n));
    const lengths = new Float32Array(n).fill(length);
    const [expected, next] = [v.slice(), columnsOf(q, m, n)[2]!];
    await launch({
      file,
      kernel: "qr_mgs_step",
      args: [q, v, diagonal, lengths],
      params: qrParams({ m, n, column: 1, next: 2, tolerance: tolerance as number }),
      threadgroups: 1,
      threadgroup: 96,
    });
    assertClose([diagonal[1]!], [dependent ? 0 : length], 1e-6, 0, "length");
    const column = columnsOf(q, m, n)[1]!;
    assertClose(column, expected.map((x) => dependent ? 0 : x / length), 1e-6, 1e-7, "column");
    assert.deepEqual(v, Float32Array.from(next));
  }
});

Deno.test("random columns differ by column and are well spread", async () => {
  const m = 500;
  const columns: Float32Array[] = [];
  for (const column of [0, 1]) {
    const v = poison(new Float32Array(m));
    const how = { params: qrParams({ m, n: 2, column }), threads: m, threadgroup: 256 };
    await launch({ file, kernel: "qr_random", args: [v], ...how });
    columns.push(v);
  }
  for (const v of columns) {
    assert.ok(v.every((value) => Math.abs(value) <= 1));
    assert.ok(Math.abs(dot(v, v) / m - 1 / 3) < 0.05);
    assert.ok(Math.abs(v.reduce((a, b) => a + b) / m) < 0.1);
  }
  assert.ok(Math.abs(dot(columns[0]!, columns[1]!)) / m < 0.05);
});

Deno.test("R of two passes and of panels", async () => {
  const n = 5;
  const [first, second] = [normals(n, n, 7), normals(n, n, 8)];
  const diagonal = normals(1, n, 9);
  const largest = Float32Array.of(1, 2.5, 0.3, 1, 1e-3);
  const scales = largest.map((value) => 2 ** Math.floor(Math.log2(value)));
  const r = poison(new Float32Array(n * n));
  await launch({
    file,
    kernel: "qr_mgs_r",
    args: [first, second, diagonal, largest, r],
    params: qrParams({ m: 9, n }),
    threads: n * n,
    threadgroup: 256,
  });
  const expected = Float64Array.from(r, (_, at) => {
    const [i, j] = [Math.floor(at / n), at % n];
    const value = i < j ? first[j * n + i]! + second[j * n + i]! : i === j ? diagonal[i]! : 0;
    return value * scales[j]!;
  });
  assertClose(r, expected, 1e-6, 0, "R of two passes");

  // Columns 2 to 4 are a panel behind two others.
  const [from, width] = [2, 3];
  const [c1, c2] = [normals(from, width, 10), normals(from, width, 11)];
  const upper = (seed: number) =>
    normals(width, width, seed).map((x, at) => at % width < Math.floor(at / width) ? 0 : x);
  const [s1, s2] = [upper(12), upper(13)];
  const panel = new Float32Array(n * n);
  await launch({
    file,
    kernel: "qr_panel_r",
    args: [c1, c2, s1, s2, largest, panel],
    params: panelParams({ m: 9, line: n, width, first: from, n }),
    threads: (from + width) * width,
    threadgroup: 256,
  });
  for (let i = 0; i < n; i++) {
    for (let j = from; j < n; j++) {
      let sum = i < from ? c1[i * width + j - from]! : 0;
      for (let l = 0; l < width; l++) {
        const left = i < from ? c2[i * width + l]! : s2[(i - from) * width + l]!;
        sum += left * s1[l * width + j - from]!;
      }
      assertClose([panel[i * n + j]!], [sum * scales[j]!], 1e-5, 1e-6, `R at ${i}, ${j}`);
    }
  }
});

interface Panel {
  m: number;
  line: number;
  width: number;
  first?: number;
  n?: number;
  tolerance?: number;
  pivot?: number;
}

/** `PanelParams`. */
function panelParams(
  { m, line, width, first = 0, n = line, tolerance = 0, pivot = 1e-4 }: Panel,
): Uint8Array {
  return params(m, line, width, first, n, float(tolerance), float(pivot));
}

/** Largest number of |QᵀQ − I|, where a column of 0 counts as one of length 1. */
function orthogonality(q: Float32Array, m: number, n: number, line: number): number {
  const columns = columnsOf(q, m, n, line);
  let most = 0;
  columns.forEach((a, i) =>
    columns.slice(0, i + 1).forEach((b, j) => {
      const zero = i === j && a.every((value) => value === 0);
      most = Math.max(most, Math.abs(dot(a, b) - (i === j && !zero ? 1 : 0)));
    })
  );
  return most;
}

Deno.test("a panel is orthonormalised by one threadgroup", async () => {
  for (const [m, width, line] of [[1, 1, 1], [40, 7, 9], [100, 32, 32], [64, 20, 40]] as const) {
    for (const spoil of [false, true]) {
      const panel = normals(m, line, 14);
      if (spoil && width > 3) {
        for (let i = 0; i < m; i++) {
          panel[i * line + 2] = 2 * panel[i * line]! - panel[i * line + 1]!;
          panel[i * line + 3] = 0;
          // Nearly the first: most of it cancels.
          panel[i * line + 4] = panel[i * line]! * (1 + 1e-4 * (i % 3));
        }
      }
      const before = panel.slice();
      const lengths = Float32Array.from(columnsOf(panel, m, width, line), (x) => Math.hypot(...x));
      const s = poison(new Float32Array(width * width));
      await launch({
        file,
        kernel: "qr_panel_mgs",
        args: [panel, s, lengths, Uint32Array.of(1)],
        params: panelParams({ m, line, width, tolerance: 1e-5 }),
        threadgroups: 1,
        threadgroup: 256,
      });
      const what = `${m} × ${width}${spoil ? ", spoiled" : ""}`;
      const error = orthogonality(panel, m, width, line);
      assert.ok(error < 1e-6, `${what}: ${error}`);
      for (let i = 0; i < m; i++) {
        for (let j = 0; j < line; j++) {
          if (j >= width) {
            assert.equal(panel[i * line + j], before[i * line + j]);
            continue;
          }
          let sum = 0;
          for (let l = 0; l < width; l++) sum += panel[i * line + l]! * s[l * width + j]!;
          assertClose([sum], [before[i * line + j]!], 0, 2e-5, `${what} at ${i}, ${j}`);
        }
      }
      const zeros = spoil && width > 3 ? [2, 3] : [];
      for (let j = 0; j < width; j++) assert.equal(s[j * width + j] === 0, zeros.includes(j), what);
    }
  }
});

Deno.test("a panel whose flag is 0 is left as it is", async () => {
  const panel = normals(9, 3, 15);
  const before = panel.slice();
  const s = new Float32Array(9).fill(5);
  await launch({
    file,
    kernel: "qr_panel_mgs",
    args: [panel, s, new Float32Array(3), Uint32Array.of(0)],
    params: panelParams({ m: 9, line: 3, width: 3 }),
    threadgroups: 1,
    threadgroup: 64,
  });
  assert.deepEqual([panel, s], [before, new Float32Array(9).fill(5)]);
});

Deno.test("Cholesky factors and their inverses, or a flag", async () => {
  for (const width of [1, 5, 31, 32]) {
    for (const singular of [false, true]) {
      const m = 80;
      const columns = columnsOf(normals(m, width, 16), m, width);
      if (singular) columns[width - 1] = width > 1 ? columns[0]!.slice() : new Float64Array(m);
      const gram = Float32Array.from(
        { length: width * width },
        (_, at) => dot(columns[Math.floor(at / width)]!, columns[at % width]!),
      );
      const [s, inverse] = [0, 0].map(() => poison(new Float32Array(width * width)));
      const flag = Uint32Array.of(7);
      await launch({
        file,
        kernel: "qr_panel_cholesky",
        args: [gram, s!, inverse!, flag, new Float32Array(width)],
        params: panelParams({ m, line: width, width }),
        threadgroups: 1,
        threadgroup: 256,
      });
      assert.equal(flag[0], singular ? 1 : 0);
      for (let i = 0; i < width; i++) {
        for (let j = 0; j < width; j++) {
          let [square, unit] = [0, 0];
          for (let l = 0; l < width; l++) {
            square += s![l * width + i]! * s![l * width + j]!;
            unit += s![i * width + l]! * inverse![l * width + j]!;
          }
          assertClose([unit], [i === j ? 1 : 0], 0, 1e-5, `inverse of ${width}`);
          if (!singular) assertClose([square], [gram[i * width + j]!], 0, 1e-3, `factor ${width}`);
        }
      }
    }
  }
});

Deno.test("Cholesky refuses a column below its tolerance", async () => {
  const flag = Uint32Array.of(7);
  const gram = Float32Array.of(1, 0, 0, 1e-6);
  const [s, inverse] = [new Float32Array(4), new Float32Array(4)];
  const how = { file, kernel: "qr_panel_cholesky", threadgroups: 1, threadgroup: 256 };
  const args = [gram, s, inverse, flag, Float32Array.of(1, 1)];
  const sizes = { m: 9, line: 2, width: 2 };
  await launch({ ...how, args, params: panelParams({ ...sizes, tolerance: 1e-4 }) });
  assert.equal(flag[0], 0);
  await launch({ ...how, args, params: panelParams({ ...sizes, tolerance: 1e-3 }) });
  assert.equal(flag[0], 1);
});

Deno.test("Householder reflections make columns zero below the diagonal", async () => {
  const [m, n] = [50, 36];
  const work = normals(m, n, 17);
  for (let i = 1; i < m; i++) work[i * n + 1] = 0;
  const vectors = poison(new Float32Array(m * n));
  const taus = poison(new Float32Array(n));
  const q = poison(new Float32Array(m * n));
  const r = poison(new Float32Array(n * n));
  const before = work.slice();
  const largest = new Float32Array(n).fill(1);
  const apply = (to: Float32Array, column: number) => ({
    file,
    kernel: "qr_house_apply",
    args: [to, vectors, taus],
    params: qrParams({ m, n, column }),
    threadgroups: Math.ceil((n - column) / 32),
    threadgroup: 128,
  });
  const all = Array.from({ length: n }, (_, column) => column);
  const numbers = { params: qrParams({ m, n }), threads: m * n, threadgroup: 256 };
  await launch(
    ...all.flatMap((column) => [{
      file,
      kernel: "qr_house_vector",
      args: [work, vectors, taus],
      params: qrParams({ m, n, column }),
      threadgroups: 1,
      threadgroup: 64,
    }, apply(work, column)]),
    { file, kernel: "qr_identity", args: [q], ...numbers },
    ...all.toReversed().map((column) => apply(q, column)),
    { file, kernel: "qr_house_store", args: [work, largest, q, r], ...numbers },
  );
  for (let j = 0; j < n; j++) {
    for (let i = j + 1; i < m; i++) {
      assert.ok(Math.abs(work[i * n + j]!) < 1e-5, `below the diagonal at ${i}, ${j}`);
    }
    assert.ok(r[j * n + j]! >= 0);
  }
  assert.ok(orthogonality(q, m, n, n) < 1e-6);
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      let sum = 0;
      for (let l = 0; l < n; l++) sum += q[i * n + l]! * r[l * n + j]!;
      assertClose([sum], [before[i * n + j]!], 0, 2e-5, `QR at ${i}, ${j}`);
    }
  }
});

Deno.test("orthonormal columns lose what they have of Q in one pass", async () => {
  const [m, n] = [200, 30];
  const q = orthonormal(m, n, 18);
  const v = normals(1, m, 19);
  const c = poison(new Float32Array(n));
  const how = { file, params: qrParams({ m, n }), threadgroup: 256 };
  await launch(
    { ...how, kernel: "qr_dot_simd_f32", args: [q, v, c], threadgroups: Math.ceil(n / 8) },
    { ...how, kernel: "qr_update_f32", args: [q, c, v], threadgroups: Math.ceil(m / 8) },
  );
  for (const column of columnsOf(q, m, n)) assert.ok(Math.abs(dot(column, v)) < 1e-5);
});

testAllRan(file);
