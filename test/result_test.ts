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

/** Text of the cells of the body, row by row. */
function cells(html: string): string[][] {
  const body = html.slice(html.indexOf("<tbody>"), html.indexOf("</tbody>"));
  return body.split("<tr>").slice(1).map((row) =>
    [...row.matchAll(/<td[^>]*>([^<]*)<\/td>/g)].map((match) => match[1]!)
  );
}

Deno.test("results show a table in notebooks and terminals", () => {
  assert.deepEqual(cells(show(found)["text/html"]!), [
    ["0", "1", "7", "0.5"],
    ["0", "2", "9", "2"],
    ["1", "1", "4", "1"],
    ["1", "2", "–", ""],
  ]);
  assert.match(Deno.inspect(found), /^SearchResult 2 queries, k = 2, [^]*\n {4}1 {5}2 {3}–$/);
  assert.deepEqual(cells(show(within)["text/html"]!), [
    ["0", "", "–", ""],
    ["1", "1", "3", "1"],
    ["1", "2", "5", "2"],
  ]);
  assert.match(Deno.inspect(within), /^RangeSearchResult 2 queries, 2 within/);
});

Deno.test("results show the first hits of the first queries, and how many those are", () => {
  const many = new SearchResult(new Float32Array(50), new BigInt64Array(50), 1, run);
  assert.equal(cells(show(many)["text/html"]!).length, 10);
  assert.match(show(many)["text/plain"]!, /; the first 10 queries\n/);
  const deep = new SearchResult(new Float32Array(3000), new BigInt64Array(3000), 1000, run);
  assert.equal(cells(show(deep)["text/html"]!).length, 30);
  const none = new SearchResult(new Float32Array(0), new BigInt64Array(0), 3, run);
  assert.deepEqual(cells(show(none)["text/html"]!), []);
});

Deno.test("a SearchResult is data, too: ids past 2^53 are text", () => {
  const far = new SearchResult(Float32Array.of(1), BigInt64Array.of(2n ** 60n), 1, run);
  const bundle = show(far) as Record<string, unknown>;
  assert.deepEqual(bundle["application/vnd.dataresource+json"], {
    title: "1 query, k = 1, reference (typescript)",
    schema: {
      fields: [
        { name: "query", type: "integer" },
        { name: "rank", type: "integer" },
        { name: "id", type: "string" },
        { name: "distance", type: "integer" },
      ],
    },
    data: [{ query: 0, rank: 1, id: String(2n ** 60n), distance: 1 }],
  });
  assert.match(show(far)["text/plain"]!, new RegExp(String(2n ** 60n)));
});
