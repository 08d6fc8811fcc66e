/** NumPy, which calls OpenBLAS and LAPACK, as a peer of linear algebra. @module */

import type { Contender } from "../lib/profile/mod.ts";
import { PeerProcess } from "./peer_process.ts";
import { coreTypes, plural } from "./peers.ts";

/** What NumPy says of itself. */
export interface NumpyDescription {
  numpy: string;
  blas: string;
  /** Milliseconds of a product with each OpenBLAS core type that was tried; the fastest is used. */
  blasProbe: Record<string, number>;
}

const AS_IT_IS = "as it is";

/** One process a number of threads: OpenBLAS takes it at its start. */
export class Numpy implements AsyncDisposable {
  readonly description: NumpyDescription;
  readonly #processes: readonly { name: string; process: PeerProcess }[];

  private constructor(
    description: NumpyDescription,
    processes: readonly { name: string; process: PeerProcess }[],
  ) {
    this.description = description;
    this.#processes = processes;
  }

  /**
   * Starts NumPy with one thread and with as many as ours: as it is, and with the OpenBLAS core type that
   * is fastest, for OpenBLAS does not know every processor.
   */
  static async start(python: string, threads: number): Promise<Numpy> {
    const blasProbe: Record<string, number> = {};
    const settings: [string, Record<string, string>][] = [[AS_IT_IS, {}]];
    for (const core of await coreTypes()) settings.push([core, { OPENBLAS_CORETYPE: core }]);
    let best = settings[0]!;
    for (const setting of settings) {
      await using process = await open(python, 1, setting[1]);
      const n = 768;
      await process.share("a", new Float32Array(n * n).map((_, i) => Math.sin(i)), n);
      const probe = process.timed("", { work: "gemm", args: ["a", "a"] });
      blasProbe[setting[0]] = Math.min(...await probe.run(8));
      if (blasProbe[setting[0]]! < blasProbe[best[0]]!) best = setting;
    }
    const processes = [];
    for (const [core, variables] of new Set([settings[0]!, best])) {
      for (const count of new Set([1, threads])) {
        const process = await open(python, count, variables);
        const suffix = core === AS_IT_IS ? "" : ` as ${core}`;
        processes.push({ name: `numpy${suffix}, ${plural(count)}`, process });
      }
    }
    const description = await processes[0]!.process.ask<NumpyDescription>("hello");
    return new Numpy({ ...description, blasProbe }, processes);
  }

  /** Gives an array to every process. */
  async share(name: string, data: Float32Array, columns?: number): Promise<void> {
    for (const { process } of this.#processes) await process.share(name, data, columns);
  }

  /** Forgets the arrays. */
  async free(): Promise<void> {
    for (const { process } of this.#processes) await process.ask("free");
  }

  /** Contenders that do a piece of work of `numpy_peer.py`. */
  contenders(work: string, args: readonly string[]): Contender[] {
    return this.#processes.map(({ name, process }) => process.timed(name, { work, args }, "numpy"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { process } of this.#processes) await process[Symbol.asyncDispose]();
  }
}

async function open(
  python: string,
  threads: number,
  variables: Record<string, string>,
): Promise<PeerProcess> {
  const folder = await Deno.makeTempDir({ prefix: "metalfaiss-bench-" });
  const limits = { OPENBLAS_NUM_THREADS: `${threads}`, OMP_NUM_THREADS: `${threads}` };
  return new PeerProcess(python, "numpy_peer.py", folder, { ...variables, ...limits });
}
