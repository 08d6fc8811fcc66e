/**
 * The two sets of vectors that families are measured on, kept in files under out/bench: rows near a bent
 * surface, and SIFT descriptors of photographs. Neither has tight clusters, in which every graph is perfect.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import { IndexFlatL2 } from "../mod.ts";
import { manifold } from "../lib/profile/mod.ts";
import type { Peers } from "./peers.ts";
import { short } from "./suite.ts";
import { makeVenv, venvPython } from "./venv.ts";

/** Dimension of both. */
export const D = 128;

/** Queries that are held out. */
export const QUERIES = 10_000;

/** What makes a set of vectors hard to search. */
export interface Difficulty {
  /** Local intrinsic dimension: maximum likelihood over the 100 nearest (Levina and Bickel, 2004). */
  intrinsic: number;
  /** Relative contrast: mean distance by that of the nearest (He, Kumar and Chang, 2012). */
  contrast: number;
}

/** Vectors, and queries that are none of them. */
export interface DataSet {
  name: string;
  /** Where its files and the peers' indexes of it are. */
  directory: string;
  n: number;
  base: Float32Array;
  queries: Float32Array;
}

/** Names of the sets, with what makes each. */
const makers = {
  async manifold(directory: string, quick: boolean) {
    const all = manifold((quick ? 50_000 : 1_000_000) + QUERIES, D, {
      ...{ intrinsic: 14, noise: 0.05 },
    });
    await writeFloats(`${directory}/queries.f32`, all.subarray(all.length - QUERIES * D));
    await writeFloats(`${directory}/base.f32`, all.subarray(0, all.length - QUERIES * D));
  },
  async sift(directory: string, quick: boolean) {
    if (!(await makeVenv(["images"])).has("images")) {
      throw new Error("Cannot make SIFT descriptors: .venv lacks the packages");
    }
    const script = fileURLToPath(new URL("descriptors.py", import.meta.url));
    const { success } = await new Deno.Command(venvPython, {
      args: [script, directory, `${quick ? 50_000 : 500_000}`],
      stdout: "null",
    }).spawn().status;
    if (!success) throw new Error("Cannot make SIFT descriptors");
  },
};

/** A set of vectors. */
export type DataSetName = keyof typeof makers;

/** The sets. */
export const dataSets = Object.keys(makers) as DataSetName[];

/** Name of a set with its size. */
export function dataSetName(name: DataSetName, quick: boolean): string {
  const n = quick ? 50_000 : name === "manifold" ? 1_000_000 : 500_000;
  return `${name}-${short(n)}`;
}

/** A set of vectors, from its files or made and then kept. */
export async function dataSet(name: DataSetName, quick: boolean): Promise<DataSet> {
  const full = dataSetName(name, quick);
  const directory = fileURLToPath(new URL(`../out/bench/${full}`, import.meta.url));
  await Deno.mkdir(directory, { recursive: true });
  const path = `${directory}/base.f32`;
  // The base is written last.
  if (!await exists(path)) await makers[name](directory, quick);
  const [base, queries] = [await readFloats(path), await readFloats(`${directory}/queries.f32`)];
  return { name: full, directory, n: base.length / D, base, queries };
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

async function writeFloats(path: string, data: Float32Array): Promise<void> {
  const bytes = new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
  await Deno.writeFile(`${path}.part`, bytes);
  await Deno.rename(`${path}.part`, path);
}

async function readFloats(path: string): Promise<Float32Array> {
  return new Float32Array((await Deno.readFile(path)).buffer);
}

/** The true neighbours of queries. */
export interface Truth {
  /** Ids of the `k` nearest of each query. */
  labels: BigInt64Array;
  difficulty: Difficulty;
}

/** Neighbours of the first `nq` queries by FAISS's IndexFlat, or without peers by ours; `k` at most 100. */
export async function truthOf(
  { base, queries }: DataSet,
  nq: number,
  k: number,
  peers: Peers | undefined,
): Promise<Truth> {
  const [some, most] = [queries.subarray(0, nq * D), 100];
  let found: { labels: ArrayLike<number | bigint>; distances: ArrayLike<number> };
  if (peers) {
    await peers.share("base", base, D);
    await peers.share("queries", some, D);
    await peers.ask("flat", { name: "truth", base: "base", metric: "L2" });
    const way = { name: "faiss", engine: "faiss", threads: navigator.hardwareConcurrency };
    const request = { way, index: "truth", queries: "queries", nq, k: most, count: nq };
    found = await peers.ask("result", request);
    await peers.ask("free");
  } else {
    using flat = new IndexFlatL2(D);
    await flat.add(base);
    found = await flat.search(some, most);
  }
  const labels = new BigInt64Array(nq * k);
  for (let i = 0; i < labels.length; i++) {
    labels[i] = BigInt(found.labels[Math.floor(i / k) * most + i % k]!);
  }
  return { labels, difficulty: difficultyOf(base, some, found.distances, most, D) };
}

/**
 * How hard a set is to search.
 *
 * @param squared Squared distances to the `k` nearest rows of each query, nearest first.
 */
export function difficultyOf(
  base: Float32Array,
  queries: Float32Array,
  squared: ArrayLike<number>,
  k: number,
  d: number,
): Difficulty {
  const nq = queries.length / d;
  let [logs, nearest, mean, pairs] = [0, 0, 0, 0];
  for (let q = 0; q < nq; q++) {
    const last = squared[(q + 1) * k - 1]!;
    for (let i = q * k; i < (q + 1) * k - 1; i++) {
      logs += Math.log(Math.max(squared[i]!, 1e-30) / last) / 2;
    }
    nearest += Math.sqrt(squared[q * k]!);
    // A hundred rows a query, others for each.
    const step = Math.max(1, Math.floor(base.length / d / 100));
    for (let row = q % step; row < base.length / d; row += step, pairs++) {
      let sum = 0;
      for (let j = 0; j < d; j++) sum += (queries[q * d + j]! - base[row * d + j]!) ** 2;
      mean += Math.sqrt(sum);
    }
  }
  return { intrinsic: -nq * (k - 1) / logs, contrast: mean / pairs / (nearest / nq) };
}

/** Share of true neighbours among those found, `k` a query. */
export function recallOf(
  labels: ArrayLike<number | bigint>,
  truth: BigInt64Array,
  k: number,
): number {
  let hits = 0;
  for (let from = 0; from < truth.length; from += k) {
    const own = new Set(truth.subarray(from, from + k));
    for (let i = from; i < from + k; i++) hits += own.has(BigInt(labels[i]!)) ? 1 : 0;
  }
  return hits / truth.length;
}
