import assert from "node:assert/strict";
import { plainText, tableBundle, withDisplay } from "../lib/display.ts";
import {
  escapeHtml,
  formatBytes,
  formatCell,
  formatCount,
  formatList,
  formatNumber,
  oneLine,
  textWidth,
} from "../lib/display_cells.ts";
import { gpu, metalKernel, Tensor } from "../lib/kernel/mod.ts";
import {
  eigenSymmetric,
  pca,
  procrustes,
  qr,
  randomizedSvd,
  sum,
  topkSvd,
} from "../lib/linalg/mod.ts";
import {
  environment,
  measure,
  rank,
  roofline,
  runVariants,
  type Span,
  summarize,
  Timeline,
  watchMemory,
} from "../lib/profile/mod.ts";
import { timelineBundle } from "../lib/profile/timeline_display.ts";
import {
  Clustering,
  indexFactory,
  IndexFlat,
  IndexIDMap,
  kmeans,
  Matrix,
  RangeSearchResult,
  reverseIndexFactory,
  SearchResult,
  UnsupportedError,
} from "../mod.ts";
import { onGpu } from "./gpu.ts";

const DISPLAY = Symbol.for("Jupyter.display");
const DATA = "application/vnd.dataresource+json";

interface Resource {
  schema: { fields: { name: string; type: string }[] };
  data: Record<string, unknown>[];
}

/** Checks what all bundles have, and returns plain text and HTML together. */
async function shown(value: object): Promise<string> {
  const bundle = await (value as Record<symbol, () => Record<string, unknown>>)[DISPLAY]!();
  assert.deepEqual(Object.keys(bundle).sort(), [DATA, "text/html", "text/plain"]);
  const { [DATA]: data, "text/html": html, "text/plain": plain } = bundle;
  assert.ok(typeof html === "string" && typeof plain === "string");
  assert.deepEqual(JSON.parse(JSON.stringify(data)), data, "data is JSON");
  const { schema, data: rows } = data as Resource;
  const names = schema.fields.map(({ name }) => name);
  assert.equal(new Set(names).size, names.length, "fields have names of their own");
  for (const row of rows) assert.deepEqual(Object.keys(row).sort(), [...names].sort());
  const tags = [...html.matchAll(/<(\/?)([a-z]+)[^<>]*>/g)];
  const open: string[] = [];
  for (const [, end, tag] of tags) {
    if (end) assert.equal(open.pop(), tag);
    else open.push(tag!);
  }
  assert.deepEqual(open, []);
  assert.doesNotMatch(html, /color|background/);
  const text = Deno.inspect(value, { colors: false });
  for (const all of [html, plain, text, JSON.stringify(data)]) {
    assert.doesNotMatch(all, /\[object |undefined/);
    assert.ok(!all.includes("\x1b"));
    assert.ok(all.length > 0);
  }
  return `${plain}\n${text}`;
}

Deno.test("formatNumber() is short, exact for whole numbers, and groups the large ones", () => {
  const expected: [number | bigint, string][] = [
    [0, "0"],
    [-0, "0"],
    [7, "7"],
    [-1234, "-1234"],
    [9999, "9999"],
    [10_000, "10\u202f000"],
    [-1234567, "-1\u202f234\u202f567"],
    [12345.678, "12\u202f346"],
    [9999.96, "10\u202f000"],
    [1 / 3, "0.3333"],
    [2.5, "2.5"],
    [123.456, "123.5"],
    [Math.fround(0.1), "0.1000"],
    [0.1, "0.1"],
    [0.99999, "1.000"],
    [-0.81003, "-0.8100"],
    [1.23456e-5, "1.235e-5"],
    [-1e-7, "-1e-7"],
    [1e20, "1e20"],
    [1.5e300, "1.5e300"],
    [NaN, "NaN"],
    [Infinity, "∞"],
    [-Infinity, "-∞"],
    [2n ** 64n, "18\u202f446\u202f744\u202f073\u202f709\u202f551\u202f616"],
    [-5n, "-5"],
  ];
  for (const [value, text] of expected) assert.equal(formatNumber(value), text);
});

Deno.test("formatCell() shows any value", () => {
  const loop: Record<string, unknown> = {};
  loop.self = loop;
  const expected: [unknown, string][] = [
    [undefined, ""],
    [null, ""],
    [true, "true"],
    ["a\nb", "a\nb"],
    [{ a: 1, b: [2n, "x"] }, '{"a":1,"b":[2,"x"]}'],
    [Float32Array.of(1, 2), "[1,2]"],
    [BigInt64Array.of(1n, 2n ** 60n), '[1,"1152921504606846976"]'],
    [new Map([["a", 1]]), '{"a":1}'],
    [new Set([1]), "[1]"],
    [new Date(0), "1970-01-01T00:00:00.000Z"],
    [new Date(NaN), "invalid date"],
    [new RangeError("Cannot x"), "RangeError: Cannot x"],
    [Symbol("s"), "Symbol(s)"],
  ];
  for (const [value, text] of expected) assert.equal(formatCell(value), text);
  assert.match(formatCell(loop), /Circular/);
  const long = formatCell(new Float32Array(1000));
  assert.ok(long.length === 80 && long.endsWith("…"));
});

Deno.test("counts, bytes and lists", () => {
  assert.equal(formatCount(1, "query", "queries"), "1 query");
  assert.equal(formatCount(20_000, "row"), "20\u202f000 rows");
  assert.equal(formatBytes(0), "0 bytes");
  assert.equal(formatBytes(1023), "1023 bytes");
  assert.equal(formatBytes(1536), "1.5 KiB");
  assert.equal(formatBytes(3 * 2 ** 30), "3 GiB");
  assert.equal(formatBytes(2 ** 60), "1\u202f048\u202f576 TiB");
  assert.equal(formatList([1, 2.5, 3], 2), "1, 2.5, …");
  assert.equal(formatList([]), "");
});

Deno.test("textWidth() counts columns of a terminal", () => {
  const widths = { "": 0, abc: 3, "日本": 4, "e\u0301": 1, "👩‍👩‍👧": 2, "❤️": 2, "한": 2, "é→∞": 3 };
  for (const [text, width] of Object.entries(widths)) assert.equal(textWidth(text), width, text);
});

Deno.test("oneLine() leaves nothing that moves the cursor", () => {
  assert.equal(oneLine("a\nb\tc\r\x1b[2K\u202e"), "a\\nb\\tc\\r\\u001b[2K\\u202e");
});

Deno.test("tableBundle() escapes, caps rows, and leaves out what is empty", () => {
  const bundle = tableBundle(
    ["<a>", { name: "none", optional: true }, "a", "a", ""],
    Array.from({ length: 60 }, (_, i) => [`"${i}' & <b>`, null, i, i / 7, undefined]),
    "<script>alert(1)</script>",
  );
  const html = bundle["text/html"] as string;
  assert.doesNotMatch(html, /<script|<a>|<b>|none/);
  assert.match(html, /&quot;0&#39; &amp; &lt;b&gt;/);
  assert.match(html, /… 10 more rows/);
  const { schema, data } = bundle[DATA] as Resource;
  assert.deepEqual(schema.fields, [
    { name: "<a>", type: "string" },
    { name: "a", type: "integer" },
    { name: "a (2)", type: "number" },
    { name: "column 3", type: "string" },
  ]);
  assert.equal(data.length, 50);
  const lines = (bundle["text/plain"] as string).split("\n");
  assert.deepEqual([lines.length, lines.at(-1)], [53, "… 10 more rows"]);
});

Deno.test("escapeHtml() escapes quotes, too: for attributes", () => {
  assert.equal(escapeHtml(`<a href="x" b='&'>`), "&lt;a href=&quot;x&quot; b=&#39;&amp;&#39;&gt;");
});

Deno.test("withDisplay() adds what only notebooks and the console see", async () => {
  const plain = { a: 1, b: { c: 2 } };
  const value = withDisplay({ ...plain }, ({ a }) => tableBundle(["a"], [[a]], "It"));
  assert.deepEqual(value, plain);
  assert.deepEqual({ ...value }, plain);
  assert.deepEqual(Object.getOwnPropertySymbols({ ...value }), []);
  assert.equal(JSON.stringify(value), JSON.stringify(plain));
  assert.deepEqual(structuredClone(value), plain);
  value.a = 5;
  assert.match(await shown(value), /It\na\n5/);
});

Deno.test("indexes show themselves", async () => {
  const x = Float32Array.from({ length: 200 }, (_, i) => i % 13);
  for (const kind of ["Flat", "IVF4,Flat", "IDMap,Flat", "IDMap2,IVF4(IVF2,Flat),Flat"]) {
    using index = indexFactory(4, kind);
    await index.train(x);
    if (kind.startsWith("IDMap")) {
      await index.addWithIds(
        x,
        Array.from({ length: 50 }, (_, i) => i),
      );
    } else await index.add(x);
    await shown(index);
    await index.search(x.subarray(0, 4), 3);
    const text = await shown(index);
    assert.ok(text.includes(kind), text);
    assert.match(text, /ntotal +50\nmetric +L2/);
    assert.match(text, /memory +\d.* (bytes|KiB)/);
    assert.match(text, /last search +\w+ \(.*; \d+ pairs/);
    index.dispose();
    assert.match(await shown(index), /disposed +true/);
  }
});

Deno.test("an index of a kind of one's own has no factory string, and shows the rest", async () => {
  class Mine extends IndexFlat {
    override factoryString(): string | undefined {
      return undefined;
    }
  }
  using index = new Mine(2);
  const text = await shown(index);
  assert.doesNotMatch(text, /factory/);
  assert.match(text, /^Mine\n/);
  using map = new IndexIDMap(index);
  assert.doesNotMatch(await shown(map), /factory/);
  assert.throws(() => reverseIndexFactory(map), UnsupportedError);
});

Deno.test("results of searches and matrices show themselves", async () => {
  using index = indexFactory(2, "Flat");
  await index.add([[0, 0], [3, 4]]);
  const found = await index.search([[0, 0]], 2);
  assert.ok(found instanceof SearchResult);
  assert.match(await shown(found), /query {2}rank {2}id {2}distance\n {4}0 {5}1 {3}0 {9}0\n/);
  const near = await index.rangeSearch([[0, 0]], 1);
  assert.ok(near instanceof RangeSearchResult);
  assert.match(await shown(near), /1 query, 1 within/);
  const both = await index.searchAndReconstruct([[0, 0]], 1);
  assert.match(await shown(both), /SearchAndReconstructResult 1 query, k = 1/);
  assert.match(await shown(new Matrix(new Float32Array(400), 20)), /the first 10 of 20 rows/);
  assert.match(await shown(new Matrix(new Float32Array(0), 3)), /Matrix 0 × 3/);
});

Deno.test("results of linear algebra show what they are and what ran", async () => {
  const a = Array.from({ length: 12 }, (_, i) => Array.from({ length: 5 }, (_, j) => (i * j) % 7));
  assert.match(await shown(await topkSvd(a, 2)), /U +12 × 2\n[^]*iterations +\d+\nconverged/);
  assert.match(await shown(await randomizedSvd(a, 2)), /V +5 × 2\nrank +2\nran +\w+ \(/);
  assert.match(await shown(await qr(a)), /Q +12 × 5\nR +5 × 5\n/);
  assert.match(await shown(await pca(a, 2)), /components +2 × 5\n/);
  assert.match(await shown(await procrustes(a, a)), /rotation +5 × 5\nscale +1(\.000)?\n/);
  assert.match(
    await shown(eigenSymmetric(Float64Array.of(2, 1, 1, 2), 2)),
    /values +3(\.000)?, 1(\.000)?\n/,
  );
  assert.match(await shown(await sum([1, 2, 3])), /value +6\nsummation +\w/);
});

Deno.test("clusterings show their iterations", async () => {
  const params = { minPointsPerCentroid: 1, niter: 3 };
  const clustering = new Clustering(1, 2, params);
  assert.match(await shown(clustering), /2 centroids of 1 number: not trained/);
  await clustering.train([[0], [1], [10], [11]]);
  assert.match(await shown(clustering), /iteration {2}objective/);
  assert.match(await shown(await kmeans([[0], [1], [10], [11]], 1, 2, params)), /k-means/);
});

Deno.test("measurements show their places, and why some are not valid", async () => {
  assert.match(await shown(summarize([1, 2, 3])), /host +2 +1.2 +2.8 +3/);
  assert.match(await shown(await measure(() => {}, { budget: 5 })), /Timing/);
  const found = await rank([
    { name: "<right>", work: () => 1, error: () => 0, bytes: 1e6, flops: 1e6 },
    { name: "wrong", work: () => 2, error: () => 1 },
    { name: "broken", work: () => JSON.parse("[") },
  ], { budget: 10, limits: { gflops: 1e9, gbps: 1e9 } });
  const text = await shown(found);
  assert.match(text, /#.*name.*median ms.*p10–p90 ms.*GB\/s.*GFLOP\/s.*of the roof.*not valid/);
  assert.match(text, /–.*wrong.*its error is 1/);
  assert.match(text, /–.*broken.*SyntaxError/);
  assert.match(await shown(found[1]!), /1 measurement on/);
  assert.match(JSON.stringify(found), /^\[\{"name":"<right>","rank":1,/);
});

Deno.test("the environment and memory show themselves", async () => {
  const where = await environment();
  assert.match(await shown(where), /GPU +none\n[^]*CPU +\S[^]*Deno +\d/);
  assert.deepEqual(JSON.parse(JSON.stringify(where)), { ...where });
  const { memory } = await watchMemory(() => new Uint8Array(1 << 20).fill(1));
  assert.match(await shown(memory), /host +\d/);
});

Deno.test("GPUs, tensors, kernels and timelines show themselves", onGpu, async () => {
  const device = gpu("emulator");
  assert.match(await shown(device), /engine +emulator\n[^]*working set +\d/);
  assert.match(await shown(await environment(device)), /engine +emulator/);
  assert.match(await shown(await roofline(device, 1)), /float16 arithmetic +\S+ +GFLOP/);
  using x = Tensor.from([0, 1, 2, 3, 4, 5], [2, 3], "float32", device);
  assert.match(await shown(x), /Tensor float32 \[2, 3\]\nrow {2}0 {2}1 {2}2\n {2}0/);
  const kernel = metalKernel({
    name: "twice",
    inputNames: ["x"],
    outputNames: ["y"],
    source: "y[thread_position_in_grid.x] = 2 * x[thread_position_in_grid.x];",
  });
  assert.match(await shown(kernel), /inputs +x\noutputs +y/);
  const [y] = await kernel({
    inputs: [x],
    grid: [6, 1, 1],
    threadgroup: [6, 1, 1],
    outputShapes: [[6]],
    outputDtypes: ["float32"],
  });
  assert.match(await shown(kernel), /on +.*\(emulator\)\nthreads +6\nGPU time +\d/);
  y!.dispose();
  assert.match(await shown(y!), /disposed/);

  const timeline = new Timeline();
  using buffer = device.createBuffer(1024);
  timeline.commit(device.stream.commands("clear").fill(buffer, 0, 1024, 0));
  timeline.mark("<here>");
  assert.match(await shown(timeline), /1 mark; 1 command buffer not finished/);
  await timeline.finish();
  assert.match(await shown(timeline), /queue +default +1 [^]*gpu +default +1 /);
});

Deno.test("very long timelines show themselves", () => {
  const spans = Array.from({ length: 200_000 }, (_, i): Span => {
    return { name: "work", kind: "host", track: "main", start: i, end: i + 0.5, args: {} };
  });
  const text = plainText(timelineBundle(spans, [], 0));
  assert.match(text, /200\u202f000 spans, 200\u202f000 ms[^]*host +main[^]* 50 %$/);
});

Deno.test("a report of variants shows all of them, and what was skipped", onGpu, async () => {
  const report = await runVariants("gemv", { layout: "nt", n: 16, k: 64 }, {
    device: gpu("emulator"),
    filter: /^gemv_(nt|v2)/,
    iterations: 1,
    warmup: 0,
    dispatches: 1,
  });
  assert.ok(report.results.length > 0);
  const text = await shown(report);
  for (const { name } of [...report.results, ...report.skipped]) {
    assert.ok(text.includes(name), name);
  }
  assert.deepEqual(JSON.parse(JSON.stringify(report)), JSON.parse(JSON.stringify({ ...report })));
});
