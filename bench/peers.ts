/** FAISS, hnswlib and usearch on our arrays. @module */

import type { Contender } from "../lib/profile/mod.ts";
import { PeerProcess } from "./peer_process.ts";

/** How a peer is run. */
export interface Way {
  /** Name in the table. */
  name: string;
  engine: "faiss" | "usearch" | "hnswlib";
  threads: number;
  /** FAISS's `distance_compute_blas_threshold`; as shipped if absent. */
  blas?: number;
  /** FAISS's `IndexIVF.parallel_mode`: 1 shares the lists of one query among threads. */
  parallelMode?: number;
}

/** What a timed search or its result is asked with. */
export interface PeerSearch {
  way: Way;
  /** Name of an index; with usearch, `base` and `metric` say the same. */
  index?: string;
  base?: string;
  metric?: string;
  queries: string;
  nq: number;
  k: number;
  nprobe?: number;
  /** Of a graph. */
  efSearch?: number;
  /** FAISS's parameters: `nprobe=16,k_factor_rf=4`. */
  parameters?: string;
  bitmap?: string;
}

/** What the peer process says of itself. */
export interface PeerDescription {
  versions: Record<string, string>;
  faissOptions: string;
  blasCore: string | null;
  variables: Record<string, string>;
  /** How fast FAISS's BLAS was with each setting that was tried, in ms; the fastest is used. */
  blasProbe?: Record<string, number>;
}

/** FAISS, hnswlib and usearch. */
export class Peers extends PeerProcess {
  /** Starts Python with this environment on top of, or (undefined) taken from, ours. */
  constructor(python: string, folder: string, variables: Record<string, string | undefined>) {
    super(python, "peer.py", folder, variables);
  }

  /** A contender that searches in the peer. */
  contender(search: PeerSearch): Contender {
    return this.timed(search.way.name, search, search.way.engine);
  }
}

/** The ways FAISS is shown for a search of `nq` queries. */
export function faissWays(threads: number, nq: number, d: number, plain = true): Way[] {
  const ways: Way[] = [{ name: "faiss, 1 thread", engine: "faiss", threads: 1 }];
  const name = `faiss, ${plural(threads)}`;
  if (threads > 1) ways.push({ name, engine: "faiss", threads });
  // Above its threshold FAISS calls BLAS anyway, and with a selector never.
  if (plain && nq * d < 128_000) {
    ways.push({ name: `${name}, BLAS`, engine: "faiss", threads, blas: 1 });
  }
  return ways;
}

/** `1` → `"1 thread"`. */
export function plural(threads: number): string {
  return threads === 1 ? "1 thread" : `${threads} threads`;
}

/**
 * Starts the peers with the BLAS setting that makes FAISS fastest: OpenBLAS does not know every
 * processor, and OPENBLAS_CORETYPE can be worth 2× either way. Where times do not count, `probe` can be
 * left out.
 */
export async function startPeers(
  python: string,
  threads: number,
  { probe: isProbed = true } = {},
): Promise<{ peers: Peers; description: PeerDescription }> {
  const settings: [string, Record<string, string | undefined>][] = [["as it is", {}]];
  if (Deno.env.has("OPENBLAS_CORETYPE")) settings.push(["unset", { OPENBLAS_CORETYPE: undefined }]);
  for (const core of await coreTypes()) settings.push([core, { OPENBLAS_CORETYPE: core }]);
  const blasProbe: Record<string, number> = {};
  let best: (typeof settings)[number] = settings[0]!;
  if (isProbed && settings.length > 1) {
    for (const setting of settings) {
      const folder = await Deno.makeTempDir({ prefix: "metalfaiss-bench-" });
      await using peers = new Peers(python, folder, setting[1]);
      blasProbe[setting[0]] = await probe(peers, threads);
      if (blasProbe[setting[0]]! < blasProbe[best[0]]!) best = setting;
    }
  }
  const folder = await Deno.makeTempDir({ prefix: "metalfaiss-bench-" });
  const peers = new Peers(python, folder, best[1]);
  try {
    const description = await peers.ask<PeerDescription>("hello");
    return { peers, description: { ...description, blasProbe } };
  } catch (error) {
    await peers[Symbol.asyncDispose]();
    throw error;
  }
}

/** Milliseconds of a search that is mostly sgemm. */
async function probe(peers: Peers, threads: number): Promise<number> {
  const d = 128;
  const x = new Float32Array(16_384 * d).map((_, i) => Math.sin(i * i));
  await peers.share("x", x, d);
  await peers.ask("flat", { name: "x", base: "x", metric: "L2" });
  const way: Way = { name: "", engine: "faiss", threads, blas: 1 };
  const search = peers.contender({ way, index: "x", queries: "x", nq: 1024, k: 1 });
  return Math.min(...await search.run(8));
}

/** OpenBLAS core types that can run here. */
export async function coreTypes(): Promise<string[]> {
  if (Deno.build.arch !== "x86_64" || Deno.build.os !== "linux") return [];
  const info = await Deno.readTextFile("/proc/cpuinfo");
  return [/\bavx512vl\b/.test(info) ? "SkylakeX" : "", /\bavx2\b/.test(info) ? "Haswell" : ""]
    .filter((core) => core !== "");
}
