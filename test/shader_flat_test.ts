import assert from "node:assert/strict";
import { floatBits, words } from "../lib/backend/gpu/words.ts";
import {
  assertClose,
  type Data,
  type Dtype,
  type Launch,
  launch,
  params,
  poison,
  stored,
  testAllRan,
} from "./shaders.ts";
import { normals } from "./grid.ts";

const N = 300;
const D = 11;
const WIDTH = 12;
const NQ = 5;
const K = 7;
const ROUNDING = (D + 16) * 2 ** -24;

type Name = "l2" | "ip" | "cosine";

/** Rows with a padding of zeros. */
function padded(n: number, seed: number): Float32Array {
  const x = normals(n, D, seed);
  const rows = new Float32Array(n * WIDTH);
  for (let i = 0; i < n; i++) rows.set(x.subarray(i * D, (i + 1) * D), i * WIDTH);
  return rows;
}

/** What kernels are to find, in double precision, of rows as they are stored. */
function truth(rows: Float32Array, queries: Float32Array, center: Float32Array, metric: Name) {
  const dot = (a: (i: number) => number, b: (i: number) => number) => {
    let sum = 0;
    for (let i = 0; i < D; i++) sum += a(i) * b(i);
    return sum;
  };
  const row = (r: number) => (i: number) => rows[r * WIDTH + i]! - center[i]!;
  const query = (q: number) => (i: number) => queries[q * WIDTH + i]! - center[i]!;
  const square = (r: number) => dot(row(r), row(r));
  return {
    /** Of tiles; of direct kernels for one query where `direct`. */
    key(q: number, r: number, direct: boolean): number {
      const product = dot(query(q), row(r));
      if (metric === "cosine") return -product / Math.sqrt(square(r));
      if (metric === "ip") return -product;
      const own = direct ? dot(query(q), query(q)) : 0;
      return square(r) - 2 * product + own;
    },
    /** The nearest rows, and their distances. */
    nearest(q: number): { label: number; distance: number }[] {
      const sign = metric === "l2" ? 1 : -1;
      return Array.from({ length: N }, (_, r) => {
        const length = Math.sqrt(dot(query(q), query(q)));
        const key = this.key(q, r, true) / (metric === "cosine" ? length : 1);
        return { label: r, distance: sign * key };
      }).sort((a, b) => sign * (a.distance - b.distance)).slice(0, K);
    },
  };
}

async function check(file: string, dtype: Dtype, metric: Name, listed: boolean): Promise<void> {
  const { data: x, seen: rows } = stored(padded(N, 1), dtype);
  const queries = padded(NQ, 2);
  const center = new Float32Array(WIDTH);
  if (metric === "l2") center.fill(0.25, 0, D);
  const exact = truth(rows, queries, center, metric);
  const list = Uint32Array.from({ length: N }, (_, i) => N - 1 - i);
  const rowTerms = poison(new Float32Array(N));
  const centered = poison(new Float32Array(NQ * WIDTH));
  const terms = poison(new Float32Array(NQ * 4));
  const rounding = words(N, D, WIDTH / 4, floatBits(ROUNDING));
  const bytes = (numbers: Uint32Array) => new Uint8Array(numbers.buffer);
  const prepare: Launch[] = [
    {
      file,
      kernel: `flat_row_terms_${metric}_${dtype}`,
      args: [x, center, rowTerms],
      params: bytes(rounding),
      threadgroups: Math.ceil(N / 8),
      threadgroup: 256,
    },
    {
      file: "flat.metal",
      kernel: `flat_query_terms_${metric}`,
      args: [queries, center, centered, terms],
      params: bytes(words(NQ, D, WIDTH / 4, floatBits(ROUNDING))),
      threadgroups: 1,
      threadgroup: 256,
    },
  ];
  await launch(...prepare);

  const tiles = dtype === "f32" ? ["16x256", "64x128", "128x128"] : ["16x256", "128x128"];
  const directs = dtype === "f32" ? [1, 4, 16] : [1];
  const infix = `${metric}_${dtype}${listed ? "_list" : ""}`;
  for (const tile of [...tiles, ...directs]) {
    const direct = typeof tile === "number";
    const [height, width] = direct ? [tile, 128] : tile.split("x").map(Number) as [number, number];
    const isDistance = metric === "l2" && tile === 1;
    const groups = [Math.ceil(NQ / height), Math.ceil(N / width)] as const;
    const kind = direct ? "flat_direct" : "flat";
    const given = isDistance ? queries : centered;
    const memory = direct ? { threadgroupMemory: tile * WIDTH * 4 } : {};
    const what = `${kind} ${infix} ${tile}`;

    const keys = poison(new Float32Array(NQ * N));
    await launch({
      file,
      kernel: `${kind}_keys_${infix}_${tile}`,
      args: [given, ...(direct ? [] : [terms]), x, rowTerms, center, list, keys],
      params: params(NQ, N, WIDTH / 4, width, 0),
      threadgroups: groups,
      threadgroup: 256,
      ...memory,
    });
    const expected = Float64Array.from({ length: NQ * N }, (_, i) => {
      const place = i % N;
      return exact.key(Math.floor(i / N), listed ? list[place]! : place, isDistance);
    });
    assertClose(keys, expected, 1e-4, 1e-4, `${what}: keys`);

    // Half of the keys are within each query's bound.
    const bounded = terms.slice();
    for (let q = 0; q < NQ; q++) {
      const own = [...keys.subarray(q * N, (q + 1) * N)].sort((a, b) => a - b);
      bounded[q * 4 + 3] = (own[N / 2]! + own[N / 2 - 1]!) / 2;
    }
    const counts = new Uint32Array(NQ);
    const found = poison(new Uint32Array(NQ * N * 2));
    await launch({
      file,
      kernel: `${kind}_scan_${infix}_${tile}`,
      args: [given, bounded, x, rowTerms, center, list, counts, found],
      params: params(NQ, N, WIDTH / 4, width, N),
      threadgroups: groups,
      threadgroup: 256,
      ...memory,
    });
    for (let q = 0; q < NQ; q++) {
      assert.ok(Math.abs(counts[q]! - N / 2) <= 2, `${what}: ${counts[q]} candidates`);
      for (let i = 0; i < counts[q]!; i++) {
        const at = (q * N + i) * 2;
        const key = new Float32Array(found.buffer, at * 4, 1);
        assertClose(key, [exact.key(q, found[at + 1]!, isDistance)], 1e-4, 1e-4, `${what}: found`);
      }
    }
    if (!listed) {
      await select(file, dtype, metric, { x, queries, terms, rowTerms, keys, list, exact });
    }
  }
}

interface Prepared {
  x: Data;
  queries: Float32Array;
  terms: Float32Array;
  rowTerms: Float32Array;
  keys: Float32Array;
  list: Uint32Array;
  exact: ReturnType<typeof truth>;
}

async function select(file: string, dtype: Dtype, metric: Name, given: Prepared): Promise<void> {
  const distances = poison(new Float32Array(NQ * K));
  const labels = poison(new BigInt64Array(NQ * K));
  const statuses = poison(new Uint32Array(NQ));
  const { x, queries, terms, rowTerms, keys, list, exact } = given;
  const unused = new Uint32Array(NQ);
  await launch({
    file,
    kernel: `flat_select_${metric}_${dtype}`,
    args: [
      ...[queries, terms, x, rowTerms, list, unused, unused, keys, labels],
      ...[distances, labels, statuses],
    ],
    // Errors far above the true ones: more rows are computed exactly.
    params: bytesOf(words(K, WIDTH / 4, N, 1, 0, floatBits(1e-3), floatBits(1e-3))),
    more: [bytesOf(words(0))],
    threadgroups: NQ,
    threadgroup: 256,
  });
  for (let q = 0; q < NQ; q++) {
    const nearest = exact.nearest(q);
    const what = `select ${metric} ${dtype}`;
    assert.equal(statuses[q]! & 0xff, 0, what);
    const own = [...labels.subarray(q * K, (q + 1) * K)].map(Number);
    assert.deepEqual(own, nearest.map(({ label }) => label), what);
    const values = nearest.map(({ distance }) => distance);
    assertClose(distances.subarray(q * K, (q + 1) * K), values, 1e-5, 1e-5, what);
  }
}

function bytesOf(numbers: Uint32Array): Uint8Array {
  return new Uint8Array(numbers.buffer);
}

for (const metric of ["l2", "ip", "cosine"] as const) {
  Deno.test(`flat kernels of ${metric} find keys, candidates and the nearest`, async () => {
    for (const listed of [false, true]) await check("flat.metal", "f32", metric, listed);
    for (const dtype of ["f16", "bf16"] as const) {
      await check("flat_half.metal", dtype, metric, false);
    }
  });
}

testAllRan("flat_half.metal");
