import assert from "node:assert/strict";
import { words } from "../lib/backend/gpu/words.ts";
import { normals } from "./grid.ts";
import {
  assertClose,
  type Data,
  type Dtype,
  dtypes,
  launch,
  poison,
  stored,
  testAllRan,
} from "./shaders.ts";

const D = 8;
const OFFSETS = Uint32Array.of(0, 130, 130, 131, 300);
const NLIST = 4;
const N = 300;
const NQ = 6;
const NPROBE = 3;
const PROBES = BigInt64Array.of(
  ...[0n, 1n, 2n, 3n, 2n, -1n, 1n, -1n, 2n],
  ...[3n, 0n, 2n, 0n, 3n, 1n, 2n, 3n, 0n],
);
const RANK = 5;

type Metric = "l2" | "ip" | "cosine";

const bytes = (...numbers: number[]) => new Uint8Array(words(...numbers).buffer);

/** The keys of the rows that each query looks at, by row; `filtered`: every third row is left out. */
function expectedKeys(
  rows: Float32Array,
  queries: Float32Array,
  metric: Metric,
  filtered = true,
): Map<number, number>[] {
  return Array.from({ length: NQ }, (_, q) => {
    const keys = new Map<number, number>();
    for (const list of PROBES.subarray(q * NPROBE, (q + 1) * NPROBE)) {
      if (list < 0n) continue;
      for (let row = OFFSETS[Number(list)]!; row < OFFSETS[Number(list) + 1]!; row++) {
        if (filtered && row % 3 === 0) continue;
        let [dot, square] = [0, 0];
        for (let i = 0; i < D; i++) {
          dot += queries[q * D + i]! * rows[row * D + i]!;
          square += rows[row * D + i]! ** 2;
        }
        keys.set(
          row,
          metric === "l2" ? square - 2 * dot : metric === "ip" ? -dot : -dot / Math.sqrt(square),
        );
      }
    }
    return keys;
  });
}

async function check(dtype: Dtype, metric: Metric): Promise<void> {
  const { data: x, seen: rows } = stored(normals(N, D, 1), dtype);
  const queries = normals(NQ, D, 2);
  const center = new Float32Array(D);
  const rowTerms = Float32Array.from({ length: N }, (_, row) => {
    let square = 0;
    for (let i = 0; i < D; i++) square += rows[row * D + i]! ** 2;
    return metric === "l2" ? square : metric === "ip" ? Math.sqrt(square) : 1 / Math.sqrt(square);
  });
  // Scales of 0: keys without the room for rounding.
  const terms = Float32Array.from({ length: NQ * 4 }, (_, i) => i % 4 === 3 ? Infinity : 0);
  const bitmap = new Uint8Array(Math.ceil(N / 8)).fill(0xff);
  for (let row = 0; row < N; row += 3) bitmap[row >> 3]! &= ~(1 << (row & 7));
  const expected = expectedKeys(rows, queries, metric);
  const shape = (strip: number) => bytes(NQ, NPROBE, NLIST, D / 4, N, 4096, RANK, strip, 1);
  const source = [queries, terms, x, rowTerms, center, OFFSETS];
  const file = "ivf.metal";
  const what = `${metric} ${dtype}`;

  const counts = new Uint32Array(NQ).fill(9);
  const bounded = terms.slice();
  await launch({
    file,
    kernel: `ivf_bound_${metric}_${dtype}`,
    args: [queries, bounded, x, rowTerms, center, OFFSETS, PROBES, bitmap, counts],
    params: shape(0),
    threadgroups: NQ,
    threadgroup: 256,
  });
  expected.forEach((keys, q) => {
    const sorted = [...keys.values()].sort((a, b) => a - b);
    const bound = sorted[RANK - 1] ?? Infinity;
    assertClose(bounded.subarray(q * 4 + 3, q * 4 + 4), [bound], 1e-4, 1e-4, `${what}: bound ${q}`);
    assert.equal(counts[q], 0);
  });

  const compare = (found: Uint32Array, name: string, expect = expected) => {
    expect.forEach((keys, q) => {
      assert.equal(counts[q], keys.size, `${what}: ${name}`);
      const seen = new Set<number>();
      for (let i = 0; i < counts[q]!; i++) {
        const at = (q * N + i) * 2;
        const row = found[at + 1]!;
        seen.add(row);
        assertClose(new Float32Array(found.buffer, at * 4, 1), [keys.get(row)!], 1e-4, 1e-4, name);
      }
      assert.equal(seen.size, keys.size, `${what}: ${name}`);
    });
  };
  const found = poison(new Uint32Array(NQ * N * 2));
  await launch({
    file,
    kernel: `ivf_scan_${metric}_${dtype}`,
    args: [...source, PROBES, bitmap, counts, found],
    params: shape(64),
    threadgroups: [3, NQ * NPROBE],
    threadgroup: 256,
    threadgroupMemory: D * 4,
  });
  compare(found, "scan");

  if (dtype === "f32") {
    for (const threads of [32, 96, 1024]) {
      counts.fill(0);
      poison(found);
      await launch({
        file,
        kernel: `ivf_scan_sized_${metric}_f32`,
        args: [...source, PROBES, bitmap, counts, found],
        params: shape(threads),
        threadgroups: [Math.ceil(169 / threads), NQ * NPROBE],
        threadgroup: threads,
        threadgroupMemory: D * 4,
      });
      compare(found, `scan by ${threads} threads`);
    }
    await checkKeys(found);
  }

  /** Keys of all rows lie list after list; of those that pass a filter, anywhere. */
  async function checkKeys(found: Uint32Array) {
    const all = expectedKeys(rows, queries, metric, false);
    const places = poison(new Uint32Array(NQ * NPROBE));
    for (let q = 0; q < NQ; q++) {
      let at = 0;
      for (let i = q * NPROBE; i < (q + 1) * NPROBE; i++) {
        const list = Number(PROBES[i]!);
        places[i] = at;
        if (list >= 0) at += OFFSETS[list + 1]! - OFFSETS[list]!;
      }
    }
    for (const filtered of [false, true]) {
      all.forEach((keys, q) => counts[q] = filtered ? 0 : keys.size);
      poison(found);
      await launch({
        file,
        kernel: `ivf_keys_${metric}_f32`,
        args: [...source, PROBES, bitmap, counts, found, places],
        params: bytes(NQ, NPROBE, NLIST, D / 4, N, 0, 0, 64, Number(filtered)),
        threadgroups: [3, NQ * NPROBE],
        threadgroup: 256,
        threadgroupMemory: D * 4,
      });
      compare(found, filtered ? "filtered keys" : "keys", filtered ? expected : all);
    }
  }

  for (const tile of dtype === "f32" ? ["16x256", "64x128", "128x128"] : ["16x256"]) {
    const height = Number(tile.split("x")[0]);
    const sizes = new Uint32Array(NLIST);
    const [starts, tiles] = [
      poison(new Uint32Array(NLIST + 1)),
      poison(new Uint32Array(NLIST + 1)),
    ];
    const cursors = poison(new Uint32Array(NLIST));
    const grouped = poison(new Uint32Array(NQ * NPROBE));
    counts.fill(0);
    poison(found);
    const each = { threads: NQ * NPROBE, threadgroup: 32 };
    const args: Data[] = [...source, starts, tiles, grouped, bitmap, counts, found];
    await launch(
      { file, kernel: "ivf_count", args: [PROBES, sizes], params: bytes(NQ * NPROBE), ...each },
      {
        file,
        kernel: "ivf_group",
        args: [sizes, starts, tiles, cursors],
        params: bytes(NLIST),
        more: [bytes(height)],
        threadgroups: 1,
        threadgroup: 64,
      },
      {
        file,
        kernel: "ivf_scatter",
        args: [PROBES, cursors, grouped],
        params: bytes(NQ * NPROBE, NPROBE),
        ...each,
      },
      {
        file,
        kernel: `ivf_scan_grouped_${metric}_${dtype}_${tile}`,
        args,
        params: shape(128),
        threadgroups: [NLIST + 2, 2],
        threadgroup: 256,
      },
    );
    assert.deepEqual([...starts], [0, 4, 7, 12, 16]);
    compare(found, `grouped ${tile}`);
  }
}

for (const metric of ["l2", "ip", "cosine"] as const) {
  Deno.test(`ivf kernels of ${metric} find bounds and candidates, filtered`, async () => {
    for (const dtype of dtypes) await check(dtype, metric);
  });
}

testAllRan("ivf.metal");
