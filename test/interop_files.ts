/**
 * Runs Python with faiss, and compares what it finds with what is found here.
 *
 * @module
 */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import type { Index } from "../lib/index/index.ts";
import { readNpy } from "../lib/io/mod.ts";

const K = 10;

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

/** How far distances may lie apart: of their size, and of what was summed up. */
export interface Tolerance {
  relative: number;
  absolute: number;
}

function near(a: number, b: number, { relative, absolute }: Tolerance): boolean {
  return Math.abs(a - b) <= relative * Math.abs(b) + absolute;
}

/**
 * Distances agree everywhere; labels too, except among neighbours that are as near.
 *
 * @param path Where `.D.npy` and `.I.npy` are.
 */
export async function assertFinds(
  index: Index,
  queries: Float32Array,
  path: string,
  tolerance: Tolerance,
): Promise<void> {
  const found = await index.search(queries, K);
  const distances = (await readNpy(`${path}.D.npy`)).data as Float32Array;
  const labels = (await readNpy(`${path}.I.npy`)).data as BigInt64Array;
  assert.equal(found.distances.length, distances.length);
  distances.forEach((distance, i) => {
    const what = `${path}: query ${Math.floor(i / K)}, place ${i % K}`;
    const own = found.distances[i]!;
    assert(near(own, distance, tolerance), `${what}: ${own}, not ${distance}`);
    if (found.labels[i] === labels[i]) return;
    const row = i - i % K;
    const others = distances.subarray(row, row + K);
    const tied = others.filter((other) => near(other, distance, tolerance)).length;
    assert(tied > 1 || i % K === K - 1, `${what}: ${found.labels[i]}, not ${labels[i]}`);
  });
}

/**
 * The same labels are within the radius, except those just at it.
 *
 * @param path Where `.radius.npy`, `.lims.npy` and `.within.npy` are.
 */
export async function assertWithin(
  index: Index,
  queries: Float32Array,
  path: string,
  tolerance: Tolerance,
): Promise<void> {
  const radius = Number((await readNpy(`${path}.radius.npy`)).data[0]);
  const lims = (await readNpy(`${path}.lims.npy`)).data;
  const labels = (await readNpy(`${path}.within.npy`)).data as BigInt64Array;
  const found = await index.rangeSearch(queries, radius);
  assert.equal(found.lims.length, lims.length);
  for (let query = 0; query + 1 < lims.length; query++) {
    const theirs = new Set(labels.subarray(Number(lims[query]), Number(lims[query + 1])));
    const [start, end] = [Number(found.lims[query]), Number(found.lims[query + 1])];
    const what = `${path}: query ${query} within ${radius}`;
    assert(Math.abs(end - start - theirs.size) <= 1, `${what}: ${end - start} of ${theirs.size}`);
    for (let i = start; i < end; i++) {
      const expected = theirs.has(found.labels[i]!) ||
        near(found.distances[i]!, radius, tolerance);
      assert(expected, `${what}: ${found.labels[i]}`);
    }
  }
}
