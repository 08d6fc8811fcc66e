/**
 * The levels of a graph's nodes.
 *
 * @module
 */

import type { Random } from "../random.ts";

/**
 * The probability that a node's highest level is each one, bit for bit as FAISS computes them and
 * files hold them: down to 10⁻⁹.
 *
 * @param M Links on a level.
 */
export function levelProbabilities(M: number): number[] {
  const probabilities: number[] = [];
  const scale = Math.fround(1 / Math.log(M));
  for (let level = 0;; level++) {
    const above = Math.exp(Math.fround(-level / scale));
    const probability = Math.fround(above * (1 - Math.exp(Math.fround(-1 / scale))));
    if (probability < 1e-9) return probabilities;
    probabilities.push(probability);
  }
}

/** Links of a node up to each level: of none, of the ground, of level 1 … */
export function cumulativeLinks(M: number, levels: number): number[] {
  return Array.from({ length: levels + 1 }, (_, level) => level === 0 ? 0 : M * (level + 1));
}

/** Draws a level for each of `n` nodes. */
export function randomLevels(n: number, probabilities: number[], random: Random): Uint8Array {
  return Uint8Array.from({ length: n }, () => {
    let left = random.uniform();
    const level = probabilities.findIndex((probability) => (left -= probability) < 0);
    return level < 0 ? probabilities.length - 1 : level;
  });
}
