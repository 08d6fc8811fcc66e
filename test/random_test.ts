import assert from "node:assert/strict";
import { Random } from "../lib/random.ts";

Deno.test("Random gives the same numbers for a seed, and others for another", () => {
  const first = (seed: number) => {
    const random = new Random(seed);
    return Array.from({ length: 5 }, () => random.next());
  };
  assert.deepEqual(first(1234), first(1234));
  const heads = [0, 1, 2, 2 ** 32, 2 ** 40 + 1, -1].map((seed) => first(seed)[0]);
  assert.equal(new Set(heads).size, heads.length);
});

Deno.test("Random.uniform() fills [0, 1) evenly", () => {
  const random = new Random(3);
  const bins = new Array(10).fill(0);
  for (let i = 0; i < 10_000; i++) bins[Math.floor(random.uniform() * 10)]++;
  assert.equal(bins.length, 10);
  for (const count of bins) assert.ok(Math.abs(count - 1000) < 130, `${bins}`);
});

Deno.test("Random.normal() has mean 0 and variance 1", () => {
  const random = new Random(4);
  const x = Array.from({ length: 20_000 }, () => random.normal());
  const mean = x.reduce((total, value) => total + value, 0) / x.length;
  const variance = x.reduce((total, value) => total + value * value, 0) / x.length;
  assert.ok(Math.abs(mean) < 0.03, `${mean}`);
  assert.ok(Math.abs(variance - 1) < 0.05, `${variance}`);
});

Deno.test("Random.permutation() holds each number once, and its head is the head of the whole", () => {
  const whole = new Random(5).permutation(100);
  assert.deepEqual([...whole].sort((a, b) => a - b), Array.from({ length: 100 }, (_, i) => i));
  assert.deepEqual(new Random(5).permutation(100, 7), whole.slice(0, 7));
  assert.notDeepEqual([...whole], [...whole].sort((a, b) => a - b));
  assert.equal(new Random(5).permutation(0).length, 0);
});
