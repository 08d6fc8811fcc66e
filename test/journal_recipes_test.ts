import assert from "node:assert/strict";
import { faissRivals } from "../bench/journal_rivals.ts";
import { type PeerDescription, Peers } from "../bench/peers.ts";
import { createReferenceBackend } from "../lib/backend/reference/mod.ts";
import { features, WrongResult } from "../lib/journal/feature_probes.ts";
import { KeysThenSelect } from "../lib/journal/keys_then_select.ts";
import {
  featureTable,
  findExperiment,
  type JournalContext,
  journalContext,
  type Rival,
  type RivalIndex,
} from "../lib/journal/mod.ts";
import { allRows, leastOf, NeighborCheck } from "../lib/journal/neighbors.ts";
import { verdictOf } from "../lib/journal/verdict.ts";
import { gaussian } from "../lib/profile/datasets.ts";
import { device, onGpu } from "./gpu.ts";

const measure = { budget: 5, minSamples: 1, maxSamples: 1, turns: 1 };
const context: JournalContext = journalContext(createReferenceBackend(), { quick: true, measure });

const rowsOf = (id: string, own: JournalContext = context) =>
  Array.fromAsync(findExperiment(id)!.run(own));

Deno.test("NeighborCheck sees wrong, missing and repeated neighbours", () => {
  const [x, queries] = [Float32Array.of(0, 1, 2, 3, 4, 5), Float32Array.of(0, 5)];
  const check = new NeighborCheck(2, 2, (query) => allRows(x, queries, query, 1));
  const error = (labels: number[], distances?: number[]) => check.error({ labels, distances });
  assert.equal(error([0, 1, 5, 4], [0, 1, 0, 1]), 0);
  assert.equal(error([0, 1, 5, 4]), 0);
  assert.equal(error([0, 2, 5, 4]), 3);
  assert.equal(error([0, 1, 5, 4], [0, 1.5, 0, 1]), 0.5);
  for (const labels of [[0, 0, 5, 4], [0, -1, 5, 4], [0, 6, 5, 4], [0]]) {
    assert.equal(error(labels), Infinity);
  }
  assert.equal(error([0, 1, 5, 4], [0, NaN, 0, 1]), Infinity);
  assert.equal(NeighborCheck.recall(check, { labels: [0, 1, 5, 4] }), 1);
  assert.equal(NeighborCheck.recall(check, { labels: [0, 2, 5, 5] }), 0.5);
  assert.deepEqual([...leastOf([3, 1, 2], 2)], [1, 2]);
  assert.deepEqual([...leastOf([3], 2)], [3, Infinity]);
});

Deno.test("KeysThenSelect finds what float64 finds, and frees its buffers", onGpu, async () => {
  const [rows, query] = [gaussian(700, 64, 91), gaussian(1, 64, 92)];
  const check = new NeighborCheck(1, 20, () => allRows(rows, query, 0, 64));
  const before = device().memory().active;
  {
    using keys = new KeysThenSelect(
      device(),
      [rows.subarray(0, 6400), rows.subarray(6400)],
      query,
      20,
    );
    const { value, run } = await keys.search(20);
    assert.ok(check.error({ labels: value }) < 1e-6);
    assert.deepEqual(run.variants, ["flat_direct_keys_l2_f32_1", "topk_rows_f32_u32"]);
    assert.ok(run.threads > 0 && run.gpuSeconds! > 0);
  }
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.ok(device().memory().active <= before);
});

Deno.test("A2 tells what is missing from what is wrong", async () => {
  const rows = await rowsOf("A2");
  assert.equal(rows.length, features.length);
  assert.ok(rows.every(({ valid }) => valid));
  const cell = (name: RegExp) => rows.find(({ shape }) => name.test(shape))!;
  assert.equal(cell(/^Exact search/).findings.holds, 1);
  assert.equal(cell(/HNSW/).findings.holds, 1);
  assert.equal(cell(/binary/).findings.holds, 1);
  const missing = cell(/on the GPU, with/);
  assert.deepEqual([missing.findings.holds, missing.valid], [0, true]);
  assert.match(missing.note, /DeviceError: it needs a GPU/);
  const { outcome, basis, text } = verdictOf(findExperiment("A2")!, rows, context);
  assert.deepEqual([outcome, basis], ["not testable", "result"]);
  const held = rows.filter(({ findings }) => findings.holds === 1).length;
  const counted = `Features are counted, not claimed: ${held} of ${rows.length} hold here. `;
  assert.ok(text.startsWith(`${counted}Missing: `), text);
  assert.match(text, /FAISS is not probed here\. SwiftFaiss .*Apple hardware/);
  // What is there and wrong makes the replay fail.
  const [flat] = features;
  const before = flat!.probe;
  flat!.probe = () => Promise.reject(new WrongResult("found others"));
  try {
    const [first] = await rowsOf("A2");
    assert.deepEqual([first!.valid, first!.note], [false, "WrongResult: found others"]);
  } finally {
    flat!.probe = before;
  }
});

Deno.test("featureTable() has a column a library, and invents no cells", async () => {
  const features = () => Promise.resolve({ binary: { holds: true, note: "" } });
  const rivals = [{ ...wrongRival(), features, library: "FAISS 9" }];
  const rows = await rowsOf("A2", { ...context, rivals });
  const table = featureTable(rows);
  const binary = table.find(({ feature }) => /binary/.test(feature!))!;
  assert.equal(binary["FAISS 9"], "yes");
  assert.equal(binary.metalfaiss, "yes");
  const onGpu = table.find(({ feature }) => /on the GPU, with/.test(feature!))!;
  assert.match(onGpu.metalfaiss!, /^no \(DeviceError/);
  assert.equal(binary.SwiftFaiss, "not testable here");
  assert.equal(table[0]!["FAISS 9"], "not probed here");
  assert.equal(featureTable(await rowsOf("A2"))[0]!.FAISS, "not probed here");
});

/** A rival that finds the first rows, whatever the query. */
function wrongRival(): Rival {
  const index: RivalIndex = {
    search: (queries, k) => {
      const nq = queries.length / 64;
      const labels = Array.from({ length: nq * k }, (_, i) => i % k);
      return Promise.resolve({ labels, distances: new Float32Array(nq * k) });
    },
    time: (_queries, _k, _each, count) => Promise.resolve(Array<number>(count).fill(1)),
  };
  const open = () => Promise.resolve(index);
  const name = "Wrong 1, 3 threads";
  return { library: "Wrong 1", name, threads: 3, flat: open, read: open };
}

Deno.test("A1 states recall, latency and throughput, and ranks no wrong rival", async () => {
  const rows = await rowsOf("A1", { ...context, rivals: [wrongRival()] });
  assert.deepEqual(
    rows.map(({ variant, valid }) => [variant, valid]),
    [0, 1].flatMap(() => [
      ["one at a time", true],
      ["batched", true],
      ["Wrong 1, 3 threads, one at a time", false],
      ["Wrong 1, 3 threads, batched", false],
    ]),
  );
  assert.ok(rows.every(({ valid, threads }) => valid || threads === 3));
  const [flat] = rows;
  assert.equal(flat!.findings.recall, 1);
  const nq = Number(/(\d+) queries/.exec(flat!.shape)![1]);
  assert.equal(flat!.findings.msPerQuery, flat!.time!.median / nq);
  assert.ok(Math.abs(flat!.findings.qps! * flat!.findings.msPerQuery! - 1000) < 1e-6);
  const ivf = rows.find(({ shape }) => shape.startsWith("IVF"))!;
  assert.ok(ivf.findings.recall! > 0.5 && ivf.findings.recall! <= 1);
  const { text } = verdictOf(findExperiment("A1")!, rows.filter(({ valid }) => valid), context);
  assert.match(text, /100,000,000 × 96 × 4 bytes are 35\.76 GiB, and this machine has/);
});

const python = new URL("../.venv/bin/python", import.meta.url).pathname;

Deno.test({
  name: "FAISS is a rival on the same rows and the same lists",
  ignore: !await Deno.stat(python).then(() => true, () => false),
  fn: async () => {
    const folder = await Deno.makeTempDir({ prefix: "metalfaiss-test-" });
    await using peers = new Peers(python, folder, {});
    const rivals = faissRivals(peers, await peers.ask<PeerDescription>("hello"), 1);
    assert.match(rivals[0]!.name, /^FAISS \d.*, 1 thread$/);
    const rows = await rowsOf("A1", { ...context, rivals: rivals.slice(0, 1) });
    assert.equal(rows.length, 8);
    for (const row of rows) {
      assert.ok(row.valid && row.time !== null, `${row.variant}: ${row.note}`);
    }
    const recalls = rows.filter(({ shape }) => shape.startsWith("IVF")).map((row) =>
      row.findings.recall
    );
    // The same lists on both sides.
    assert.equal(new Set(recalls).size, 1);
    const cells = await rivals[0]!.features!();
    assert.deepEqual(Object.keys(cells).sort(), features.map(({ id }) => id).sort());
    assert.equal(cells.hnsw!.holds, true);
  },
});
