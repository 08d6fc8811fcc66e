/** What a search costs before it does any work: `searchSync` of an index of one vector. @module */

import { IndexFlatL2 } from "../mod.ts";
import { compare, gaussian } from "../lib/profile/mod.ts";
import { OURS, type Row, toRow } from "./rows.ts";
import type { Context } from "./suite.ts";

const D = 128;
const CALLS = 2000;

/** Runs the suite. */
export async function* ffiSuite(context: Context): AsyncGenerator<Row> {
  const name = `searchSync 1x${D} nq1 k1`;
  if (!context.filter.test(name)) return;
  const x = gaussian(1, D);
  using index = new IndexFlatL2(D);
  await index.add(x);
  const run = (count: number) =>
    Array.from({ length: count }, () => {
      const start = performance.now();
      for (let i = 0; i < CALLS; i++) index.searchSync(x, 1);
      return (performance.now() - start) / CALLS;
    });
  // Times are of one call of many, so a budget in calls would be too large by their number.
  const timings = await compare([{ name: OURS, run }], {
    minSamples: 20,
    turns: 1,
    maxSamples: 20,
  });
  yield toRow({
    suite: "ffi",
    case: name,
    run: index.searchSync(x, 1).run,
    n: 1,
    d: D,
    nq: 1,
    k: 1,
    params: { calls: CALLS },
    timings,
  }, undefined);
}
