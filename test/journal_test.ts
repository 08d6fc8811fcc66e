import assert from "node:assert/strict";
import { createReferenceBackend } from "../lib/backend/reference/mod.ts";
import { createGpuBackend } from "../lib/backend/gpu/mod.ts";
import type { Computed, Execution } from "../lib/backend/linalg.ts";
import { runTrial } from "../lib/journal/trial.ts";
import { verdictOf } from "../lib/journal/verdict.ts";
import {
  type Experiment,
  experiments,
  findExperiment,
  journalContext,
  type JournalRow,
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
  const { outcome, basis, text } = verdictOf(experiment, rows, context);
  assert.ok(["confirmed", "refuted", "not testable"].includes(outcome));
  // Small shapes: only results decide, and A2 counts without a claim.
  const isOpen = basis === "time" || experiment.id === "A2";
  assert.equal(outcome === "not testable", isOpen, text);
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
    "R1 R2 R3 R4 R5 R6 R7 A1 A2 X1 X2 X3 X4 X5 X6 X7 M M0 M2 M3 M4 M5 P2";
  for (const id of ids.split(" ")) assert.ok(findExperiment(id), id);
  assert.equal(new Set(experiments.map(({ id }) => id)).size, experiments.length);
  assert.equal(findExperiment("j1A")!.id, "J1a");
  assert.equal(findExperiment("J9"), undefined);
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

Deno.test("runTrial() frees results, also those that cannot be checked", async () => {
  let released = 0;
  const release = () => released++;
  await rowsOf(runTrial("T", { ...trial([{ name: "base", value: 1 }]), release }, context));
  const timed = released;
  assert.ok(timed >= 2);
  const error = () => {
    throw new RangeError("Cannot check: no");
  };
  const [row] = await rowsOf(
    runTrial("T", { ...trial([{ name: "base", value: 1 }]), release, error }, context),
  );
  assert.equal(row!.note, "RangeError: Cannot check: no");
  assert.equal(released, timed + 1);
});

Deno.test("runTrial() stops by its signal, between samples", async () => {
  const controller = new AbortController();
  let runs = 0;
  const stopping = {
    ...trial([]),
    variants: ["a", "b"].map((name) => ({
      name,
      run: () => {
        if (++runs === 4) controller.abort();
        return Promise.resolve({ value: 1, run });
      },
    })),
  };
  const rows = runTrial("T", stopping, { ...context, signal: controller.signal });
  await assert.rejects(rowsOf(rows), { name: "AbortError" });
  assert.equal(runs, 4);
});

Deno.test("runTrial() takes the times of a variant that has a clock of its own", async () => {
  const own = {
    ...trial([]),
    variants: [{
      name: "elsewhere",
      run: () => Promise.resolve({ value: 1, run }),
      time: (count: number) => Promise.resolve(Array<number>(count).fill(42)),
    }],
  };
  const [row] = await rowsOf(runTrial("T", own, context));
  assert.deepEqual([row!.time!.median, row!.gpuTime], [42, null]);
});

Deno.test("runTrial() refuses a GPU time of 0", async () => {
  const zero = trial([{ name: "base", value: 1, run: { ...run, gpuSeconds: 0 } }]);
  await assert.rejects(rowsOf(runTrial("T", zero, context)), /GPU time of 0 ms/);
});
