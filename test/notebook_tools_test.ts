import assert from "node:assert/strict";
import { basename, join } from "node:path";
import { missingOutputs } from "../notebooks/tools/check.ts";
import { coverageFaults } from "../notebooks/tools/coverage.ts";
import { explain } from "../notebooks/tools/explain.ts";
import { findNotebooks } from "../notebooks/tools/find.ts";
import { type Notebook, type Output, parseNotebook } from "../notebooks/tools/ipynb.ts";
import { writeKernelSpec } from "../notebooks/tools/kernel_spec.ts";
import { addedPackages } from "../notebooks/tools/lock.ts";
import { notebookText } from "../notebooks/tools/save.ts";
import { calls, replayedIds } from "../notebooks/tools/source.ts";
import { notebookOf, put, withFolder } from "./notebooks.ts";

function replay(ids: string[], published: number[] = []): Output {
  const value = { ids, outcome: "confirmed", ratio: 2, text: "It is.", published };
  return { output_type: "display_data", data: { "application/vnd.metalfaiss.replay+json": value } };
}

/** A notebook of one cell with these outputs. */
function shown(source: string, ...outputs: Output[]): Notebook {
  const notebook = notebookOf(source);
  return { ...notebook, cells: [{ ...notebook.cells[0]!, outputs }] };
}

Deno.test("notebooks are found by number, name, both and path", async () => {
  await withFolder(async (folder) => {
    const paths: string[] = [];
    for (const name of ["00_start", "03_svd", "03b_bands"]) {
      paths.push(await put(folder, name, notebookOf("1")));
    }
    assert.deepEqual(await findNotebooks([], folder), paths);
    for (const name of ["03", "svd", "03_svd", "03_svd.ipynb", paths[1]!]) {
      assert.deepEqual(await findNotebooks([name, name], folder), [paths[1]], name);
    }
    for (const name of ["3", "sv", "_svd", ""]) {
      await assert.rejects(
        findNotebooks([name], folder),
        /^RangeError: Cannot run ".*": there is no such notebook; there are 00_start, 03_svd, 03b_/,
      );
    }
    const [path] = await findNotebooks(["./03_svd.ipynb"], folder);
    assert.equal(basename(path!), "03_svd.ipynb");
  });
});

Deno.test("calls are found in code, not in comments, strings and declarations", () => {
  const yes = [
    "await show(x)",
    "show (x)",
    "f(/['\"`]/);\nshow(1)",
    "'a' + `b`; show(/* nothing */)",
  ];
  const no = [
    "// show(x)",
    "/* show(x)\n */",
    "'show(x)'",
    '"\\"show(x)"',
    "`show(x)`",
    "x.show(1)",
    "function show(x) {}",
    "slideshow(x)",
    "show",
  ];
  for (const source of yes) assert.ok(calls(source, "show"), source);
  for (const source of no) assert.ok(!calls(source, "show"), source);
  const source = `await journal.replay("J2"); // journal.replay("J3")
    await journal.replay('X1', { on: "cpu" }); await journal.replay("J2"); journal.replay(id);`;
  assert.deepEqual(replayedIds(source), ["J2", "X1"]);
});

Deno.test("missing outputs are found", () => {
  const text: Output = { output_type: "stream", name: "stdout", text: "printed" };
  const bundle: Output = { output_type: "display_data", data: { "text/plain": "shown" } };
  const source = `const r = await journal.replay("E1"); await show(r);`;
  assert.deepEqual(missingOutputs(shown("show(1)", bundle)), []);
  assert.deepEqual(missingOutputs(shown("show(1)", text)).map(({ cell }) => cell), [0]);
  // J3 is what E1 is called now.
  assert.deepEqual(missingOutputs(shown(source, replay(["J3"]))), []);
  const [failure] = missingOutputs(shown(source, replay(["J2"])));
  assert.match(failure!.text, /replays E1, and no verdict/);
});

Deno.test("coverage names figures and experiments that are missing or twice there", () => {
  const wanted = { lines: [2, 3, 4, 5], ids: ["J2", "J3"] };
  const whole = new Map([
    ["a", shown("", replay(["J2"], [2, 3]), replay(["J2"], [3]))],
    ["b", shown("", replay(["J3"], [4, 5]))],
  ]);
  assert.deepEqual(coverageFaults(whole, wanted), []);
  const broken = new Map([
    ["a", shown("", replay(["J2"], [2, 3]))],
    ["b", shown("", replay(["J2"], [3]))],
  ]);
  assert.deepEqual(coverageFaults(broken, wanted), [
    "In no notebook: data/published.csv, lines 4, 5",
    "In a and b, not in one: data/published.csv, line 3",
    "Without a verdict: experiment J3",
  ]);
});

Deno.test("a saved notebook has what Jupyter would write, and nothing of when", () => {
  const data = { "text/plain": "a\nb", "application/x+json": { z: 1, a: "c\nd" } };
  const output = { data, output_type: "display_data", metadata: { when: 1 }, transient: {} };
  const notebook = shown("x;\ny;", output as Output);
  const [cell] = notebook.cells;
  const metadata = { tags: ["kept"], execution: { "iopub.status.busy": "2026-01-01" } };
  const text = notebookText({ ...notebook, cells: [{ ...cell!, metadata }] });
  assert.ok(text.endsWith("}\n") && !text.endsWith("\n\n"));
  const saved = parseNotebook(text, "saved").cells[0]!;
  assert.deepEqual(Object.keys(saved), ["cell_type", "id", "metadata", "outputs", "source"]);
  assert.deepEqual(saved.source, ["x;\n", "y;"]);
  assert.deepEqual(saved.metadata, { tags: ["kept"] });
  assert.deepEqual(saved.outputs, [{
    data: { "application/x+json": { a: "c\nd", z: 1 }, "text/plain": ["a\n", "b"] },
    metadata: {},
    output_type: "display_data",
  }]);
  assert.equal(notebookText(parseNotebook(text, "saved")), text);
});

Deno.test("a cell that did not run is explained by its syntax, else by its imports", async () => {
  const failed = "The cell failed before it ran: ";
  assert.match(await explain("let a = ;", "x"), /SyntaxError: Expression expected[^]*let a = ;/);
  assert.equal(await explain("let a = 1;", "no such package"), `${failed}no such package`);
  assert.match(await explain("let a = 1;", ""), /a syntax error, or an import that cannot be/);
});

Deno.test("the kernel spec names this Deno and is interrupted by a message", async () => {
  await withFolder(async (folder) => {
    const path = join(folder, "kernels/deno/kernel.json");
    await writeKernelSpec(folder);
    const { argv, interrupt_mode } = JSON.parse(await Deno.readTextFile(path));
    assert.deepEqual([argv[0], interrupt_mode], [Deno.execPath(), "message"]);
    await Deno.writeTextFile(path, "{}");
    await writeKernelSpec(folder);
    assert.deepEqual(JSON.parse(await Deno.readTextFile(path)).argv, argv);
  });
});

Deno.test("packages that come into the lock file are named", () => {
  assert.deepEqual(addedPackages(new Set(["npm:a@1"]), new Set(["npm:a@1", "npm:b@2"])), [
    "npm:b@2",
  ]);
});
