import assert from "node:assert/strict";
import { createReferenceBackend } from "../lib/backend/reference/mod.ts";
import { type Experiment, journalContext, type JournalRow } from "../lib/journal/mod.ts";
import { findExperiment } from "../lib/journal/mod.ts";
import {
  inverse,
  judge,
  judgeParts,
  meanRatio,
  noGpu,
  ratioOf,
  verdictOf,
} from "../lib/journal/verdict.ts";
import { summarize } from "../lib/profile/measure.ts";
import { journalRow } from "./journal.ts";

/** A row that took so many milliseconds on the GPU. */
function timed(variant: string, samples: number[], more: Partial<JournalRow> = {}): JournalRow {
  const timing = summarize(samples);
  return journalRow({ variant, time: timing, gpuTime: timing, engine: "cuda", ...more });
}

/** Means are taken of logarithms. */
function near(found: number | null | undefined, expected: number): void {
  assert.ok(Math.abs(found! / expected - 1) < 1e-12, `${found} is not ${expected}`);
}

const base = (samples: number[], more: Partial<JournalRow> = {}) =>
  timed("base", samples, { baseline: true, ...more });

Deno.test("judge() decides where samples lie apart, and not where they overlap", () => {
  const steady = base([10, 10, 10]);
  assert.equal(judge(ratioOf([[steady, timed("x", [5, 5, 5])]]), 1.5, "x").outcome, "confirmed");
  assert.equal(judge(ratioOf([[steady, timed("x", [20, 20, 20])]]), 1.5, "x").outcome, "refuted");
  // 2× by the medians, but some samples are as slow as the baseline's.
  const noisy = judge(ratioOf([[steady, timed("x", [5, 5, 10])]]), 1.5, "Noisy");
  assert.equal(noisy.outcome, "not testable");
  near(noisy.ratio, 2);
  assert.match(noisy.text, /^Noisy: 2\.00× \(\d\.\d\d–2\.03\), too near 1\.5× to call$/);
  assert.equal(judge(null, 1.5, "x").outcome, "not testable");
});

Deno.test("ratioOf() is the geometric mean, and counts the spread of a row once", () => {
  const first = base([8]);
  const second = base([8], { shape: "2" });
  const pairs = [[first, timed("x", [4])], [second, timed("x", [1])]] as const;
  const ratio = ratioOf(pairs)!;
  near(ratio.value, 4);
  // Samples that are all the same may still be 1 % off: four rows, each counted by half.
  near(ratio.high, 4 * Math.exp(0.01));
  near(ratio.low, 4 / Math.exp(0.01));
  near(inverse(ratio)!.value, 0.25);
  near(inverse(ratio)!.high, 0.25 * Math.exp(0.01));
  const spread = base([1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 16]);
  const [one, both] = [["a"], ["a", "b"]].map((names) =>
    ratioOf(names.map((name) => [spread, timed(name, [1])] as const))!
  );
  // Both ratios have the same base: a second one makes the mean no surer.
  assert.ok(Math.abs(one!.low / both!.low - 1) < 0.01 && one!.low < one!.value);
  const independent = ratioOf([[spread, timed("a", [1])], [{ ...spread }, timed("b", [1])]])!;
  assert.ok(independent.low > one!.low);
  assert.equal(ratioOf([[first, journalRow({})]]), null);
});

Deno.test("ratioOf() is surer of more samples", () => {
  const few = [1, 1.1, 1.2, 1.3, 1.4];
  const [least, most] = [1, 16].map((times) => {
    const samples = Array.from({ length: times }, () => few).flat();
    return ratioOf([[base(samples), timed("x", samples)]])!;
  });
  near(least!.value, 1);
  assert.ok(most!.high < least!.high ** 0.4 && most!.low > least!.low ** 0.4);
});

Deno.test("meanRatio() compares valid rows with the baseline of their shape", () => {
  const rows = [
    base([8]),
    timed("x", [4]),
    timed("x wrong", [1], { valid: false }),
    base([8], { shape: "2" }),
    timed("x", [1], { shape: "2" }),
    timed("x", [1], { shape: "no baseline" }),
  ];
  near(meanRatio(rows, /x/)!.value, 4);
  near(meanRatio(rows, /x/, /2/)!.value, 8);
  near(meanRatio(rows, (row) => row.shape === "2")!.value, 8);
  assert.equal(meanRatio(rows, /y/), null);
});

const experiment: Experiment = {
  ...{ id: "T", published: [], title: "", conclusion: "" },
  run: async function* () {},
  verdict: (rows) => judge(meanRatio(rows, /x/), 1.5, "x"),
};

Deno.test("verdictOf() lets times decide only at full size, on a device, with right results", () => {
  const full = journalContext(createReferenceBackend());
  const quick = { ...full, quick: true };
  const rows = [base([10]), timed("x", [5])];
  assert.equal(verdictOf(experiment, rows, full).outcome, "confirmed");
  const [small, emulated, wrong, none] = [
    verdictOf(experiment, rows, quick),
    verdictOf(experiment, rows.map((row) => ({ ...row, engine: "emulator" })), full),
    verdictOf(experiment, [...rows, timed("y", [1], { valid: false })], full),
    verdictOf(experiment, [], full),
  ];
  for (const verdict of [small, emulated, wrong, none]) {
    assert.deepEqual([verdict.outcome, verdict.ratio], ["not testable", null]);
  }
  assert.match(small.text, /small/);
  assert.match(emulated.text, /emulator/);
  assert.match(wrong.text, /1 of 3 variants have wrong results/);
  assert.match(none.text, /No variant ran/);
  const remark = () => "And more";
  assert.match(verdictOf({ ...experiment, remark }, rows, quick).text, /small.*\. And more$/);
});

Deno.test("verdictOf() lets results decide everywhere", () => {
  const quick = journalContext(createReferenceBackend(), { quick: true });
  const j0 = findExperiment("J0")!;
  const row = journalRow({ engine: "emulator" });
  assert.equal(verdictOf(j0, [row], quick).outcome, "confirmed");
  assert.equal(verdictOf(j0, [row, { ...row, valid: false }], quick).outcome, "refuted");
  const without = noGpu("No GPU was found");
  assert.deepEqual([without.outcome, without.basis], ["not testable", "result"]);
  assert.match(without.text, /needs a GPU.*No GPU was found/);
});

Deno.test("verdicts find the shapes and tiles that they are about", () => {
  const probe = (note: string, median: number) =>
    timed("kernel", [median], { shape: "n=896 k=4864 nt", note });
  const probes = [probe("v2 col_vec4", 6), probe("v2 col_bt", 12), probe("vendor", 2)]
    .concat(probe("v4 largek_smalln", 3), probe("next dot", 1));
  const { verdict: judgeM } = findExperiment("M")!;
  const m = judgeM(probes);
  // K-split against whole columns; the vendor is ahead of the published kernels, not of the next.
  assert.equal(m.outcome, "confirmed");
  near(m.ratio, 2);
  assert.match(m.text, /tiles of it: 2\.00×/);
  assert.match(m.text, /published kernels' best against the vendor: n=896 k=4864 nt 0\.67×/);
  assert.match(m.text, /With the kernels made here: n=896 k=4864 nt 2\.00×/);
  const shape = "n=9728 k=896 nt";
  const behind = judgeM([...probes, ...probes.map((own) => ({ ...own, shape }))]);
  // There the published kernels were ahead.
  assert.equal(behind.outcome, "refuted");
  near(behind.ratio, 2 / 3);
  const { verdict } = findExperiment("T1")!;
  const tiles = ["AV m=1", "AᵀB m=1"].flatMap((shape) => {
    const slim = shape.startsWith("AV") ? "32×8" : "8×32";
    const other = slim === "32×8" ? "8×32" : "32×8";
    return [
      timed("16×16", [1], { shape, baseline: true }),
      timed(slim, [2], { shape }),
      timed(other, [0.1], { shape }),
    ];
  });
  // Elsewhere the claim is 16×16, on M3 the slim tiles.
  assert.equal(verdict(tiles).outcome, "confirmed");
  near(verdict(tiles).ratio, 2);
  const apple = tiles.map((own) => ({ ...own, isa: "Apple M3 Ultra" }));
  assert.equal(verdict(apple).outcome, "refuted");
  near(verdict(apple).ratio, 0.5);
  const split = (shape: string, ms: number) => [
    timed("fused", [1], { shape, baseline: true }),
    timed("split", [ms], { shape }),
  ];
  const sizes = [split("AᵀAV m=512 n=256 k=32", 0.1), split("AᵀAV m=4096 n=512 k=64", 2)].flat();
  assert.equal(findExperiment("X4")!.verdict(sizes).outcome, "refuted");
});

Deno.test("judgeParts() confirms what holds in all its parts, of those that ran", () => {
  const part = (ms: number) => judge(ratioOf([[base([10]), timed("x", [ms])]]), 1, `${ms} ms`);
  const none = judge(null, 1, "x");
  assert.equal(judgeParts([none, none]), none);
  assert.equal(judgeParts([none, part(5), none]).text, part(5).text);
  const both = judgeParts([part(5), part(2)]);
  assert.equal(both.outcome, "confirmed");
  near(both.ratio, 2);
  assert.match(both.text, /^5 ms: 2\.00×.*\(confirmed\); 2 ms: 5\.00×.*\(confirmed\)$/);
  assert.equal(judgeParts([part(5), part(10)]).outcome, "not testable");
  const one = judgeParts([part(5), part(10), part(40)]);
  assert.equal(one.outcome, "refuted");
  near(one.ratio, 0.25);
});

Deno.test("X3, R4 and X4 judge every part of what was published", () => {
  const scan = (variant: string, ms: number) =>
    timed(variant, [ms], {
      ...{ shape: "B=4 S=8192 D=256", clock: "host", baseline: variant === "step by step" },
    });
  const rows = [scan("step by step", 10), scan("precomputed", 5), scan("chunk 16", 8)]
    .concat(scan("chunk 64", 4), scan("chunk 128", 6), scan("chunk 128, 2 streams", 3));
  const { verdict: judgeX3 } = findExperiment("X3")!;
  assert.equal(judgeX3(rows).outcome, "confirmed");
  const longer = judgeX3([...rows, scan("chunk 256", 2)]);
  assert.equal(longer.outcome, "refuted");
  near(longer.ratio, 0.5);
  const { verdict: judgeR4 } = findExperiment("R4")!;
  const dots = (m: number, ms: number) => [
    timed("simple", [4], { shape: `m=${m} k=32`, baseline: true }),
    timed("simd", [ms], { shape: `m=${m} k=32` }),
  ];
  assert.equal(judgeR4([...dots(512, 2), ...dots(256, 8)]).outcome, "confirmed");
  assert.equal(judgeR4([...dots(512, 2), ...dots(256, 2)]).outcome, "refuted");
  const square = ["naive", "16×16 tiles"].map((variant, i) => timed(variant, [2 - i]));
  const x4 = findExperiment("X4")!.verdict(square);
  assert.equal(x4.outcome, "confirmed");
  near(x4.ratio, 2);
});

Deno.test("E5 compares streams with serial bands of the same width", () => {
  const shape = "m=4096 n=512 k=64 iters=3";
  const row = (variant: string, ms: number, peakBytes: number) =>
    timed(variant, [ms], {
      shape,
      findings: { peakBytes },
      baseline: variant.startsWith("serial"),
    });
  const { outcome, ratio, text } = findExperiment("H-S1")!.verdict([
    row("serial, band=8", 8, 100),
    row("4 streams, band=8, block", 4, 150),
    row("8 streams, band=8, block", 2, 300),
    row("serial, band=16", 80, 100),
    row("4 streams, band=16, block", 40, 200),
    row("8 streams, band=16, block", 20, 250),
    timed("2 streams, band=8, block", [1000], { shape: "m=256 n=128 k=16 iters=3" }),
  ]);
  assert.equal(outcome, "confirmed");
  near(ratio, Math.sqrt(8));
  assert.match(text, /8 streams against 4: 2\.00×; peak memory .*: 3\.00$/);
});
