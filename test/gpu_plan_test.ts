import assert from "node:assert/strict";
import {
  cutStrips,
  keyErrors,
  keysTile,
  nextPowerOfTwo,
  planFlat,
  queryBytes,
  scanTile,
  stagedBytes,
  topkParts,
} from "../lib/backend/gpu/plan.ts";
import { Random } from "../lib/random.ts";

const sizes = [1, 100, 8192, 8193, 20_000, 1e5, 1e6, 1e7, 1e9];
const ks = [1, 10, 100, 2048];

Deno.test("planFlat() leaves room for what its bound lets through", () => {
  for (const rows of sizes) {
    for (const k of ks.filter((k) => k <= rows)) {
      const plan = planFlat(rows, k);
      if (plan.kind === "dense") continue;
      const { samples, rank, capacity } = plan;
      const what = `${rows} rows, k ${k}: ${JSON.stringify(plan)}`;
      assert.ok(samples >= 1 && samples <= rows && rank <= samples, what);
      assert.equal(nextPowerOfTwo(capacity), capacity, what);
      assert.ok(capacity >= 2 * k && capacity >= 4 * rank * rows / samples, what);
      assert.ok(capacity <= 16_384 || samples * 8 > rows, what);
      assert.ok(queryBytes(plan, rows, k, 32) < 2 ** 27, what);
    }
  }
  assert.equal(planFlat(8192, 10).kind, "dense");
  assert.equal(planFlat(1e6, 10).kind, "sampled");
});

Deno.test("planFlat()'s bound is below the k-th nearest hardly ever", () => {
  const random = new Random(1);
  for (const [rows, k] of [[10_000, 1], [10_000, 50], [1e6, 10], [1e6, 2048]] as const) {
    const plan = planFlat(rows, k);
    assert.ok(plan.kind === "sampled");
    const { samples, rank, capacity } = plan;
    for (let trial = 0; trial < 20; trial++) {
      // Ranks of sampled rows, one of each part, in order.
      const chosen = Float64Array.from(
        { length: samples },
        () => Math.floor(random.uniform() * rows),
      ).sort();
      const bound = chosen[rank - 1]!;
      assert.ok(bound >= k && bound < capacity, `bound ${bound} of ${capacity}`);
    }
  }
});

Deno.test("cutStrips() covers every row once, with thousands of threadgroups at most", () => {
  for (const rows of [1, 127, 128, 129, 5000, 1e6, 4e9]) {
    for (const nq of [1, 3, 16, 70, 10_000]) {
      for (const tile of [scanTile(nq, 32), keysTile(nq)]) {
        const { groups: [x, y], strip } = cutStrips(nq, rows, tile);
        assert.ok(x * tile.queries >= nq && (x - 1) * tile.queries < nq);
        assert.ok(y * strip >= rows && (y - 1) * strip < rows, `${y} × ${strip} for ${rows}`);
        assert.equal(strip % tile.rows, 0);
        assert.ok(x * y <= 4096 + x && y < 65_536);
      }
    }
  }
});

Deno.test("scanTile() reads rows in place for few queries that fit threadgroup memory", () => {
  assert.equal(scanTile(1, 32).name, "1");
  assert.equal(scanTile(4, 32).name, "4");
  for (const nq of [1, 4, 16, 1000]) {
    const tile = scanTile(nq, 32);
    assert.ok(stagedBytes(tile, 32) <= 32 * 1024);
    assert.equal(scanTile(nq, 2 ** 18).direct, false);
  }
  assert.deepEqual([50, 500].map((nq) => scanTile(nq, 32).name), ["64x128", "128x128"]);
});

Deno.test("topkParts() cuts long rows where there are few", () => {
  assert.equal(topkParts(100, 1), 1);
  assert.ok(topkParts(1e6, 1) > 50);
  assert.equal(topkParts(1e6, 10_000), 1);
});

Deno.test("keyErrors() grow with the dimension", () => {
  for (const metric of ["l2", "ip", "cosine"] as const) {
    assert.ok(keyErrors(128, metric).rounding > keyErrors(64, metric).rounding);
    assert.ok(keyErrors(128, metric).absolute > 0);
  }
  assert.equal(keyErrors(128, "l2", true).rounding, 0);
  assert.ok(keyErrors(128, "l2", true).relative > keyErrors(128, "l2").relative);
});
