import assert from "node:assert/strict";
import { createReferenceBackend } from "../lib/backend/reference/mod.ts";
import { createGpuBackend } from "../lib/backend/gpu/mod.ts";
import type { Computed, Execution } from "../lib/backend/linalg.ts";
import { judge, meanRatio, runTrial, timeOf } from "../lib/journal/experiment.ts";
import {
  type Experiment,
  experiments,
  findExperiment,
  journalContext,
  type JournalRow,
  readPublished,
} from "../lib/journal/mod.ts";
import { backend } from "../lib/backend/select.ts";
import { device, onGpu } from "./gpu.ts";

/** Little time: times decide nothing here. */
const measure = { budget: 5, minSamples: 1, maxSamples: 1, turns: 1 };

async function rowsOf(rows: AsyncIterable<JournalRow>): Promise<JournalRow[]> {
  return await Array.fromAsync(rows);
}

/** Runs an experiment on small shapes; every variant must be right. */
async function assertRuns(experiment: Experiment, onDevice: boolean): Promise<void> {
  const context = onDevice
    ? journalContext(createGpuBackend(device()), { device: device(), quick: true, measure })
    : journalContext(backend(), { quick: true, measure });
  const rows = await rowsOf(experiment.run(context));
  assert.ok(rows.length > 0);
  for (const row of rows) {
    assert.ok(row.valid, `${row.shape}, ${row.variant}: ${row.note}`);
    assert.equal(row.experiment, experiment.id);
  }
  const { outcome, text } = experiment.verdict(rows);
  assert.ok(["confirmed", "refuted", "not testable"].includes(outcome));
  assert.ok(text.length > 0);
}

for (const experiment of experiments) {
  Deno.test({
    name: `${experiment.id} runs on the GPU, every variant right`,
    ...onGpu,
    fn: () => assertRuns(experiment, true),
  });
  if (experiment.needsGpu) continue;
  Deno.test(`${experiment.id} runs on the default backend, every variant right`, () =>
    assertRuns(experiment, false));
}

Deno.test("every published experiment is found by its id", () => {
  const ids = "J0 J1a J1b J2 J2t T1 F1 J3 E1 E2 E5 E7 H-S1 H-S2 H-S3 E3 E6 E4 C1 H1 Q2 D1 " +
    "X1 X2 X3 X4 X5 X6 X7 M R4 R5 R6 R7";
  for (const id of ids.split(" ")) assert.ok(findExperiment(id), id);
  assert.equal(findExperiment("j1A")!.id, "J1a");
  assert.equal(findExperiment("J9"), undefined);
});

Deno.test("readPublished() has every figure of an experiment", async () => {
  const figures = await readPublished(["J2"]);
  assert.equal(figures.length, 4);
  assert.deepEqual(figures.map(({ status }) => status), ["valid", "invalid", "valid", "invalid"]);
  assert.equal(figures[0]!.value, 0.0147);
  assert.equal((await readPublished()).length, 101);
});

const run: Execution = {
  ...{ backend: "reference", engine: "typescript", isa: "none", variants: ["right"], threads: 1 },
};

function trial(variants: { name: string; value: number; run?: Execution; expects?: RegExp }[]) {
  return {
    shape: "1",
    variants: variants.map(({ value, run: own = run, ...rest }, i) => ({
      ...rest,
      baseline: i === 0,
      run: (): Promise<Computed<number>> => Promise.resolve({ value, run: own }),
    })),
    error: (value: number) => Math.abs(value - 1),
    tolerance: 0.1,
  };
}

const context = journalContext(createReferenceBackend(), { measure });

Deno.test("runTrial() never times or ranks a variant that is wrong", async () => {
  const rows = await rowsOf(runTrial(
    "T",
    trial([
      { name: "base", value: 1 },
      { name: "off", value: 2 },
      { name: "NaN", value: NaN },
      { name: "another kernel", value: 1, expects: /left/ },
      { name: "no thread", value: 1, run: { ...run, threads: 0 } },
      { name: "good", value: 1.05, expects: /right/ },
    ]),
    context,
  ));
  assert.deepEqual(rows.map(({ valid }) => valid), [true, false, false, false, false, true]);
  for (const row of rows) {
    assert.equal(row.time !== null, row.valid);
    assert.equal(row.ratio !== null, row.valid);
  }
  assert.match(rows[1]!.note, /error 1.0e\+0 is above 0.1/);
  assert.match(rows[3]!.note, /ran right, not left/);
  assert.match(rows[4]!.note, /no thread ran/);
});

Deno.test("runTrial() keeps the error of a variant that fails", async () => {
  const failing = {
    ...trial([{ name: "base", value: 1 }]),
    variants: [{ name: "fails", run: () => Promise.reject(new RangeError("Cannot run: no")) }],
  };
  const [row] = await rowsOf(runTrial("T", failing, context));
  assert.deepEqual([row!.valid, row!.note], [false, "RangeError: Cannot run: no"]);
});

Deno.test("runTrial() spoils shared outputs before each variant is checked", async () => {
  let output = 0;
  const ways = { writes: () => output = 1, "does nothing": () => {} };
  const rows = await rowsOf(runTrial<number>("T", {
    ...trial([]),
    variants: Object.entries(ways).map(([name, work]) => ({
      name,
      run: () => {
        work();
        return Promise.resolve({ value: 0, run });
      },
    })),
    poison: () => {
      output = NaN;
      return Promise.resolve();
    },
    error: () => Math.abs(output - 1),
  }, context));
  assert.deepEqual(rows.map(({ valid }) => valid), [true, false]);
});

Deno.test("verdicts find the shapes and tiles that they are about", async () => {
  const [row] = await rowsOf(runTrial("T", trial([{ name: "base", value: 1 }]), context));
  const real = { ...row!, engine: "cuda", isa: "NVIDIA H200", baseline: false };
  const probe = (note: string, median: number) => ({
    ...{ ...real, shape: "n=896 k=4864 nt", note },
    gpuTime: { samples: [median], median, p10: median, p90: median },
  });
  const probes = [probe("v2 col", 3), probe("v4 largek_smalln", 1), probe("vendor", 2)];
  assert.equal(findExperiment("M")!.verdict(probes).ratio, 3);
  const tile = (shape: string, variant: string, ratio: number) => ({
    ...{ ...real, shape, variant, ratio },
  });
  const tiles = [
    tile("AV m=1", "32×8", 0.5),
    tile("AV m=1", "8×32", 9),
    tile("AᵀB m=1", "8×32", 0.5),
    tile("AᵀB m=1", "32×8", 9),
  ];
  const { verdict } = findExperiment("T1")!;
  // Elsewhere the claim is 16×16, on M3 the slim tiles.
  assert.deepEqual([verdict(tiles).outcome, verdict(tiles).ratio], ["confirmed", 2]);
  const apple = tiles.map((own) => ({ ...own, isa: "Apple M3 Ultra" }));
  assert.deepEqual([verdict(apple).outcome, verdict(apple).ratio], ["refuted", 0.5]);
  const split = (shape: string, ratio: number) => tile(shape, "split", ratio);
  const sizes = [split("AᵀAV m=512 n=256 k=32", 9), split("AᵀAV m=4096 n=512 k=64", 0.5)];
  assert.equal(findExperiment("X4")!.verdict(sizes).outcome, "refuted");
});

Deno.test("runTrial() refuses a GPU time of 0", async () => {
  const zero = trial([{ name: "base", value: 1, run: { ...run, gpuSeconds: 0 } }]);
  await assert.rejects(rowsOf(runTrial("T", zero, context)), /GPU time of 0 ms/);
});

Deno.test("verdicts rest on valid rows of real devices", async () => {
  const [row] = await rowsOf(runTrial("T", trial([{ name: "base", value: 1 }]), context));
  const at = (ratio: number, valid = true): JournalRow => ({
    ...{ ...row!, variant: "x", baseline: false, engine: "cuda" },
    ...{ ratio, valid },
  });
  assert.ok(Math.abs(meanRatio([at(2), at(8), at(100, false)], /x/)! - 4) < 1e-12);
  assert.equal(meanRatio([at(2)], /y/), null);
  assert.equal(judge([at(2)], 2, 1.5, "x").outcome, "confirmed");
  assert.equal(judge([at(2)], 1.2, 1.5, "x").outcome, "refuted");
  assert.equal(judge([at(2)], null, 1.5, "x").outcome, "not testable");
  assert.equal(judge([{ ...at(2), engine: "emulator" }], 2, 1.5, "x").outcome, "not testable");
  assert.equal(timeOf({ ...row!, clock: "gpu" }), undefined);
  assert.ok(timeOf(row!)! >= 0);
});
