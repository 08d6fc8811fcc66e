import assert from "node:assert/strict";
import { textWidth } from "../lib/display_cells.ts";
import { type Table, table } from "../lib/notebook/mod.ts";
import { Random } from "../lib/random.ts";

const DATA = "application/vnd.dataresource+json";

interface Bundle {
  "text/html": string;
  "text/plain": string;
  [DATA]: {
    title?: string;
    schema: { fields: { name: string; type: string }[] };
    data: Record<string, unknown>[];
  };
}

function bundleOf(made: Table): Bundle {
  return (made as unknown as Record<symbol, () => Bundle>)[Symbol.for("Jupyter.display")]!();
}

const PIECES = ["<", ">", "&", '"', "'", "&amp;", "<script>", "</td>", "$x$", " ", "\n", "a", "é"]
  .concat(["日本", "👩‍👩‍👧", "\u202e", "\x1b[2K", "\0", "=", "`", "[object", "\\", "{", "e\u0301"]);

function anyText(random: Random): string {
  return Array.from({ length: random.integer(8) }, () => PIECES[random.integer(PIECES.length)])
    .join("");
}

function decode(html: string): string {
  const named: Record<string, string> = { lt: "<", gt: ">", quot: '"', "#39": "'", amp: "&" };
  return html.replace(/&(lt|gt|quot|#39|amp);/g, (_, name: string) => named[name]!);
}

/** Cells of a tag, as a browser reads them. */
function cells(html: string, tag: "th" | "td"): string[] {
  const pattern = new RegExp(`<${tag} style="text-align:(?:left|right)">([^<]*)</${tag}>`, "g");
  return [...html.matchAll(pattern)].map((match) => decode(match[1]!));
}

Deno.test("table() shows any text as it is: names, values and captions", () => {
  const random = new Random(1);
  for (let round = 0; round < 300; round++) {
    const names = [
      ...new Set(Array.from({ length: 1 + random.integer(4) }, () => anyText(random))),
    ];
    const rows = Array.from(
      { length: 1 + random.integer(4) },
      () => Object.fromEntries(names.map((name) => [name, anyText(random)])),
    );
    const caption = anyText(random);
    const bundle = bundleOf(table(rows, { caption, columns: names }));
    const html = bundle["text/html"];
    assert.deepEqual(cells(html, "th"), names);
    assert.deepEqual(cells(html, "td"), rows.flatMap((row) => names.map((name) => row[name])));
    const [, shown = ""] = html.match(/<caption[^>]*>([^<]*)<\/caption>/) ?? [];
    assert.equal(decode(shown), caption);
    const own = "table|caption|thead|tbody|tfoot|tr|th|td";
    assert.doesNotMatch(html, new RegExp(`<(?!/?(${own})[ >])`), "no tag but the table's");
    const lines = bundle["text/plain"].split("\n");
    assert.equal(lines.length, rows.length + 1 + (caption === "" ? 0 : 1));
    assert.doesNotMatch(lines.join(""), /\p{Cc}/u);
    assert.deepEqual(
      bundle[DATA].data.map((row) => Object.values(row).sort()),
      rows.map((row) => Object.values(row).sort()),
    );
  }
});

Deno.test("columns of plain text align, whatever the characters' widths", () => {
  const random = new Random(2);
  for (let round = 0; round < 300; round++) {
    const rows = Array.from({ length: 1 + random.integer(5) }, () => ({
      text: anyText(random).replace(/\s/g, "") + "x",
      number: random.integer(10 ** random.integer(9)) / 8,
      end: "|",
    }));
    const [head, ...lines] = String(table(rows)).split("\n");
    const width = textWidth(head!.slice(0, head!.indexOf("end")));
    for (const line of lines) {
      assert.equal(textWidth(line.slice(0, line.lastIndexOf("|"))), width, `${head}\n${line}`);
    }
  }
});

Deno.test("table() takes rows with differing keys, and chooses columns", () => {
  const rows = [{ b: 1, a: "x" }, { a: "y", c: null }, { d: undefined }];
  assert.deepEqual(table(rows).columns, ["b", "a", "c", "d"]);
  const html = bundleOf(table(rows, { columns: ["a", "toString", "b"] }))["text/html"];
  assert.deepEqual(cells(html, "td"), ["x", "", "1", "y", "", "", "", "", ""]);
  assert.deepEqual(bundleOf(table(rows, { columns: ["a"] }))[DATA].data, [
    { a: "x" },
    { a: "y" },
    { a: null },
  ]);
});

Deno.test("table() lays numbers to the right, and everything else to the left", () => {
  const html = bundleOf(table([{ n: 1, t: "1", m: 2n, x: 1 }, { n: null, t: 2, x: "–" }]))[
    "text/html"
  ];
  const sides = [...html.matchAll(/<th style="text-align:(\w+)">(\w)/g)].map(([, side, name]) =>
    `${name} ${side}`
  );
  assert.deepEqual(sides, ["n right", "t left", "m right", "x left"]);
});

Deno.test("table() gives data whose fields have types", () => {
  const rows = [
    { i: 1, n: 1, b: true, s: "x", t: new Date(0), o: { a: [1] }, big: 2n ** 70n, none: null },
    { i: 2n, n: NaN, b: false, s: "y", t: new Date(1), o: [2n], big: 1n, none: undefined },
  ];
  const { schema, data } = bundleOf(table(rows))[DATA];
  assert.deepEqual(schema.fields.map(({ type }) => type), [
    ...["integer", "number", "boolean", "string", "datetime", "string", "string", "string"],
  ]);
  assert.deepEqual(data, [
    {
      ...{ i: 1, n: 1, b: true, s: "x", t: "1970-01-01T00:00:00.000Z", o: '{"a":[1]}' },
      ...{ big: String(2n ** 70n), none: null },
    },
    {
      ...{ i: 2, n: null, b: false, s: "y", t: "1970-01-01T00:00:00.001Z", o: "[2]" },
      ...{ big: 1, none: null },
    },
  ]);
});

Deno.test("table() shows 50 rows, and how many more there are", () => {
  const made = table(Array.from({ length: 20_050 }, (_, i) => ({ i })));
  const bundle = bundleOf(made);
  assert.equal(cells(bundle["text/html"], "td").filter((cell) => /^\d/.test(cell)).length, 50);
  assert.match(bundle["text/html"], /<tfoot>.*… 20\u202f000 more rows/);
  assert.match(bundle["text/plain"], /\n… 20\u202f000 more rows$/);
  assert.equal(bundle[DATA].data.length, 50);
  assert.equal(made.rows.length, 20_050);
  const fifty = bundleOf(table(Array.from({ length: 50 }, (_, i) => ({ i }))));
  assert.doesNotMatch(fifty["text/html"], /tfoot/);
});

Deno.test("a table without rows has its columns", () => {
  assert.equal(String(table([], { columns: ["a", "b"], caption: "none" })), "none\na  b");
  assert.deepEqual(bundleOf(table([]))[DATA], { schema: { fields: [] }, data: [] });
});

Deno.test("a table is text in a terminal and in strings", () => {
  const made = table([{ a: 1, b: "x" }]);
  assert.equal(Deno.inspect(made), "a  b\n1  x");
  assert.equal(`${made}`, "a  b\n1  x");
});

Deno.test("table() refuses what is no record, and says which row", () => {
  assert.throws(() => table([{}, null as unknown as { a: 1 }]), {
    name: "TypeError",
    message: "Cannot make a table: row 1 is null",
  });
  assert.throws(() => table([5 as unknown as { a: 1 }]), { message: /row 0 is number/ });
  assert.throws(() => table("rows" as unknown as []), { message: /rows are string, not an array/ });
});
