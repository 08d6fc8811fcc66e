/**
 * Features, each with something small that shows whether it is there.
 *
 * @module
 */

import { createReferenceBackend } from "../backend/reference/mod.ts";
import { indexBinaryFactory } from "../index/binary/factory.ts";
import { Clustering } from "../index/clustering.ts";
import { indexFactory } from "../index/factory.ts";
import { IndexFlat } from "../index/flat.ts";
import type { Index } from "../index/index.ts";
import { readIndex } from "../io/faiss_file.ts";
import { metalKernel } from "../kernel/metal_kernel.ts";
import { Tensor } from "../kernel/tensor.ts";
import { gemm } from "../linalg/products.ts";
import { Metric } from "../metric.ts";
import { gaussian } from "../profile/datasets.ts";
import type { JournalContext } from "./experiment.ts";
import { distance64 } from "./neighbors.ts";

/** Something is there, and what comes of it is wrong. */
export class WrongResult extends Error {
  /** Name of the class. */
  override name = "WrongResult";
}

/** Something that a library of vector search may have. */
export interface Feature {
  /** Key of its cells. */
  id: string;
  /** As the table names it. */
  name: string;
  /** Whether only a GPU has it. */
  needsGpu?: boolean;
  /** Throws where it is missing: {@linkcode WrongResult} where it is there and wrong. */
  probe: (context: JournalContext) => Promise<void>;
}

const [N, NQ, D, K] = [640, 4, 16, 5];
const x = gaussian(N, D, 81);
const queries = gaussian(NQ, D, 82);

function check(isSo: boolean, what: string): void {
  if (!isSo) throw new WrongResult(what);
}

/** Labels of the nearest rows of a query, the first one, in float64. */
function nearest(k = K, accept: (row: number) => boolean = () => true, query = 0): number[] {
  const distance = (row: number) => distance64(x, row, queries, query, D);
  return Array.from({ length: N }, (_, row) => row).filter(accept)
    .sort((a, b) => distance(a) - distance(b)).slice(0, k);
}

/** Labels found for the first query. */
async function found(index: Index, k = K, params = {}): Promise<number[]> {
  const { labels } = await index.search(queries, k, params);
  return [...labels.subarray(0, k)].map(Number);
}

function same(a: readonly number[], b: readonly number[], what: string): void {
  check(a.join() === b.join(), `${what}: found ${a.join(", ")}, not ${b.join(", ")}`);
}

/** An index that holds the rows. */
async function filled(
  { backend }: JournalContext,
  description: string,
  metric: Metric = Metric.L2,
): Promise<Index> {
  const index = indexFactory(D, description, metric, { backend });
  await index.train(x);
  await index.add(x);
  return index;
}

async function clustered(index: Index): Promise<Clustering> {
  const clustering = new Clustering(D, 4, { niter: 5 });
  await clustering.train(x, { index });
  return clustering;
}

/** A factory string whose index finds true neighbours. */
const byFactory = (description: string) => async (context: JournalContext) => {
  using index = await filled(context, description);
  const { labels } = await index.search(queries, K);
  const truth = Array.from({ length: NQ }, (_, query) => new Set(nearest(K, undefined, query)));
  const isShared = (label: bigint, i: number) => truth[Math.floor(i / K)]!.has(Number(label));
  check(labels.some(isShared), `${description} finds none of the true neighbours`);
};

/** The features of the table. */
export const features: readonly Feature[] = [
  {
    id: "flat",
    name: "Exact search by L2",
    probe: async (context) => {
      using index = await filled(context, "Flat");
      same(await found(index), nearest(), "exact search");
    },
  },
  {
    id: "cosine",
    name: "Cosine as a metric of its own",
    probe: async (context) => {
      using index = await filled(context, "Flat", Metric.Cosine);
      const dot = (row: number, by = queries) => {
        let [sum, own] = [0, 0];
        for (let j = 0; j < D; j++) {
          sum += x[row * D + j]! * by[j]!;
          own += x[row * D + j]! ** 2;
        }
        return sum / Math.sqrt(own);
      };
      const truth = Array.from({ length: N }, (_, row) => row).sort((a, b) => dot(b) - dot(a));
      same(await found(index), truth.slice(0, K), "cosine");
    },
  },
  {
    id: "range",
    name: "Range search",
    probe: async (context) => {
      using index = await filled(context, "Flat");
      const [last] = nearest(3).slice(-1);
      const radius = distance64(x, last!, queries, 0, D);
      const { lims } = await index.rangeSearch(queries.subarray(0, D), radius * (1 + 1e-5));
      check(lims[1] === 3n, `range search finds ${lims[1]} of 3`);
    },
  },
  { id: "ivf", name: "Inverted lists: IVF,Flat", probe: byFactory("IVF4,Flat") },
  {
    id: "filter",
    name: "Filtered search, exact",
    probe: async (context) => {
      using index = await filled(context, "Flat");
      const even = (id: bigint) => id % 2n === 0n;
      const truth = nearest(K, (row) => row % 2 === 0);
      same(await found(index, K, { filter: even }), truth, "filtered search");
    },
  },
  {
    id: "ids",
    name: "Ids of one's own",
    probe: async ({ backend }) => {
      using index = indexFactory(D, "IDMap,Flat", Metric.L2, { backend });
      await index.addWithIds(x, Array.from({ length: N }, (_, i) => 1000 + i));
      same(await found(index), nearest().map((row) => 1000 + row), "own ids");
    },
  },
  {
    id: "remove",
    name: "Removal from inverted lists",
    probe: async (context) => {
      using index = await filled(context, "IVF4,Flat");
      const [first, ...rest] = nearest();
      await index.removeIds([first!]);
      same(await found(index, K - 1, { nprobe: 4 }), rest, "after removal");
    },
  },
  {
    id: "file",
    name: "Save and read, in FAISS's format",
    probe: async (context) => {
      const { backend } = context;
      using index = await filled(context, "IVF4,Flat");
      const folder = await Deno.makeTempDir({ prefix: "metalfaiss-journal-" });
      try {
        await index.save(`${folder}/index.faiss`);
        using read = await readIndex(`${folder}/index.faiss`, { backend });
        same(await found(read, K, { nprobe: 4 }), nearest(), "after reading");
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    },
  },
  {
    id: "kmeans",
    name: "k-means",
    probe: async ({ backend }) => {
      using index = new IndexFlat(D, Metric.L2, { backend });
      const { iterationStats } = await clustered(index);
      const objectives = iterationStats.map(({ objective }) => objective);
      check(index.ntotal === 4, `k-means has ${index.ntotal} centroids, not 4`);
      check(objectives.at(-1)! <= objectives[0]!, "k-means gets no better");
    },
  },
  {
    id: "nan",
    name: "NaN is refused with a typed error",
    probe: async ({ backend }) => {
      using index = new IndexFlat(D, Metric.L2, { backend });
      try {
        await index.add(new Float32Array(D).fill(NaN));
      } catch (error) {
        check(error instanceof RangeError, `NaN is refused with ${error}`);
        return;
      }
      throw new WrongResult("NaN is taken");
    },
  },
  {
    id: "signal",
    name: "One search can be stopped, by a signal",
    probe: async (context) => {
      using index = await filled(context, "Flat");
      const name = await index.search(queries, K, { signal: AbortSignal.abort() })
        .then(() => "none", (error: Error) => error.name);
      check(name === "AbortError", `the error of a stopped search is ${name}`);
    },
  },
  {
    id: "float16",
    name: "Products in float16",
    probe: async ({ backend }) => {
      const half = (data: Float32Array) => ({ data: Float16Array.from(data), rows: 4, columns: 4 });
      const [a, b] = [gaussian(4, 4, 83), gaussian(4, 4, 84)];
      const { value } = await backend.linalg.gemm(
        { ...half(a), dtype: "float16" },
        { ...half(b), dtype: "float16" },
      );
      const numbers = Array.from(value.data as Float16Array);
      const exact = (i: number, j: number) => {
        let sum = 0;
        for (let p = 0; p < 4; p++) sum += a[i * 4 + p]! * b[p * 4 + j]!;
        return sum;
      };
      const off = numbers.map((own, at) => Math.abs(own - exact(at >> 2, at & 3)));
      check(Math.max(...off) < 0.02, `products in float16 are off by ${Math.max(...off)}`);
    },
  },
  {
    id: "gpu",
    name: "Search on the GPU, with the CPU's results",
    needsGpu: true,
    probe: async (context) => {
      using here = await filled(context, "Flat");
      using there = await filled({ ...context, backend: createReferenceBackend() }, "Flat");
      same(await found(here), await found(there), "on the GPU");
    },
  },
  {
    id: "gpu-k",
    name: "More than 1,024 results on the GPU",
    needsGpu: true,
    probe: async ({ backend }) => {
      const rows = gaussian(1500, D, 85);
      using index = new IndexFlat(D, Metric.L2, { backend });
      await index.add(rows);
      const { distances, labels } = await index.search(queries.subarray(0, D), 1200);
      check(new Set(labels).size === 1200, "labels come twice");
      check(
        distances.every((own, i) => i === 0 || own >= distances[i - 1]!),
        "results are in no order",
      );
    },
  },
  {
    id: "kernel",
    name: "Metal kernels of one's own",
    needsGpu: true,
    probe: async ({ device }) => {
      const twice = metalKernel({
        ...{ name: "twice", inputNames: ["x"], outputNames: ["out"] },
        source: "uint i = thread_position_in_grid.x; out[i] = 2 * x[i];",
      });
      using input = Tensor.from([1, 2, 3], [3], "float32", device);
      const [out] = await twice({
        ...{ inputs: [input], outputShapes: [[3]], outputDtypes: ["float32"] },
        ...{ grid: [3, 1, 1], threadgroup: [3, 1, 1] },
      });
      using owned = out!;
      same([...await owned.data<Float32Array>()], [2, 4, 6], "a kernel of one's own");
    },
  },
  {
    id: "gpu-gemm",
    name: "Matrix products of tensors on the GPU",
    needsGpu: true,
    probe: async ({ device }) => {
      using a = Tensor.from([[1, 2], [3, 4]], undefined, "float32", device);
      using product = await gemm(a, a);
      same([...await product.data<Float32Array>()], [7, 10, 15, 22], "a product of tensors");
    },
  },
  { id: "hnsw", name: "Graphs: HNSW", probe: byFactory("HNSW16") },
  { id: "pq", name: "Product quantization", probe: byFactory("PQ8x4") },
  { id: "sq", name: "Scalar quantization", probe: byFactory("SQ8") },
  { id: "pca", name: "PCA before an index", probe: byFactory("PCA8,Flat") },
  { id: "refine", name: "Refinement of quantized results", probe: byFactory("SQ8,RFlat") },
  { id: "fastscan", name: "4-bit codes by fast scan", probe: byFactory("PQ8x4fs") },
  { id: "opq", name: "Optimized product quantization", probe: byFactory("OPQ8,PQ8x4") },
  {
    id: "binary",
    name: "Indexes of binary vectors",
    probe: async ({ backend }) => {
      using index = indexBinaryFactory(D, "BFlat", { backend });
      const codes = Uint8Array.from({ length: N * D / 8 }, (_, i) => {
        return x.subarray(8 * i, 8 * i + 8).reduce((code, value, bit) => {
          return code | Number(value > 0) << bit;
        }, 0);
      });
      await index.add(codes);
      const { distances } = await index.search(codes.subarray(0, D / 8), K);
      check(distances[0] === 0, "a code is not its own neighbour");
    },
  },
];
