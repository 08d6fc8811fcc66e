const PIXELS = 64;

/** Images of handwritten digits and what they show. */
export interface Digits {
  /** Pixels, `n × d`, each 0 to 16. */
  x: Float32Array;
  /** Digit of each image, 0 to 9. */
  labels: Uint8Array;
  /** Number of images: 1,797. */
  n: number;
  /** Pixels of an image: 64, 8 × 8 row by row. */
  d: number;
}

/**
 * Loads the UCI handwritten digits (E. Alpaydin and C. Kaynak, 1998; CC BY 4.0), which
 * come with this module.
 *
 * @returns 1,797 images of 64 pixels, with labels.
 *
 * @example
 * ```ts
 * import { loadDigits } from "@metalfaiss/metalfaiss/io";
 * import assert from "node:assert/strict";
 *
 * const { n, d, labels } = await loadDigits();
 * assert.deepEqual([n, d, labels[0]], [1797, 64, 0]);
 * ```
 */
export async function loadDigits(): Promise<Digits> {
  const url = new URL("../../data/digits/digits.csv.gz", import.meta.url);
  const { body } = await fetch(url);
  const text = await new Response(body!.pipeThrough(new DecompressionStream("gzip"))).text();
  const rows = text.trimEnd().split("\n").map((line) => line.split(",").map(Number));
  const n = rows.length;
  const x = new Float32Array(n * PIXELS);
  const labels = new Uint8Array(n);
  for (const [i, row] of rows.entries()) {
    x.set(row.slice(0, PIXELS), i * PIXELS);
    labels[i] = row[PIXELS]!;
  }
  return { x, labels, n, d: PIXELS };
}
