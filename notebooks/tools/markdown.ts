/**
 * Markdown as HTML: GitHub's dialect, raw HTML shown as text, no external resource.
 *
 * @module
 */

import { Marked, type Tokens } from "npm:marked@18.2.1";
import { highlight } from "./highlight.ts";
import { escapeHtml } from "../../lib/display_cells.ts";
import type { Ids } from "./html.ts";

/** A heading of a page. */
export interface Heading {
  depth: number;
  id: string;
  /** Its text, without markup. */
  text: string;
}

/** Characters of a cell that stay on one line, and of one that need little width. */
const SHORT = 14;
const MIDDLE = 40;

/** What Markdown is rendered into. */
export interface MarkdownContext {
  ids: Ids;
  /** Receives each heading. */
  onHeading?: (heading: Heading) => void;
  /** Where a relative link leads on the page; undefined leaves its text alone. */
  link: (href: string) => string | undefined;
}

/**
 * A function that renders Markdown.
 *
 * @param context The page that it is for.
 */
export function markdownRenderer(context: MarkdownContext): (markdown: string) => string {
  const marked = new Marked({
    async: false,
    gfm: true,
    renderer: {
      // Cells hold text from anywhere: what could run is shown instead.
      html: ({ text }) => escapeHtml(text),
      code: ({ text, lang }) => codeBlock(text, lang?.match(/\S+/)?.[0] ?? ""),
      heading({ tokens, depth }) {
        const html = this.parser.parseInline(tokens);
        const text = this.parser.parseInline(tokens, this.parser.textRenderer);
        const id = context.ids.next(unescapeHtml(text));
        context.onHeading?.({ depth, id, text: unescapeHtml(text) });
        return `<h${depth} id="${id}">${html}</h${depth}>\n`;
      },
      link({ href, title, tokens }) {
        const html = this.parser.parseInline(tokens);
        const target = linkTarget(href, context);
        if (target === undefined) return html;
        const label = title ? ` title="${escapeHtml(title)}"` : "";
        return `<a href="${escapeHtml(target)}"${label}>${html}</a>`;
      },
      image: ({ href, text }) =>
        /^data:image\//.test(href)
          ? `<img src="${escapeHtml(href)}" alt="${escapeHtml(text)}">`
          : escapeHtml(text),
      table(token: Tokens.Table) {
        const row = (cells: Tokens.TableCell[]) =>
          `<tr>${cells.map((cell) => this.tablecell(cell).trimEnd()).join("")}</tr>`;
        const body = token.rows.map(row).join("");
        return scrolling(
          `<table><thead>${row(token.header)}</thead><tbody>${body}</tbody></table>`,
        );
      },
    },
  });
  return (markdown) => marked.parse(markdown, { async: false });
}

/**
 * A block of code.
 *
 * @param code The code.
 * @param language Its language, or "".
 */
export function codeBlock(code: string, language: string): string {
  return `<pre tabindex="0"><code>${highlight(code, language)}</code></pre>\n`;
}

/**
 * Gives each table a frame of its own, which scrolls sideways where the table is wider than the page;
 * and cells a class by their length, so that long ones do not become columns of single words.
 *
 * @param html HTML with tables.
 */
export function scrolling(html: string): string {
  return html.replaceAll(/<table\b/gi, '<div class="scroll" tabindex="0"><table')
    .replaceAll(/<\/table\s*>/gi, "</table></div>")
    .replaceAll(/<td(?![^>]*\bclass=)([^>]*)>([^<]*)(?=<\/td>)/gi, (_, attributes, text) => {
      const kind = text.length <= SHORT ? "short" : text.length <= MIDDLE ? "middle" : "long";
      return `<td class="${kind}"${attributes}>${text}`;
    });
}

/** Web pages and places on the page stay; what is relative is the page's affair; the rest goes. */
function linkTarget(href: string, context: MarkdownContext): string | undefined {
  if (/^(?:https?:|mailto:)/i.test(href)) return href;
  // A scheme hides behind control characters and spaces, which browsers skip.
  // deno-lint-ignore no-control-regex
  if (/^[a-z][a-z0-9+.-]*:/i.test(href.replaceAll(/[\x00-\x20]/g, "")) || /^[\\/]{2}/.test(href)) {
    return undefined;
  }
  return context.link(href);
}

function unescapeHtml(text: string): string {
  return text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&quot;", '"')
    .replaceAll("&#39;", "'").replaceAll("&amp;", "&");
}
