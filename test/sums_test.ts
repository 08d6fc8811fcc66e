import assert from "node:assert/strict";
import type { Backend } from "../lib/backend/backend.ts";
import { createCpuBackend, describeLibrary, setISA, setThreads } from "../lib/backend/cpu/mod.ts";
import type { Summation } from "../lib/backend/linalg.ts";
import { summations } from "../lib/backend/reference/linalg/sequence_checks.ts";
import {
  dot,
  kahanSum,
  norm2,
  safeNorm2,
  sum,
  type SumOptions,
  twoProduct,
  twoSum,
} from "../lib/linalg/sums.ts";
import { Random } from "../lib/random.ts";
import { testEach } from "./grid.ts";
import { isNative } from "./native.ts";

const bits = new DataView(new ArrayBuffer(8));

/** A double as an integer of 2^-298, of which products of floats are multiples. */
function units(value: number): bigint {
  bits.setFloat64(0, value);
  const word = bits.getBigUint64(0);
  const exponent = (word >> 52n) & 2047n;
  const fraction = word & (1n << 52n) - 1n;
  const significand = exponent === 0n ? fraction : fraction | 1n << 52n;
  const all = significand << (exponent === 0n ? 0n : exponent - 1n);
  return (value < 0 ? -all : all) >> 776n;
}

/** The sum of numbers that are exact in doubles, rounded once; and that of their sizes. */
function exact(terms: number[]): { value: number; size: number } {
  const total = terms.reduce((sum, term) => sum + units(term), 0n);
  return {
    value: Number(total) * 2 ** -298,
    size: terms.reduce((sum, term) => sum + Math.abs(term), 0),
  };
}

/** Bound of the error, in sizes of the terms. */
function loss(summation: Summation, n: number): number {
  if (summation === "limbs") return 0;
  if (summation === "two-float") return (n + 64) * 2 ** -46;
  return summation === "kahan" ? 2 ** -21 : 128 * 2 ** -24;
}

function floats(n: number, value: (i: number) => number): Float32Array {
  return Float32Array.from({ length: n }, (_, i) => value(i));
}

/** Numbers of all of float32's exponents. */
function wild(n: number, seed: number, most = 120): Float32Array {
  const random = new Random(seed);
  return floats(n, () => random.normal() * 2 ** (random.integer(2 * most) - most));
}

function shuffle(x: Float32Array, seed: number): Float32Array {
  const order = new Random(seed).permutation(x.length);
  return Float32Array.from(order, (from) => x[from]!);
}

/** Vectors whose sums are hard, by name. */
const vectors: Record<string, Float32Array> = {
  none: new Float32Array(0),
  one: new Float32Array([-2.5]),
  zeros: new Float32Array(40),
  ...Object.fromEntries([2, 31, 33, 255, 257, 4097].map((n) => [`${n} numbers`, wild(n, n, 3)])),
  "1e8 and noise": floats(3001, (i) => i === 0 ? 1e8 : i === 3000 ? -1e8 : Math.sin(i)),
  "noise about 1e8": floats(1000, (i) => (i % 2 === 0 ? 1e8 : -1e8) + 8 * (i % 7)),
  "a Hilbert row": floats(2000, (i) => (i % 2 === 0 ? 1 : -1) / (i + 1)),
  "of Läuchli's kind": floats(2002, (i) => i === 0 ? 1 : i === 2001 ? -1 : 2 ** -26),
  "all exponents": wild(3000, 5),
};

async function check(
  backend: Backend,
  what: string,
  found: Promise<{ value: number; run: { variants: string[]; backend: string } }>,
  terms: number[],
  summation: Summation,
  kernel: string,
): Promise<void> {
  const { value, run } = await found;
  const truth = exact(terms);
  const bound = loss(summation, terms.length) * truth.size;
  const error = Math.abs(value - truth.value);
  assert.ok(error <= bound, `${what}: ${value}, expected ${truth.value} ± ${bound}`);
  assert.equal(run.backend, backend.name);
  if (terms.length > 0) assert.ok(run.variants.includes(kernel), `${run.variants}`);
}

testEach("sum(), dot() and norm2() err as little as their summation says", async (backend) => {
  for (const [name, x] of Object.entries(vectors)) {
    const y = shuffle(x, 1);
    for (const summation of summations) {
      const how = { backend, summation };
      const kernel = `${summation.replace("-", "_")}_f32`;
      const what = `${name}, ${summation}`;
      await check(backend, `sum of ${what}`, sum(x, how), [...x], summation, `sum_${kernel}`);
      if (name === "all exponents") continue;
      const products = Array.from(x, (value, i) => value * y[i]!);
      const productKernel = `dot_${kernel}`;
      await check(
        backend,
        `dot of ${what}`,
        dot(x, y, how),
        products,
        summation,
        productKernel,
      );
      const squares = Array.from(x, (value) => value * value);
      const normKernel = backend.name === "gpu" && summation === "limbs"
        ? productKernel
        : `norm2_${kernel}`;
      await check(backend, `norm2 of ${what}`, norm2(x, how), squares, summation, normKernel);
    }
  }
});

testEach("exact sums do not depend on the order", async (backend) => {
  const how: SumOptions = { backend, summation: "limbs" };
  const [x, y] = [wild(2500, 1), wild(2500, 2)];
  // Twice each with both signs but for a few: nearly everything cancels.
  const both = new Float32Array([...x, ...x.map((value) => -value), 2 ** -149, 3e-40, 1]);
  const expected = exact([...both]).value;
  const products = exact(Array.from(x, (value, i) => value * y[i]!)).value;
  for (let seed = 0; seed < 4; seed++) {
    assert.equal((await sum(shuffle(both, seed), how)).value, expected);
    const pairs = { x: shuffle(x, seed), y: shuffle(y, seed) };
    assert.equal((await dot(pairs.x, pairs.y, how)).value, products);
  }
});

testEach("sums neither overflow nor vanish where they need not", async (backend) => {
  const huge = floats(5999, (i) => i < 3000 ? 3e38 : -3e38);
  assert.ok(!Number.isFinite((await sum(huge, { backend, summation: "plain" })).value));
  assert.equal((await sum(huge, { backend, summation: "limbs" })).value, huge[0]);
  const { value, summation } = await sum(huge, { backend });
  assert.deepEqual([value, summation], [huge[0], "limbs"]);
  const [large, small] = [Math.fround(1e30), Math.fround(1e-40)];
  const product = await dot([large, small], [large, small], { backend, summation: "limbs" });
  assert.equal(product.value, large * large);
  const tiny = await dot([small], [small], { backend, summation: "limbs" });
  assert.equal(tiny.value, small * small);
  for (const summation of summations) {
    for (const scale of [2 ** 127, 2 ** 100, 1, 2 ** -100, 2 ** -126, 2 ** -140]) {
      const x = [3 * scale / 4, -scale, 0];
      const { value, condition } = await norm2(x, { backend, summation });
      assert.equal(value, (1 + 9 / 16) * scale * scale, `${summation} ${scale}`);
      assert.equal(condition, 1);
    }
  }
});

testEach("sums of what is not finite are IEEE's", async (backend) => {
  const fill = (values: number[]) => floats(1000, (i) => values[i - 500] ?? 1);
  const cases: [x: number[], value: number][] = [
    [[Infinity], Infinity],
    [[-Infinity, 5], -Infinity],
    [[Infinity, -Infinity], NaN],
    [[NaN], NaN],
    [[NaN, Infinity], NaN],
  ];
  for (const summation of [...summations, "auto"] as const) {
    const how = { backend, summation };
    for (const [values, expected] of cases) {
      const [x, ones] = [fill(values), fill([])];
      const what = `${values} ${summation}`;
      const found = await sum(x, how);
      assert.equal(found.value, expected, what);
      assert.equal(found.condition, NaN, what);
      assert.equal((await dot(x, ones, how)).value, expected, what);
      const square = Number.isNaN(values[0]) ? NaN : Infinity;
      assert.equal((await norm2(x, how)).value, square, what);
    }
    const [x, y] = [fill([Infinity]), fill([0])];
    assert.equal((await dot(x, y, how)).value, NaN);
  }
});

testEach("the guard picks what keeps the answer, and says so", async (backend) => {
  const random = new Random(3);
  const cancelling = wild(500, 7, 20);
  const families: [x: Float32Array, expected: Summation][] = [
    [new Float32Array(0), "plain"],
    [new Float32Array(10), "plain"],
    [floats(3000, () => random.normal() ** 2), "plain"],
    [floats(3000, (i) => i === 0 ? 1e8 : i === 2999 ? -1e8 : 1), "two-float"],
    [floats(2002, (i) => i === 0 ? 1 : i === 2001 ? -1 : 2 ** -26), "two-float"],
    [new Float32Array([...cancelling, ...cancelling.map((value) => -value), 1e-30]), "limbs"],
  ];
  for (const [x, expected] of families) {
    const { value, summation, condition, run } = await sum(x, { backend });
    assert.equal(summation, expected);
    const truth = exact([...x]);
    assert.ok(Math.abs(value - truth.value) <= 1e-5 * Math.abs(truth.value), `${expected}`);
    if (truth.size > 0) {
      const known = truth.size / Math.abs(truth.value);
      assert.ok(Math.abs(condition - known) <= 1e-4 * known, `${condition}, expected ${known}`);
    }
    const tried = { plain: 1, "two-float": 2, limbs: 3, kahan: 0 }[summation];
    const kernels = run.variants.filter((name) => /^sum_/.test(name));
    if (x.length > 0) assert.ok(kernels.length >= tried, `${kernels}`);
    // Nothing but exact sums meets a tolerance of 0.
    const strict = await sum(x, { backend, tolerance: 0 });
    assert.deepEqual([strict.value, strict.summation], [truth.value, "limbs"]);
  }
  const doubled = await dot([4097, 1, 4097], [4097, 1, -4097], { backend });
  assert.deepEqual([doubled.value, doubled.summation], [1, "two-float"]);
});

testEach("the guard holds its tolerance where roundings all go one way", async (backend) => {
  // Half a unit in the last place of 1, or little less: a float32 sum that met 1 first loses each.
  for (const small of [5.9e-8, 2 ** -25, 1e-8]) {
    const x = floats(1_000_000, (i) => i === 0 ? 1 : small);
    const expected = exact([...x]).value;
    for (const tolerance of [1e-5, 1e-6, 1e-7]) {
      const { value, summation } = await sum(x, { backend, tolerance });
      const error = Math.abs(value / expected - 1);
      assert.ok(error <= tolerance, `${small}: ${value}, expected ${expected} ± ${tolerance}`);
      // Sums of blocks keep five digits, and none seven.
      assert.equal(summation === "plain", tolerance === 1e-5, `${small}, ${tolerance}`);
    }
  }
});

testEach("plain sums err by no more than their roundings, of any length", async (backend) => {
  for (const n of [1, 2, 3, 5, 64, 65, 127, 129, 257, 1024, 4099, 65_535, 65_600, 300_001]) {
    // The first number meets as many others as there are on its way: each is rounded away.
    const x = floats(n, (i) => i === 0 ? 1 : 2 ** -24);
    const { value: { value, roundings } } = await backend.linalg.sum(x, "plain");
    const expected = 1 + (n - 1) * 2 ** -24;
    const lost = Math.abs(value - expected) / expected * 2 ** 24;
    assert.ok(lost <= roundings, `${n}: ${lost} units, ${roundings} roundings`);
    assert.ok(roundings <= 200 && roundings <= n + 20, `${n}: ${roundings} roundings`);
  }
});

testEach("products that vanish in float32 are found by the guard", async (backend) => {
  const [x, y] = [[1e-30, 2e-30], [1e-30, 1e-30]].map((numbers) => Float32Array.from(numbers));
  const found = await dot(x!, y!, { backend });
  assert.deepEqual([found.value, found.summation], [x![0]! * y![0]! + x![1]! * y![1]!, "limbs"]);
  assert.equal((await dot(x!, [1, 1], { backend })).summation, "plain");
  assert.equal((await dot([0, 0], [1, 1], { backend })).value, 0);
});

testEach("condition tells digits that cancel", async (backend) => {
  const condition = async (x: number[]) =>
    (await sum(x, { backend, summation: "limbs" })).condition;
  assert.equal(await condition([]), 1);
  assert.equal(await condition([0, -0]), 1);
  assert.equal(await condition([1, -3]), 2);
  assert.equal(await condition([1, -1]), Infinity);
});

testEach("sums refuse what they cannot add up", async (backend) => {
  await assert.rejects(dot([1, 2], [1], { backend }), {
    name: "TypeError",
    message: "Cannot multiply: x has 2 numbers, y has 1",
  });
  await assert.rejects(backend.linalg.dot(new Float32Array(2), new Float32Array(3), "plain"), {
    name: "TypeError",
    message: "Cannot multiply: x has 2 numbers, y has 3",
  });
  const summation = "pairwise" as Summation;
  await assert.rejects(sum([1], { backend, summation }), {
    name: "RangeError",
    message: 'Cannot add up: summation "pairwise" is none of auto, plain, kahan, two-float, limbs',
  });
  await assert.rejects(backend.linalg.sum(new Float32Array(1), summation), RangeError);
  await assert.rejects(sum([1], { backend, tolerance: -1 }), RangeError);
  await assert.rejects(sum([1], { backend, tolerance: NaN }), RangeError);
  await assert.rejects(safeNorm2([1], -1, { backend }), RangeError);
  await assert.rejects(sum("12" as unknown as number[], { backend }), TypeError);
});

testEach("safeNorm2() is not below eps, and kahanSum() compensates", async (backend) => {
  const safe = await safeNorm2([0, 1e-30], 1e-12, { backend });
  assert.equal(safe.value, 1e-12);
  assert.match(Deno.inspect(safe), /^Sum\n/);
  assert.equal((await safeNorm2([3, 4], 1e-12, { backend })).value, 25);
  const x = floats(20_001, (i) => i === 0 ? 1 : 2 ** -24);
  const { value, summation } = await kahanSum(x, { backend });
  assert.equal(summation, "kahan");
  assert.ok(Math.abs(value - (1 + 20_000 * 2 ** -24)) <= 2 ** -23);
});

Deno.test("twoSum() and twoProduct() lose nothing", () => {
  const [x, y] = [wild(2000, 1, 40), wild(2000, 2, 40)];
  x.forEach((a, i) => {
    const b = y[i]!;
    const [plus, times] = [twoSum(a, b), twoProduct(a, b)];
    assert.equal(plus.hi, Math.fround(a + b));
    assert.equal(units(plus.hi) + units(plus.lo), units(a) + units(b));
    assert.equal(times.hi, Math.fround(a * b));
    assert.equal(times.hi + times.lo, a * b);
    for (const { hi, lo } of [plus, times]) assert.deepEqual([hi, lo], [hi, lo].map(Math.fround));
  });
  assert.deepEqual(twoSum(3e38, 3e38), { hi: Infinity, lo: 0 });
  assert.deepEqual(twoProduct(NaN, 1), { hi: NaN, lo: 0 });
});

Deno.test("sums of the cpu backend depend on neither threads nor, if exact, the instruction set", {
  ignore: !isNative,
}, async () => {
  const { linalg } = createCpuBackend();
  const { isas, isa, threads } = describeLibrary();
  const x = wild(400_003, 9, 8);
  const y = shuffle(x, 2);
  const all = async () => {
    const found: number[] = [];
    for (const summation of summations) {
      for (const { value } of [await linalg.sum(x, summation), await linalg.dot(x, y, summation)]) {
        found.push(value.value);
      }
      found.push((await linalg.norm2(x, summation)).value.value);
    }
    return found;
  };
  const terms: number[][] = [
    [...x],
    Array.from(x, (a, i) => a * y[i]!),
    Array.from(x, (a) => a * a),
  ];
  const truths = terms.map(exact);
  try {
    for (const name of isas) {
      setISA(name);
      setThreads(1);
      const alone = await all();
      setThreads(2);
      assert.deepEqual(await all(), alone, name);
      alone.forEach((value, at) => {
        const [summation, { value: truth, size }] = [
          summations[Math.floor(at / 3)]!,
          truths[at % 3]!,
        ];
        const bound = summation === "plain" ? 512 * 2 ** -24 : loss(summation, x.length);
        assert.ok(
          Math.abs(value - truth) <= bound * size,
          `${name} ${summation} ${value} ${truth}`,
        );
      });
    }
  } finally {
    setISA(isa);
    setThreads(threads);
  }
});
