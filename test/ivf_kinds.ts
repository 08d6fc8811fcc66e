/**
 * Small indexes with inverted lists, direct maps and other quantizers, for the tests of files.
 *
 * @module
 */

import type { Backend } from "../lib/backend/backend.ts";
import { DirectMapType } from "../lib/index/direct_map.ts";
import { IndexFlatL2 } from "../lib/index/flat.ts";
import type { Index } from "../lib/index/index.ts";
import { IndexIVFFlat } from "../lib/index/ivf_flat.ts";
import { IndexPQ } from "../lib/index/product_quantizer.ts";
import { IndexRefineFlat } from "../lib/index/refine.ts";
import { ivf, numbers } from "./indexes.ts";

/** Indexes with each kind of direct map, and, where there are codes, a quantizer around codes. */
export async function ivfKinds(backend: Backend): Promise<Map<string, Index>> {
  const d = 3;
  const x = numbers(12 * d);
  const array = await ivf(backend, x, d, 4);
  await array.add(x);
  await array.setDirectMapType(DirectMapType.Array);
  const table = await ivf(backend, x, d, 4);
  await table.addWithIds(x, Array.from({ length: 12 }, (_, i) => 2 ** 40 - 5 * i));
  await table.setDirectMapType(DirectMapType.Hashtable);
  const inner = await ivf(backend, x, d, 2);
  await inner.add(x.subarray(0, 5 * d));
  inner.nprobe = 2;
  const nested = new IndexIVFFlat(inner, d, 5);
  nested.ownFields = true;
  await nested.add(x);
  const kinds = new Map<string, Index>([
    ["IVF array", array],
    ["IVF table", table],
    ["IVF of IVF", nested],
  ]);
  if (backend.name === "gpu") return kinds;
  const codes = new IndexPQ(d, 3, 2, undefined, { backend });
  codes.pq.restore(numbers(4 * d, 9));
  const refined = new IndexRefineFlat(codes, new IndexFlatL2(d, { backend }));
  refined.ownFields = true;
  refined.kFactor = 4;
  await refined.add(x.subarray(0, 4 * d));
  const lists = new IndexIVFFlat(refined, d, 4);
  lists.ownFields = true;
  await lists.add(x);
  return kinds.set("IVF of refined PQ", lists);
}
