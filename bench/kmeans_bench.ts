/** K-means over all vectors, from random ones. @module */

import { Clustering, IndexFlatL2 } from "../mod.ts";
import type { RunInfo } from "../lib/backend/backend.ts";
import { clustered, compare, type Contender, repeat } from "../lib/profile/mod.ts";
import { faissWays } from "./peers.ts";
import { OURS, type Row, toRow } from "./rows.ts";
import { type Context, short } from "./suite.ts";

const D = 128;
const ITERATIONS = 10;
const SEED = 1234;

/** Runs the suite. */
export async function* kmeansSuite(context: Context): AsyncGenerator<Row> {
  const { peers, quick, threads } = context;
  const n = quick ? 20_000 : 1_000_000;
  const k = quick ? 128 : 1024;
  const name = `kmeans ${short(n)}x${D} k${k} ${ITERATIONS} iterations`;
  if (!context.filter.test(name)) return;
  const x = clustered(n, D, { seed: 4 });
  let centroids = new Float32Array();
  let run: RunInfo | undefined;
  const train = async () => {
    using index = new IndexFlatL2(D);
    const clustering = new Clustering(D, k, {
      niter: ITERATIONS,
      seed: SEED,
      maxPointsPerCentroid: n,
      minPointsPerCentroid: 1,
    });
    await clustering.train(x, { index });
    run = index.lastRun;
    centroids = clustering.centroids as Float32Array<ArrayBuffer>;
  };
  const contenders: Contender[] = [{ name: OURS, run: repeat(train) }];
  const path = peers?.path("centroids.raw");
  if (peers) {
    await peers.share("x", x, D);
    // A batch is the whole of x: far above FAISS's threshold, so there is no third way.
    for (const way of faissWays(threads, n, D)) {
      const request = { way, x: "x", k, iterations: ITERATIONS, seed: SEED, centroids: path };
      contenders.push({
        name: way.name,
        group: "faiss",
        run: async (count) => {
          const times: number[] = [];
          while (times.length < count) times.push(await peers.ask<number>("kmeans", request));
          return times;
        },
      });
    }
  }
  const timings = await compare(contenders, { ...context.measure, minSamples: 3 });
  const objective = meanDistance(x, centroids);
  const params: Row["params"] = { iterations: ITERATIONS, seed: SEED, objective };
  let error: number | undefined;
  if (path !== undefined) {
    const theirs = new Float32Array((await Deno.readFile(path)).buffer);
    params.peerObjective = meanDistance(x, theirs);
    error = objective / params.peerObjective - 1;
  }
  yield toRow({
    suite: "kmeans",
    case: name,
    run: run!,
    n,
    d: D,
    nq: n,
    k,
    params,
    ...(error === undefined ? {} : { error }),
    timings,
    flops: 2 * n * k * D * ITERATIONS,
    bytes: 4 * n * D * ITERATIONS,
  }, context.limits);
  await peers?.ask("free");
}

/** Mean squared distance of a sample of rows to the nearest centroid, in double precision. */
function meanDistance(x: Float32Array, centroids: Float32Array): number {
  const n = x.length / D;
  const step = Math.max(1, Math.floor(n / 2000));
  let sum = 0;
  let count = 0;
  for (let row = 0; row < n; row += step, count++) {
    let least = Infinity;
    for (let c = 0; c < centroids.length; c += D) {
      let distance = 0;
      for (let j = 0; j < D; j++) distance += (x[row * D + j]! - centroids[c + j]!) ** 2;
      least = Math.min(least, distance);
    }
    sum += least;
  }
  return sum / count;
}
