import assert from "node:assert/strict";
import { type Experiment, findExperiment, type JournalRow } from "../lib/journal/mod.ts";
import { type Journal, JournalError, openJournal, Replay } from "../lib/journal/mod.ts";
import { runExperiment } from "../lib/journal/run.ts";
import { createReferenceBackend } from "../lib/backend/reference/mod.ts";
import { journalContext } from "../lib/journal/experiment.ts";
import { withVariables } from "./env.ts";
import { device, onGpu } from "./gpu.ts";
import { journalRow } from "./journal.ts";
import { isNative } from "./native.ts";
import { runCode } from "./run_code.ts";

const REPLAY = "application/vnd.metalfaiss.replay+json";
const DISPLAY: unique symbol = Symbol.for("Jupyter.display");

/** The journal on the tests' GPU, with small shapes. */
function open(): Promise<Journal> {
  return openJournal({ engine: device().engine, quick: true });
}

function bundleOf(value: object): Record<string, unknown> {
  return (value as { [DISPLAY]: () => Record<string, unknown> })[DISPLAY]();
}

/** Runs something while an experiment yields other rows. */
async function withRows(
  id: string,
  run: Experiment["run"],
  body: () => Promise<void>,
): Promise<void> {
  const experiment = findExperiment(id)!;
  const before = experiment.run;
  experiment.run = run;
  try {
    await body();
  } finally {
    experiment.run = before;
  }
}

Deno.test("openJournal() names device, engine and size", onGpu, async () => {
  const journal = await open();
  assert.equal(journal.gpu, device());
  assert.deepEqual([journal.backend.name, journal.backend.engine], ["gpu", device().engine]);
  assert.deepEqual([journal.cpu.name, journal.quick, journal.size], ["cpu", true, "quick"]);
  const text = String(bundleOf(journal)["text/plain"]);
  for (
    const part of [device().name, device().engine, Deno.version.deno, journal.cpu.isa, "quick"]
  ) {
    assert.ok(text.includes(part), part);
  }
  assert.equal(Deno.inspect(journal), text);
});

Deno.test("METALFAISS_JOURNAL sets the size, and the option goes before it", onGpu, async () => {
  const size = async (quick?: boolean) =>
    (await openJournal({ engine: "emulator", ...(quick === undefined ? {} : { quick }) })).size;
  assert.equal(await size(), "quick");
  await withVariables({ METALFAISS_JOURNAL: "full" }, async () => {
    assert.deepEqual([await size(), await size(true)], ["full", "quick"]);
  });
  await withVariables({ METALFAISS_JOURNAL: "quick" }, async () => {
    assert.deepEqual([await size(), await size(false)], ["quick", "full"]);
  });
  await withVariables({ METALFAISS_JOURNAL: "slow" }, async () => {
    await assert.rejects(size(), /RangeError: Cannot use METALFAISS_JOURNAL: expected quick, full/);
  });
});

Deno.test("a GPU that is asked for is never replaced by another", onGpu, async () => {
  await assert.rejects(
    openJournal({ engine: "vulkan" }),
    /RangeError: Cannot open a GPU: "vulkan"/,
  );
  // There is no tenth one.
  const journal = await openJournal({ engine: "emulator:9" }).catch((error: Error) => error);
  if (journal instanceof Error) return assert.match(journal.message, /emulator:9/);
  assert.deepEqual([journal.gpu, journal.backend], [undefined, journal.cpu]);
  assert.ok(journal.reason.length > 0);
});

Deno.test("without a GPU there is a reason, and the CPU's experiments run", async () => {
  // In a process of its own: this one has opened its GPU.
  const code = `import { openJournal } from "${new URL("../lib/journal/mod.ts", import.meta.url)}";
    const journal = await openJournal({ quick: true });
    const { rows, verdict, chart } = await journal.replay("J2");
    const h1 = await journal.replay("H1");
    const onGpu = await journal.replay("H1", { on: "gpu" }).then(() => "", (error) => error.name);
    const { text } = chart;
    console.log(JSON.stringify({ rows, verdict, text, h1: h1.verdict.outcome, on: h1.engine, onGpu }));`;
  const { stdout, stderr } = await runCode(code, ["-A"], {
    METALFAISS_LIBRARY: "/nowhere/libmetalfaiss.so",
    METALFAISS_GPU: "",
  });
  assert.ok(stdout.startsWith("{"), stderr);
  const found = JSON.parse(stdout);
  assert.deepEqual([found.rows, found.verdict.outcome], [[], "not testable"]);
  assert.match(found.verdict.text, /It needs a GPU\. .*METALFAISS_LIBRARY/s);
  // What was published is still shown.
  assert.match(found.text, /kernel tiled 16x16 +0\.0078/);
  assert.deepEqual([found.h1, found.on, found.onGpu], ["confirmed", "typescript", "DeviceError"]);
});

Deno.test("replay() has rows, a verdict, figures and a chart, and shows them", onGpu, async () => {
  const journal = await open();
  const replay = await journal.replay("e1");
  assert.ok(replay instanceof Replay);
  assert.deepEqual(replay.ids, ["J3", "E1"]);
  assert.equal(replay.figures.length, 6);
  assert.ok(replay.rows.every(({ valid }) => valid));
  assert.deepEqual([replay.verdict.outcome, replay.verdict.basis], ["not testable", "time"]);
  const bundle = bundleOf(replay);
  assert.deepEqual(Object.keys(bundle).sort(), [REPLAY, "text/html", "text/plain"].sort());
  assert.deepEqual(bundle[REPLAY], {
    ...{ ids: ["J3", "E1"], outcome: "not testable", ratio: null, text: replay.verdict.text },
    ...{ engine: device().engine, device: device().name, size: "quick" },
    published: replay.figures.map(({ line }) => line),
  });
  const [html, text] = [String(bundle["text/html"]), String(bundle["text/plain"])];
  assert.match(html, /<h4>J3 \(E1\): .*<strong>Verdict: not testable here\.<\/strong>/s);
  for (const { variant, status, note } of replay.figures) {
    assert.ok(text.includes(variant) && text.includes(status) && text.includes(note));
  }
  for (const { variant, shape } of replay.rows) {
    assert.ok(text.includes(variant) && text.includes(shape));
  }
  assert.equal(Deno.inspect(replay), text);
  assert.match(replay.chart.text, /^J3: /);
  assert.match(await replay.chart.toSvg(), /^<svg/);
});

Deno.test("what is shown of a replay is escaped", () => {
  const experiment = { ...findExperiment("J0")!, title: "<b>bold</b>", conclusion: "a < b" };
  const replay = new Replay({
    ...{ experiment, ids: ["J0"], figures: [], engine: "cuda", device: "<GPU>", size: "full" },
    rows: [journalRow({ variant: "<script>", note: "x > y" })],
    verdict: { outcome: "refuted", basis: "result", ratio: null, text: "1 < 2" },
  });
  const html = String(bundleOf(replay)["text/html"]);
  assert.doesNotMatch(html, /<b>|<script>|<GPU>|a < b|1 < 2/);
  assert.match(html, /&lt;script&gt;.*x &gt; y/s);
});

Deno.test("of very many variants, the fastest and all that are wrong are shown", () => {
  const time = (ms: number) => ({ samples: [ms], median: ms, p10: ms, p90: ms });
  const rows = Array.from({ length: 200 }, (_, i) => {
    const gpuTime = time(200 - i);
    return journalRow({ shape: `${i % 4}`, variant: `kernel ${i}.`, gpuTime, valid: i !== 3 });
  });
  const replay = new Replay({
    ...{ experiment: findExperiment("M")!, ids: ["M"], figures: [], engine: "cuda", device: "GPU" },
    ...{ size: "full", rows, verdict: findExperiment("M")!.verdict(rows) },
  });
  const text = String(bundleOf(replay)["text/plain"]);
  assert.ok(text.includes("kernel 199.") && !text.includes("kernel 0."));
  assert.match(text, /kernel 3\..*WRONG/);
});

Deno.test(
  "a wrong result throws, names the variant, and carries what was measured",
  onGpu,
  async () => {
    const journal = await open();
    const wrong = journalRow({
      experiment: "D1",
      shape: "n=4",
      variant: "bad kernel",
      valid: false,
    });
    const rows = async function* (): AsyncGenerator<JournalRow> {
      yield journalRow({ experiment: "D1", variant: "good kernel" });
      yield { ...wrong, error: 1, note: "error 1.0e+0 is above 0.000001" };
    };
    await withRows("D1", rows, async () => {
      const error = await journal.replay("D1").then(() => undefined, (reason) => reason);
      assert.ok(error instanceof JournalError);
      assert.equal(
        error.message,
        'Cannot trust D1: "bad kernel" at n=4: error 1.0e+0 is above 0.000001',
      );
      assert.equal(error.replay.rows.length, 2);
      const { verdict, rows } = await journal.replay("D1", { wrong: "show" });
      assert.equal(rows.length, 2);
      assert.match(verdict.text, /1 of 2 variants have wrong results/);
    });
  },
);

Deno.test("a kernel that computes something else makes its experiment fail", onGpu, async () => {
  const journal = await open();
  // A device whose library has another kernel by the name that R6 asks for.
  const own = device();
  const library = own.library.bind(own);
  own.library = (source, options) =>
    library(
      source.replace("out[at.x * n + at.y] = x[at.y * n + at.x]", "out[at.x] = x[at.y]"),
      options,
    );
  try {
    await assert.rejects(
      journal.replay("R6"),
      (error: Error) =>
        error instanceof JournalError && /"two dimensions" at n=k=/.test(error.message),
    );
  } finally {
    Reflect.deleteProperty(own, "library");
  }
  assert.ok((await journal.replay("R6")).rows.every(({ valid }) => valid));
});

Deno.test("a signal stops a replay, and nothing is left behind", onGpu, async () => {
  const journal = await open();
  await journal.replay("X1");
  const before = await settled();
  const controller = new AbortController();
  const stopped = journal.replay("X1", { signal: controller.signal });
  setTimeout(() => controller.abort(), 5);
  await assert.rejects(stopped, { name: "AbortError" });
  await assert.rejects(journal.replay("X1", { signal: AbortSignal.abort() }), {
    name: "AbortError",
  });
  const all = new AbortController();
  all.abort();
  const closed = await openJournal({ engine: device().engine, quick: true, signal: all.signal });
  await assert.rejects(closed.replay("X1"), { name: "AbortError" });
  assert.ok(await settled() <= before);
  // The next one runs.
  assert.equal((await journal.replay("X6")).verdict.outcome, "confirmed");
});

/** Bytes in use, when command buffers have let go of theirs. */
async function settled(): Promise<number> {
  let least = Infinity;
  for (let i = 0; i < 20 && least > 0; i++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    least = Math.min(least, device().memory().active);
  }
  return least;
}

Deno.test(
  "replays at once run one after the other, agree, and free their memory",
  onGpu,
  async () => {
    const journal = await open();
    const ids = ["T1", "X1", "E5", "T1"];
    await Promise.all(ids.map((id) => journal.replay(id)));
    const before = await settled();
    const again = await Promise.all(ids.map((id) => journal.replay(id)));
    assert.ok(await settled() <= before);
    assert.deepEqual(again[0]!.verdict, again[3]!.verdict);
    assert.deepEqual(
      again[0]!.rows.map(({ variant, kernels }) => [variant, ...kernels]),
      again[3]!.rows.map(({ variant, kernels }) => [variant, ...kernels]),
    );
  },
);

Deno.test("two quick replays give the same verdicts", onGpu, async () => {
  const journal = await open();
  for (const id of ["J0", "J2t", "H1", "X6", "A2", "D1", "R2"]) {
    const [first, second] = [await journal.replay(id), await journal.replay(id)];
    assert.equal(first.verdict.outcome, second.verdict.outcome, id);
    assert.equal(first.verdict.ratio, second.verdict.ratio, id);
    assert.equal(first.verdict.text, second.verdict.text, id);
  }
});

Deno.test("replay() runs on the CPU where it is asked to", async () => {
  const journal = await open().catch(() => openJournal({ quick: true }));
  const replay = await journal.replay("X6", { on: "cpu", budget: 5 });
  assert.equal(replay.engine, journal.cpu.engine);
  const { cpu } = journal.environment;
  assert.equal(replay.device, isNative ? `${cpu} (${journal.cpu.isa})` : cpu);
  assert.equal(replay.verdict.outcome, "confirmed");
  const { rows, verdict } = await journal.replay("J2", { on: "cpu" });
  assert.deepEqual([rows, verdict.outcome], [[], "not testable"]);
  const on = "metal" as "gpu";
  await assert.rejects(journal.replay("J2", { on }), /RangeError: .* on "metal": expected gpu or/);
  await assert.rejects(journal.replay("J9"), /RangeError: Cannot replay "J9": there is no such/);
});

Deno.test("runExperiment() tells of rows as they come", async () => {
  const seen: string[] = [];
  const experiment = findExperiment("H1")!;
  const context = journalContext(createReferenceBackend(), {
    quick: true,
    measure: { budget: 5, minSamples: 1, maxSamples: 1, turns: 1 },
    onVariant: (shape, variant) => seen.push(`checks ${variant}, ${shape}`),
  });
  const { rows } = await runExperiment(experiment, context, {
    progress: false,
    onRow: ({ shape, variant }) => seen.push(`has ${variant}, ${shape}`),
  });
  assert.equal(seen.length, 2 * rows.length);
  const [first] = rows;
  const name = `${first!.variant}, ${first!.shape}`;
  assert.ok(seen.indexOf(`checks ${name}`) < seen.indexOf(`has ${name}`));
});
