/**
 * Reads MSL by tokens: what stands in comments and strings is not code.
 *
 * @module
 */

/** A piece of source text. */
export interface Token {
  /** Its kind; of literals only numbers matter here. */
  kind: "identifier" | "number" | "string" | "punctuation";
  /** Its text. */
  text: string;
  /** Whether it is the first of its line. */
  startsLine: boolean;
  /** Whether its line is a directive, like #define. */
  inDirective: boolean;
}

const pattern = new RegExp(
  [
    String.raw`(?<space>[ \t\r\f\v]+|\\\r?\n)`,
    String.raw`(?<line>\n)`,
    String.raw`(?<comment>\/\/(?:\\\r?\n|[^\n])*|\/\*[\s\S]*?(?:\*\/|$))`,
    String.raw`(?<identifier>[A-Za-z_]\w*)`,
    String.raw`(?<number>\.?\d(?:[eEpP][+-]|[\w.])*)`,
    String.raw`(?<string>"(?:\\[\s\S]|[^"\\\n])*"?|'(?:\\[\s\S]|[^'\\\n])*'?)`,
    String.raw`(?<punctuation>->|::|\[\[|\]\]|[\s\S])`,
  ].join("|"),
  "gy",
);

/** The tokens of a text, without white space and comments. */
export function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  let startsLine = true;
  let inDirective = false;
  for (const { groups } of text.matchAll(pattern)) {
    const { space, line, comment, ...literals } = groups!;
    if (space !== undefined) continue;
    if (line !== undefined || comment?.includes("\n")) {
      startsLine = true;
      inDirective = false;
      continue;
    }
    if (comment !== undefined) continue;
    const [kind, text] = Object.entries(literals).find(([, text]) => text !== undefined)!;
    inDirective ||= startsLine && text === "#";
    tokens.push({ kind: kind as Token["kind"], text: text!, startsLine, inDirective });
    startsLine = false;
  }
  return tokens;
}

/** Words that an expression may follow; behind any other word a name is being declared. */
const operators = new Set(
  "return else case do throw sizeof alignof new delete and or not xor bitand bitor compl".split(
    " ",
  ),
);

/** Names that a text uses but does not declare; members of structs are left out. */
export function usedNames(tokens: readonly Token[]): Set<string> {
  const used = new Set<string>();
  const declared = new Set<string>();
  for (const [i, { kind, text }] of tokens.entries()) {
    if (kind !== "identifier") continue;
    const before = tokens[i - 1];
    if (before?.text === "." || before?.text === "->") continue;
    const isDeclared = before?.kind === "identifier" && !before.inDirective &&
      !operators.has(before.text);
    (isDeclared ? declared : used).add(text);
  }
  return used.difference(declared);
}

/** Whether a text has the directive `#name`. */
export function hasDirective(tokens: readonly Token[], name: string): boolean {
  return tokens.some(({ text, startsLine }, i) =>
    text === "#" && startsLine && tokens[i + 1]?.text === name
  );
}

/** Whether a text has a kernel's signature: `kernel void`, `[[kernel]]` or `[[buffer(…)]]`. */
export function hasSignature(tokens: readonly Token[]): boolean {
  return tokens.some(({ text }, i) => {
    const next = tokens[i + 1]?.text;
    return (text === "kernel" && next === "void") ||
      (text === "[[" && (next === "kernel" || next === "buffer"));
  });
}
