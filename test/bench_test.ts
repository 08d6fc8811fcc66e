import assert from "node:assert/strict";
import { Metric } from "../lib/metric.ts";
import type { JournalResult } from "../bench/journal.ts";
import { rival, type Row, significant, toRow } from "../bench/rows.ts";
import { difficultyOf, recallOf } from "../bench/datasets.ts";
import { check, exactNeighbors } from "../bench/truth.ts";
import { IndexFlatL2 } from "../lib/index/flat.ts";
import { Random } from "../lib/random.ts";
import { summarize } from "../lib/profile/measure.ts";
import { isNative } from "./native.ts";

const root = new URL("../", import.meta.url).pathname;

async function bench(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-prompt", `${root}bench/main.ts`, ...args],
  }).output();
  const text = new TextDecoder();
  return { code, out: text.decode(stdout), err: text.decode(stderr) };
}

async function rowsOf(
  ...args: string[]
): Promise<{ environment: object; rows: Row[]; journal?: JournalResult[] }> {
  const path = await Deno.makeTempFile({ suffix: ".json" });
  try {
    const { code, err } = await bench(...args, "--json", path);
    assert.equal(code, 0, err);
    return JSON.parse(await Deno.readTextFile(path));
  } finally {
    await Deno.remove(path);
  }
}

const STRINGS = ["suite", "case", "variant", "backend", "engine", "isa"] as const;
const NUMBERS = [
  ...["threads", "n", "d", "nq", "k", "recall", "error"],
  ...["medianMs", "p10Ms", "p90Ms", "qps", "gflops", "gbps"],
] as (keyof Row)[];

function assertRow(row: Row, native: boolean): void {
  for (const name of STRINGS) assert.equal(typeof row[name], "string", name);
  for (const name of NUMBERS) assert.ok(Number.isFinite(row[name]), `${name} of ${row.case}`);
  assert.equal(typeof row.params, "object");
  assert.equal(row.recall, 1);
  assert.ok(row.error! < 1e-5, `error ${row.error}`);
  assert.ok(row.p10Ms <= row.medianMs && row.medianMs <= row.p90Ms);
  assert.ok(Math.abs(row.qps * row.medianMs / 1000 / row.nq - 1) < 1e-9);
  if (native) assert.ok(row.roofline! > 0 && ["fma", "read"].includes(row.roof!));
  else assert.equal(row.roofline, null);
}

Deno.test("bench writes every field of every row", async () => {
  const { environment, rows } = await rowsOf("flat", "--quick", "--filter", "20kx128 nq(1|256) ");
  assert.equal(rows.length, 8);
  const native = rows[0]!.engine === "native";
  for (const row of rows) {
    assertRow(row, native);
    assert.deepEqual([row.suite, row.n, row.d, row.k], ["flat", 20_000, 128, 10]);
    assert.deepEqual([row.peer, row.peerMedianMs, row.ratio, row.peerRecall], Array(4).fill(null));
    const share = (row.params.selected as number | undefined) ?? 1;
    const flops = 2 * row.n * row.d * row.nq * share;
    assert.ok(Math.abs(row.gflops! * row.medianMs * 1e6 / flops - 1) < 1e-9);
  }
  for (const name of ["date", "cpu", "cores", "memory", "os", "deno", "metalfaiss", "threads"]) {
    assert.ok(name in environment, name);
  }
});

Deno.test({
  name: "bench --peers compares with FAISS on the same data",
  ignore: !await Deno.stat(`${root}.venv/bin/python`).then(() => true, () => false),
  fn: async () => {
    const { environment, rows } = await rowsOf(
      ...["flat", "ivf", "kmeans", "families", "--quick", "--peers", "--threads", "2"],
      ...["--filter", "L2 10kx64 nq1 |nprobe8 nq1 |kmeans|^IVF256,SQ8 .* nq1 |^PQ16"],
    );
    assert.deepEqual(
      rows.map((row) => row.suite),
      ["flat", "ivf", "kmeans", "families", "families"],
    );
    for (const row of rows) {
      assert.match(row.peer!, /^faiss/);
      assert.equal(row.peers[row.peer!], row.peerMedianMs);
      const best = Object.entries(row.peers).filter(([name]) => name.startsWith("faiss"))
        .map(([, ms]) => ms);
      assert.equal(row.peerMedianMs, Math.min(...best));
      assert.ok(Math.abs(row.ratio! * row.medianMs / row.peerMedianMs! - 1) < 1e-9);
    }
    const [flat, ivf, kmeans, lists, training] = rows;
    assert.deepEqual([flat!.recall, flat!.peerRecall], [1, 1]);
    // The same lists on both sides.
    assert.equal(ivf!.recall, ivf!.peerRecall);
    assert.ok(Math.abs(lists!.recall! - lists!.peerRecall!) < 1e-3 && lists!.recall! > 0.9);
    const { loss, peerLoss } = training!.params as Record<string, number>;
    assert.ok(loss! < 1.03 * peerLoss!, `${loss}, ${peerLoss}`);
    assert.ok(Math.abs(kmeans!.error!) < 0.05, `objective off by ${kmeans!.error}`);
    const { peers } = environment as { peers: { versions: object; blasProbe: object } };
    assert.ok("faiss-cpu" in peers.versions);
  },
});

Deno.test("bench runs an experiment by its id, and writes its rows and verdict", async () => {
  const { rows, journal } = await rowsOf("h1", "--quick", "--budget", "20");
  assert.deepEqual(rows, []);
  assert.deepEqual(journal!.map(({ id }) => id), ["H1"]);
  assert.equal(journal![0]!.rows.length, 20);
  assert.ok(journal![0]!.rows.every(({ valid, error }) => valid && error! >= 0));
  assert.equal(journal![0]!.verdict.outcome, "confirmed");
});

Deno.test({
  name: "bench writes every variant of the harness as CSV",
  ignore: !isNative,
  fn: async () => {
    const path = await Deno.makeTempFile({ suffix: ".csv" });
    try {
      const { rows } = await rowsOf("gemm-variants", "--quick", "--csv", path);
      const [header, ...lines] = (await Deno.readTextFile(path)).trim().split("\n");
      assert.match(header!, /^operation,problem,device,engine,variant,/);
      assert.ok(rows.length > 0 && lines.length >= rows.length);
      assert.ok(lines.some((line) => /,cpu_f32,cpu,/.test(line)));
    } finally {
      await Deno.remove(path);
    }
  },
});

Deno.test("bench refuses a suite that there is not", async () => {
  const { code, err } = await bench("flatt");
  assert.equal(code, 2);
  assert.match(err, /Cannot run "flatt": there is no such suite/);
});

Deno.test("toRow() takes FAISS's fastest way as the rival", () => {
  const timings = new Map([
    ["metalfaiss", summarize([2])],
    ["faiss, 1 thread", summarize([5])],
    ["faiss, 2 threads", summarize([4])],
    ["usearch exact, 2 threads", summarize([1])],
  ]);
  assert.equal(rival(timings)![0], "faiss, 2 threads");
  const run = {
    ...{ backend: "cpu" as const, engine: "native", isa: "avx2", variants: ["a", "b"] },
    ...{ threads: 2, scanned: 0, recomputed: 0 },
  };
  const base = { suite: "flat", case: "x", run, n: 100, d: 10, nq: 1, k: 1, params: {}, timings };
  const row = toRow({ ...base, flops: 4e6, bytes: 2e6 }, { gflops: 4, gbps: 2 });
  assert.deepEqual([row.peer, row.peerMedianMs, row.ratio], ["faiss, 2 threads", 4, 2]);
  assert.deepEqual([row.gflops, row.gbps, row.roofline, row.roof], [2, 1, 0.5, "fma"]);
  assert.equal(row.variant, "a+b");
});

Deno.test("check() counts ties as found and a repeated row once", () => {
  const base = Float32Array.of(0, 1, -1, 5);
  const sample = { base, queries: Float32Array.of(0), d: 1, metric: Metric.L2 };
  const truth = exactNeighbors(sample, 2);
  assert.deepEqual([...truth], [0, 1]);
  const score = (labels: number[], distances: number[]) =>
    check(sample, truth, { labels, distances }, 2);
  assert.deepEqual(score([0, 2], [0, 1]), { recall: 1, error: 0 });
  assert.equal(score([0, 0], [0, 0]).recall, 0.5);
  assert.equal(score([0, 3], [0, 25]).recall, 0.5);
  assert.equal(score([0, 1], [0, 1.1]).error > 0.09, true);
  assert.equal(score([-1, -1], [0, 0]).recall, 0);
  const even = exactNeighbors(sample, 2, (row) => row % 2 === 0);
  assert.equal(
    check(sample, even, { labels: [0, 1], distances: [0, 1] }, 2, (r) => r % 2 === 0).recall,
    0.5,
  );
});

Deno.test("difficultyOf() finds the dimension that rows have", async () => {
  // Six numbers by chance, in sixteen.
  const [n, nq, d] = [8000, 50, 16];
  const random = new Random(1);
  const x = new Float32Array((n + nq) * d);
  for (let row = 0; row < n + nq; row++) {
    for (let i = 0; i < 6; i++) x[row * d + i] = random.uniform();
  }
  const [base, queries] = [x.subarray(0, n * d), x.subarray(n * d)];
  using flat = new IndexFlatL2(d);
  await flat.add(base);
  const { distances } = await flat.search(queries, 100);
  const { intrinsic, contrast } = difficultyOf(base, queries, distances, 100, d);
  // What lies at the border makes it less.
  assert.ok(intrinsic > 4.5 && intrinsic < 6.3, `${intrinsic}`);
  assert.ok(contrast > 3 && contrast < 8, `${contrast}`);
});

Deno.test("recallOf() counts what is among the true neighbours", () => {
  const truth = BigInt64Array.of(1n, 2n, 3n, 4n);
  assert.equal(recallOf([2, 1, 3, 9], truth, 2), 0.75);
  assert.equal(recallOf([3, 4, 1, 2], truth, 2), 0);
});

Deno.test("significant() keeps three digits", () => {
  assert.deepEqual([1234.5, 12.345, 0.012345, 0, null].map(significant), [
    "1235",
    "12.3",
    "0.0123",
    "0",
    "",
  ]);
});
