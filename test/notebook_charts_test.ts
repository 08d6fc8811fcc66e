import assert from "node:assert/strict";
import { Axis } from "../lib/notebook/charts/axis.ts";
import { distinct, short } from "../lib/notebook/charts/frame.ts";
import { placeLabels } from "../lib/notebook/charts/labels.ts";
import {
  barChart,
  type Chart,
  heatmap,
  lineChart,
  paretoChart,
  paretoFront,
  publishedChart,
  rooflineChart,
  timelineChart,
  vectorChart,
} from "../lib/notebook/mod.ts";
import { Random } from "../lib/random.ts";
import { options, span } from "./notebook_charts.ts";

/** Records that a chart's specification has, of all its layers. */
function valuesOf(chart: Chart): Record<string, unknown>[] {
  const found: Record<string, unknown>[] = [];
  JSON.stringify(chart.spec, (key, value) => {
    if (key === "values" && typeof value[0] === "object") found.push(...value);
    return value;
  });
  return found;
}

/** Texts of a picture. */
async function textsOf(chart: Chart): Promise<string[]> {
  const svg = await chart.toSvg();
  return [...svg.matchAll(/<(?:text|tspan)[^>]*>([^<]+)</g)].map(([, text]) => text!);
}

Deno.test("paretoFront() keeps what nothing beats, by recall", () => {
  const point = (recall: number, qps: number) => ({ recall, qps });
  const front = paretoFront([
    ...[point(0.9, 100), point(0.5, 800), point(0.5, 900), point(0.8, 90), point(1, 10)],
    point(0.5, 900),
  ]);
  assert.deepEqual(front, [point(0.5, 900), point(0.9, 100), point(1, 10)]);
  assert.deepEqual(paretoFront([]), []);
});

Deno.test("paretoChart() draws each method by recall, names settings, and bands the front", async () => {
  const chart = paretoChart([
    { series: "IVF", recall: 0.9, qps: 100, label: "nprobe 8" },
    { series: "IVF", recall: 0.5, qps: 900, label: "nprobe 1" },
    { series: "Flat", recall: 1, qps: 50 },
    { series: "IVF", recall: NaN, qps: 50 },
    { series: "IVF", recall: 0.3, qps: 0 },
  ], { ...options, recallLabel: "Recall@10" });
  const texts = await textsOf(chart);
  for (const text of ["nprobe 1", "nprobe 8", "IVF", "Flat", "Recall@10"]) {
    assert.ok(texts.includes(text), text);
  }
  assert.ok(texts.includes("grey: the Pareto front"));
  assert.ok(texts.includes("2 of 5 points left out: NaN, infinite or too low"));
  assert.match(chart.text, /IVF +nprobe 1 +0\.5 +900 +yes\n/);
});

Deno.test("rooflineChart() places kernels below the roofs", async () => {
  const limits = { gflops: 100, gbps: 10, halfGflops: 200 };
  const chart = rooflineChart(
    [
      // 1 FLOP/byte: at most 10 GFLOP/s; 4 GFLOP in a second.
      { name: "memory", flops: 4e9, bytes: 4e9, ms: 1000 },
      { name: "arithmetic", flops: 8e10, bytes: 1e9, ms: 1000 },
      { name: "a copy", flops: 0, bytes: 1e9, ms: 1000 },
    ],
    limits,
    options,
  );
  assert.match(chart.text, /memory +1 +4 +40 %\n/);
  assert.match(chart.text, /arithmetic +80 +80 +80 %$/);
  assert.match(chart.text, /1 of 3 kernels left out/);
  const roof = valuesOf(chart).filter((value) => value.roof === "100 GFLOP/s");
  assert.equal(roof.length, 3);
  assert.deepEqual([roof[1]!.intensity, roof[1]!.rate, roof[2]!.rate], [10, 100, 100]);
  assert.equal(roof[0]!.rate, 10 * Number(roof[0]!.intensity));
  const texts = await textsOf(chart);
  for (const text of ["100 GFLOP/s", "200 GFLOP/s in fp16", "10 GB/s", "memory", "arithmetic"]) {
    assert.ok(texts.includes(text), text);
  }
  assert.throws(() => rooflineChart([], { gflops: 0, gbps: 1 }, options), {
    name: "RangeError",
    message: "Cannot draw the chart: limits are 0 GFLOP/s and 1 GB/s",
  });
});

Deno.test("barChart() puts groups, names and kinds below each other, in order", async () => {
  const chart = barChart([
    { name: "naive", value: 4, low: 3, high: 6, group: "small", color: "f32" },
    { name: "naive", value: 2, group: "small", color: "f16" },
    { name: "tiled", value: -1, group: "small", color: "f32" },
    { name: "naive", value: 8, group: "large", color: "f32" },
  ], { ...options, unit: "ms" });
  const texts = await textsOf(chart);
  for (const text of ["small", "large", "tiled", "4 · f32", "2 · f16", "-1 · f32", "ms"]) {
    assert.ok(texts.includes(text), text);
  }
  assert.equal(texts.filter((text) => text === "naive").length, 2);
  const tops = valuesOf(chart).flatMap(({ top }) => top === undefined ? [] : [Number(top)]);
  assert.deepEqual(tops, tops.toSorted((a, b) => a - b));
  assert.ok(new Set(tops).size === 4);
});

Deno.test("barChart() on a logarithmic axis has points and leaves out what has no logarithm", async () => {
  const bars = [{ name: "a", value: 0.01 }, { name: "b", value: 1000 }, { name: "c", value: 0 }];
  const chart = barChart(bars, { ...options, unit: "ms", log: true });
  const texts = await textsOf(chart);
  assert.ok(texts.includes("ms (log scale)") && !texts.includes("c"));
  assert.ok(texts.includes("1 of 3 bars left out: NaN, infinite or too low"));
});

Deno.test("publishedChart() names the status of figures that are not valid", async () => {
  const chart = publishedChart([
    { name: "ops", published: 32.8, reproduced: 4.1, status: "valid" },
    { name: "probe", published: 0.05, reproduced: 12, status: "invalid" },
    { name: "target", published: 20, status: "target" },
    { name: "new", reproduced: 3 },
    { name: "nothing" },
  ], { ...options, unit: "ms" });
  const texts = await textsOf(chart);
  for (
    const text of [
      ...["published", "reproduced here", "published, invalid", "published, target"],
      ...["0.05 · invalid", "20 · target", "32.8", "12"],
    ]
  ) assert.ok(texts.includes(text), text);
  const fills = valuesOf(chart).filter(({ kind }) => String(kind).startsWith("published, "));
  assert.equal(fills.length, 2);
  assert.match(await chart.toSvg(), /fill="#0072b233"[^>]*stroke-dasharray/);
  assert.match(chart.text, /1 of 5 figures left out/);
});

Deno.test("heatmap() sorts numbers, keeps names in order, and refuses two cells of one place", async () => {
  const cell = (x: string | number, y: string | number, value: number) => ({ x, y, value });
  const names = { ...options, x: "tile n", y: "tile m", unit: "ms" };
  const chart = heatmap(
    [cell(16, "wide", 3), cell(8, "wide", 1), cell(8, "narrow", 2), cell(16, "narrow", NaN)],
    names,
  );
  const texts = await textsOf(chart);
  const at = (text: string) => texts.indexOf(text);
  assert.ok(at("8") >= 0 && at("8") < at("16"));
  assert.ok(at("wide") >= 0 && at("wide") < at("narrow"));
  assert.match(texts.join(" "), /1 of 4 cells left out: NaN, infinite or too low/);
  assert.throws(() => heatmap([cell(1, 1, 1), cell(1, 1, 2)], names), {
    name: "RangeError",
    message: "Cannot draw the chart: two cells are at 1 × 1",
  });
});

Deno.test("heatmap() tells long names apart that begin alike", async () => {
  const long = "a name that goes on and on, ";
  const cells = ["one", "two"].flatMap((x, i) =>
    ["three", "four"].map((y, j) => ({ x: long + x, y: `${long}${long}${y}`, value: i * 2 + j }))
  );
  const chart = heatmap(cells, { ...options, x: "x", y: "y", unit: "ms" });
  const places = valuesOf(chart).map(({ x, y }) => `${x} ${y}`);
  assert.equal(new Set(places).size, 4);
  assert.ok((await textsOf(chart)).some((text) => text.endsWith("… (2)")));
  // What looks alike together is not one place.
  const apart = [{ x: "a × b", y: "c", value: 1 }, { x: "a", y: "b × c", value: 2 }];
  heatmap(apart, { ...options, x: "x", y: "y", unit: "ms" });
});

Deno.test("lineChart() says where the first two lines cross, or that they do not", async () => {
  const axes = { ...options, x: "rows", y: "ms", logX: true, logY: true };
  const line = (series: string, ys: number[]) =>
    ys.map((y, i) => ({ series, x: 10 ** i, y, low: y * 0.9, high: y * 1.1 }));
  const crossing = lineChart([...line("naive", [1, 100]), ...line("tiled", [10, 10])], axes);
  const texts = await textsOf(crossing);
  assert.ok(texts.includes("naive and tiled cross at 3.16 (rows)"), texts.join("\n"));
  assert.ok(texts.includes("3.16"));
  const apart = lineChart([...line("naive", [1, 2]), ...line("tiled", [10, 10])], axes);
  assert.match(apart.text, /naive and tiled do not cross here/);
  const untold = lineChart([...line("a", [1, 2]), ...line("b", [2, 1])], {
    ...axes,
    crossover: false,
  });
  assert.doesNotMatch(untold.text, /cross/);
});

Deno.test("lineChart() of many points keeps the peaks", () => {
  const points = Array.from(
    { length: 20_000 },
    (_, x) => ({ series: "s", x, y: x === 777 ? 9 : 1 }),
  );
  const chart = lineChart(points, { ...options, x: "x", y: "y" });
  const values = valuesOf(chart);
  assert.ok(values.length <= 600);
  assert.deepEqual(values.filter(({ y }) => y === 9), [{ series: "s", x: 777, y: 9 }]);
  assert.match(chart.text, /\d+ of 20000 points drawn/);
});

Deno.test("lineChart() of many series draws the first 20, each with a look of its own", async () => {
  const points = Array.from({ length: 50 }, (_, i) => ({ series: `s${i}`, x: 1, y: i }));
  const chart = lineChart(points, { ...options, x: "x", y: "y" });
  assert.match(chart.text, /the first 20 of 50 series/);
  const svg = await chart.toSvg();
  const looks = [...svg.matchAll(/<path transform="[^"]*"( d="[^"]*" fill="[^"]*")/g)];
  // Each has a size in the plot and another in the legend.
  assert.equal(new Set(looks.map(([, look]) => look)).size, 2 * 20);
});

Deno.test("timelineChart() puts what overlaps below each other, and marks on their track", async () => {
  const chart = timelineChart([
    span("a", 0, 2, { name: "first" }),
    span("a", 1, 3, { name: "second" }),
    span("a", 2.5, 4, { name: "third" }),
    span("host", 0, 1, { kind: "host", name: "think" }),
    span("a", NaN, 1),
  ], [
    { name: "complete", track: "a", at: 2 },
    { name: "lost", track: "nowhere", at: 2 },
  ], options);
  const tops = valuesOf(chart).filter(({ kind }) => kind === "gpu").map(({ top }) => top);
  assert.deepEqual(tops.map((top) => top === tops[0]), [true, false, true]);
  const texts = await textsOf(chart);
  for (const text of ["first", "second", "complete", "a · gpu", "host", "ms"]) {
    assert.ok(texts.includes(text), text);
  }
  assert.ok(!texts.includes("lost"));
  assert.match(chart.text, /1 of 5 spans left out/);
});

Deno.test("vectorChart() of a plane in 64 dimensions is that plane", async () => {
  const random = new Random(7);
  const normal = () => random.normal();
  // Two directions at right angles, and points on them with given coordinates, away from the origin.
  const first = Array.from({ length: 64 }, normal);
  const norm = (v: number[]) => Math.hypot(...v);
  const dot = (v: number[], w: number[]) => v.reduce((sum, value, i) => sum + value * w[i]!, 0);
  const [u, raw] = [first.map((value) => value / norm(first)), Array.from({ length: 64 }, normal)];
  const rest = raw.map((value, i) => value - dot(raw, u) * u[i]!);
  const v = rest.map((value) => value / norm(rest));
  const plane = Array.from({ length: 50 }, () => [6 * normal(), 2 * normal()] as const);
  const points = plane.map(([a, b]) => u.map((value, i) => 5 + a * value + b * v[i]!));
  const chart = await vectorChart(points, { ...options, labels: plane.map((_, i) => i % 2) });
  const found = valuesOf(chart).map(({ x, y }) => [Number(x), Number(y)] as const);
  assert.equal(found.length, 50);
  for (let i = 0; i < 50; i++) {
    for (let j = 0; j < i; j++) {
      const distance = (at: typeof plane) =>
        Math.hypot(at[i]![0] - at[j]![0], at[i]![1] - at[j]![1]);
      const [ours, theirs] = [distance(found), distance(plane)];
      assert.ok(Math.abs(ours - theirs) < 1e-3 * (1 + theirs), `${i}, ${j}: ${ours}, ${theirs}`);
    }
  }
  const shares = [...(await textsOf(chart)).join("\n").matchAll(/(\d+) % of the variance/g)];
  assert.equal(shares.reduce((sum, [, share]) => sum + Number(share), 0), 100);
  const again = await vectorChart(points, { ...options, labels: plane.map((_, i) => i % 2) });
  assert.deepEqual(again.spec, chart.spec);
});

Deno.test("vectorChart() takes what indexes take", async () => {
  const flat = Float32Array.of(0, 0, 3, 1, 0, 1, 3, 0);
  const found = valuesOf(await vectorChart(flat, { ...options, d: 2 }));
  assert.equal(found.length, 4);
  assert.equal(valuesOf(await vectorChart([[1], [2], [4]], options)).length, 3);
  assert.deepEqual(valuesOf(await vectorChart([[1, 2, 3]], options)), [{ x: 0, y: 0, label: "" }]);
  const many = await vectorChart(Array.from({ length: 3000 }, (_, i) => [i, i % 7]), {
    ...options,
    labels: Array.from({ length: 3000 }, (_, i) => i % 50),
  });
  assert.match(many.text, /800 of 3000 vectors/);
  assert.ok(valuesOf(many).some(({ label }) => label === "others"));
  assert.ok(new Set(valuesOf(many).map(({ label }) => label)).size <= 15);
  await assert.rejects(vectorChart([[1, NaN], [2, 3]], options), RangeError);
  await assert.rejects(vectorChart([[1], [2]], { ...options, labels: [1] }), {
    name: "TypeError",
    message: "Cannot draw the chart: there are 1 labels for 2 vectors",
  });
});

Deno.test("an axis has room for its values, and round ticks", () => {
  const linear = new Axis([3, 97], { title: "ms", zero: true });
  assert.equal(linear.domain[0], 0);
  assert.ok(linear.domain[1] > 97);
  assert.deepEqual(linear.ticks, [0, 20, 40, 60, 80, 100]);
  assert.equal(linear.part(0), 0);
  const log = new Axis([0.01, 1000], { title: "ms", log: true });
  assert.deepEqual(log.ticks, [0.01, 0.1, 1, 10, 100, 1000]);
  assert.ok(Math.abs(log.part(Math.sqrt(10)) - 0.5) < 1e-9);
  assert.deepEqual(new Axis([10, 100], { title: "", log: true }).ticks, [10, 20, 50, 100]);
  // Between 100 and 1000 alone a line is hard to read.
  const { ticks: few } = new Axis([16, 4096], { title: "", log: true });
  assert.deepEqual(few, [20, 50, 100, 200, 500, 1000, 2000, 5000]);
  const wide = new Axis([1e-200, 1e200], { title: "", log: true });
  assert.ok(wide.domain.every(Number.isFinite) && wide.domain[0] > 0);
  assert.ok(wide.ticks.length >= 3 && wide.ticks.length <= 10, `${wide.ticks}`);
  for (const values of [[5], [0], [-2], [1e-300], [1e300]]) {
    const { domain: [low, high], ticks } = new Axis(values, { title: "" });
    assert.ok(low < values[0]! && values[0]! < high, `${values}`);
    assert.ok(ticks.length >= 2 && ticks.every((tick) => low <= tick && tick <= high), `${values}`);
  }
});

Deno.test("labels do not lie on each other, and keep off lines", () => {
  const anchors = Array.from({ length: 12 }, (_, i) => ({ x: 100 + i, y: 100, text: "label" }));
  const places = placeLabels(anchors, [], 300, 200);
  const spaces = places.flatMap((place, i) => {
    if (place === null) return [];
    const left = { left: 0, center: -12, right: -24 }[place.align] + anchors[i]!.x + place.dx;
    return [{ left, y: anchors[i]!.y + place.dy }];
  });
  assert.ok(spaces.length >= 2 && spaces.length < 12);
  for (const [i, a] of spaces.entries()) {
    for (const b of spaces.slice(0, i)) {
      assert.ok(Math.abs(a.y - b.y) >= 11 || Math.abs(a.left - b.left) >= 24);
    }
  }
  // A line that rises to the right leaves the right and below free.
  const line = [{ x: 0, y: 200 }, { x: 200, y: 0 }];
  const [beside] = placeLabels([{ x: 100, y: 100, text: "label" }], [line], 300, 200);
  assert.ok(beside!.dy >= 0 && beside!.align === "left");
});

Deno.test("short numbers and names", () => {
  const numbers = [0, 1, 0.05, 12.3456, 999.9, 1234, 9999, 12_345, 2.5e6, 3e9, 1e-7, -4.25, 5e13];
  assert.deepEqual(numbers.map(short), [
    ...["0", "1", "0.05", "12.3", "1000", "1234", "9999", "12.3k", "2.5M", "3G", "1.0e-7"],
    ...["-4.25", "5.0e+13"],
  ]);
  const long = "x".repeat(60);
  const names = distinct([`${long}a`, `${long}b`, "short", "short"]);
  assert.equal(new Set(names).size, 4);
  assert.ok(names.every((name) => name.length <= 48));
});
