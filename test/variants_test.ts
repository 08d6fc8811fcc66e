import assert from "node:assert/strict";
import {
  builtInManifest,
  formatVariants,
  type Manifest,
  parseManifest,
  probeProblems,
  runVariants,
  selectVariants,
  type Variant,
  type VariantReport,
  variantsCsv,
} from "../lib/profile/mod.ts";
import { chooseGemv } from "../lib/backend/gpu/linalg/gemv_variants.ts";
import { withVariables } from "./env.ts";
import { device, onGpu } from "./gpu.ts";

const supports = { layouts: ["nt"], bias: true, accumulate: true };
const gpuVariant = {
  name: "a",
  kind: "gpu",
  file: "gemv.metal",
  kernel: "gemv_nt_f16_bn8_tg128_l16_u7",
  dtype: "float16",
  geometry: { bn: 8, tg: 128 },
  supports,
};
const manifestOf = (...variants: unknown[]) => ({ operation: "gemv", variants });

/** Asserts that a manifest is refused. */
function refused(kind: ErrorConstructor, message: RegExp, manifest: unknown): void {
  assert.throws(() => parseManifest(manifest), (error: Error) => {
    assert.ok(error instanceof kind, `${error}`);
    assert.match(error.message, message);
    return true;
  });
}

Deno.test("parseManifest() refuses what a manifest cannot say, and names it", () => {
  assert.equal(parseManifest(manifestOf(gpuVariant)).variants.length, 1);
  refused(TypeError, /the manifest: it must be an object/, null);
  refused(TypeError, /unknown field "version"/, { ...manifestOf(), version: 2 });
  refused(RangeError, /operation must be gemv or gemm, got "qr"/, {
    operation: "qr",
    variants: [],
  });
  refused(TypeError, /variants must be an array/, { operation: "gemv" });
  refused(TypeError, /variant 0: it has no name/, manifestOf({ kind: "cpu" }));
  refused(RangeError, /variant "a": its name comes twice/, manifestOf(gpuVariant, gpuVariant));
  const wrong = (fields: Record<string, unknown>) => manifestOf({ ...gpuVariant, ...fields });
  refused(TypeError, /variant "a": unknown field "tile"/, wrong({ tile: 3 }));
  refused(TypeError, /kind must be one of gpu, vendor, cpu, got "tpu"/, wrong({ kind: "tpu" }));
  refused(TypeError, /dtype must be one of .*, got "int8"/, wrong({ dtype: "int8" }));
  refused(TypeError, /epilogue must be one of/, wrong({ epilogue: "none" }));
  refused(TypeError, /it has no kernel/, wrong({ kernel: undefined }));
  refused(TypeError, /family must be a string/, wrong({ family: 5 }));
  refused(TypeError, /unknown field "geometry.bx"/, wrong({ geometry: { bn: 1, tg: 32, bx: 1 } }));
  refused(TypeError, /it has no geometry.tg/, wrong({ geometry: { bn: 1 } }));
  refused(
    RangeError,
    /geometry.bn must be a positive integer, got 0/,
    wrong({ geometry: { bn: 0 } }),
  );
  refused(
    RangeError,
    /geometry.tg 2048 is above 1024 threads/,
    wrong({ geometry: { bn: 8, tg: 2048 } }),
  );
  const flags = (more: Record<string, unknown>) => wrong({ supports: { ...supports, ...more } });
  refused(TypeError, /unknown flag "supports.fast"/, flags({ fast: true }));
  refused(TypeError, /supports.bias must be true or false, got "yes"/, flags({ bias: "yes" }));
  refused(TypeError, /supports.layouts must name layouts/, flags({ layouts: [] }));
  refused(TypeError, /supports.layouts must be one of .*, got "nx"/, flags({ layouts: ["nx"] }));
  refused(TypeError, /supports.n: unknown field "max"/, flags({ n: { max: 4 } }));
  refused(RangeError, /supports.k: multiple cannot be 0/, flags({ k: { multiple: 0 } }));
  refused(RangeError, /supports.n: least 9 is above most 4/, flags({ n: { least: 9, most: 4 } }));
});

Deno.test("selectVariants() skips what does not declare a problem's needs, and says why", () => {
  const variant = (name: string, more: Record<string, unknown>, others = {}) => ({
    ...gpuVariant,
    ...others,
    name,
    supports: { ...supports, ...more },
  });
  const manifest = parseManifest(manifestOf(
    variant("all", { batch: true, smallK: true }),
    variant("one", {}),
    variant("plain", { bias: false }),
    variant("fresh", { accumulate: false }),
    variant("wide", { n: { least: 100 } }),
    variant("narrow", { n: { most: 8 } }),
    variant("fours", { k: { multiple: 4 } }),
    variant("deep", {}, { geometry: { bn: 8, tg: 128, bk: 64 } }),
    variant("across", { layouts: ["nn"] }),
    variant("single", {}, { dtype: "float32" }),
    variant("host", {}, { kind: "cpu" }),
  ));
  const problem = { layout: "nt", n: 20, k: 6, bias: true, beta: 1 } as const;
  const { chosen, skipped } = selectVariants(manifest, problem, { kinds: ["gpu"] });
  assert.deepEqual(chosen.map(({ name }) => name), ["all", "one"]);
  const why = Object.fromEntries(skipped.map(({ name, why }) => [name, why]));
  assert.deepEqual(why, {
    plain: "it adds no bias",
    fresh: "it does not accumulate (beta)",
    wide: "n 20 is below 100",
    narrow: "n 20 is above 8",
    fours: "k 6 is not a multiple of 4",
    deep: "k 6 is smaller than its tile of 64",
    across: "layout nt is not among nn",
    single: "it multiplies float32 by float32, not float16 by float16",
    host: "kind cpu is not among gpu",
  });
  const batched = selectVariants(manifest, { ...problem, batch: 2 }, { names: ["all", "one"] });
  assert.deepEqual(batched.chosen.map(({ name }) => name), ["all"]);
  assert.deepEqual(batched.skipped, [{ name: "one", why: "it takes one matrix, not 2" }]);
  const filtered = selectVariants(manifest, problem, { filter: /^o/ });
  assert.deepEqual(filtered.chosen.map(({ name }) => name), ["one"]);
  assert.throws(
    () => selectVariants(manifest, problem, { names: ["all", "none"] }),
    /RangeError: Cannot measure: the manifest of gemv has no variant "none"/,
  );
  assert.throws(
    () => selectVariants(manifest, { ...problem, n: 0 }),
    /RangeError: Cannot measure: n 0 is not a positive integer/,
  );
});

Deno.test("the built-in manifest has every family of the probes, and a name says its geometry", () => {
  const { variants } = builtInManifest("gemv");
  const names = variants.map(({ name }) => name);
  const sizes = (bns: number[], bks: number[], tgs: number[]) =>
    bns.flatMap((bn) => bks.flatMap((bk) => tgs.map((tg) => `bn${bn}_bk${bk}_tg${tg}`)));
  const v2 = sizes([64, 128], [64, 128], [64, 128]);
  const wanted = [
    ...["col", "col_vec4", "col_bt"].flatMap((kind) => v2.map((size) => `${kind}_${size}`)),
    ...["sgbr", "tgread", "tgread_vA", "unroll16"].map((kind) =>
      `col_vec4_${kind}_bn128_bk128_tg128`
    ),
    "col_vec4_tgread_bn256_bk128_tg128",
    "tiny_bn64_tg64",
    "ultra_tiny_bn32_tg32",
    ...[4, 8, 16].flatMap((bn) => [128, 256, 512].map((tg) => `largek_smalln_bn${bn}_tg${tg}`)),
    "col_vec4_tgread_bn96_bk128_tg96",
    "col_vec4_tgread_bn160_bk128_tg160",
    "col_vec4_tgread_bn64_bk128_tg32",
    "col_vec8_bn128_bk128_tg128",
    ...["bm32_bn32_bk16", "bm8_bn128_bk64", "bm32_bn32_bk64", "bm32_bn64_bk32", "bm16_bn128_bk32"]
      .map((tile) => `tiled_${tile}`),
  ];
  for (const name of wanted) assert.ok(names.includes(`gemv_nt_f16_${name}`), name);
  for (const tile of wanted.slice(-5)) assert.ok(names.includes(`gemv_nn_f16_${tile}`), tile);
  for (const part of ["pipelined", "unfused", "_s5_"]) {
    assert.ok(names.some((name) => name.includes(part)), part);
  }
  for (const operation of ["gemv", "gemm"] as const) {
    for (const { name, geometry, file } of builtInManifest(operation).variants) {
      for (const field of ["bm", "bn", "bk", "tg"] as const) {
        const size = new RegExp(`_${field}(\\d+)(_|$)`).exec(name)?.[1];
        if (size !== undefined) assert.equal(geometry?.[field], Number(size), name);
      }
      assert.equal(file === undefined, geometry === undefined);
    }
  }
});

Deno.test("what gemv chooses takes every shape and type", () => {
  const types = ["float32", "float16", "bfloat16"] as const;
  for (const layout of ["nt", "nn"] as const) {
    for (const dtype of types) {
      for (const io of [dtype, "float32"] as const) {
        for (const [n, k] of [[1, 1], [96, 64], [896, 896], [896, 4864], [151_936, 896]]) {
          const how = { layout, n: n!, k: k!, batch: 1, bias: true, accumulate: true, dtype, io };
          const { name, dtype: own } = chooseGemv(how);
          assert.equal(own, dtype);
          assert.match(name, new RegExp(`^gemv_${layout}_`));
        }
      }
    }
  }
});

const quick = { iterations: 2, warmup: 1, dispatches: 3, footprint: 0 } as const;

/** A manifest of some built-in variants and one more. */
function manifestWith(names: string[], ...more: Variant[]): Manifest {
  const { variants } = builtInManifest("gemv");
  return {
    operation: "gemv",
    variants: [...variants.filter((v) => names.includes(v.name)), ...more],
  };
}

const good = ["gemv_nt_f16_bn8_tg128_l16_u7", "vendor_f16", "cpu_f16"];

Deno.test("runVariants() checks, times, ranks and tags", onGpu, async () => {
  const on = device();
  const problem = { layout: "nt", n: 33, k: 48, beta: 0.5 } as const;
  const report = await runVariants("gemv", problem, { ...quick, device: on, names: good });
  assert.deepEqual(report.results.map(({ rank }) => rank), [1, 2, 3]);
  assert.deepEqual(report.method, { iterations: 2, warmup: 1, dispatches: 3, sets: 1 });
  assert.equal(report.bytes, 2 * (33 * 48 + 48 + 33 + 33));
  assert.equal(report.problem.name, "n=33 k=48 NT αβ");
  for (const result of report.results) {
    assert.ok(result.valid && result.error! < 2e-3, JSON.stringify(result));
    assert.equal(result.cpu!.samples.length, 2);
    assert.equal(result.gpu === null, result.kind === "cpu");
    assert.equal(result.hostGap === null, result.kind === "cpu");
    assert.ok(result.gbps! > 0 && result.gflops! > 0 && result.threads! > 0);
    const time = (result.gpu ?? result.cpu)!.median;
    assert.equal(result.gbps, report.bytes / time / 1e6);
    const vendor = report.results.find(({ kind }) => kind === "vendor")!;
    assert.equal(result.vendorRatio, vendor.gpu!.median / time);
  }
  const tags = (name: string) => report.results.filter((result) => result.tags.includes(name));
  assert.deepEqual(tags("best GPU").map(({ kind }) => kind), ["gpu"]);
  const least = Math.min(...report.results.map(({ cpu }) => cpu!.median));
  assert.deepEqual(tags("best CPU").map(({ cpu }) => cpu!.median), [least]);
  assert.equal(tags("best GPU")[0]!.threads, Math.ceil(33 / 8) * 128);
});

/** A shader file with a kernel that is wrong in one way, and its variant. */
async function planted(folder: string, name: string, body: string): Promise<Variant> {
  const file = `${folder}/${name}.metal`;
  await Deno.writeTextFile(
    file,
    `#include <metal_stdlib>
using namespace metal;
struct P { uint n; uint k; uint line; uint bias_line; uint flags; float alpha; float beta; };
[[kernel]] void ${name}(
    device const half* w [[buffer(0)]], device const half* x [[buffer(1)]],
    device const half* bias [[buffer(2)]], device const half* c [[buffer(3)]],
    device half* y [[buffer(4)]], constant P& p [[buffer(5)]],
    uint group [[threadgroup_position_in_grid]], uint at [[thread_index_in_threadgroup]]) {
  uint j = group * 32 + at;
  if (j >= p.n) return;
  float sum = 0.0f;
  for (uint l = 0; l < p.k; l++) sum += float(w[j * p.line + l]) * float(x[l]);
  ${body}
}
`,
  );
  return {
    name,
    kind: "gpu",
    family: "planted",
    file,
    kernel: name,
    dtype: "float16",
    geometry: { bn: 32, tg: 32 },
    supports: { layouts: ["nt"], bias: true, accumulate: true },
  };
}

Deno.test("a variant whose results are wrong is never timed, nor ranked", onGpu, async () => {
  const on = device();
  const folder = await Deno.makeTempDir();
  try {
    const right =
      "y[j] = half(p.alpha * sum + p.beta * float(c[j]) + float(bias[j] * half(p.flags & 1)));";
    const bodies: Record<string, string> = {
      gemv_right: right,
      gemv_no_alpha: right.replace("p.alpha * ", ""),
      gemv_no_beta: right.replace("p.beta * float(c[j]) + ", ""),
      gemv_no_bias: right.replace("+ float(bias[j] * half(p.flags & 1))", ""),
      gemv_part: `if (j < p.n - 1) { ${right} }`,
      gemv_nothing: "if (sum == 1234.5f) y[j] = half(0.0f);",
      gemv_broken: "this does not compile;",
    };
    const variants: Variant[] = [];
    for (const [name, body] of Object.entries(bodies)) {
      variants.push(await planted(folder, name, body));
    }
    // Right, but its grid is not what its fields say: half of the columns are left out.
    variants.push({
      ...await planted(folder, "gemv_half_grid", right),
      geometry: { bn: 64, tg: 32 },
    });
    const manifest = manifestWith(["vendor_f16"], ...variants);
    const problem = { layout: "nt", n: 70, k: 40 } as const;
    const report = await runVariants("gemv", problem, { ...quick, manifest, device: on });
    const found = Object.fromEntries(report.results.map((result) => [result.name, result]));
    assert.ok(found.gemv_right!.valid, found.gemv_right!.why!);
    assert.ok(found.vendor_f16!.valid, found.vendor_f16!.why!);
    const wrong = Object.keys(bodies).slice(1).concat("gemv_half_grid");
    for (const name of wrong) {
      const { valid, rank, gpu, cpu, tags, vendorRatio, why } = found[name]!;
      assert.deepEqual(
        { valid, rank, gpu, cpu, tags, vendorRatio },
        { valid: false, rank: null, gpu: null, cpu: null, tags: [], vendorRatio: null },
        name,
      );
      assert.match(why!, name === "gemv_broken" ? /this|error|compile/i : /element \d+ is/, name);
    }
    assert.match(found.gemv_part!.why!, /element 69 is NaN/);
    assert.deepEqual(
      report.results.slice(0, 2).map(({ name }) => name).sort(),
      ["gemv_right", "vendor_f16"],
    );
    const table = formatVariants(report);
    assert.equal(table.match(/INVALID: /g)?.length, wrong.length);
    assert.match(table, /best GPU/);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test(
  "runVariants() refuses a threadgroup above the device's limit, and a wrong operation",
  onGpu,
  async () => {
    const on = device();
    const problem = { layout: "nt", n: 8, k: 8 } as const;
    const manifest = manifestWith(good, {
      ...(gpuVariant as Variant),
      geometry: { bn: 8, tg: 4096 },
    });
    await assert.rejects(
      runVariants("gemv", problem, { ...quick, manifest, device: on }),
      /RangeError: Cannot measure a: its threadgroup has 4096 threads/,
    );
    await assert.rejects(
      runVariants("gemm", problem, { manifest: builtInManifest("gemv"), device: on }),
      /RangeError: Cannot measure gemm: the manifest is of gemv/,
    );
    await assert.rejects(
      runVariants("gemv", problem, { dispatches: 0, names: good, device: on }),
      /RangeError: Cannot measure: 0 dispatches/,
    );
  },
);

Deno.test(
  "a kernel compiled for fewer threads than its manifest says is invalid",
  onGpu,
  async () => {
    const manifest = manifestWith([], {
      ...(gpuVariant as Variant),
      geometry: { bn: 8, tg: 256 },
    });
    const problem = { layout: "nt", n: 8, k: 8 } as const;
    const { results } = await runVariants("gemv", problem, {
      ...quick,
      manifest,
      device: device(),
    });
    assert.equal(results[0]!.valid, false);
    assert.match(results[0]!.why!, /256 threads, its most are 128/);
  },
);

Deno.test("METALFAISS_BENCH_ITERS, _WARMUP and _BACKENDS change what runs", onGpu, async () => {
  const problem = { layout: "nt", n: 8, k: 16 } as const;
  const measured = (values: Record<string, string>) =>
    withVariables(
      values,
      () =>
        runVariants("gemv", problem, {
          dispatches: 1,
          footprint: 0,
          device: device(),
          names: good,
        }),
    );
  const some = { METALFAISS_BENCH_ITERS: "4", METALFAISS_BENCH_WARMUP: "0" };
  const all = await measured(some);
  assert.deepEqual(all.results.map(({ cpu }) => cpu!.samples.length), [4, 4, 4]);
  assert.deepEqual([all.method.iterations, all.method.warmup], [4, 0]);
  const host = await measured({ ...some, METALFAISS_BENCH_BACKENDS: "cpu" });
  assert.deepEqual(host.results.map(({ name }) => name), ["cpu_f16"]);
  assert.equal(host.device, null);
  assert.equal(host.skipped.length, 2);
  const two = await measured({ ...some, METALFAISS_BENCH_BACKENDS: "gpu,vendor" });
  assert.deepEqual(two.results.map(({ kind }) => kind).sort(), ["gpu", "vendor"]);
  await assert.rejects(
    measured({ METALFAISS_BENCH_BACKENDS: "tpu" }),
    /RangeError: Cannot use METALFAISS_BENCH_BACKENDS: expected some of gpu,vendor,cpu, got "tpu"/,
  );
  await assert.rejects(measured({ METALFAISS_BENCH_ITERS: "0" }), /METALFAISS_BENCH_ITERS/);
});

Deno.test(
  "operands go round where a footprint asks for it, and results stay right",
  onGpu,
  async () => {
    const problem = { layout: "nn", n: 40, k: 24, bias: true, batch: 2, beta: 1 } as const;
    const { method, results } = await runVariants("gemv", problem, {
      ...quick,
      dispatches: 7,
      footprint: 10_000,
      device: device(),
      names: ["gemv_nn_f16_bn64_tg256_l8_u4", "cpu_f16"],
    });
    assert.equal(method.sets, Math.ceil(10_000 / (2 * 40 * 24 * 2)));
    assert.ok(results.every(({ valid, gbps }) => valid && gbps! > 0));
  },
);

Deno.test("matrix products are variants as well", onGpu, async () => {
  for (const [layout, beta] of [["nn", 1], ["tn", 0]] as const) {
    const problem = { layout, m: 20, n: 36, k: 9, beta, dtype: "float32" } as const;
    const filter = /bm64_bn64|vendor|cpu/;
    const { results } = await runVariants("gemm", problem, { ...quick, device: device(), filter });
    assert.deepEqual(results.map(({ name, why }) => [name, why]).sort(), [
      ["cpu_f32", null],
      [`gemm_${layout}_f32_bm64_bn64`, null],
      [`gemm_${layout}_f32_simd_bm64_bn64`, null],
      ["vendor_f32", null],
    ]);
  }
});

Deno.test("a report is a table, JSON and CSV", () => {
  const timing = { samples: [0.002, 0.004], median: 0.003, p10: 0.002, p90: 0.004 };
  const result = {
    name: 'a "b", c',
    kind: "gpu",
    family: "v2 col",
    valid: true,
    why: null,
    error: 0.0001,
    threads: 128,
    rank: 1,
    gpu: timing,
    cpu: timing,
    hostGap: 0,
    gbps: 1234.5,
    gflops: 2000,
    vendorRatio: 1.25,
    tags: ["best GPU", "best CPU"],
  } as const;
  const report = {
    operation: "gemv",
    problem: { ...probeProblems()[0]!, name: "n=1 k=1 NT", m: 1, batch: 1, bias: false },
    device: { engine: "cuda", name: "H200" },
    method: { iterations: 2, warmup: 0, dispatches: 32, sets: 4 },
    bytes: 10,
    results: [result],
    skipped: [{ name: "d", why: "it adds no bias" }],
  } as unknown as VariantReport;
  const table = formatVariants(report);
  for (const text of ["H200 (cuda)", "3.00", "1235", "1.25×", "best GPU, best CPU"]) {
    assert.ok(table.includes(text), `${text}\n${table}`);
  }
  assert.match(table, /skipped, it adds no bias: d$/);
  const [head, line, skipped] = variantsCsv([report]).trimEnd().split("\n");
  assert.match(line!, /,"a ""b"", c",gpu,v2 col,1,true,,0.0001,128,0.003,/);
  assert.equal(skipped!.split(",").length, head!.split(",").length);
  assert.match(skipped!, /,d,,,,false,skipped: it adds no bias,/);
  assert.deepEqual(JSON.parse(JSON.stringify(report)), report);
});

Deno.test("the probes have every shape of the experiments", () => {
  const shapes = probeProblems().map(({ layout, n, k, batch = 1, bias = false, beta = 0 }) =>
    `${batch}x${n}x${k} ${layout}${bias ? " bias" : ""}${beta ? " beta" : ""}`
  );
  assert.deepEqual(shapes, [
    "1x9728x896 nt",
    "1x896x4864 nt",
    "1x896x896 nt",
    "1x151936x896 nt",
    "1x1152x896 nn bias",
    "14x64x67 nn beta",
    "14x64x80 nn beta",
    "14x64x95 nn beta",
    "14x51x64 nt beta",
    "14x64x64 nt beta",
    "14x90x64 nt beta",
  ]);
  assert.ok(probeProblems(true).every(({ n, k }) => n * k <= 20_000));
});
