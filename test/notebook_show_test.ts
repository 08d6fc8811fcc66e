import assert from "node:assert/strict";
import { Chart } from "../lib/notebook/chart.ts";
import { inNotebook } from "../lib/notebook/notebook.ts";
import { show } from "../lib/notebook/show.ts";
import { table } from "../lib/notebook/table.ts";

const DISPLAY = Symbol.for("Jupyter.display");

/** What was displayed or printed, in order. */
async function shown(inKernel: boolean, work: () => Promise<void>): Promise<unknown[]> {
  const events: unknown[] = [];
  const log = console.log;
  console.log = (...values: unknown[]) => events.push(...values);
  if (inKernel) setKernel((bundle, options) => events.push([bundle, options]));
  try {
    await work();
  } finally {
    console.log = log;
    setKernel(undefined);
  }
  return events;
}

/** Puts a kernel in place of Deno's, which throws outside of notebooks. */
function setKernel(display: ((bundle: unknown, options: unknown) => void) | undefined): void {
  const kernel = display === undefined ? undefined : {
    display: (bundle: unknown, options: unknown) => Promise.resolve(display(bundle, options)),
  };
  (Deno as unknown as { jupyter: unknown }).jupyter = kernel;
}

Deno.test("inNotebook() is false in a script and true where there is a kernel", async () => {
  assert.equal(inNotebook(), false);
  let inside = false;
  await shown(true, () => Promise.resolve(void (inside = inNotebook())));
  assert.equal(inside, true);
  assert.equal(inNotebook(), false);
});

Deno.test("show() displays raw bundles in a notebook, in order", async () => {
  const slow = {
    [DISPLAY]: () =>
      new Promise((resolve) => setTimeout(() => resolve({ "text/plain": "slow" }), 20)),
  };
  const quick = { [DISPLAY]: () => ({ "text/plain": "quick" }) };
  const bundle = { "image/png": "iVBORw0KGgo=", "application/vnd.x.y+json": { a: 1 } };
  const events = await shown(true, () => show(slow, quick, "# Title", bundle));
  assert.deepEqual(events, [
    [{ "text/plain": "slow" }, { raw: true }],
    [{ "text/plain": "quick" }, { raw: true }],
    [{ "text/markdown": "# Title", "text/plain": "# Title" }, { raw: true }],
    [bundle, { raw: true }],
  ]);
});

Deno.test("show() lets the event loop turn after each value", async () => {
  const events = await shown(true, async () => {
    setTimeout(() => console.log("turn"), 0);
    await show("a", "b");
    console.log("end");
  });
  const texts = events.map((event) => Array.isArray(event) ? event[0]["text/plain"] : event);
  assert.deepEqual(texts, ["a", "turn", "b", "end"]);
});

Deno.test("show() prints the plain text outside of notebooks", async () => {
  const chart = new Chart({ data: { values: [] }, mark: "point" }, "the table", {
    render: () => Promise.resolve("<svg/>"),
  });
  const records = [{ id: 1, note: "a" }, { id: 22 }];
  const events = await shown(false, () => show(chart, table(records), records, "text", 42, [1, 2]));
  const asTable = "id  note\n 1  a\n22";
  assert.deepEqual(events, ["the table", asTable, asTable, "text", "42", "[ 1, 2 ]"]);
});

Deno.test("show() inspects what cannot display itself, without colours", async () => {
  const cyclic: Record<string, unknown> = { n: null };
  cyclic.self = cyclic;
  const values = [
    ...[undefined, null, [], {}, new Map([[1, 2]]), cyclic, Float32Array.of(1), () => 1],
    { "recall/qps": 1 },
  ];
  const events = await shown(true, () => show(...values));
  const texts = events.map((event) => (event as [Record<string, string>])[0]["text/plain"]);
  assert.deepEqual(texts.slice(0, 4), ["undefined", "null", "[]", "{}"]);
  assert.match(texts[5]!, /Circular/);
  assert.equal(texts.at(-1), '{ "recall/qps": 1 }');
  assert.ok(texts.every((text) => text !== undefined && !text.includes("\x1b")));
});

Deno.test("show() says what failed to display, with its reason as cause, after the values before", async () => {
  class Broken {
    [DISPLAY](): never {
      throw new RangeError("the buffer is gone");
    }
  }
  const reason = (error: Error) =>
    error.message === "Cannot show the Broken: the buffer is gone" &&
    error.cause instanceof RangeError;
  const events = await shown(true, async () => {
    await assert.rejects(show("before", new Broken(), "after"), reason);
  });
  assert.equal(events.length, 1);
});

Deno.test("show() refuses a display that is no bundle", async () => {
  for (const bundle of [undefined, "text", {}, { html: "<b>" }, ["text/plain"]]) {
    await assert.rejects(show({ [DISPLAY]: () => bundle }), {
      name: "TypeError",
      message: "Cannot show the Object: it displays itself as no MIME bundle",
    });
  }
});
