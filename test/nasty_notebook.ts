/**
 * Notebooks for tests of the gallery.
 *
 * @module
 */

import type { Cell, Notebook, Output } from "../notebooks/tools/ipynb.ts";

/** Sets a flag, if a page lets it run. */
const SCRIPT = "<script>globalThis.ran = 'script'; alert(1)</script>";
const IMAGE = `<img src="missing:" onerror="globalThis.ran = 'onerror'">`;

function markdown(source: string): Cell {
  return { cell_type: "markdown", metadata: {}, source };
}

function code(source: string, outputs: readonly Output[]): Cell {
  return { cell_type: "code", metadata: {}, source, outputs };
}

function displayed(data: Record<string, unknown>): Output {
  return { output_type: "display_data", data, metadata: {} };
}

function notebook(cells: Cell[]): Notebook {
  return {
    nbformat: 4,
    nbformat_minor: 5,
    metadata: { kernelspec: { name: "deno", display_name: "Deno", language: "typescript" } },
    cells,
  };
}

/**
 * An output with a chart and a replay's record, as the library writes them.
 *
 * @param html Of the chart.
 */
function replay(html: string): Output {
  return displayed({
    "text/html": html,
    "text/plain": "J2: refuted",
    "application/vnd.metalfaiss.replay+json": {
      ids: ["J2"],
      outcome: "refuted",
      ratio: 0.4321987,
      text: "slower",
      engine: "emulator",
      device: "a <device>",
      size: "quick",
    },
  });
}

/** A short notebook that links to the other. */
export function linkedNotebook(): Notebook {
  return notebook([
    markdown("# The other\n\nSee [tables](01_nasty.ipynb#Huge-tables) and [us](#The-end)."),
    code("const answer = 42;", []),
    markdown("## The end"),
  ]);
}

/**
 * Everything that is hard to show: what could run, huge tables, long lines, all of Unicode, errors.
 *
 * @param chart HTML of a chart.
 */
export function nastyNotebook(chart: string): Notebook {
  const header = Array.from({ length: 40 }, (_, i) => `column ${i}`);
  const wide = `| ${header.join(" | ")} |\n|${" ---: |".repeat(40)}\n`;
  const row = `| ${header.map((_, i) => (i * 1234.5).toFixed(1)).join(" | ")} |\n`;
  const cells = (tag: string) => header.map((name) => `<${tag}>${name}</${tag}>`).join("");
  return notebook([
    markdown(
      `# Nasty & <b>bold</b> 日本語\n\nFirst **paragraph** ${SCRIPT} ends here.\n\n${SCRIPT}`,
    ),
    markdown(
      `## Huge tables\n\n${wide}${row.repeat(60)}\n## Huge tables\n\n` +
        `${IMAGE}\n\n[bad](javascript:globalThis.ran='link') [worse](JaVaScRiPt:alert) ` +
        `![far](https://example.org/far.png) <https://example.org/>\n\n` +
        "```metal\nkernel void f(device float* x [[buffer(0)]]) {}\n```\n\n```nonsense\n<b>\n```",
    ),
    code(
      `const source = \`${"long ".repeat(200)}\`;\n` +
        "const metal = `uint i = thread_position_in_grid.x;`; // <not a tag>\n",
      [
        { output_type: "stream", name: "stdout", text: [SCRIPT, "\n", "10 %\r100 %\n"] },
        { output_type: "stream", name: "stdout", text: `${"wide ".repeat(400)}\n` },
        {
          output_type: "stream",
          name: "stderr",
          text: "\x1b[33mwarning\x1b[0m: ½ 🦆 ﷽ ‮reversed‬\n",
        },
        displayed({ "text/plain": `${IMAGE} \x1b[1mbold\x1b[0m` }),
        displayed({ "text/markdown": `${SCRIPT}\n\n# Said\n\n**by** a cell` }),
        displayed({
          "text/html": `<table><tr>${cells("th")}</tr><tr>${cells("td")}</tr></table>`,
        }),
        displayed({ "application/x-unknown": { a: 1 }, "text/plain": "known after all" }),
        displayed({ "application/x-unknown": { a: 1 } }),
        replay(chart),
        replay(chart),
        {
          output_type: "error",
          ename: "TypeError",
          evalue: "Cannot <add>: no",
          traceback: [
            "\x1b[0m\x1b[1m\x1b[31mTypeError\x1b[0m: Cannot <add>: no\n",
            "    at <anonymous>:1:7",
          ],
        },
      ],
    ),
    markdown("## Last"),
  ]);
}

/**
 * HTML that tries to run and to load, as no part of the library writes it.
 *
 * @param server Address to load from.
 */
export function runningNotebook(server: string): Notebook {
  return notebook([
    markdown("# Runs"),
    code("", [
      displayed({
        "text/html": `${SCRIPT}${IMAGE}<p onclick="globalThis.ran = 1">text</p>` +
          `<iframe srcdoc="${SCRIPT.replaceAll('"', "&quot;")}"></iframe>` +
          `<img src="${server}/far.png"><link rel="stylesheet" href="${server}/far.css">`,
      }),
    ]),
  ]);
}
