/** PyTorch on a GPU as a peer. @module */

import type { IndexIVFFlat } from "../mod.ts";
import type { Contender } from "../lib/profile/mod.ts";
import { PeerProcess } from "./peer_process.ts";
import type { Found } from "./truth.ts";

/** A search in PyTorch. */
export interface TorchSearch {
  base: string;
  queries: string;
  nq: number;
  k: number;
  nprobe?: number;
}

/** What PyTorch says of itself and its device. */
export interface TorchDescription {
  torch: string;
  cuda: string;
  device: string;
  memory: number;
  /** Bytes read and written a second by a copy on the device, in GB/s. */
  copyGBps: number;
}

/** The process. */
export class TorchPeer extends PeerProcess {
  constructor(python: string, folder: string) {
    super(python, "torch_peer.py", folder);
  }

  /** Versions, device and its copy bandwidth. */
  describe(): Promise<TorchDescription> {
    return this.ask("hello");
  }

  /** Standard normal rows that both sides have. */
  async draw(name: string, n: number, d: number, seed: number): Promise<Float32Array> {
    const path = this.path(`${name}.raw`);
    await this.ask("draw", { name, path, shape: [n, d], seed });
    const rows = new Float32Array(n * d);
    using file = await Deno.open(path);
    const bytes = new Uint8Array(rows.buffer);
    for (let at = 0; at < bytes.length;) {
      const read = await file.read(bytes.subarray(at, at + 2 ** 28));
      if (read === null) throw new Error(`Cannot read ${path}: it is short`);
      at += read;
    }
    await Deno.remove(path);
    return rows;
  }

  /** The lists of an index over the array named `base`. */
  async shareLists({ d, nlist, store, quantizer, ntotal }: IndexIVFFlat): Promise<void> {
    const order = new Uint32Array(ntotal);
    const offsets = new Uint32Array(nlist + 1);
    for (let list = 0; list < nlist; list++) {
      const { ids } = store.list(list);
      const at = offsets[list]!;
      ids.forEach((id, i) => order[at + i] = Number(id));
      offsets[list + 1] = at + ids.length;
    }
    await this.share("order", order);
    await this.share("offsets", offsets);
    await this.share("centroids", quantizer.reconstructN(0, nlist), d);
    await this.ask("ivf", {
      base: "base",
      order: "order",
      offsets: "offsets",
      centroids: "centroids",
    });
  }

  /** A contender that searches in PyTorch, by GPU time. */
  contender(search: TorchSearch): Contender {
    return this.timed("torch", search);
  }

  /** What it finds for the first `count` queries. */
  result(search: TorchSearch, count: number): Promise<Found> {
    return this.ask("result", { ...search, count });
  }
}

/** Starts PyTorch. */
export async function startTorch(python: string): Promise<TorchPeer> {
  const folder = await Deno.makeTempDir({ prefix: "metalfaiss-bench-" });
  return new TorchPeer(python, folder);
}
