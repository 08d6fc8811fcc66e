/**
 * Tables for notebooks and terminals.
 *
 * @module
 */

/** What a notebook shows: content by MIME type. */
export type MimeBundle = Record<string, string>;

function escapeHtml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

/**
 * A table as HTML and as plain text.
 *
 * @param header Column names.
 * @param rows Cells, row by row.
 * @param caption A line above the table.
 * @returns The bundle that `Jupyter.display` methods return.
 */
export function tableBundle(
  header: readonly string[],
  rows: readonly (readonly string[])[],
  caption: string,
): MimeBundle {
  const cells = (tag: string, row: readonly string[]) =>
    `<tr>${row.map((cell) => `<${tag}>${escapeHtml(cell)}</${tag}>`).join("")}</tr>`;
  const width = header.map((name, column) =>
    Math.max(name.length, ...rows.map((row) => row[column]?.length ?? 0))
  );
  const line = (row: readonly string[]) =>
    row.map((cell, column) => cell.padStart(width[column] ?? 0)).join("  ");
  return {
    "text/html": `<table><caption>${escapeHtml(caption)}</caption><thead>${
      cells("th", header)
    }</thead><tbody>${rows.map((row) => cells("td", row)).join("")}</tbody></table>`,
    "text/plain": [caption, line(header), ...rows.map(line)].join("\n"),
  };
}
