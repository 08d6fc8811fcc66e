/**
 * Which variants take a problem: by what they declare, never by guesses.
 *
 * @module
 */

import { whyNot } from "../../backend/gpu/linalg/supports.ts";
import type { Element } from "../../backend/linalg.ts";
import type { Manifest, Variant, VariantKind } from "./manifest.ts";

/** A product to compute: alpha · op(A) W + beta · C + bias. Of `gemv`, m is 1. */
export interface Problem {
  /** Its name in reports; by default one made of its sizes. */
  name?: string;
  /** `nt`: the matrix as it lies is n × k; `nn`: k × n. `gemm` also has `tn` and `tt`. */
  layout: "nt" | "nn" | "tn" | "tt";
  /** Rows of the result; 1 by default. */
  m?: number;
  /** Columns of the result. */
  n: number;
  /** Length of the sums. */
  k: number;
  /** Matrices, each with a row; 1 by default. */
  batch?: number;
  /** Whether a bias is added while it is timed. */
  bias?: boolean;
  /** Factor of the product while it is timed; 1 by default. */
  alpha?: number;
  /** Factor of what is there while it is timed; 0 by default. */
  beta?: number;
  /** Type of the matrix; float16 by default. */
  dtype?: Element;
  /** Type of the other operands and the result; by default `dtype`. */
  io?: Element;
}

/** A variant that was left out, and why. */
export interface Skipped {
  /** Its name. */
  name: string;
  /** What it lacks. */
  why: string;
}

/** What {@linkcode selectVariants} may choose from. */
export interface Choice {
  /** Only these. */
  names?: readonly string[] | undefined;
  /** Only those whose name matches. */
  filter?: RegExp | undefined;
  /** Only what runs so. */
  kinds?: readonly VariantKind[] | undefined;
}

/** A problem with all that was left out. */
export type FullProblem = Required<Problem>;

/**
 * Fills in what a problem leaves out.
 *
 * @throws {RangeError} If a size is no positive integer.
 */
export function fullProblem(problem: Problem): FullProblem {
  const { layout, m = 1, n, k, batch = 1, bias = false, alpha = 1, beta = 0 } = problem;
  const { dtype = "float16", io = dtype } = problem;
  for (const [what, size] of Object.entries({ m, n, k, batch })) {
    if (!Number.isInteger(size) || size < 1) {
      throw new RangeError(`Cannot measure: ${what} ${size} is not a positive integer`);
    }
  }
  const { name = nameOf({ layout, m, n, k, batch, bias, beta }) } = problem;
  return { name, layout, m, n, k, batch, bias, alpha, beta, dtype, io };
}

function nameOf(
  p: Pick<FullProblem, "layout" | "m" | "n" | "k" | "batch" | "bias" | "beta">,
): string {
  const sizes = p.m === 1 ? `n=${p.n} k=${p.k}` : `m=${p.m} n=${p.n} k=${p.k}`;
  return (p.batch > 1 ? `${p.batch}×` : "") + `${sizes} ${p.layout.toUpperCase()}` +
    (p.bias ? " bias" : "") + (p.beta !== 0 ? " αβ" : "");
}

/**
 * The variants that declare that they take a problem, and why the others do not.
 *
 * @param manifest All there are.
 * @param problem What is to be computed.
 * @param choice Which of them to look at.
 * @throws {RangeError} If a name is not in the manifest.
 */
export function selectVariants(
  manifest: Manifest,
  problem: Problem,
  { names, filter, kinds }: Choice = {},
): { chosen: Variant[]; skipped: Skipped[] } {
  const known = new Set(manifest.variants.map(({ name }) => name));
  const unknown = names?.find((name) => !known.has(name));
  if (unknown !== undefined) {
    throw new RangeError(
      `Cannot measure: the manifest of ${manifest.operation} has no variant "${unknown}"`,
    );
  }
  const full = fullProblem(problem);
  const needs = { ...full, accumulate: full.beta !== 0 };
  const chosen: Variant[] = [];
  const skipped: Skipped[] = [];
  for (const variant of manifest.variants) {
    const { name, kind, dtype, io = dtype, geometry, supports } = variant;
    if (names && !names.includes(name) || filter && !filter.test(name)) continue;
    const why = kinds && !kinds.includes(kind)
      ? `kind ${kind} is not among ${kinds.join(", ")}`
      : dtype !== full.dtype || io !== full.io
      ? `it multiplies ${dtype} by ${io}, not ${full.dtype} by ${full.io}`
      : whyNot(supports, geometry?.bk, needs);
    if (why === undefined) chosen.push(variant);
    else skipped.push({ name, why });
  }
  return { chosen, skipped };
}
