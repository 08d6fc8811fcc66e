import type { Backend } from "../lib/backend/backend.ts";
import { createCpuBackend } from "../lib/backend/cpu/mod.ts";
import { createGpuBackend } from "../lib/backend/gpu/mod.ts";
import { createReferenceBackend } from "../lib/backend/reference/mod.ts";
import { gpuVariable } from "../lib/env.ts";
import { DeviceError } from "../lib/errors.ts";
import { IndexFlat } from "../lib/index/flat.ts";
import { IndexIDMap, IndexIDMap2 } from "../lib/index/id_map.ts";
import type { Index } from "../lib/index/index.ts";
import { IndexIVFFlat } from "../lib/index/ivf_flat.ts";
import { gpu, type GpuDevice } from "../lib/kernel/device.ts";
import { isSimilarity, Metric } from "../lib/metric.ts";
import { Random } from "../lib/random.ts";

/** The GPU of the tests: that of METALFAISS_GPU, else the emulator. */
export function testDevice(): GpuDevice {
  return gpu(gpuVariable() ?? "emulator");
}

/** The backends that run here; `cpu` and `gpu` where the native library is built. */
export function backends(): Backend[] {
  try {
    return [createReferenceBackend(), createCpuBackend(), createGpuBackend(testDevice())];
  } catch (error) {
    if (!(error instanceof DeviceError)) throw error;
    return [createReferenceBackend()];
  }
}

const available = backends();

/** A test of every backend, or of those that are quick enough for its size. */
export function testEach(
  name: string,
  run: (backend: Backend) => Promise<void> | void,
  fits: (backend: Backend) => boolean = () => true,
): void {
  for (const backend of available.filter(fits)) {
    Deno.test(`${name} [${backend.name}]`, () => run(backend));
  }
}

/** Vectors of small integers: float32 distances between them are exact, and ties are many. */
export function integers(n: number, d: number, seed: number, offset = 0): Float32Array {
  const random = new Random(seed);
  return Float32Array.from({ length: n * d }, () => offset + random.integer(9) - 4);
}

/** Vectors of normally distributed numbers. */
export function normals(n: number, d: number, seed: number): Float32Array {
  const random = new Random(seed);
  return Float32Array.from({ length: n * d }, () => random.normal());
}

/** A result to compare with. */
export interface Expected {
  distances: number[];
  labels: bigint[];
}

/** Squared L2, inner product or L1 of two rows. */
function exact(metric: Metric, x: Float32Array, y: Float32Array): number {
  const terms = Array.from(x, (a, c) => {
    const b = y[c]!;
    return metric === Metric.L2 ? (a - b) ** 2 : metric === Metric.L1 ? Math.abs(a - b) : a * b;
  });
  return Math.fround(terms.reduce((total, term) => total + term, 0));
}

/** The hits of one query, best first, by sorting all. */
export function rank(
  x: Float32Array,
  query: Float32Array,
  metric: Metric,
  ids: readonly bigint[],
  allowed: (id: bigint) => boolean = () => true,
): { id: bigint; distance: number; row: number }[] {
  const d = query.length;
  const sign = isSimilarity(metric) ? -1 : 1;
  return ids.map((id, row) => {
    return { id, row, distance: exact(metric, query, x.subarray(row * d, (row + 1) * d)) };
  }).filter(({ id }) => allowed(id))
    .sort((a, b) => sign * (a.distance - b.distance) || a.row - b.row);
}

/** What a search must return, by sorting all. */
export function bruteForce(
  x: Float32Array,
  queries: Float32Array,
  d: number,
  k: number,
  metric: Metric,
  ids: readonly bigint[],
  allowed?: (id: bigint) => boolean,
): Expected {
  const missing = isSimilarity(metric) ? -3.4028234663852886e38 : 3.4028234663852886e38;
  const expected: Expected = { distances: [], labels: [] };
  for (let q = 0; q < queries.length; q += d) {
    const hits = rank(x, queries.subarray(q, q + d), metric, ids, allowed);
    for (let i = 0; i < k; i++) {
      expected.labels.push(hits[i]?.id ?? -1n);
      expected.distances.push(hits[i]?.distance ?? missing);
    }
  }
  return expected;
}

/** A search's result in the form of {@linkcode bruteForce}'s. */
export function plain(found: { distances: Float32Array; labels: BigInt64Array }): Expected {
  return { distances: [...found.distances], labels: [...found.labels] };
}

/** A kind of index, made empty and trained, searching everything it holds. */
export interface Kind {
  name: string;
  /** Whether ids are given with the vectors. */
  takesIds: boolean;
  make: (backend: Backend, d: number, metric: Metric, x: Float32Array) => Promise<Index>;
}

async function trained(
  backend: Backend,
  d: number,
  metric: Metric,
  x: Float32Array,
  nlist: number,
): Promise<IndexIVFFlat> {
  const quantizer = new IndexFlat(d, metric, { backend });
  const index = new IndexIVFFlat(quantizer, d, nlist, metric);
  index.ownFields = true;
  index.cp.minPointsPerCentroid = 1;
  index.nprobe = nlist;
  await index.train(x);
  return index;
}

function owning<T extends IndexIDMap>(map: T): T {
  map.ownFields = true;
  return map;
}

/** Every kind of index. `x` holds at least 4 vectors to train on. */
export const kinds: readonly Kind[] = [
  {
    name: "IndexFlat",
    takesIds: false,
    make: (backend, d, metric) => Promise.resolve(new IndexFlat(d, metric, { backend })),
  },
  {
    name: "IndexIVFFlat",
    takesIds: true,
    make: (backend, d, metric, x) => trained(backend, d, metric, x, 4),
  },
  {
    name: "IndexIDMap(Flat)",
    takesIds: true,
    make: (backend, d, metric) =>
      Promise.resolve(owning(new IndexIDMap(new IndexFlat(d, metric, { backend })))),
  },
  {
    name: "IndexIDMap2(Flat)",
    takesIds: true,
    make: (backend, d, metric) =>
      Promise.resolve(owning(new IndexIDMap2(new IndexFlat(d, metric, { backend })))),
  },
  {
    name: "IndexIDMap2(IVFFlat)",
    takesIds: true,
    make: async (backend, d, metric, x) =>
      owning(new IndexIDMap2(await trained(backend, d, metric, x, 3))),
  },
];

/** A test of every kind of index on every backend. */
export function testKinds(
  name: string,
  run: (kind: Kind, backend: Backend) => Promise<void>,
): void {
  for (const kind of kinds) testEach(`${kind.name} ${name}`, (backend) => run(kind, backend));
}

/** The ids that a filled index holds: increasing, with gaps where the kind takes ids. */
export function idsOf(kind: Kind, n: number): bigint[] {
  return Array.from({ length: n }, (_, i) => BigInt(kind.takesIds ? 3 * i + 5 : i));
}

/** A new index of the kind holding `x`. */
export async function filled(
  kind: Kind,
  backend: Backend,
  d: number,
  metric: Metric,
  x: Float32Array,
): Promise<Index> {
  const index = await kind.make(backend, d, metric, x);
  const ids = idsOf(kind, x.length / d);
  if (kind.takesIds) await index.addWithIds(x, BigInt64Array.from(ids));
  else await index.add(x);
  return index;
}
