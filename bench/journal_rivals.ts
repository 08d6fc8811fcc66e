/** FAISS as a rival of the journal's competitive tables: the same rows, timed in its own process. @module */

import type { Rival, RivalFeature, RivalIndex, RivalResult } from "../lib/journal/mod.ts";
import { faissWays, type PeerDescription, type Peers, type Way } from "./peers.ts";

/** Queries of one call from which ways with BLAS are shown. */
const QUERIES = 256;

/**
 * FAISS, in every way it is run.
 *
 * @param peers The process.
 * @param description What it said of itself.
 * @param threads Most threads.
 * @param d Dimension of the searches.
 */
export function faissRivals(
  peers: Peers,
  { versions }: Pick<PeerDescription, "versions">,
  threads: number,
  d = 64,
): Rival[] {
  const library = `FAISS ${versions["faiss-cpu"]}`;
  return faissWays(threads, QUERIES, d).map((way) => new FaissRival(peers, library, way));
}

/** Names of arrays and indexes, so that rivals of one process keep theirs apart. */
let turn = 0;

class FaissRival implements Rival {
  readonly library: string;
  readonly name: string;
  readonly threads: number;
  readonly #peers: Peers;
  readonly #way: Way;

  constructor(peers: Peers, library: string, way: Way) {
    this.#peers = peers;
    this.#way = way;
    this.library = library;
    this.name = way.name.replace(/^faiss/, library);
    this.threads = way.threads;
  }

  async flat(rows: Float32Array, d: number): Promise<RivalIndex> {
    const name = `journal-${turn++}`;
    await this.#peers.share(name, rows, d);
    await this.#peers.ask("flat", { name, base: name, metric: "L2" });
    return new FaissIndex(this.#peers, this.#way, name, d);
  }

  async read(path: string, d: number, nprobe: number): Promise<RivalIndex> {
    const name = `journal-${turn++}`;
    await this.#peers.ask("read", { name, path });
    return new FaissIndex(this.#peers, this.#way, name, d, nprobe);
  }

  features(): Promise<Record<string, RivalFeature>> {
    return this.#peers.ask("features");
  }
}

class FaissIndex implements RivalIndex {
  readonly #peers: Peers;
  readonly #way: Way;
  readonly #index: string;
  readonly #d: number;
  readonly #nprobe: number | undefined;
  #shared: Float32Array | undefined;

  constructor(peers: Peers, way: Way, index: string, d: number, nprobe?: number) {
    this.#peers = peers;
    this.#way = way;
    this.#index = index;
    this.#d = d;
    this.#nprobe = nprobe;
  }

  async search(queries: Float32Array, k: number): Promise<RivalResult> {
    const nq = queries.length / this.#d;
    return await this.#peers.ask("result", { ...await this.#request(queries, k, nq), count: nq });
  }

  async time(
    queries: Float32Array,
    k: number,
    each: number,
    count: number,
  ): Promise<number[]> {
    const calls = queries.length / this.#d / each;
    const request = await this.#request(queries, k, each);
    const times = await this.#peers.ask<number[]>("timed", {
      ...request,
      ...{ at: 0, count: calls * count },
    });
    return Array.from({ length: count }, (_, i) => {
      return times.slice(i * calls, (i + 1) * calls).reduce((sum, ms) => sum + ms, 0);
    });
  }

  async #request(queries: Float32Array, k: number, nq: number): Promise<object> {
    const name = `${this.#index}-queries`;
    if (this.#shared !== queries) await this.#peers.share(name, queries, this.#d);
    this.#shared = queries;
    const nprobe = this.#nprobe === undefined ? {} : { nprobe: this.#nprobe };
    return { way: this.#way, index: this.#index, queries: name, nq, k, ...nprobe };
  }
}
