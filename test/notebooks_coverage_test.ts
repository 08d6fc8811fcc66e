import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { missingOutputs } from "../notebooks/tools/check.ts";
import { coverageFaults, wholeJournal } from "../notebooks/tools/coverage.ts";
import { joined, readNotebooks } from "../notebooks/tools/ipynb.ts";
import { replaysOf } from "../notebooks/tools/replays.ts";
import { formatted, notebookText } from "../notebooks/tools/save.ts";

const folder = fileURLToPath(new URL("../notebooks", import.meta.url));
const notebooks = await readNotebooks(folder);

Deno.test("committed notebooks show every published figure once and judge every experiment", async () => {
  assert.deepEqual(coverageFaults(notebooks, await wholeJournal()), []);
});

Deno.test("committed notebooks were run from top to bottom, at full size, without an error", () => {
  for (const [name, notebook] of notebooks) {
    assert.deepEqual(missingOutputs(notebook), [], name);
    let count = 0;
    for (const cell of notebook.cells) {
      if (cell.cell_type !== "code") continue;
      const { execution_count } = cell as { execution_count?: number };
      assert.equal(execution_count, ++count, `${name}: ${joined(cell.source)}`);
      for (const { output_type } of cell.outputs!) assert.notEqual(output_type, "error", name);
    }
    for (const { ids, size, device, engine } of replaysOf(notebook)) {
      assert.equal(size, "full", `${name}: ${ids}`);
      assert.ok(device !== "" && engine !== "", `${name}: ${ids}`);
    }
  }
});

Deno.test("committed notebooks name no folder of the machine that they ran on", () => {
  for (const [name, { cells }] of notebooks) {
    for (const output of cells.flatMap(({ outputs = [] }) => outputs)) {
      if (output.output_type === "error") continue;
      const text = output.output_type === "stream" ? output.text : output.data["text/plain"];
      assert.doesNotMatch(
        joined((text ?? "") as string),
        /file:\/\/|\/(?:home|root|Users|tmp)\//,
        name,
      );
    }
  }
});

Deno.test("committed notebooks are as the runner writes them, cells formatted", async () => {
  for (const [name, notebook] of notebooks) {
    const text = await Deno.readTextFile(`${folder}/${name}`);
    assert.ok(text === await formatted(notebookText(notebook)), `Run ${name} again, or format it`);
  }
});
