/**
 * A notebook as one HTML page that needs no script and no other file.
 *
 * @module
 */

import { escapeHtml } from "../../lib/display_cells.ts";
import { codeBlock, type Heading, markdownRenderer } from "./markdown.ts";
import { decoded, Ids, slugOf } from "./html.ts";
import { type Cell, joined, type Notebook } from "./ipynb.ts";
import { renderOutputs } from "./outputs.ts";
import { replayOf } from "./replays.ts";
import { STYLE } from "./style.ts";

/** A link to another page. */
export interface PageLink {
  href: string;
  title: string;
}

/** What surrounds a notebook. */
export interface PageOptions {
  /** The page that lists all. */
  index?: PageLink;
  /** The notebook before this one. */
  previous?: PageLink;
  /** The notebook after this one. */
  next?: PageLink;
  /**
   * Where a relative link leads; undefined leaves its text without a link. By default, notebooks are
   * pages of the same name, and other files are not linked.
   */
  link?: (href: string) => string | undefined;
}

/** A page, and what can be linked to in it. */
export interface NotebookPage {
  html: string;
  title: string;
  /** The first paragraph, as HTML. */
  lead: string;
  headings: readonly Heading[];
}

/**
 * A notebook as an HTML page.
 *
 * @param notebook In nbformat 4.
 * @param options What surrounds it.
 * @returns The page's HTML; the same for the same notebook.
 *
 * @example
 * ```ts
 * import { renderNotebook } from "./page.ts";
 * import assert from "node:assert/strict";
 *
 * const html = renderNotebook({
 *   nbformat: 4,
 *   nbformat_minor: 5,
 *   metadata: {},
 *   cells: [{ cell_type: "markdown", source: "# Tiles\n\n2 < 3", metadata: {} }],
 * });
 * assert.match(html, /<title>Tiles<\/title>/);
 * assert.match(html, /2 &lt; 3/);
 * ```
 */
export function renderNotebook(notebook: Notebook, options: PageOptions = {}): string {
  return notebookPage(notebook, options).html;
}

/**
 * A notebook as an HTML page, with what is in it.
 *
 * @param notebook In nbformat 4.
 * @param options What surrounds it.
 */
export function notebookPage(notebook: Notebook, options: PageOptions = {}): NotebookPage {
  const ids = new Ids();
  const headings: Heading[] = [];
  const link = options.link ?? pageLink;
  const markdown = markdownRenderer({ ids, link, onHeading: (heading) => headings.push(heading) });
  // A heading in an output is not a part of the page.
  const displayed = markdownRenderer({ ids, link });
  const language = languageOf(notebook);
  const cells = notebook.cells.map((cell) => renderCell(cell, language, ids, markdown, displayed));
  const title = headings.find(({ depth }) => depth === 1)?.text ?? headings[0]?.text ?? "Notebook";

  const head = notebook.cells[0]?.cell_type === "markdown" ? cells.shift()! : "";
  const contents = renderContents(headings);
  const body = `<div class="cells">\n${cells.join("")}</div>\n`;
  const html = document(
    title,
    navigation(options, "Notebooks") +
      `<main${contents && ' class="listed"'}>\n${head}${contents}${body}</main>\n` +
      navigation(options, "More notebooks"),
  );
  const [, lead = ""] = head.match(/<p>([\s\S]*?)<\/p>/) ?? [];
  return { html, title, lead, headings };
}

/**
 * A whole page. Its policy lets nothing run and nothing load, whatever is in it.
 *
 * @param title Of the page.
 * @param body HTML.
 */
export function document(title: string, body: string): string {
  const policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; " +
    "form-action 'none'";
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escapeHtml(title)}</title>
<link rel="icon" href="data:,">
<style>
${STYLE}</style>
</head>
<body>
${body}</body>
</html>
`;
}

/** Notebooks are pages of the same name; other files are not there. */
function pageLink(href: string): string | undefined {
  const [, path, fragment = ""] = href.match(/^([^#]*)(#.*)?$/) ?? [];
  const place = fragment === "" ? "" : `#${slugOf(decoded(fragment.slice(1)))}`;
  if (path === "") return place;
  const [, name] = path?.match(/^(?:\.\/)?([^/]+)\.ipynb$/) ?? [];
  return name === undefined ? undefined : `${name}.html${place}`;
}

function languageOf({ metadata }: Notebook): string {
  const { language_info: info, kernelspec: kernel } = metadata as {
    language_info?: { name?: unknown };
    kernelspec?: { language?: unknown };
  };
  return String(info?.name ?? kernel?.language ?? "typescript");
}

function renderCell(
  cell: Cell,
  language: string,
  ids: Ids,
  markdown: (text: string) => string,
  displayed: (text: string) => string,
): string {
  const source = joined(cell.source);
  switch (cell.cell_type) {
    case "markdown":
      return `<div class="prose">\n${markdown(source)}</div>\n`;
    case "raw":
      return `<div class="cell"><pre tabindex="0">${escapeHtml(source)}</pre></div>\n`;
    case "code": {
      const code = source.trim() === "" ? "" : codeBlock(source, language);
      const outputs = renderOutputs(cell.outputs ?? [], displayed, (output) => {
        const replay = replayOf(output);
        return replay && ids.next(replay.anchor);
      });
      return code + outputs === "" ? "" : `<div class="cell">\n${code}${outputs}</div>\n`;
    }
  }
}

/** Sections of a page, where there is more than one. */
function renderContents(headings: readonly Heading[]): string {
  const sections = headings.filter(({ depth }) => depth === 2 || depth === 3);
  if (sections.length < 2) return "";
  const items = sections.map(({ depth, id, text }) =>
    `<li class="depth-${depth}"><a href="#${id}">${escapeHtml(text)}</a></li>\n`
  );
  return `<nav class="contents" aria-label="Contents"><h2>Contents</h2>\n<ul>\n${
    items.join("")
  }</ul></nav>\n`;
}

function navigation({ index, previous, next }: PageOptions, label: string): string {
  const link = (to: PageLink | undefined, rel: string, before: string, after: string) =>
    to === undefined
      ? ""
      : `<a${rel && ` rel="${rel}"`} href="${escapeHtml(to.href)}">${before}${
        escapeHtml(to.title)
      }${after}</a>\n`;
  const links = link(index, "", "", "") + link(previous, "prev", "← ", "") +
    link(next, "next", "", " →");
  return links === "" ? "" : `<nav class="pages" aria-label="${label}">\n${links}</nav>\n`;
}
