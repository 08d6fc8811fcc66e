import assert from "node:assert/strict";
import { shippedModule } from "../bench/tune.ts";
import { ivfSettings } from "../lib/backend/gpu/ivf_settings.ts";
import { createGpuBackend } from "../lib/backend/gpu/mod.ts";
import { FormatError } from "../lib/errors.ts";
import { asksForTiles, getGemmTiles, linalgSettings } from "../lib/linalg/settings.ts";
import { Metric } from "../lib/metric.ts";
import {
  environment,
  formatTuning,
  gaussian,
  parseTuning,
  tune,
  tuningFor,
  tuningKey,
} from "../lib/profile/mod.ts";
import { choose, contest, crossover } from "../lib/profile/tune/contest.ts";
import { forgetTuning, nearestShape, type TuningTable } from "../lib/tuning/mod.ts";
import { shipped } from "../lib/tuning/shipped.ts";
import { withVariables } from "./env.ts";
import { device, onGpu } from "./gpu.ts";

const root = new URL("../", import.meta.url);

const full: TuningTable = {
  device: "some-gpu",
  environment: { cpu: "x" },
  gemm: {
    ...{ av: [32, 8], atb: [8, 32], doubleBuffer: true, vectorLoads: true },
    ...{ padAtB: true, tiled: true },
  },
  vendorFrom: 1_000_000,
  qrSimdFrom: null,
  qr: [
    { rows: 64, columns: 16, method: "mgs" },
    { rows: 4096, columns: 512, method: "blocked" },
  ],
  svd: [{ rows: 4096, columns: 512, k: 64, band: 16, streams: 4 }],
  ivf: { threads: 128, fusedFrom: 5000 },
};
const some = { engine: "cuda", name: "Some GPU" };

/** Does something with `METALFAISS_TUNING` naming a folder that has these files. */
async function withTables(
  files: Record<string, string>,
  body: (folder: string) => void | Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    for (const name in files) await Deno.writeTextFile(`${folder}/${name}`, files[name]!);
    await withVariables({ METALFAISS_TUNING: folder }, () => body(folder));
  } finally {
    forgetTuning();
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("tuningKey() names files safely", () => {
  const key = (name: string, engine = "cuda") => tuningKey({ engine, name });
  assert.equal(key("NVIDIA H200"), "nvidia-h200");
  assert.equal(key("Apple M3 Ultra", "metal"), "apple-m3-ultra");
  assert.equal(key("avx512_bf16", "native"), "cpu-avx512_bf16");
  assert.equal(key("CPU", "emulator"), "emulator");
  for (const name of ["", "../../etc/passwd", "/", "…", "a".repeat(200), "\0"]) {
    assert.match(key(name), /^[a-z0-9][a-z0-9_-]*$/);
  }
});

Deno.test("parseTuning() reads what formatTuning() wrote", () => {
  const text = formatTuning(full);
  assert.deepEqual(parseTuning(text, "x"), full);
  assert.match(text, /"av": \[32, 8\]/);
  assert.match(text, /\{ "rows": 64, "columns": 16, "method": "mgs" \}/);
  assert.deepEqual(parseTuning(formatTuning({ device: "a" }), "x"), { device: "a" });
});

Deno.test("parseTuning() of any part of a file is a FormatError that names it", () => {
  const text = formatTuning(full).trimEnd();
  for (let length = 0; length < text.length; length++) {
    assert.throws(() => parseTuning(text.slice(0, length), "tables/a.json"), (error) => {
      assert.ok(error instanceof FormatError);
      assert.equal(error.path, "tables/a.json");
      assert.match(error.message, /^Cannot read tuning table tables\/a\.json: /);
      return true;
    });
  }
});

Deno.test("parseTuning() of hostile files is a FormatError", () => {
  const base = { format: "metalfaiss tuning", version: 1, device: "a" };
  const gemm = { ...full.gemm! };
  const cases: [file: unknown, reason: RegExp][] = [
    [null, /it must be an object/],
    [[], /it must be an object/],
    [{}, /format is not/],
    [{ ...base, version: 2 }, /version 2 is unknown, expected 1/],
    [{ ...base, version: "1" }, /version "1" is unknown/],
    [{ ...base, device: "../x" }, /device must be a name/],
    [{ ...base, device: 7 }, /device must be a name/],
    [{ ...base, tiles: 1 }, /field tiles is unknown/],
    [{ ...base, ["__proto__x"]: {} }, /is unknown/],
    [{ ...base, environment: "x" }, /environment must be an object/],
    [{ ...base, gemm: [] }, /gemm must be an object/],
    [{ ...base, gemm: { ...gemm, av: [0, 8] } }, /gemm\.av must be an integer from 1/],
    [{ ...base, gemm: { ...gemm, av: [64, 32] } }, /gemm\.av has more than 1024 threads/],
    [{ ...base, gemm: { ...gemm, atb: [8] } }, /gemm\.atb must be two sides/],
    [{ ...base, gemm: { ...gemm, atb: "8x8" } }, /gemm\.atb must be two sides/],
    [{ ...base, gemm: { ...gemm, tiled: 1 } }, /gemm\.tiled must be true or false/],
    [{ ...base, vendorFrom: -1 }, /vendorFrom must be an integer from 0/],
    [{ ...base, vendorFrom: 1e300 }, /vendorFrom must be an integer/],
    [{ ...base, qrSimdFrom: "512" }, /qrSimdFrom must be an integer/],
    [{ ...base, qr: {} }, /qr must be a list/],
    [{ ...base, qr: Array(257).fill(full.qr![0]) }, /qr has more than 256 entries/],
    [{ ...base, qr: [{ rows: 1, columns: 1, method: "lu" }] }, /qr\[0\]\.method must be one of/],
    [{ ...base, svd: [{ ...full.svd![0], streams: 65 }] }, /svd\[0\]\.streams .* from 1 to 64/],
    [{ ...base, svd: [{ ...full.svd![0], band: 1.5 }] }, /svd\[0\]\.band must be an integer/],
    [{ ...base, ivf: { threads: 100, fusedFrom: 0 } }, /ivf\.threads must be a multiple of 32/],
    [{ ...base, ivf: { threads: 2048, fusedFrom: 0 } }, /ivf\.threads .* from 32 to 1024/],
    [{ ...base, ivf: { threads: 32 } }, /ivf\.fusedFrom must be an integer/],
  ];
  for (const [file, reason] of cases) {
    assert.throws(() => parseTuning(JSON.stringify(file), "f"), (error) => {
      assert.ok(error instanceof FormatError, `${error}`);
      assert.match(error.message, reason);
      return true;
    });
  }
  assert.throws(() => parseTuning(" ".repeat(2 ** 20 + 1), "f"), /at most 1048576/);
  const deep = `${"[".repeat(100_000)}`;
  assert.throws(() => parseTuning(deep, "f"), FormatError);
});

Deno.test("a table in METALFAISS_TUNING changes settings; a missing one does not", async () => {
  const before = getGemmTiles(some);
  await withTables({ "some-gpu.json": formatTuning(full) }, () => {
    const { tiled, ...gemm } = full.gemm!;
    assert.deepEqual(getGemmTiles(some), gemm);
    assert.equal(asksForTiles("av", some), tiled);
    assert.equal(asksForTiles("av"), false);
    assert.deepEqual(getGemmTiles().av, [16, 16]);
    const large = linalgSettings({ device: some, rows: 5000, columns: 500, k: 64 });
    assert.deepEqual([large.qrMethod, large.svdBand, large.svdStreams], ["blocked", 16, 4]);
    assert.deepEqual([large.qrSimdFrom, large.gemmKernel], [Infinity, false]);
    const small = linalgSettings({ device: some, rows: 70, columns: 20, k: 2 });
    assert.deepEqual([small.qrMethod, small.gemmKernel], ["mgs", true]);
    assert.deepEqual(ivfSettings(some, 4999), { threads: 128, fused: false });
    assert.deepEqual(ivfSettings(some, 5000), { threads: 128, fused: true });
    assert.deepEqual(tuningFor({ engine: "cuda", name: "another" }), {});
  });
  assert.deepEqual(getGemmTiles(some), before);
});

Deno.test("variables go before the table", async () => {
  const set = {
    METALFAISS_GEMM_TILE_AV: "4x4",
    METALFAISS_GEMM_DB: "0",
    METALFAISS_SVD_BAND: "3",
    METALFAISS_SVD_STREAMS: "1",
    METALFAISS_FORCE_QR: "householder",
    METALFAISS_USE_GEMM_KERNEL: "1",
    METALFAISS_USE_IVF_TOPK: "1",
    METALFAISS_IVF_TPB: "64",
  };
  await withTables(
    { "some-gpu.json": formatTuning(full) },
    () =>
      withVariables(set, () => {
        const { av, atb, doubleBuffer, vectorLoads } = getGemmTiles(some);
        assert.deepEqual([av, atb, doubleBuffer, vectorLoads], [[4, 4], [8, 32], false, true]);
        const settings = linalgSettings({ device: some, rows: 4096, columns: 512, k: 64 });
        assert.deepEqual([settings.svdBand, settings.svdStreams], [3, 1]);
        assert.deepEqual([settings.qrMethod, settings.gemmKernel], ["householder", true]);
        assert.deepEqual(ivfSettings(some, 1), { threads: 64, fused: true });
      }),
  );
});

Deno.test("a damaged table is an error where it is first read, by its path", async () => {
  await withTables({ "some-gpu.json": formatTuning(full).slice(0, 200) }, (folder) => {
    const failed = { name: "FormatError", path: `${folder}/some-gpu.json` };
    assert.throws(() => getGemmTiles(some), failed);
    assert.throws(() => linalgSettings({ device: some }), failed);
    assert.throws(() => ivfSettings(some, 1), failed);
    assert.deepEqual(getGemmTiles().av, [16, 16]);
  });
});

Deno.test("default tiles are those of the M3 family there, and square elsewhere", () => {
  const av = (name: string) => getGemmTiles({ engine: "metal", name }).av.join("x");
  assert.deepEqual(["Apple M3", "Apple M3 Max", "Apple M3 Ultra"].map(av), Array(3).fill("32x8"));
  assert.deepEqual(["Apple M1", "Apple M30", "AMD"].map(av), Array(3).fill("16x16"));
  assert.deepEqual(getGemmTiles({ engine: "metal", name: "Apple M3 Pro" }).atb, [8, 32]);
});

Deno.test("nearestShape() goes by ratios of sizes", () => {
  const entries = [{ rows: 64, columns: 64 }, { rows: 4096, columns: 64 }];
  assert.equal(nearestShape(entries, { rows: 500, columns: 64 }), entries[0]);
  assert.equal(nearestShape(entries, { rows: 600, columns: 64 }), entries[1]);
  assert.equal(nearestShape(entries, { rows: 0, columns: 0 }), entries[0]);
  assert.equal(nearestShape([], { rows: 1 }), undefined);
  assert.equal(nearestShape(undefined, {}), undefined);
});

Deno.test("every shipped table is listed, valid and named by its device", async () => {
  const keys: string[] = [];
  for await (const { name } of Deno.readDir(new URL("data/tuning", root))) {
    assert.match(name, /^[a-z0-9_-]+\.json$/);
    const text = await Deno.readTextFile(new URL(`data/tuning/${name}`, root));
    const { device, environment } = parseTuning(text, name);
    assert.equal(`${device}.json`, name);
    assert.ok(environment?.date && environment.cpu, name);
    assert.deepEqual(shipped[device], JSON.parse(text));
    assert.notEqual(device, "emulator");
    keys.push(device);
  }
  assert.ok(keys.length > 0);
  assert.deepEqual(Object.keys(shipped), keys.sort());
  const module = await Deno.readTextFile(new URL("lib/tuning/shipped.ts", root));
  assert.equal(module, shippedModule(keys));
});

Deno.test("crossover() wants the second to be faster from there on", () => {
  const points = (...rows: [number, number, number][]) =>
    rows.map(([size, first, second]) => ({ size, first, second }));
  assert.equal(crossover(points([64, 1, 2], [128, 3, 2], [256, 5, 4])), 128);
  assert.equal(crossover(points([256, 5, 4], [64, 2, 1], [128, 1, 2])), 256);
  assert.equal(crossover(points([64, 1, 2], [128, 1, 2])), null);
  assert.equal(crossover(points([64, 1, 1])), null);
  assert.equal(crossover(points([64, 2, 1], [128, 2, 1])), 0);
  assert.equal(crossover(points([1, 1, NaN])), null);
  assert.equal(crossover([]), null);
});

Deno.test("contest() takes the least geometric mean of candidates that are always valid", async () => {
  const where = await environment();
  const times: Record<string, number[]> = { a: [1, 8], b: [2, 2], wrong: [0.1, 0.1], none: [1, 1] };
  const log: string[] = [];
  const tuner = {
    quick: true,
    options: { budget: 5, environment: where },
    log: (line: string) => log.push(line),
  };
  let ended = 0;
  const found = await contest(
    tuner,
    Object.keys(times),
    (name) => name,
    [0, 1].map((round) => ({
      name: `round ${round}`,
      subject: (name: string) =>
        name === "none" && round === 1 ? undefined : {
          name,
          work: () => ({ gpuSeconds: times[name]![round]! / 1e3 }),
          error: () => name === "wrong" && round === 1 ? 1 : 0,
        },
      end: () => ended++,
    })),
  );
  assert.deepEqual(found.map(({ candidate }) => candidate), ["b", "a"]);
  assert.ok(Math.abs(found[0]!.mean - 2) < 1e-9 && Math.abs(found[1]!.mean - 8 ** 0.5) < 1e-9);
  // About as fast is not enough to leave the default.
  const ranked = [{ candidate: "new", mean: 0.97 }, { candidate: "usual", mean: 1 }];
  assert.equal(choose(ranked, (name) => name === "usual"), "usual");
  assert.equal(choose(ranked, (name) => name === "gone"), "new");
  ranked[0]!.mean = 0.9;
  assert.equal(choose(ranked, (name) => name === "usual"), "new");
  assert.equal(choose([], () => true), undefined);
  assert.deepEqual([ended, log.length], [2, 2]);
  assert.match(log[1]!, /wrong: its error is 1/);
});

Deno.test("tune() of a GPU finds every part of a table", onGpu, async () => {
  const lines: string[] = [];
  const options = { quick: true, onProgress: (line: string) => lines.push(line) };
  const table = await tune(createGpuBackend(device()), device(), options);
  assert.deepEqual(parseTuning(formatTuning(table), "x"), JSON.parse(JSON.stringify(table)));
  const { gemm, qr, svd, ivf, vendorFrom, qrSimdFrom } = table;
  assert.equal(table.device, tuningKey(device()));
  assert.ok(gemm && qr!.length > 0 && svd!.length > 0 && ivf);
  assert.ok(vendorFrom !== undefined && qrSimdFrom !== undefined);
  for (const part of ["gemm av", "gemm atb", "qr dot", "qr ", "svd ", "ivf nprobe"]) {
    assert.ok(lines.some((line) => line.startsWith(part)), part);
  }
  // Nothing that was tried stays set.
  assert.equal(asksForTiles("av"), false);
  assert.deepEqual(ivfSettings(some, 1), { threads: 256, fused: true });
});

Deno.test("a table changes what runs on its device", onGpu, async () => {
  const key = tuningKey(device());
  const table: TuningTable = {
    device: key,
    vendorFrom: 1000,
    qrSimdFrom: 20,
    qr: [{ rows: 32, columns: 8, method: "householder" }],
    svd: [{ rows: 32, columns: 16, k: 8, band: 4, streams: 1 }],
    ivf: { threads: 64, fusedFrom: null },
  };
  const { linalg, createIVF } = createGpuBackend(device());
  const dense = (rows: number, columns: number) => ({
    ...{ data: gaussian(rows, columns, 1), rows, columns, dtype: "float32" as const },
  });
  using store = createIVF(4, 1);
  const ids = BigInt64Array.from({ length: 50 }, (_, i) => BigInt(i));
  await store.add(gaussian(50, 4, 1), new BigInt64Array(50), ids);
  const run = async () => {
    const svd = await linalg.topkSvd(dense(32, 16), 8);
    const qr = await linalg.qr(dense(32, 8));
    const projected = await linalg.projectCoeffs(dense(32, 8), gaussian(32, 1, 2));
    const how = { metric: Metric.L2, metricArg: 0 };
    const found = await store.search(gaussian(1, 4, 3), BigInt64Array.of(0n), 5, how);
    return [svd, qr, projected, found].map(({ run }) => run.variants.join(" "));
  };
  const expected = [/svd_vendor.*svd_band4/, /qr_householder/, /^qr_dot_simd/, /ivf_keys_l2/];
  await withTables({ [`${key}.json`]: formatTuning(table) }, async () => {
    const ran = await run();
    expected.forEach((pattern, i) => assert.match(ran[i]!, pattern));
  });
  const ran = await run();
  expected.forEach((pattern, i) => assert.doesNotMatch(ran[i]!, pattern));
});
