/**
 * How inverted lists are searched fastest on a GPU.
 *
 * @module
 */

import { createGpuBackend } from "../../backend/gpu/mod.ts";
import type { IVFStore } from "../../backend/backend.ts";
import { type IvfSettings, SCAN_THREADS, setIvfSettings } from "../../backend/gpu/ivf_settings.ts";
import type { GpuDevice } from "../../kernel/device.ts";
import { Metric } from "../../metric.ts";
import type { TunedIvf } from "../../tuning/mod.ts";
import { gaussian } from "../datasets.ts";
import { choose, contest, crossover, type Round, type Tuner } from "./contest.ts";

const K = 10;
/** Threads a threadgroup that are tried. */
const THREADS = [64, 128, 256, 512, 1024];

/** Chooses threads, then from how many rows a query on fusing pays. */
export async function tuneIvf(tuner: Tuner, device: GpuDevice): Promise<TunedIvf> {
  const [n, d, nlist] = tuner.quick ? [512, 8, 8] : [262_144, 64, 128];
  const store = createGpuBackend(device).createIVF(d, nlist);
  try {
    const lists = BigInt64Array.from({ length: n }, (_, row) => BigInt(row % nlist));
    const ids = BigInt64Array.from({ length: n }, (_, row) => BigInt(row));
    await store.add(gaussian(n, d, 1), lists, ids);
    const query = gaussian(1, d, 2);
    const probes = tuner.quick ? [1, 8] : [1, 2, 4, 8, 32, 128];
    const few = probes.map((nprobe) => search(store, query, nprobe));
    const candidates = THREADS.map((threads) => ({ threads, fused: true }));
    const ranked = await contest(
      tuner,
      tuner.quick ? candidates.slice(1, 3) : candidates,
      name,
      few,
    );
    const best = choose(ranked, ({ threads }) => threads === SCAN_THREADS);
    const threads = best?.threads ?? SCAN_THREADS;
    const points = [];
    for (const [i, nprobe] of probes.entries()) {
      const both = [{ threads, fused: false }, { threads, fused: true }];
      const [unfused, fused] = both as [IvfSettings, IvfSettings];
      const times = await contest(tuner, both, name, [few[i]!]);
      const time = (how: IvfSettings) => {
        return times.find(({ candidate }) => candidate === how)?.mean ?? Infinity;
      };
      points.push({ size: n / nlist * nprobe, first: time(unfused), second: time(fused) });
    }
    return { threads, fusedFrom: crossover(points) };
  } finally {
    setIvfSettings({});
    store[Symbol.dispose]();
  }
}

function name({ threads, fused }: IvfSettings): string {
  return fused ? `${threads} threads` : "keys, then selection";
}

/** One query; results are compared with those of the first candidate that ran. */
function search(store: IVFStore, query: Float32Array, nprobe: number): Round<IvfSettings> {
  const probes = BigInt64Array.from({ length: nprobe }, (_, i) => BigInt(i));
  let expected: string | undefined;
  return {
    name: `ivf nprobe ${nprobe}`,
    subject: (how) => ({
      name: name(how),
      work: async () => {
        setIvfSettings(how);
        return await store.search(query, probes, K, { metric: Metric.L2, metricArg: 0 });
      },
      error: (found) => {
        const { labels, distances } = found as { labels: BigInt64Array; distances: Float32Array };
        const text = `${labels} ${distances}`;
        return text === (expected ??= text) ? 0 : Infinity;
      },
    }),
  };
}
