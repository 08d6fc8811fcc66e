/**
 * Indexes of a data set that are kept in files: a million rows take minutes to build. Those of lists are
 * FAISS's own where the peers made them, so that both sides search the same lists and codes; graphs are
 * everyone's own.
 *
 * @module
 */

import { type Index, indexFactory } from "../mod.ts";
import { readIndex } from "../lib/io/mod.ts";
import { D, type DataSet } from "./datasets.ts";
import type { Peers } from "./peers.ts";

/** A peer's index: `faiss IVF1024,Flat`, `hnswlib 32`, `usearch 32`. */
export interface Kept {
  /** Milliseconds of building it, and the machine's load before. */
  ms: number;
  load: number;
}

/** Loads or builds a peer's index, under its own name. */
export async function keptPeer(
  peers: Peers,
  { directory }: DataSet,
  peer: string,
  threads: number,
): Promise<Kept> {
  return await peers.ask("keep", { directory, peer, d: D, threads, name: peer });
}

/** Our index of a factory string. */
export async function kept(set: DataSet, string: string): Promise<Index> {
  const isGraph = string.startsWith("HNSW");
  const theirs = `${set.directory}/peers/faiss-${string}`;
  if (!isGraph && await exists(`${theirs}.json`)) return await readIndex(theirs);
  const path = `${set.directory}/ours/${string}`;
  if (await exists(path)) return await readIndex(path);
  const index = indexFactory(D, string);
  try {
    await index.train(set.base);
    await index.add(set.base);
    await Deno.mkdir(`${set.directory}/ours`, { recursive: true });
    await index.save(path);
    return index;
  } catch (error) {
    index.dispose();
    throw error;
  }
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

/** Whether an error says that a family is not there yet. */
export function isLater(error: unknown): boolean {
  return error instanceof Error && error.message.includes("is not available yet");
}
