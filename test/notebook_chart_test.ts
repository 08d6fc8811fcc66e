import assert from "node:assert/strict";
import { compile } from "npm:vega-lite@6.5.0";
import { Chart, type ChartSpec, renderSvg } from "../lib/notebook/chart.ts";
import { pixelWidth, wrapText } from "../lib/notebook/pixels.ts";
import { everyKind } from "./notebook_charts.ts";

const DISPLAY = Symbol.for("Jupyter.display");
const MOST_BYTES = 150_000;

interface ChartBundle {
  "application/vnd.vegalite.v5+json": Record<string, unknown>;
  "text/html": string;
  "text/plain": string;
}

function bundleOf(chart: Chart): Promise<ChartBundle> {
  return (chart as unknown as { [DISPLAY]: () => Promise<ChartBundle> })[DISPLAY]();
}

const spec: ChartSpec = {
  title: 'One & "two"',
  data: { values: [{ x: 1, y: 2 }, { x: 2, y: 4 }] },
  mark: "point",
  encoding: { x: { field: "x", type: "quantitative" }, y: { field: "y", type: "quantitative" } },
};

Deno.test("a chart's bundle has the specification of version 5, a picture and text", async () => {
  const chart = new Chart(spec, "x  y");
  const bundle = await bundleOf(chart);
  assert.deepEqual(Object.keys(bundle).sort(), [
    "application/vnd.vegalite.v5+json",
    "text/html",
    "text/plain",
  ]);
  const json = bundle["application/vnd.vegalite.v5+json"];
  assert.equal(json.$schema, "https://vega.github.io/schema/vega-lite/v5.json");
  assert.deepEqual(JSON.parse(JSON.stringify(json)), json);
  assert.equal(bundle["text/plain"], "x  y");
  const [, data, alt] = bundle["text/html"].match(
    /^<img src="data:image\/svg\+xml;base64,([A-Za-z0-9+/=]+)" alt="([^"]*)">$/,
  )!;
  assert.equal(alt, "One &amp; &quot;two&quot;");
  const svg = new TextDecoder().decode(Uint8Array.fromBase64(data!));
  assert.equal(svg, await chart.toSvg());
  assert.match(svg, /^<svg [^>]*viewBox=.*<\/svg>$/s);
});

Deno.test("every kind of chart: no warnings, no colours of pages, no NaN, a table of its numbers", async () => {
  for (const [kind, make] of Object.entries(everyKind(5, (i) => `thing ${i % 3}`))) {
    const chart = await make();
    const warnings: unknown[] = [];
    const logger = {
      level: () => logger,
      warn: (...reasons: readonly unknown[]) => (warnings.push(...reasons), logger),
      error: (...reasons: readonly unknown[]) => (warnings.push(...reasons), logger),
      info: () => logger,
      debug: () => logger,
    };
    compile(chart.spec, { logger });
    assert.deepEqual(warnings, [], kind);
    const { background, title, axis, legend } = chart.spec.config as Record<string, object>;
    assert.equal(background, undefined);
    for (const part of [title, axis, legend]) {
      assert.deepEqual(Object.keys(part!).filter((key) => /color/i.test(key)), [], kind);
    }
    const svg = await chart.toSvg();
    assert.ok(!/NaN|undefined|Infinity/.test(svg), kind);
    for (const text of ["Title", "Subtitle"]) assert.ok(svg.includes(`>${text}<`), kind);
    assert.match(chart.text, /^Title\nSubtitle\n/);
    assert.ok(chart.text.split("\n").length >= 4, chart.text);
    assert.equal(Deno.inspect(chart), chart.text);
  }
});

Deno.test("pictures have an opaque card, and rules for dark pages for each colour that they have", async () => {
  const svg = await new Chart(spec, "").toSvg();
  const [, style] = svg.match(/<style>@media \(prefers-color-scheme:dark\)\{(.*)\}<\/style>/)!;
  assert.match(svg, /<rect width="[\d.]+" height="[\d.]+" fill="#ffffff"\/>/);
  const inks = new Set([...svg.replace(/<style>.*<\/style>/, "").matchAll(/="(#[0-9a-f]+)"/g)]
    .map(([, ink]) => ink));
  // Vega's own blue, since this chart has no series.
  inks.delete("#4c78a8");
  assert.ok(inks.size >= 4);
  for (const ink of inks) assert.ok(style!.includes(`[fill="${ink}"]`), `${ink} on dark pages`);
});

Deno.test("charts are small, however much they show", async () => {
  const long = "a name that goes on and on, ".repeat(20);
  for (const [kind, make] of Object.entries(everyKind(5000, (i) => `${i % 40} ${long}`))) {
    const bundle = await bundleOf(await make());
    const bytes = new TextEncoder().encode(JSON.stringify(bundle)).length;
    assert.ok(bytes <= MOST_BYTES, `${kind}: ${bytes} bytes`);
    assert.ok(bundle["text/plain"].split("\n").length <= 50, kind);
  }
});

Deno.test("charts of nothing are an error of one line", async () => {
  for (const [kind, make] of Object.entries(everyKind(0, String))) {
    await assert.rejects(async () => await make(), (error: Error) => {
      assert.ok(error instanceof RangeError, kind);
      assert.match(error.message, /^Cannot draw the chart: there are no [a-z]+$/);
      return true;
    });
  }
});

Deno.test("charts of one thing, and of things that are all the same", async () => {
  const same = everyKind(30, () => "same", () => 1);
  // Cells of a heat map are never at one place, so there are 30 of one value.
  for (const [kind, make] of [...Object.entries(everyKind(1, String)), ...Object.entries(same)]) {
    const svg = await (await make()).toSvg();
    assert.ok(!/NaN|Infinity/.test(svg), kind);
    assert.match(svg, /<(path|use|rect) /);
  }
});

Deno.test("charts leave out what has no place, and count it", async () => {
  const holes = everyKind(6, (i) => `n${i}`, (i) => [1, NaN, 3, Infinity, -Infinity, 6][i]!);
  delete holes.vectorChart;
  for (const [kind, make] of Object.entries(holes)) {
    const chart = await make();
    // Published figures with a hole are still reproduced.
    if (kind === "publishedChart") continue;
    assert.match(chart.text, /3 of 6 [a-z]+ left out: NaN, infinite or too low/, kind);
    assert.match(await chart.toSvg(), /3 of 6 [a-z]+ left out/, kind);
    const all = everyKind(2, String, () => NaN)[kind]!;
    await assert.rejects(async () => await all(), /all 2 [a-z]+ are NaN, infinite/);
  }
});

Deno.test("markup in names stays text", async () => {
  const name = `<script>alert("1")</script>&'`;
  for (const [kind, make] of Object.entries(everyKind(3, (i) => `${i}${name}`))) {
    const chart = await make();
    assert.ok(!(await chart.toSvg()).includes("<script"), kind);
    const { "text/html": html } = await bundleOf(
      new Chart(chart.spec, chart.text, { render: () => Promise.reject(new Error(name)) }),
    );
    assert.ok(!html.includes("<script"), kind);
  }
});

Deno.test("without Vega a chart is its table, and says so in one line", async () => {
  const offline = () =>
    Promise.reject(new TypeError("npm package 'vega' not found\n    at more lines"));
  const bundle = await bundleOf(new Chart(spec, "One\nx  y\n1  2", { render: offline }));
  const note = "The chart was not drawn: npm package 'vega' not found";
  assert.equal(bundle["text/plain"], `One\nx  y\n1  2\n${note}`);
  assert.match(bundle["text/html"], /^<pre>One\nx {2}y\n1 {2}2<\/pre><p>The chart was not drawn: /);
  assert.ok(!bundle["text/html"].includes("at more lines"));
  assert.ok("application/vnd.vegalite.v5+json" in bundle);
});

Deno.test("without npm a chart of a kind is an HTML table", async () => {
  const code = `
    import { barChart } from ${JSON.stringify(import.meta.resolve("../lib/notebook/mod.ts"))};
    const chart = barChart([{ name: "tiled", value: 7 }], { title: "Bars", unit: "ms" });
    console.log(JSON.stringify(await chart[Symbol.for("Jupyter.display")]()));`;
  const cache = await Deno.makeTempDir();
  const file = `${cache}/chart.js`;
  try {
    await Deno.writeTextFile(file, code);
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-config", "--no-check", "--no-npm", "--allow-env", "--allow-read", file],
    }).output();
    const text = new TextDecoder();
    const bundle = JSON.parse(text.decode(stdout) || text.decode(stderr));
    assert.match(bundle["text/html"], /<table.*tiled.*<\/table><p>The chart was not drawn: /s);
    assert.match(bundle["text/plain"], /^Bars\nname {3}ms\ntiled {3}7\nThe chart was not drawn: /);
    assert.equal(bundle["text/plain"].split("\n").length, 4);
  } finally {
    await Deno.remove(cache, { recursive: true });
  }
});

Deno.test("renderSvg() says what is wrong with a specification", async () => {
  const wrong = { data: { values: [] }, mark: "spiral", encoding: {} } as unknown as ChartSpec;
  await assert.rejects(renderSvg(wrong), (error) => error instanceof Error);
});

Deno.test("wrapText() breaks at spaces where a line is full", () => {
  assert.deepEqual(wrapText("one two three", 1000, 10), ["one two three"]);
  assert.deepEqual(wrapText("one two three", pixelWidth("one two", 10), 10), ["one two", "three"]);
  assert.deepEqual(wrapText("incomprehensible x", 5, 10), ["incomprehensible", "x"]);
  assert.deepEqual(wrapText("", 100, 10), [""]);
});
