/**
 * Explaining failures that the kernel does not.
 *
 * @module
 */

import { plainText } from "./html.ts";

/**
 * Why a cell failed before it ran: of that, the kernel says nothing.
 *
 * @param source The cell's.
 * @param unresolved What was found wrong with its imports, or an empty string.
 */
export async function explain(source: string, unresolved: string): Promise<string> {
  const reason = await syntaxError(source) ?? unresolved;
  return `The cell failed before it ran: ${
    reason || "a syntax error, or an import that cannot be resolved"
  }`;
}

/** The syntax error of a cell; undefined where it has none. */
async function syntaxError(source: string): Promise<string | undefined> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["fmt", "--no-config", "--ext", "ts", "-"],
    env: { NO_COLOR: "1" },
    stdin: "piped",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(source)).catch(() => {});
  await writer.close().catch(() => {});
  const { success, stderr } = await child.output();
  if (success) return undefined;
  const [text = ""] = plainText(new TextDecoder().decode(stderr)).split("\n\nStack backtrace");
  return text.replace(/^error: /, "").replace(/\n\s+at file:.*$/, "");
}

/**
 * The text of an error, with what to do about it where that is known.
 *
 * @param text As the kernel gave it.
 */
export function withAdvice(text: string): string {
  if (!/Import "@metalfaiss\/.*not a dependency/.test(text)) return text;
  return `${text}\nThe notebook is outside of the checkout: run it inside, where a deno.json above ` +
    "it says what this package is";
}
