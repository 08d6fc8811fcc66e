/**
 * Cells of tables: values as short text, and how wide it is.
 *
 * @module
 */

/** Digits that a fraction keeps. */
const DIGITS = 4;
/** Whole numbers from here on are grouped by threes. */
const GROUPED = 10_000;
/** Numbers from here on, and below its inverse by far, are shown by powers of ten. */
const LARGE = 1e15;
const SMALL = 1e-4;
/** Characters of a nested value that are shown. */
const NESTED = 80;
/** A thin space that no line breaks at. */
const THIN = "\u202f";

/** Text that means itself in HTML, between tags and in attributes. */
export function escapeHtml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;").replaceAll("'", "&#39;");
}

/** A number in few characters: four digits of a fraction, whole numbers exactly and in groups. */
export function formatNumber(value: number | bigint): string {
  if (typeof value === "bigint") return group(String(value));
  if (Number.isNaN(value)) return "NaN";
  const size = Math.abs(value);
  if (size === Infinity) return value > 0 ? "∞" : "-∞";
  if (size === 0) return "0";
  if (size >= LARGE || size < SMALL) return exponential(value);
  if (Number.isInteger(value) || size >= GROUPED) return group(value.toFixed(0));
  const text = value.toPrecision(DIGITS);
  const near = Number(text);
  // Zeros stay where the number goes on behind them: 0.99999 is no 1.
  return near === value || Math.abs(near) >= GROUPED ? group(String(near)) : text;
}

function exponential(value: number): string {
  return value.toExponential(DIGITS - 1).replace(/\.?0*e\+?/, "e");
}

/** Whole numbers in threes; all others as they are. */
function group(digits: string): string {
  const [, sign = "", whole = ""] = digits.match(/^(-?)(\d+)$/) ?? [];
  if (whole.length < String(GROUPED).length) return digits;
  return sign + whole.replace(/\B(?=(\d{3})+$)/g, THIN);
}

/** A number with so many digits. */
export function formatDigits(value: number, digits: number): string {
  return Number.isFinite(value) ? String(Number(value.toPrecision(digits))) : formatNumber(value);
}

/** A number of bytes in binary units. */
export function formatBytes(bytes: number): string {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  const unit = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  return `${formatNumber(bytes / 2 ** (10 * unit))} ${units[unit]}`;
}

/** How many there are of something. */
export function formatCount(n: number, one: string, many: string = `${one}s`): string {
  return `${formatNumber(n)} ${n === 1 ? one : many}`;
}

/** The first numbers of a list. */
export function formatList(values: ArrayLike<number | bigint>, most = 8): string {
  const shown = Array.from({ length: Math.min(values.length, most) }, (_, i) => {
    return formatNumber(values[i]!);
  });
  return [...shown, ...(values.length > most ? ["…"] : [])].join(", ");
}

/** Any value in few characters. What is not there is empty, what is nested is JSON. */
export function formatCell(value: unknown): string {
  switch (typeof value) {
    case "number":
    case "bigint":
      return formatNumber(value);
    case "string":
      return value;
    case "undefined":
      return "";
    case "object":
      return value === null ? "" : clip(nestedText(value));
    default:
      return String(value);
  }
}

function clip(text: string): string {
  return text.length > NESTED ? `${text.slice(0, NESTED - 1)}…` : text;
}

function nestedText(value: object): string {
  if (value instanceof Date) return dateText(value);
  if (value instanceof Error) return `${value.name}: ${value.message}`;
  return jsonText(value);
}

function dateText(date: Date): string {
  return Number.isNaN(date.getTime()) ? "invalid date" : date.toISOString();
}

/** JSON of what may be no JSON: large integers, arrays of numbers, what refers to itself. */
function jsonText(value: object): string {
  const plain = (_key: string, part: unknown) => {
    if (typeof part === "bigint") return toJson(part);
    if (part instanceof Map) return Object.fromEntries(part);
    if (part instanceof Set) return [...part];
    return ArrayBuffer.isView(part) && "length" in part
      ? Array.from(part as unknown as ArrayLike<number | bigint>)
      : part;
  };
  try {
    return JSON.stringify(value, plain) ?? Deno.inspect(value);
  } catch {
    // It refers to itself, or its toJSON throws.
    return Deno.inspect(value, { depth: 1, colors: false, breakLength: Infinity });
  }
}

/** A value as a data resource holds it. */
export function toJson(value: unknown): string | number | boolean | null {
  switch (typeof value) {
    case "number":
      return Number.isFinite(value) ? value : null;
    case "bigint":
      return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
    case "string":
    case "boolean":
      return value;
    case "undefined":
      return null;
    case "object":
      return value === null ? null : nestedText(value);
    default:
      return String(value);
  }
}

/** Types of a data resource's fields. */
export type FieldType = "integer" | "number" | "boolean" | "string" | "datetime";

/** What all values of a column are. */
export function fieldType(values: readonly unknown[]): FieldType {
  const there = values.filter((value) => value !== undefined && value !== null);
  const every = (test: (value: unknown) => boolean) => there.length > 0 && there.every(test);
  if (
    every((value) => typeof toJson(value) === "number" && Number.isInteger(value) || isSmall(value))
  ) {
    return "integer";
  }
  if (every((value) => typeof value === "number" || isSmall(value))) return "number";
  if (every((value) => typeof value === "boolean")) return "boolean";
  if (every((value) => value instanceof Date)) return "datetime";
  return "string";
}

function isSmall(value: unknown): boolean {
  return typeof value === "bigint" && typeof toJson(value) === "number";
}

/** Text for a terminal: on one line, without control characters that move the cursor. */
export function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\u2028\u2029\p{Bidi_Control}]/gu, (character) => {
    const known = ({ "\n": "\\n", "\r": "\\r", "\t": "\\t" } as Record<string, string>)[character];
    return known ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

const graphemes = new Intl.Segmenter("en", { granularity: "grapheme" });
const WIDE =
  /\p{Emoji_Presentation}|\ufe0f|[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]/u;
const NARROW = /^[\x20-\x7e]*$/;
const INVISIBLE = /^[\p{Mn}\p{Me}\p{Cf}]+$/u;

/** Columns of a terminal that text takes. */
export function textWidth(text: string): number {
  if (NARROW.test(text)) return text.length;
  let width = 0;
  for (const { segment } of graphemes.segment(text)) {
    width += INVISIBLE.test(segment) ? 0 : WIDE.test(segment) ? 2 : 1;
  }
  return width;
}

/** Text with spaces before or after it. */
export function pad(text: string, width: number, right: boolean): string {
  const spaces = " ".repeat(Math.max(0, width - textWidth(text)));
  return right ? spaces + text : text + spaces;
}
