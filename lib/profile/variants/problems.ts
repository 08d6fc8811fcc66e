/**
 * The shapes of the m = 1 probes.
 *
 * @module
 */

import type { Problem } from "./select.ts";

/**
 * Every problem of the probes: four NT shapes of a language model, one NN with bias, and small batches with
 * alpha and beta.
 *
 * @param quick Small ones instead, for the emulator.
 */
export function probeProblems(quick = false): Problem[] {
  const large: [n: number, k: number][] = quick
    ? [[97, 112], [40, 304]]
    : [[9728, 896], [896, 4864], [896, 896], [151_936, 896]];
  const problems: Problem[] = large.map(([n, k]) => ({ layout: "nt", n, k }));
  const [n, k] = quick ? [72, 56] : [1152, 896];
  problems.push({ layout: "nn", n, k, bias: true });
  const small = { batch: quick ? 3 : 14, alpha: 0.125, beta: 1 };
  for (const length of quick ? [67] : [67, 80, 95]) {
    problems.push({ layout: "nn", n: 64, k: length, ...small });
  }
  for (const rows of quick ? [51] : [51, 64, 90]) {
    problems.push({ layout: "nt", n: rows, k: 64, ...small });
  }
  return problems;
}
