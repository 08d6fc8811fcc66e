import assert from "node:assert/strict";
import type { RunInfo } from "../lib/backend/backend.ts";
import { RangeSearchResult, SearchResult } from "../lib/result.ts";

const run: RunInfo = {
  backend: "reference",
  engine: "typescript",
  isa: "none",
  variants: [],
  threads: 1,
  scanned: 4,
  recomputed: 0,
};
const found = new SearchResult(
  Float32Array.of(0.5, 2, 1, 3.4028234663852886e38),
  BigInt64Array.of(7n, 9n, 4n, -1n),
  2,
  run,
);
const within = new RangeSearchResult(
  BigUint64Array.of(0n, 0n, 2n),
  Float32Array.of(1, 2),
  BigInt64Array.of(3n, 5n),
  run,
);

function show(result: object): Record<string, string> {
  return (result as Record<symbol, () => Record<string, string>>)[Symbol.for("Jupyter.display")]!();
}

Deno.test("SearchResult.row() gives the hits of a query without the missing ones", () => {
  assert.equal(found.nq, 2);
  assert.deepEqual(found.row(0), [{ id: 7, distance: 0.5 }, { id: 9, distance: 2 }]);
  assert.deepEqual(found.row(1), [{ id: 4, distance: 1 }]);
  assert.deepEqual([...found], [found.row(0), found.row(1)]);
});

Deno.test("RangeSearchResult.row() gives the hits of a query", () => {
  assert.equal(within.nq, 2);
  assert.deepEqual([...within], [[], [{ id: 3, distance: 1 }, { id: 5, distance: 2 }]]);
});

Deno.test("row() refuses a query that is not there, and an id past 2^53", () => {
  for (const i of [-1, 2, 0.5, NaN]) {
    assert.throws(() => found.row(i), { name: "RangeError", message: /2 queries/ });
    assert.throws(() => within.row(i), { name: "RangeError", message: /2 queries/ });
  }
  const far = new SearchResult(Float32Array.of(1), BigInt64Array.of(2n ** 53n), 1, run);
  assert.throws(() => far.row(0), { name: "RangeError", message: /labels/ });
});

Deno.test("results show a table in notebooks and terminals", () => {
  assert.match(show(found)["text/html"]!, /<td>7 \(0.50000\) {2}9 \(2.0000\)<\/td>/);
  assert.match(Deno.inspect(found), /SearchResult 2 queries, k = 2[^]*4 \(1.0000\) {2}–/);
  assert.match(show(within)["text/html"]!, /3 \(1.0000\)/);
  assert.match(Deno.inspect(within), /RangeSearchResult 2 queries, 2 within/);
  const many = new SearchResult(new Float32Array(50), new BigInt64Array(50), 1, run);
  assert.equal(show(many)["text/html"]!.match(/<tr>/g)!.length, 11);
});
