/**
 * Small indexes of bits of every kind, for the tests of files and of what all of them do.
 *
 * @module
 */

import type { Backend } from "../lib/backend/backend.ts";
import { createCpuBackend } from "../lib/backend/cpu/mod.ts";
import { createReferenceBackend } from "../lib/backend/reference/mod.ts";
import { IndexBinaryFlat } from "../lib/index/binary/flat.ts";
import { IndexBinaryFromFloat } from "../lib/index/binary/from_float.ts";
import { IndexBinaryHash, IndexBinaryMultiHash } from "../lib/index/binary/hash.ts";
import { IndexBinaryHNSW } from "../lib/index/binary/hnsw.ts";
import { IndexBinaryIDMap, IndexBinaryIDMap2 } from "../lib/index/binary/id_map.ts";
import type { IndexBinary } from "../lib/index/binary/index_binary.ts";
import { IndexBinaryIVF } from "../lib/index/binary/ivf.ts";
import { IndexFlatL2 } from "../lib/index/flat.ts";
import { isNative } from "./native.ts";

/** The backends that have indexes of bits. */
export const binaryBackends: readonly Backend[] = isNative
  ? [createReferenceBackend(), createCpuBackend()]
  : [createReferenceBackend()];

/** A test a backend. */
export function testBinary(name: string, body: (backend: Backend) => Promise<void>): void {
  for (const backend of binaryBackends) Deno.test(`${name} [${backend.name}]`, () => body(backend));
}

/** Bytes, the same ones each time. */
export function bytes(n: number, seed = 1): Uint8Array<ArrayBuffer> {
  let state = seed * 7919;
  return Uint8Array.from({ length: n }, () => {
    state = (state * 48271) % 2147483647;
    return state >> 8;
  });
}

/** Vectors near one another in groups, so that searches find something to choose among. */
export function grouped(n: number, codeSize: number, seed = 1): Uint8Array<ArrayBuffer> {
  const centers = bytes(8 * codeSize, 3);
  const noise = bytes(3 * n * codeSize, seed);
  return Uint8Array.from({ length: n * codeSize }, (_, i) => {
    const row = Math.floor(i / codeSize);
    const flips = noise[3 * i]! & noise[3 * i + 1]! & noise[3 * i + 2]!;
    return centers[(row % 8) * codeSize + i % codeSize]! ^ flips;
  });
}

/** An IVF index of its own centroids: the first `nlist` vectors of `x`. */
export async function binaryIVF(
  quantizer: IndexBinary,
  x: Uint8Array,
  nlist: number,
): Promise<IndexBinaryIVF> {
  await quantizer.add(x.subarray(0, nlist * quantizer.codeSize));
  const index = new IndexBinaryIVF(quantizer, quantizer.d, nlist);
  index.ownFields = true;
  return index;
}

/** One index of each kind that files can hold, by name. The caller disposes of them. */
export async function everyBinaryKind(backend: Backend, d = 24): Promise<Map<string, IndexBinary>> {
  const x = grouped(12, d / 8);
  const ids = [40, 0, 7, 7, 2 ** 40, 3, 9, 8, 1, 2, 5, 6];
  const options = { backend };
  const flat = () => new IndexBinaryFlat(d, options);
  const hash = new IndexBinaryHash(d, 5, options);
  hash.nflip = 1;
  const graph = new IndexBinaryHNSW(d, 4, options);
  graph.hnsw.efSearch = 9;
  const lists = await binaryIVF(flat(), x, 4);
  lists.nprobe = 2;
  const kinds = new Map<string, IndexBinary>([
    ["flat", flat()],
    ["hash", hash],
    ["multihash", new IndexBinaryMultiHash(d, 3, 4, options)],
    ["graph", graph],
    ["IVF", lists],
    ["IVF graph", await binaryIVF(new IndexBinaryHNSW(d, 3, options), x, 5)],
    ["floats", new IndexBinaryFromFloat(new IndexFlatL2(d, options))],
  ]);
  (kinds.get("floats") as IndexBinaryFromFloat).ownFields = true;
  for (const index of kinds.values()) await index.add(x);
  const maps = [
    ["map", new IndexBinaryIDMap(flat())],
    ["map2 of IVF", new IndexBinaryIDMap2(await binaryIVF(flat(), x, 4))],
    ["map of hash", new IndexBinaryIDMap(new IndexBinaryHash(d, 3, options))],
    ["map2 of graph", new IndexBinaryIDMap2(new IndexBinaryHNSW(d, 2, options))],
  ] as const;
  for (const [name, map] of maps) {
    map.ownFields = true;
    await map.addWithIds(x, ids);
    kinds.set(name, map);
  }
  const sparse = await binaryIVF(flat(), x, 5);
  await sparse.addWithIds(x.subarray(0, d / 8), [2 ** 52]);
  const untrained = new IndexBinaryIVF(flat(), d, 4);
  untrained.ownFields = true;
  return kinds.set("IVF sparse", sparse).set("IVF untrained", untrained)
    .set("empty", flat())
    .set("graph empty", new IndexBinaryHNSW(d, 3, options))
    .set("hash empty", new IndexBinaryHash(d, 3, options))
    .set("multihash empty", new IndexBinaryMultiHash(d, 2, 12, options));
}
