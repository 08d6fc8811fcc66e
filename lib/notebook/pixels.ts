/**
 * How wide text is, where there is no canvas to measure it.
 *
 * @module
 */

/** Parts of the font size that letters take, a little more than in Helvetica; others take 0.62. */
const WIDTHS: readonly (readonly [letters: RegExp, width: number])[] = [
  [/[ijl.,:;'|!I]/, 0.32],
  [/[frt()[\]{}\-/\\ "*]/, 0.42],
  [/[mwMW@%…—]/, 0.95],
  [/[A-Z&#<>=+~×·≤≥±]/, 0.72],
  // Letters of Chinese, Japanese and Korean, and pictographs, fill a square.
  [
    /[\u{1100}-\u{115f}\u{2e80}-\u{9fff}\u{ac00}-\u{d7af}\u{ff00}-\u{ff60}\u{1f300}-\u{1faff}]/u,
    1.1,
  ],
];

/**
 * Width of a line of text.
 *
 * @param text The line.
 * @param fontSize In pixels.
 * @returns Pixels, a little more than most fonts take.
 */
export function pixelWidth(text: string, fontSize: number): number {
  let width = 0;
  for (const letter of text) {
    width += WIDTHS.find(([letters]) => letters.test(letter))?.[1] ?? 0.62;
  }
  return width * fontSize;
}

/**
 * Text in lines that fit.
 *
 * @param text What is broken at its spaces; a longer word stays whole.
 * @param width Pixels of a line.
 * @param fontSize In pixels.
 */
export function wrapText(text: string, width: number, fontSize: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(/\s+/)) {
    const longer = lines.length === 0 ? word : `${lines.at(-1)} ${word}`;
    if (lines.length === 0 || pixelWidth(longer, fontSize) > width) lines.push(word);
    else lines[lines.length - 1] = longer;
  }
  return lines;
}
