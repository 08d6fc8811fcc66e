import assert from "node:assert/strict";
import { Random } from "../lib/random.ts";
import { type Data, type Launch, launch, params, poison, testAllRan } from "./shaders.ts";

const file = "filter.metal";

const densities: Record<string, (i: number, random: Random) => boolean> = {
  "none": () => false,
  "all": () => true,
  "half": (_, random) => random.integer(2) === 0,
  "few": (i) => i % 997 === 3,
  "the last": () => false,
};

Deno.test("filters give the numbers of the bits that are set, in order", async () => {
  for (const [density, keep] of Object.entries(densities)) {
    for (const n of [1, 8, 13, 8191, 8192, 8193, 20_001]) {
      const random = new Random(n);
      // Bits past the end are set, and must not count.
      const bitmap = new Uint8Array(Math.ceil(n / 8)).fill(0xff);
      const expected: number[] = [];
      for (let i = 0; i < n; i++) {
        const set = keep(i, random) || (density === "the last" && i === n - 1);
        if (set) expected.push(i);
        else bitmap[i >> 3]! &= ~(1 << (i & 7));
      }
      const blocks = Math.ceil(n / 8192);
      const counts = poison(new Uint32Array(blocks));
      const selected = poison(new Uint32Array(1));
      const rows = poison(new Uint32Array(n));
      const untouched = poison(new Uint32Array(1))[0];
      const of = (
        kernel: string,
        args: Data[],
        threadgroup: number,
        threadgroups: number,
      ): Launch => {
        return { file, kernel, args, params: params(n), threadgroup, threadgroups };
      };
      await launch(
        of("filter_count", [bitmap, counts], 256, blocks),
        of("filter_offsets", [counts, selected], 1024, 1),
        of("filter_rows", [bitmap, counts, rows], 256, blocks),
      );
      assert.equal(selected[0], expected.length, `${density} of ${n}`);
      assert.deepEqual([...rows.subarray(0, expected.length)], expected, `${density} of ${n}`);
      assert.ok(rows.subarray(expected.length).every((row) => row === untouched));
    }
  }
});

for (const bits of [16, 32]) {
  const make = (length: number) => bits === 16 ? new Uint16Array(length) : new Uint32Array(length);

  Deno.test(`rows are gathered and scattered by number [${bits} bits]`, async () => {
    for (const [n, count, d] of [[1, 1, 1], [30, 45, 33], [9, 4, 70]] as const) {
      const random = new Random(d);
      const x = make(n * d).map(() => random.next());
      const indices = Uint32Array.from({ length: count }, () => random.integer(n + 2) - 1);
      const out = poison(make(count * d));
      const of = (kernel: string, args: Data[], rows: number): Launch => ({
        file,
        kernel: `${kernel}_b${bits}`,
        args,
        params: params(rows, n, d),
        threadgroup: 256,
        threadgroups: Math.ceil(rows / 8),
      });
      await launch(of("gather_rows", [x, indices, out], count));
      const gathered = out.map((_, i) => x[indices[Math.floor(i / d)]! * d + i % d] ?? 0);
      assert.deepEqual(out, gathered);

      const to = new Random(1).permutation(n + 1).slice(0, n);
      const places = Uint32Array.from(to);
      const moved = poison(make(n * d));
      const expected = moved.slice();
      await launch(of("scatter_rows", [x, places, moved], n));
      for (const [from, place] of places.entries()) {
        if (place < n) expected.set(x.subarray(from * d, (from + 1) * d), place * d);
      }
      assert.deepEqual(moved, expected);
    }
  });
}

testAllRan(file);
