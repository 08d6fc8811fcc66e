import { createReferenceBackend } from "../lib/backend/reference/mod.ts";
import { Metric } from "../lib/metric.ts";
import { normals } from "./grid.ts";
import {
  assertClose,
  dtypes,
  float,
  launch,
  params,
  poison,
  stored,
  testAllRan,
} from "./shaders.ts";

const metrics: [name: string, metric: Metric, arg: number][] = [
  ["l2", Metric.L2, 0],
  ["ip", Metric.InnerProduct, 0],
  ["l1", Metric.L1, 0],
  ["linf", Metric.Linf, 0],
  ["lp", Metric.Lp, 3],
  ["lp", Metric.Lp, 0.5],
  ["canberra", Metric.Canberra, 0],
  ["bray_curtis", Metric.BrayCurtis, 0],
  ["jensen_shannon", Metric.JensenShannon, 0],
  ["jaccard", Metric.Jaccard, 0],
  ["nan_euclidean", Metric.NaNEuclidean, 0],
  ["cosine", Metric.Cosine, 0],
];

const reference = createReferenceBackend();

/** Numbers of every sign, with zeros, zero rows and near-duplicates; on the simplex for Jensen–Shannon. */
function rows(n: number, d: number, seed: number, metric: Metric): Float32Array {
  const x = normals(n, d, seed);
  const twins = normals(n, d, 7);
  for (let i = 0; i < x.length; i++) {
    const row = Math.floor(i / d);
    if (row % 5 === 3) x[i] = twins[i % d]! + 1e-3 * x[i]!;
    if (metric === Metric.JensenShannon) x[i] = Math.abs(x[i]!) + 1e-3;
    if (i % 11 === 5 && metric !== Metric.JensenShannon) x[i] = 0;
    if (row % 7 === 6) x[i] = 0;
    if (metric === Metric.NaNEuclidean && (i % 6 === 1 || row % 9 === 4)) x[i] = NaN;
  }
  return x;
}

async function check(
  [name, metric, arg]: [string, Metric, number],
  dtype: typeof dtypes[number],
  x: Float32Array,
  y: Float32Array,
  d: number,
  extra: number,
): Promise<void> {
  const [left, right] = [stored(x, dtype), stored(y, dtype)];
  const [nx, ny] = [x.length / d, y.length / d];
  const out = poison(new Float32Array(nx * (ny + extra)));
  const untouched = out[0]!;
  await launch({
    file: "distance.metal",
    kernel: `pairwise_${name}_${dtype}`,
    args: [left.data, right.data, out],
    params: params(nx, ny, d, ny + extra, float(arg)),
    threadgroups: Math.ceil(nx / 32) * Math.ceil(ny / 32),
    threadgroup: 64,
  });
  const all = await reference.pairwise(left.seen, right.seen, d, metric, arg);
  const expected = new Float32Array(out.length).fill(untouched);
  for (let i = 0; i < nx; i++) expected.set(all.subarray(i * ny, (i + 1) * ny), i * (ny + extra));
  assertClose(out, expected, 6e-7, 1e-30, `${name} ${dtype} ${nx} × ${ny} × ${d}`);
}

for (const dtype of dtypes) {
  Deno.test(`pairwise kernels are the reference's distances [${dtype}]`, async () => {
    for (const metric of metrics) {
      for (const [nx, ny, d, extra] of [[1, 1, 1, 0], [33, 40, 19, 3], [2, 70, 32, 0]] as const) {
        const [x, y] = [rows(nx, d, 1, metric[1]), rows(ny, d, 2, metric[1])];
        await check(metric, dtype, x, y, d, extra);
      }
    }
  });
}

Deno.test("pairwise kernels keep double precision's digits", async () => {
  const kinds: ((value: number) => number)[] = [
    (value) => value + 1e4,
    (value) => 1 + value * 1e-6,
    (value) => value * 1e17,
    (value) => value * 1e-17,
  ];
  for (const metric of metrics) {
    for (const kind of kinds) {
      const positive = metric[1] === Metric.JensenShannon;
      const [x, y] = [1, 2].map((seed) =>
        normals(6, 130, seed).map((v) => kind(positive ? Math.abs(v) + 0.01 : v))
      );
      await check(metric, "f32", x!, y!, 130, 0);
    }
  }
});

Deno.test("pairwise kernels agree where formulas have no value", async () => {
  const x = Float32Array.of(0, 0, 1, 0, -1, 2, 1, -1, -3, -2, NaN, 1, Infinity, 1, 3e38, 3e38);
  for (const metric of metrics) {
    const finite = x.map((value) => Number.isFinite(value) ? value : 4);
    const tame = finite.map((value) => Math.min(value, 1e18));
    await check(metric, "f32", tame, tame, 2, 0);
    // FAISS has no distance where a float overflows; double precision does not overflow.
    const partial = new Set<Metric>([Metric.Linf, Metric.L1, Metric.NaNEuclidean]);
    if (partial.has(metric[1])) {
      await check(metric, "f32", x.subarray(0, 12), x.subarray(0, 12), 2, 0);
    }
  }
});

Deno.test("cosine stands rows whose squares leave a float's range", async () => {
  for (const scale of [1e30, 1e-30, 1e-37]) {
    const [x, y] = [1, 2].map((seed) => normals(5, 40, seed).map((value) => value * scale));
    await check(["cosine", Metric.Cosine, 0], "f32", x!, y!, 40, 0);
  }
});

testAllRan("distance.metal");
