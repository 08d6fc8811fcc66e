import assert from "node:assert/strict";
import { IndexFlatL2 } from "../lib/index/flat.ts";
import { compare, type Contender, repeat, summarize } from "../lib/profile/measure.ts";
import { measure } from "../lib/profile/measurement.ts";
import { clustered, gaussian, manifold } from "../lib/profile/datasets.ts";
import { measureRoofline, roofFraction } from "../lib/profile/roofline.ts";
import { isNative } from "./native.ts";

/** A contender that says its calls take `ms`, in a list shared with others. */
function pretend(name: string, ms: number[], log: string[], group?: string): Contender {
  let call = 0;
  const run = (count: number) => {
    log.push(`${name}${count}`);
    return Array.from({ length: count }, () => ms[Math.min(call++, ms.length - 1)]!);
  };
  return group === undefined ? { name, run } : { name, run, group };
}

Deno.test("summarize() returns every sample, median and deciles", () => {
  const timing = summarize([5, 1, 4, 2, 3, 6, 8, 7, 9, 10, 11]);
  assert.deepEqual(timing.samples, [5, 1, 4, 2, 3, 6, 8, 7, 9, 10, 11]);
  assert.deepEqual([timing.p10, timing.median, timing.p90], [2, 6, 10]);
  assert.equal(summarize([1, 2]).median, 1.5);
  assert.equal(summarize([7]).p90, 7);
});

Deno.test("summarize() without samples throws", () => {
  assert.throws(() => summarize([]), new RangeError("Cannot summarize samples: there are none"));
});

Deno.test("compare() warms up until two calls agree and leaves those out", async () => {
  const times = await compare([pretend("a", [900, 50, 20, 10, 10, 10], [])], { budget: 20_000 });
  // A first call of 900 ms ends the warm-up at once, and is a sample.
  assert.equal(times.get("a")!.samples[0], 900);
  const warm = await compare([pretend("b", [90, 50, 20, 20, 10], [])], { budget: 20_000 });
  assert.equal(Math.max(...warm.get("b")!.samples), 10);
});

Deno.test("compare() interleaves contenders", async () => {
  const log: string[] = [];
  const slow = [300, 300];
  await compare([pretend("a", slow, log), pretend("b", slow, log)], { budget: 10, minSamples: 3 });
  assert.deepEqual(log, ["a1", "a1", "b1", "b1", "a1", "b1", "a1", "b1", "a1", "b1"]);
});

Deno.test("compare() takes the fewest samples allowed of long calls", async () => {
  const times = await compare([pretend("a", [5000], [])], { budget: 1000 });
  assert.equal(times.get("a")!.samples.length, 3);
});

Deno.test("compare() drops variants far behind the best of their group", async () => {
  const times = await compare([
    pretend("ours", [900], []),
    pretend("fast", [100], [], "peer"),
    pretend("near", [140], [], "peer"),
    pretend("far", [160], [], "peer"),
  ], { budget: 3000 });
  assert.equal(times.get("far")!.samples.length, 2);
  assert.ok(times.get("near")!.samples.length >= 5);
  assert.ok(times.get("ours")!.samples.length >= 3);
});

Deno.test("measure() times synchronous and asynchronous work", async () => {
  const sleep = () => new Promise((resolve) => setTimeout(resolve, 5));
  assert.ok((await measure(sleep, { budget: 20 })).median >= 4);
  assert.ok((await repeat(() => undefined)(4)).every((ms) => ms >= 0));
});

Deno.test("gaussian() returns standard normal values of its seed", () => {
  const x = gaussian(1000, 64, 3);
  const mean = x.reduce((sum, v) => sum + v, 0) / x.length;
  const square = x.reduce((sum, v) => sum + v * v, 0) / x.length;
  assert.ok(Math.abs(mean) < 0.02 && Math.abs(square - 1) < 0.03, `${mean} ${square}`);
  assert.deepEqual(gaussian(3, 8, 5), gaussian(3, 8, 5));
  assert.notDeepEqual(gaussian(3, 8, 5), gaussian(3, 8, 6));
});

Deno.test("clustered() returns rows nearer to some than to most", () => {
  const d = 16;
  const x = clustered(400, d, { clusters: 4, separation: 3 });
  const distance = (a: number, b: number) => {
    let sum = 0;
    for (let j = 0; j < d; j++) sum += (x[a * d + j]! - x[b * d + j]!) ** 2;
    return sum;
  };
  const all = Array.from({ length: 399 }, (_, i) => distance(0, i + 1)).sort((a, b) => a - b);
  assert.ok(all[20]! * 4 < all[200]!, `${all[20]} ${all[200]}`);
});

Deno.test("manifold() returns rows of as many dimensions as it is told, whatever d", async () => {
  const d = 48;
  const [rows, near] = [2000, 12];
  const dimensionOf = async (x: Float32Array) => {
    using index = new IndexFlatL2(d);
    await index.add(x);
    // Levina and Bickel's estimate; the nearest is the row itself.
    const { distances } = await index.search(x.subarray(0, 200 * d), near + 1);
    let sum = 0;
    for (let row = 0; row < 200; row++) {
      const own = distances.subarray(row * (near + 1) + 1, (row + 1) * (near + 1));
      for (const value of own) sum += Math.log(own.at(-1)! / value) / 2;
    }
    return 200 * (near - 1) / sum;
  };
  for (const intrinsic of [2, 6]) {
    const found = await dimensionOf(manifold(rows, d, { intrinsic, noise: 0.001 }));
    assert.ok(Math.abs(found - intrinsic) < 0.3 * intrinsic, `${found}, not ${intrinsic}`);
  }
  assert.ok(await dimensionOf(gaussian(rows, d)) > 15);
  const all = manifold(4000, d);
  const square = all.reduce((sum, v) => sum + v * v, 0) / all.length;
  assert.ok(Math.abs(square - 1) < 0.3, `${square}`);
  assert.deepEqual(manifold(3, 8, { seed: 5 }), manifold(3, 8, { seed: 5 }));
});

Deno.test("roofFraction() names the limit that binds", () => {
  const limits = { gflops: 200, gbps: 40 };
  assert.deepEqual(roofFraction({ gflops: 100, gbps: 4 }, limits), { fraction: 0.5, roof: "fma" });
  assert.deepEqual(roofFraction({ gflops: 10, gbps: 36 }, limits), { fraction: 0.9, roof: "read" });
});

Deno.test({
  name: "measureRoofline() returns plausible limits",
  ignore: !isNative,
  fn: async () => {
    const { gflops, gbps } = await measureRoofline(1);
    assert.ok(gflops > 1 && gflops < 1e6, `${gflops} GFLOP/s`);
    assert.ok(gbps > 0.5 && gbps < 1e5, `${gbps} GB/s`);
  },
});
