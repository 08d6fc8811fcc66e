/**
 * Reading the code of cells.
 *
 * @module
 */

/** Comments, strings and regular expressions, as far as it takes to skip them. */
const SKIPPED = new RegExp(
  [
    String.raw`\/\/.*`,
    String.raw`\/\*[^]*?\*\/`,
    String.raw`"(?:\\.|[^"\\\n])*"`,
    String.raw`'(?:\\.|[^'\\\n])*'`,
    "`(?:\\\\[^]|[^`\\\\])*`",
    String.raw`(?<=[(,=:\[!&|?{};]\s*)\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\/[a-z]*`,
  ].join("|"),
  "g",
);

/**
 * Whether code calls a function of this name; a method of the name does not count, nor the
 * function's own declaration.
 *
 * @param source TypeScript.
 * @param name Of the function.
 */
export function calls(source: string, name: string): boolean {
  const code = source.replaceAll(SKIPPED, '""');
  return new RegExp(String.raw`(?<![.\w$]|function\s+)${name}\s*\(`).test(code);
}

/**
 * Ids that code replays by `….replay("ID")`.
 *
 * @param source TypeScript.
 * @returns The ids that are written out, each once.
 */
export function replayedIds(source: string): string[] {
  // Comments go; the ids are strings, which stay.
  const code = source.replaceAll(SKIPPED, (text) => /^\/[/*]/.test(text) ? " " : text);
  const ids = [...code.matchAll(/\.replay\(\s*["'`]([^"'`$]+)["'`]/g)].map(([, id]) => id!);
  return [...new Set(ids)];
}
