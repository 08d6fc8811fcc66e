import assert from "node:assert/strict";
import { parse } from "npm:csv-parse@7.0.3/sync";
import { createReferenceBackend } from "../lib/backend/reference/mod.ts";
import { figuresOf } from "../lib/journal/figures.ts";
import {
  experiments,
  findExperiment,
  journalContext,
  type JournalRow,
  type Published,
  readPublished,
} from "../lib/journal/mod.ts";
import { claims } from "../lib/journal/published.ts";
import { summarize } from "../lib/profile/measure.ts";
import { builtInManifest } from "../lib/profile/variants/manifest.ts";
import { journalRow } from "./journal.ts";

const TABLE = new URL("../data/published.csv", import.meta.url);

Deno.test("every published figure is claimed by exactly one experiment", async () => {
  const figures = await readPublished();
  assert.equal(figures.length, 101);
  for (const figure of figures) {
    const owners = experiments.filter(({ published }) =>
      published.some((filter) => claims(filter, figure))
    );
    assert.equal(owners.length, 1, `line ${figure.line}: ${owners.map(({ id }) => id)}`);
  }
  const count = async (id: string) => (await readPublished(findExperiment(id)!.published)).length;
  const counts = await Promise.all(["J1a", "J1b", "J2", "J3", "E5", "R2", "A1", "M"].map(count));
  assert.deepEqual(counts, [2, 2, 4, 6, 4, 2, 9, 72]);
});

Deno.test("readPublished() reads what a CSV package reads, with line numbers", async () => {
  const text = await Deno.readTextFile(TABLE);
  const rows: Record<string, string>[] = parse(text, { columns: true });
  const figures = await readPublished();
  figures.forEach(({ line, value, ...own }, i) => {
    assert.deepEqual({ ...own, value: rows[i]!.value }, rows[i]);
    assert.equal(value, Number(rows[i]!.value));
    assert.equal(line, i + 2);
  });
  const [figure] = await readPublished([{ id: "J1", experiment: /^SVD/ }]);
  assert.ok(text.split("\n")[figure!.line - 1]!.includes(figure!.experiment));
  assert.deepEqual((await readPublished(["J2"])).map(({ status }) => status), [
    ...["valid", "invalid", "valid", "invalid"],
  ]);
});

Deno.test("readPublished() reads over HTTP, as a module from a registry does", async () => {
  const text = await Deno.readTextFile(TABLE);
  await using server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    ({ url }) =>
      url.endsWith("/table.csv") ? new Response(text) : new Response("", { status: 404 }),
  );
  const at = (path: string) => new URL(path, `http://127.0.0.1:${server.addr.port}`);
  assert.equal((await readPublished(["A1"], at("/table.csv"))).length, 9);
  await assert.rejects(readPublished([], at("/none.csv")), /FormatError: Cannot read .*404/);
});

Deno.test("readPublished() refuses a damaged table, naming the line", async () => {
  const [header, first] = (await Deno.readTextFile(TABLE)).split("\n");
  const cases: [string, RegExp][] = [
    ["a,b\n1,2\n", /line 1: its columns are not/],
    [`${header}\n${first},more\n`, /line 2: it has not 11 cells/],
    [`${header}\n${first}\n${first!.replace("0.0328", "fast")}\n`, /line 3: "fast" is no number/],
    [`${header}\n"${first}\n`, /line 2: it has not 11 cells/],
  ];
  const path = await Deno.makeTempFile();
  try {
    for (const [text, message] of cases) {
      await Deno.writeTextFile(path, text);
      await assert.rejects(readPublished(undefined, path), message);
    }
  } finally {
    await Deno.remove(path);
  }
});

const full = journalContext({ ...createReferenceBackend(), engine: "cuda" });

function timed(shape: string, variant: string, ms: number, more: Partial<JournalRow> = {}) {
  return journalRow({
    shape,
    variant,
    time: summarize([ms]),
    gpuTime: summarize([ms / 2]),
    ...more,
  });
}

async function reproduced(id: string, rows: JournalRow[], context = full) {
  const figures = await figuresOf(findExperiment(id)!, rows, context);
  return (shape: string, variant: string, metric?: string) =>
    figures.find((figure) =>
      figure.shape === shape && figure.variant === variant &&
      (metric === undefined || figure.metric === metric)
    )!.reproduced;
}

Deno.test("figures are reproduced in their own unit, at their own shape", async () => {
  const shape = "m=256 n=128 k=16 iters=3";
  const rows = [timed(shape, "library", 20), timed(shape, "tiled", 10)];
  const j2 = await reproduced("J2", rows);
  assert.deepEqual([j2(shape, "MLX matmul"), j2(shape, "kernel tiled 16x16")], [0.02, 0.01]);
  assert.equal(j2("m=512 n=256 k=32 iters=3", "MLX matmul"), null);
  const wrong = await reproduced("J2", rows.map((row) => ({ ...row, valid: false })));
  assert.equal(wrong(shape, "MLX matmul"), null);
  const j1b = await reproduced("J1b", [timed("m=256 n=128 k=16 iters=4", "naive kernel", 7)]);
  assert.equal(j1b("m=256 n=128 k=16 iters=4 f32", "naive svd_at_a_v kernel"), 0.007);
  const e5 = await reproduced("E5", [
    timed("m=512 n=256 k=32 iters=3", "serial, band=16", 5),
    timed("m=512 n=256 k=32 iters=3", "2 streams, band=16, round-robin", 4),
  ]);
  assert.equal(e5("m=512 n=256 k=32 B=16", "serial banded"), 0.005);
  assert.equal(e5("m=512 n=256 k=32 B=16", "streams S=4"), 0.004);
});

Deno.test("nothing is reproduced at small shapes or on the emulator", async () => {
  const shape = "m=256 n=128 k=16 iters=3";
  const rows = [timed(shape, "library", 20)];
  for (
    const context of [
      { ...full, quick: true },
      { ...full, backend: { ...full.backend, engine: "emulator" } },
    ]
  ) {
    assert.equal((await reproduced("J2", rows, context))(shape, "MLX matmul"), null);
  }
});

Deno.test("R2 and A1 reproduce ratios, latency and throughput", async () => {
  const batched = (ratio: number) => timed(`nq=${ratio} N=9`, "batched", 1, { ratio });
  // One query is no batch.
  const r2 = await figuresOf(findExperiment("R2")!, [batched(1), batched(3), batched(40)], full);
  assert.deepEqual(r2.map((figure) => figure.reproduced), [3, 40]);
  const findings = { msPerQuery: 0.5, qps: 2000 };
  const a1 = await reproduced("A1", [
    timed("Flat N=32768", "batched", 1, { findings: { msPerQuery: 9, qps: 9 } }),
    timed("IVF128,Flat", "batched", 1, { findings, ratio: 7 }),
  ]);
  assert.equal(a1("", "MetalFaiss Batched, 32k d=64", "latency"), 0.5);
  assert.equal(a1("", "MetalFaiss Batched, 32k d=64", "throughput"), 2000);
  assert.equal(a1("", "batched vs standard"), 7);
  assert.equal(a1("", "FAISS Classic H100, 100M d=96", "latency"), null);
});

/** Every half-precision variant of the manifest at a shape; its time is its place in the list. */
function probeRows(shape: string, layout: "nt" | "nn"): JournalRow[] {
  return builtInManifest("gemv").variants.filter(({ name, supports }) =>
    !/_bf16|_f32/.test(name) && (supports.layouts ?? ["nt", "nn"]).includes(layout)
  ).map(({ name, family }, i) =>
    timed(shape, name, 2 * (i + 1), { note: family ?? "", error: i * 1e-6 })
  );
}

Deno.test("published probes find their variants in the manifest", async () => {
  const [nt, small, nn] = ["n=9728 k=896 nt", "n=896 k=896 nt", "n=1152 k=896 nn bias"];
  const rows = [...probeRows(nt, "nt"), ...probeRows(small, "nt"), ...probeRows(nn, "nn")];
  const m = await reproduced("M", rows);
  const gpu = (name: string, shape = nt) =>
    rows.find((row) => row.variant === name && row.shape === shape)!.gpuTime!.median;
  const published = nt.replace("nt", "NT");
  assert.equal(m(published, "mps/baseline"), gpu("vendor_f16"));
  assert.equal(m(published, "production (mps)"), 2 * gpu("vendor_f16"));
  assert.equal(
    m(published, "v2 nt_bn64_col_vec4_bk128_tg128"),
    gpu("gemv_nt_f16_col_vec4_bn64_bk128_tg128"),
  );
  assert.equal(
    m("n~10k k=896 NT", "v3 nt_bn64_col_vec4_tgread_bk128_tg128"),
    gpu("gemv_nt_f16_col_vec4_tgread_bn64_bk128_tg128"),
  );
  assert.equal(m(published, "mlx/m1_fast", "gpu_time"), null);
  const family = (pattern: RegExp, shape = nt) =>
    rows.filter((row) => row.shape === shape && pattern.test(row.note))
      .map((row) => row.gpuTime!.median);
  const sgbr = family(/^v3 sgbr$/);
  assert.ok(sgbr.length > 1);
  assert.equal(m("n~10k k=896 NT", "v3 sgbr (min)"), Math.min(...sgbr));
  assert.equal(m("n~10k k=896 NT", "v3 sgbr (max)"), Math.max(...sgbr));
  const tiled = family(/^tiled/, nn);
  assert.equal(m("n=1152 k=896 NN bias", "mlx variants (max)", "gpu_time"), Math.max(...tiled));
  assert.equal(
    m(published, "v3 best minus mps"),
    Math.min(...family(/^v3/)) - gpu("vendor_f16"),
  );
  const errors = rows.filter((row) => /^v2/.test(row.note)).map((row) => row.error!);
  assert.equal(m("all shapes", "all v2"), Math.max(...errors));
});

Deno.test("every published probe has a variant here, or is known to have none", async () => {
  const shapes = ["n=9728 k=896", "n=896 k=4864", "n=896 k=896", "n=151936 k=896"];
  const rows = [
    ...shapes.flatMap((shape) => probeRows(`${shape} nt`, "nt")),
    ...probeRows("n=1152 k=896 nn bias", "nn"),
  ];
  const figures = await figuresOf(findExperiment("M")!, rows, full);
  const missing = figures.filter((figure: Published & { reproduced: number | null }) => {
    return figure.reproduced === null;
  });
  assert.deepEqual([...new Set(missing.map(({ variant }) => variant))].sort(), [
    ...["mlx generic", "mlx/m1_fast", "target high", "target low"],
  ]);
});
