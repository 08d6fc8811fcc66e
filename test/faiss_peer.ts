/**
 * Comparing with FAISS: Python that writes or reads files, and what it found in them.
 *
 * @module
 */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import type { Index } from "../lib/index/index.ts";
import { readNpy } from "../lib/io/mod.ts";
import { isSimilarity } from "../lib/metric.ts";

const TOLERANCE = 1e-5;

/** Runs a script of test/interop with the Python that has faiss. */
export async function python(script: string, directory: string): Promise<void> {
  const path = fileURLToPath(new URL("../.venv/bin/python", import.meta.url));
  try {
    await Deno.stat(path);
  } catch {
    throw new Error("Cannot compare with FAISS: run `deno task venv` first");
  }
  const { success, stderr } = await new Deno.Command(path, {
    args: [fileURLToPath(new URL(`interop/${script}`, import.meta.url)), directory],
    env: { OMP_NUM_THREADS: "1" },
    stdout: "null",
  }).output();
  assert(success, new TextDecoder().decode(stderr));
}

/** Whether a distance is FAISS's; `terms` is how large the numbers are that it is a sum of. */
export function near(a: number, b: number, terms: number): boolean {
  return Math.abs(a - b) <= TOLERANCE * Math.abs(b) + 1e-6 * terms;
}

/** Distances agree everywhere; labels too, except among neighbours that are as near. */
export async function assertFinds(
  index: Index,
  queries: Float32Array,
  path: string,
  terms: number,
): Promise<void> {
  const distances = (await readNpy(`${path}.D.npy`)).data as Float32Array;
  const labels = (await readNpy(`${path}.I.npy`)).data as BigInt64Array;
  const k = distances.length / (queries.length / index.d);
  const found = await index.search(queries, k);
  assert.equal(found.distances.length, distances.length);
  distances.forEach((distance, i) => {
    const what = `${path}: query ${Math.floor(i / k)}, place ${i % k}`;
    const ours = found.distances[i]!;
    assert(near(ours, distance, terms), `${what}: ${ours}, not ${distance}`);
    if (found.labels[i] === labels[i]) return;
    const row = distances.subarray(i - i % k, i - i % k + k);
    const tied = row.filter((other) => near(other, distance, terms)).length;
    assert(tied > 1 || i % k === k - 1, `${what}: ${found.labels[i]}, not ${labels[i]}`);
  });
}

/** The same labels are within the radius, except those just at it. */
export async function assertWithin(
  index: Index,
  queries: Float32Array,
  path: string,
  terms: number,
): Promise<void> {
  const radius = Number((await readNpy(`${path}.radius.npy`)).data[0]);
  const lims = (await readNpy(`${path}.lims.npy`)).data;
  const labels = (await readNpy(`${path}.within.npy`)).data as BigInt64Array;
  const found = await index.rangeSearch(queries, radius);
  assert.equal(found.lims.length, lims.length);
  for (let query = 0; query + 1 < lims.length; query++) {
    const theirs = new Set(labels.subarray(Number(lims[query]), Number(lims[query + 1])));
    const what = `${path}: query ${query} within ${radius}`;
    let common = 0;
    for (let i = Number(found.lims[query]); i < Number(found.lims[query + 1]); i++) {
      if (theirs.has(found.labels[i]!)) common++;
      else assert(near(found.distances[i]!, radius, terms), `${what}: ${found.labels[i]}`);
    }
    // Codes are often the same, so that many vectors may lie just at the radius.
    const missed = theirs.size - common;
    if (missed === 0) continue;
    const room = Math.abs(radius) * TOLERANCE + 1e-6 * terms;
    const wider = await index.rangeSearch(
      queries.subarray(query * index.d, (query + 1) * index.d),
      isSimilarity(index.metric) ? radius - room : radius + room,
    );
    const narrow = new Set(wider.labels);
    for (const label of theirs) assert(narrow.has(label), `${what}: ${label} is missing`);
  }
}
