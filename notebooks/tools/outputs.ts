/**
 * Outputs of cells as HTML.
 *
 * @module
 */

import { escapeHtml } from "../../lib/display_cells.ts";
import { plainText } from "./html.ts";
import { type Displayed, joined, type Output, textOf } from "./ipynb.ts";
import { scrolling } from "./markdown.ts";

/**
 * Outputs as HTML. HTML that a cell displayed goes in as it is, everything else is escaped.
 *
 * @param outputs Of one cell.
 * @param markdown Renders Markdown.
 * @param name Gives the id of an output, where it is to have one.
 */
export function renderOutputs(
  outputs: readonly Output[],
  markdown: (text: string) => string,
  name: (output: Displayed) => string | undefined,
): string {
  return gathered(outputs).map((output) => {
    switch (output.output_type) {
      case "stream": {
        const text = plainText(joined(output.text));
        return text.trim() === ""
          ? ""
          : block(text, output.name === "stderr" ? "stderr" : "stdout");
      }
      case "error":
        return block(errorText(output), "error");
      default: {
        const html = renderDisplayed(output, markdown);
        const id = name(output);
        return html === "" || id === undefined ? html : `<div id="${escapeHtml(id)}">${html}</div>`;
      }
    }
  }).filter((html) => html !== "").map((html) => `<div class="output">${html}</div>\n`).join("");
}

/** Printed text that follows printed text of the same stream is one output. */
function gathered(outputs: readonly Output[]): Output[] {
  const all: Output[] = [];
  for (const output of outputs) {
    const last = all.at(-1);
    if (
      output.output_type === "stream" && last?.output_type === "stream" && last.name === output.name
    ) {
      all[all.length - 1] = { ...last, text: joined(last.text) + joined(output.text) };
    } else {
      all.push(output);
    }
  }
  return all;
}

/** The richest type that needs no script; "" where there is none. */
function renderDisplayed(output: Displayed, markdown: (text: string) => string): string {
  const html = textOf(output, "text/html");
  if (html !== undefined) return `<div class="html">${scrolling(html)}</div>`;
  for (const type of ["image/png", "image/jpeg"]) {
    const base64 = textOf(output, type);
    if (base64 !== undefined) return picture(type, base64.replaceAll(/\s/g, ""), output);
  }
  const svg = textOf(output, "image/svg+xml");
  if (svg !== undefined) {
    return picture("image/svg+xml", new TextEncoder().encode(svg).toBase64(), output);
  }
  const text = textOf(output, "text/markdown");
  if (text !== undefined) return markdown(text);
  const plain = textOf(output, "text/plain");
  return plain === undefined || plain.trim() === "" ? "" : block(plainText(plain), "plain");
}

function picture(type: string, base64: string, output: Displayed): string {
  const plain = textOf(output, "text/plain")?.split("\n")[0] ?? "";
  const alt = plain === "" ? "Picture" : plain;
  return `<img src="data:${type};base64,${escapeHtml(base64)}" alt="${escapeHtml(alt)}">`;
}

function errorText(error: { ename: string; evalue: string; traceback: readonly string[] }): string {
  const traceback = plainText(error.traceback.join("\n"));
  const message = plainText(`${error.ename}: ${error.evalue}`);
  return traceback.includes(plainText(error.evalue)) ? traceback : `${message}\n${traceback}`;
}

function block(text: string, kind: string): string {
  return `<pre class="${kind}" tabindex="0">${escapeHtml(text.replace(/\n+$/, ""))}</pre>`;
}
