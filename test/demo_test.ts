import assert from "node:assert/strict";
import type { DemoReport } from "../bench/demo.ts";
import { Progress } from "../lib/notebook/progress.ts";
import { renderSvg } from "../lib/notebook/chart.ts";
import { isNative } from "./native.ts";

const root = new URL("../", import.meta.url).pathname;

async function demo(
  args: string[] = [],
  env: Record<string, string> = {},
): Promise<{ out: string; err: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-prompt", `${root}bench/demo.ts`, "--quick", ...args],
    env,
  }).output();
  const text = new TextDecoder();
  assert.equal(code, 0, text.decode(stderr));
  return { out: text.decode(stdout), err: text.decode(stderr) };
}

Deno.test("demo --json prints one object and draws a chart", async () => {
  const { out, err } = await demo(["--json"]);
  const report: DemoReport = JSON.parse(out);
  assert.ok(!err.includes("\x1b[2K"), "a progress bar on a pipe");
  assert.ok(["gpu", "cpu", "reference"].includes(report.backend));
  assert.ok(report.threads >= 1 && report.isa !== "" && report.engine !== "");
  assert.ok(report.digits.accuracy >= 0.98, `accuracy ${report.digits.accuracy}`);
  assert.equal(report.digits.images, 1797);

  const lists = report.rows.filter((row) => row.nprobe !== null);
  assert.ok(lists.length >= 5);
  for (const [i, row] of lists.entries()) {
    assert.ok(row.recall >= (lists[i - 1]?.recall ?? 0.3), `recall ${row.recall} at ${row.nprobe}`);
    assert.ok(row.latencyMs > 0 && row.qps > 0 && row.memoryMiB > 0);
  }
  assert.ok(lists.at(-1)!.recall >= 0.95);
  const flat = report.rows.at(-1)!;
  assert.deepEqual([flat.index, flat.nprobe, flat.recall], ["Flat", null, 1]);

  const svg = await Deno.readTextFile(report.chart);
  assert.match(svg, /^<svg [^>]*viewBox=/);
  assert.ok(svg.trimEnd().endsWith("</svg>"));
  for (const label of ["Recall@10", "nprobe 1", "Flat"]) assert.ok(svg.includes(label), label);
  assert.ok(!/NaN|undefined/.test(svg));
});

Deno.test("demo on the emulator finds what the CPU finds", { ignore: !isNative }, async () => {
  const checks = { METALFAISS_EMULATOR_CHECKS: "off" };
  const gpu = await demo(["--json"], { METALFAISS_GPU: "emulator", ...checks });
  const cpu = await demo(["--json"], { METALFAISS_BACKEND: "cpu" });
  const [ours, theirs]: DemoReport[] = [JSON.parse(gpu.out), JSON.parse(cpu.out)];
  assert.deepEqual([ours!.backend, ours!.engine], ["gpu", "emulator"]);
  assert.equal(ours!.digits.labels, theirs!.digits.labels);
  assert.deepEqual(
    ours!.rows.map(({ labels }) => labels),
    theirs!.rows.map(({ labels }) => labels),
  );
});

Deno.test("demo prints a table", async () => {
  const { out } = await demo();
  assert.match(out, /backend (gpu|cpu|reference)/);
  assert.match(out, /Handwritten digits: 98\.\d\d % of 1797 right/);
  assert.match(out, /recall@10 +ms\/query +QPS +MiB/);
  assert.match(out, /Chart: .*out\/demo\.svg/);
});

Deno.test("renderSvg() draws what it is given", async () => {
  const svg = await renderSvg({
    data: { values: [{ x: 1, y: 2 }] },
    mark: "point",
    encoding: { x: { field: "x", type: "quantitative", title: "<metres>" } },
  });
  assert.ok(svg.includes("&lt;metres&gt;"));
});

Deno.test("Progress draws nothing where it is not visible", () => {
  using progress = new Progress("work", 10, false);
  progress.update(5);
});
