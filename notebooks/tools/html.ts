/**
 * Texts and ids of pages.
 *
 * @module
 */

/**
 * Terminal text without its colours and cursor movements; of a line that was drawn over, the last
 * state.
 *
 * @param text What a terminal would have received.
 */
export function plainText(text: string): string {
  // deno-lint-ignore no-control-regex
  const escapes = /\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])/g;
  return text.replaceAll(escapes, "").replaceAll("\r\n", "\n")
    .split("\n").map((line) => line.replace(/\r+$/, "").split("\r").at(-1)).join("\n");
}

/** Gives out ids that are unique on a page. */
export class Ids {
  readonly #taken = new Set<string>();

  /**
   * An id for a text: its letters and digits, in lower case, with hyphens between words.
   *
   * @param text What the id is to remind of.
   */
  next(text: string): string {
    const slug = slugOf(text);
    let id = slug;
    for (let i = 2; this.#taken.has(id); i++) id = `${slug}-${i}`;
    this.#taken.add(id);
    return id;
  }
}

/**
 * The id that the first heading with this text has.
 *
 * @param text Of a heading, or the fragment of a link to it.
 */
export function slugOf(text: string): string {
  const words = text.normalize("NFC").toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
  return words.length === 0 ? "section" : words.join("-");
}

/**
 * A part of a link without its percent signs; where these mean nothing, as it is.
 *
 * @param text Of a link.
 */
export function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
