import assert from "node:assert/strict";
import type { Backend } from "../lib/backend/backend.ts";
import { createCpuBackend } from "../lib/backend/cpu/mod.ts";
import { createGpuBackend } from "../lib/backend/gpu/mod.ts";
import type { Dense, Execution } from "../lib/backend/linalg.ts";
import { createReferenceBackend } from "../lib/backend/reference/mod.ts";
import { type VariableName, variables } from "../lib/env.ts";
import { openJournal } from "../lib/journal/mod.ts";
import { knobs } from "../lib/knobs.ts";
import { getGemmTiles, setGemmTiles } from "../lib/linalg/settings.ts";
import { Metric } from "../lib/metric.ts";
import { gaussian, runVariants } from "../lib/profile/mod.ts";
import { IDSelectorRange } from "../lib/selector.ts";
import { withVariables } from "./env.ts";
import { device, onGpu } from "./gpu.ts";
import { runCode } from "./run_code.ts";

function dense(rows: number, columns: number, seed = 1): Dense {
  return { data: gaussian(rows, columns, seed), rows, columns, dtype: "float32" };
}

const linalg = () => createGpuBackend(device()).linalg;
const av = async () => (await linalg().gemmAV(dense(40, 24), dense(24, 8))).run.variants;
const atb = async () => (await linalg().gemmAtB(dense(40, 24), dense(40, 8))).run.variants;

Deno.test("METALFAISS_GEMM_* choose the kernels of gemmAV and gemmAtB", onGpu, async () => {
  const usual = [await av(), await atb()].flat();
  assert.ok(usual.every((name) => !/_tm|_tk/.test(name)), `${usual}`);
  const cases: [set: Partial<Record<VariableName, string>>, av: RegExp, atb: RegExp][] = [
    [{ METALFAISS_GEMM_TILE_AV: "32x8" }, /^gemm_av_f32_tm32_tn8$/, /^gemm_at_b_f32_bn/],
    [{ METALFAISS_GEMM_TILE_ATB: "8x32" }, /^gemm_av_f32_bm/, /^gemm_at_b_f32_tn8_tk32$/],
    [{ METALFAISS_GEMM_TILE_SQ: "8" }, /^gemm_av_f32_tm8_tn8$/, /^gemm_at_b_f32_tn8_tk8$/],
    [
      { METALFAISS_GEMM_TILE_SQ: "8", METALFAISS_GEMM_TILE_AV: "16x4" },
      /^gemm_av_f32_tm16_tn4$/,
      /^gemm_at_b_f32_tn8_tk8$/,
    ],
    [{ METALFAISS_GEMM_DB: "1" }, /^gemm_av_f32_tm16_tn16_db$/, /_tn16_tk16_db$/],
    [{ METALFAISS_GEMM_V4: "1" }, /^gemm_av_f32_tm16_tn16_v4$/, /_tn16_tk16_v4$/],
    [{ METALFAISS_GEMM_PAD_ATB: "1" }, /^gemm_av_f32_bm/, /_tn16_tk16_pad$/],
  ];
  for (const [set, first, second] of cases) {
    await withVariables(set, async () => {
      const ran = [...await av(), ...await atb()];
      assert.match(ran[0]!, first, JSON.stringify(set));
      assert.ok(ran.slice(1).some((name) => second.test(name)), `${JSON.stringify(set)}: ${ran}`);
    });
  }
  assert.deepEqual([await av(), await atb()].flat(), usual);
});

Deno.test(
  "setGemmTiles() goes before variables, until it is called with nothing",
  onGpu,
  async () => {
    await withVariables({ METALFAISS_GEMM_TILE_SQ: "8" }, async () => {
      try {
        setGemmTiles({ av: [4, 16] });
        assert.deepEqual(await av(), ["gemm_av_f32_tm4_tn16"]);
        assert.ok((await atb())[0]!.endsWith("_tn8_tk8"));
      } finally {
        setGemmTiles({});
      }
      assert.deepEqual(getGemmTiles().av, [8, 8]);
    });
  },
);

const svd = async (backend: Backend) => {
  const { value, run } = await backend.linalg.topkSvd(dense(48, 32), 12, { iterations: 3 });
  return { s: value.s, run };
};

/** Asserts that runs of an SVD under variables have these variants, and the same values. */
async function assertSvd(
  set: Partial<Record<VariableName, string>>,
  expected: RegExp,
  other: RegExp,
): Promise<Execution> {
  const backend = createGpuBackend(device());
  const plain = await svd(backend);
  const found = await withVariables(set, () => svd(backend));
  const has = (run: Execution, pattern: RegExp) => run.variants.some((name) => pattern.test(name));
  const what = `${JSON.stringify(set)}: ${found.run.variants}`;
  assert.ok(has(found.run, expected) && !has(found.run, other), what);
  assert.ok(!has(plain.run, expected) && has(plain.run, other), `${plain.run.variants}`);
  plain.s.forEach((value, i) =>
    assert.ok(Math.abs(found.s[i]! - value) <= 1e-3 * plain.s[0]!, what)
  );
  return found.run;
}

Deno.test("METALFAISS_USE_GEMM_KERNEL=0 takes the vendor's products", onGpu, async () => {
  const run = await assertSvd({ METALFAISS_USE_GEMM_KERNEL: "0" }, /^svd_vendor$/, /^svd_tiled$/);
  const kernels = run.variants.filter((name) => name.startsWith("vendor_gemm_"));
  assert.deepEqual(kernels.sort(), ["vendor_gemm_nn_f32", "vendor_gemm_tn_f32"]);
});

Deno.test("METALFAISS_FORCE_SVD, _BAND, _STREAMS choose the Z-step", onGpu, async () => {
  await assertSvd({ METALFAISS_FORCE_SVD: "naive" }, /^svd_naive$/, /^svd_tiled$/);
  await assertSvd({ METALFAISS_FORCE_SVD: "banded" }, /^svd_band8$/, /^svd_mono$/);
  await assertSvd({ METALFAISS_SVD_BAND: "4" }, /^svd_band4$/, /^svd_mono$/);
  const set = { METALFAISS_SVD_BAND: "4", METALFAISS_SVD_STREAMS: "3" };
  await assertSvd(set, /^svd_streams3_round-robin$/, /^svd_mono$/);
  const mono = { METALFAISS_SVD_BAND: "4", METALFAISS_FORCE_SVD: "mono" };
  const { run } = await withVariables(mono, () => svd(createGpuBackend(device())));
  assert.ok(run.variants.includes("svd_mono"), `${run.variants}`);
});

Deno.test("METALFAISS_USE_COMPILE=0 submits every operation anew", onGpu, async () => {
  await assertSvd({ METALFAISS_USE_COMPILE: "0" }, /^svd_submitted_each$/, /^svd_replayed|_once$/);
});

Deno.test("METALFAISS_QR_DOT chooses the kernel of projections", onGpu, async () => {
  const project = async (rows: number) => {
    const { run } = await linalg().projectCoeffs(dense(rows, 4), gaussian(rows, 1, 2));
    return run.variants.join();
  };
  assert.deepEqual([await project(511), await project(512)], [
    "qr_dot_simple_f32",
    "qr_dot_simd_f32",
  ]);
  for (const dot of ["simple", "simd"] as const) {
    await withVariables({ METALFAISS_QR_DOT: dot }, async () => {
      assert.equal(await project(40), `qr_dot_${dot}_f32`);
      assert.equal(await project(600), `qr_dot_${dot}_f32`);
      const { run } = await linalg().qr(dense(40, 4));
      assert.ok(run.variants.includes(`qr_dot_${dot}_f32`), `${run.variants}`);
    });
  }
});

Deno.test("METALFAISS_FORCE_QR chooses the method on every backend", onGpu, async () => {
  const backends = [createGpuBackend(device()), createCpuBackend(), createReferenceBackend()];
  for (const { name, linalg } of backends) {
    const seen = new Set<string>();
    for (const method of ["mgs", "blocked", "householder"]) {
      await withVariables({ METALFAISS_FORCE_QR: method }, async () => {
        const { run } = await linalg.qr(dense(40, 12));
        assert.ok(run.variants.some((variant) => variant.includes(method)), `${run.variants}`);
        seen.add(run.variants.join());
        const other = method === "mgs" ? "householder" : "mgs";
        const asked = await linalg.qr(dense(40, 12), { method: other });
        assert.ok(asked.run.variants.some((variant) => variant.includes(other)), name);
      });
    }
    assert.equal(seen.size, 3, name);
  }
});

Deno.test("METALFAISS_USE_IVF_TOPK and _IVF_TPB change kernels, not results", onGpu, async () => {
  const [n, d, nlist] = [6000, 12, 5];
  using store = createGpuBackend(device()).createIVF(d, nlist);
  const x = gaussian(n, d, 1);
  x.copyWithin(0, 50 * d, 150 * d);
  const lists = BigInt64Array.from({ length: n }, (_, row) => BigInt((row * 7) % nlist % 4));
  await store.add(x, lists, BigInt64Array.from({ length: n }, (_, row) => BigInt(row * 3)));
  const queries = gaussian(3, d, 2);
  const probes = BigInt64Array.of(0n, 1n, 4n, 3n, -1n, 2n, 2n, 3n, 0n);
  const search = (metric: Metric, filtered: boolean) => {
    const selector = filtered ? new IDSelectorRange(0, 9000) : undefined;
    return store.search(queries, probes, 7, { metric, metricArg: 0, selector });
  };
  for (const metric of [Metric.L2, Metric.InnerProduct, Metric.Cosine]) {
    for (const filtered of [false, true]) {
      const fused = await search(metric, filtered);
      const same = (found: typeof fused) => {
        assert.deepEqual(found.labels, fused.labels);
        assert.deepEqual(found.distances, fused.distances);
      };
      assert.ok(fused.run.variants.some((name) => /^ivf_bound_/.test(name)));
      assert.ok(fused.run.variants.some((name) => /^ivf_scan_(l2|ip|cosine)_f32$/.test(name)));
      await withVariables({ METALFAISS_USE_IVF_TOPK: "0" }, async () => {
        const found = await search(metric, filtered);
        same(found);
        const kernels = found.run.variants.filter((name) => name.startsWith("ivf_"));
        assert.match(kernels.join(), /^ivf_keys_(l2|ip|cosine)_f32$/);
      });
      for (const threads of [32, 96, 1024]) {
        await withVariables({ METALFAISS_IVF_TPB: `${threads}` }, async () => {
          const found = await search(metric, filtered);
          same(found);
          assert.ok(found.run.variants.some((name) => name.startsWith("ivf_scan_sized_")));
        });
      }
    }
  }
  for (const threads of ["0", "31", "100", "1056", "-32", "x", "64.5"]) {
    await withVariables({ METALFAISS_IVF_TPB: threads }, async () => {
      await assert.rejects(search(Metric.L2, false), /^RangeError: Cannot use METALFAISS_IVF_TPB/);
    });
  }
  // Many queries' lists, unfused as well: each pair of a query and a list on its own.
  const many = gaussian(300, d, 4);
  const all = BigInt64Array.from({ length: 1200 }, (_, i) => BigInt(i % 4));
  const how = { metric: Metric.L2, metricArg: 0 };
  const grouped = await store.search(many, all, 4, how);
  assert.ok(grouped.run.variants.some((name) => name.startsWith("ivf_scan_grouped_")));
  const single = await withVariables(
    { METALFAISS_USE_IVF_TOPK: "0" },
    () => store.search(many, all, 4, how),
  );
  assert.ok(single.run.variants.includes("ivf_keys_l2_f32"));
  assert.deepEqual(single.labels, grouped.labels);
  assert.deepEqual(single.distances, grouped.distances);
});

Deno.test("a variable without sense is a RangeError that names it", onGpu, async () => {
  const product = () => linalg().gemmAtB(dense(8, 4), dense(8, 4));
  const left = () => linalg().gemmAV(dense(8, 4), dense(4, 4));
  const factor = () => linalg().qr(dense(8, 4));
  const values = () => svd(createGpuBackend(device()));
  const cases: [name: VariableName, values: string[], run: () => Promise<unknown>][] = [
    ["METALFAISS_GEMM_TILE_AV", ["8", "0x8", "8x", "ax8", "8x8x8", "-8x8"], left],
    ["METALFAISS_GEMM_TILE_ATB", ["8", "0x8", "1e1x8"], product],
    ["METALFAISS_GEMM_TILE_SQ", ["0", "-1", "x"], left],
    ["METALFAISS_GEMM_DB", ["2", "true"], left],
    ["METALFAISS_GEMM_V4", ["yes"], left],
    ["METALFAISS_GEMM_PAD_ATB", ["-1"], product],
    ["METALFAISS_USE_GEMM_KERNEL", ["on"], values],
    ["METALFAISS_FORCE_SVD", ["bands"], values],
    ["METALFAISS_SVD_BAND", ["-1", "x"], values],
    ["METALFAISS_SVD_STREAMS", ["0", "1.5"], values],
    ["METALFAISS_USE_COMPILE", ["no"], values],
    ["METALFAISS_QR_DOT", ["fast"], factor],
    ["METALFAISS_FORCE_QR", ["lu"], factor],
  ];
  for (const [name, bad, run] of cases) {
    for (const value of bad) {
      await withVariables({ [name]: value }, async () => {
        await assert.rejects(async () => await run(), (error) => {
          assert.ok(error instanceof RangeError, `${name}=${value}: ${error}`);
          assert.ok(error.message.startsWith(`Cannot use ${name}: expected`), error.message);
          return true;
        });
      });
    }
  }
  // Too many threads: refused before a kernel is compiled.
  await withVariables({ METALFAISS_GEMM_TILE_AV: "64x32" }, async () => {
    await assert.rejects(left(), /^RangeError: Cannot use a tile of 64 × 32/);
  });
});

Deno.test("knobs() tells the value in effect of every variable, and what is wrong", async () => {
  const names = Object.keys(variables) as VariableName[];
  const some = { engine: "metal", name: "Apple M3" };
  const usual = knobs(some, { METALFAISS_ISA: "avx2" });
  assert.deepEqual(Object.keys(usual).sort(), [...names].sort());
  for (const name of names) {
    assert.notEqual(usual[name].value, "");
    assert.equal(usual[name].error, undefined, name);
  }
  assert.equal(usual.METALFAISS_ISA.value, Deno.env.get("METALFAISS_ISA") ?? "avx2");
  assert.equal(usual.METALFAISS_GEMM_TILE_AV.value, "32x8");
  const set: Partial<Record<VariableName, [text: string, value: string]>> = {
    METALFAISS_GEMM_TILE_AV: ["8x4", "8x4"],
    METALFAISS_GEMM_TILE_ATB: ["4x8", "4x8"],
    METALFAISS_GEMM_TILE_SQ: ["2", "2"],
    METALFAISS_GEMM_DB: ["1", "1"],
    METALFAISS_GEMM_V4: ["1", "1"],
    METALFAISS_GEMM_PAD_ATB: ["1", "1"],
    METALFAISS_USE_GEMM_KERNEL: ["0", "0"],
    METALFAISS_QR_DOT: ["simd", "simd"],
    METALFAISS_FORCE_QR: ["mgs", "mgs"],
    METALFAISS_FORCE_SVD: ["naive", "naive"],
    METALFAISS_SVD_BAND: ["7", "7"],
    METALFAISS_SVD_STREAMS: ["5", "5"],
    METALFAISS_USE_COMPILE: ["0", "0"],
    METALFAISS_USE_IVF_TOPK: ["0", "0"],
    METALFAISS_IVF_TPB: ["96", "96"],
    METALFAISS_BENCH_ITERS: ["9", "9"],
    METALFAISS_BENCH_WARMUP: ["3", "3"],
    METALFAISS_BENCH_BACKENDS: ["cpu", "cpu"],
  };
  const texts = Object.fromEntries(Object.entries(set).map(([name, [text]]) => [name, text]));
  await withVariables(texts, () => {
    const found = knobs(some);
    for (const [name, [text, value]] of Object.entries(set)) {
      const knob = found[name as VariableName];
      assert.deepEqual([knob.text, knob.value], [text, value], name);
      assert.notEqual(usual[name as VariableName].value, value, name);
    }
  });
  await withVariables({ METALFAISS_IVF_TPB: "33" }, () => {
    assert.match(knobs(some).METALFAISS_IVF_TPB.error!, /expected a multiple of 32/);
  });
});

Deno.test("doctor shows every variable with its value in effect", async () => {
  const doctor = async (...args: string[]) => {
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", new URL("../lib/doctor.ts", import.meta.url).pathname, ...args],
      env: { METALFAISS_SVD_BAND: "6", METALFAISS_FORCE_QR: "lu" },
    }).output();
    const text = new TextDecoder();
    return text.decode(stdout) || text.decode(stderr);
  };
  const text = await doctor();
  for (const name of Object.keys(variables)) {
    assert.match(text, new RegExp(`^${name} +\\S`, "m"), name);
  }
  assert.match(text, /^METALFAISS_SVD_BAND +6\. /m);
  assert.match(text, /^METALFAISS_USE_COMPILE +1 \(not set\)\. /m);
  assert.match(text, /→ Cannot use METALFAISS_FORCE_QR: expected mgs, blocked, householder, got/);
  const json = JSON.parse(await doctor("--json"));
  assert.deepEqual(json.variables.METALFAISS_SVD_BAND, { text: "6", value: "6" });
  assert.equal(json.variables.METALFAISS_FORCE_QR.text, "lu");
});

Deno.test("METALFAISS_BENCH_* set samples and what the harness measures", onGpu, async () => {
  const run = () => runVariants("gemv", { layout: "nt", n: 8, k: 32 }, { device: device() });
  const set = { METALFAISS_BENCH_ITERS: "2", METALFAISS_BENCH_WARMUP: "1" };
  for (const kinds of ["cpu", "vendor", "vendor,cpu"]) {
    await withVariables({ ...set, METALFAISS_BENCH_BACKENDS: kinds }, async () => {
      const { method, results } = await run();
      assert.deepEqual([method.iterations, method.warmup], [2, 1]);
      const ran = new Set(results.map(({ kind }) => kind));
      assert.deepEqual([...ran].sort(), kinds.split(",").sort());
      for (const { cpu, valid } of results) assert.equal(valid && cpu!.samples.length, 2);
    });
  }
  const bad = {
    METALFAISS_BENCH_ITERS: "0",
    METALFAISS_BENCH_WARMUP: "-1",
    METALFAISS_BENCH_BACKENDS: "tpu",
  };
  for (const [name, value] of Object.entries(bad)) {
    await withVariables({ METALFAISS_BENCH_BACKENDS: "cpu", [name]: value }, async () => {
      await assert.rejects(run(), new RegExp(`^RangeError: Cannot use ${name}: expected`));
    });
  }
});

Deno.test("METALFAISS_JOURNAL sets the shapes of the journal's experiments", onGpu, async () => {
  const shapes = async () => {
    const journal = await openJournal({ engine: "emulator" });
    const { rows } = await journal.replay("X6", { on: "cpu", budget: 5 });
    return rows.map(({ shape }) => shape);
  };
  const quick = await shapes();
  await withVariables({ METALFAISS_JOURNAL: "full" }, async () => {
    const full = await shapes();
    assert.ok(full.length > quick.length && !full.includes(quick[0]!));
    assert.equal(knobs(undefined).METALFAISS_JOURNAL.value, "full");
  });
  await withVariables({ METALFAISS_JOURNAL: "quick" }, async () => {
    assert.deepEqual(await shapes(), quick);
  });
  await withVariables({ METALFAISS_JOURNAL: "all" }, async () => {
    await assert.rejects(
      shapes(),
      /RangeError: Cannot use METALFAISS_JOURNAL: expected quick, full/,
    );
    assert.match(knobs(undefined).METALFAISS_JOURNAL.error!, /METALFAISS_JOURNAL/);
  });
});

/** What a process with these variables prints. */
async function evaluate(code: string, env: Record<string, string>): Promise<string> {
  const { stdout, stderr } = await runCode(code, ["-A"], env);
  return (stdout + stderr).trim();
}

Deno.test("METALFAISS_THREADS and _ISA are those of the library", onGpu, async () => {
  const mod = new URL("../mod.ts", import.meta.url);
  const code = `import { backend } from "${mod}";
    const { name, isa, threads } = backend();
    console.log(name, isa, threads);`;
  const env = { METALFAISS_BACKEND: "cpu" };
  const scalar = { ...env, METALFAISS_ISA: "scalar", METALFAISS_THREADS: "3" };
  assert.equal(await evaluate(code, scalar), "cpu scalar 3");
  assert.doesNotMatch(await evaluate(code, env), / scalar /);
  assert.match(await evaluate(code, { ...env, METALFAISS_ISA: "mmx" }), /mmx/);
});

Deno.test("METALFAISS_EMULATOR_CHECKS=off leaves the checks out", onGpu, async () => {
  const kernel = new URL("../lib/kernel/mod.ts", import.meta.url);
  const code = `import { gpu } from "${kernel}"; console.log(gpu("emulator").name);`;
  assert.equal(await evaluate(code, {}), "Metal emulator");
  assert.match(await evaluate(code, { METALFAISS_EMULATOR_CHECKS: "off" }), /without checks/);
});
