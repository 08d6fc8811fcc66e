/**
 * What a kernel variant declares that it can do, and whether that covers a problem.
 *
 * @module
 */

/** Sizes that a variant takes. */
export interface SizeRange {
  /** The smallest. */
  least?: number;
  /** The largest. */
  most?: number;
  /** All are multiples of it. */
  multiple?: number;
}

/** The capability flags of a variant. What it does not declare, it cannot do. */
export interface Supports {
  /** Layouts, as `nt`: W as it lies is n × k, or `nn`: k × n. */
  layouts: string[];
  /** Whether it adds a bias. */
  bias?: boolean;
  /** Whether it adds beta times what is there. */
  accumulate?: boolean;
  /** Whether it takes several matrices at once. */
  batch?: boolean;
  /** Whether k may be smaller than one tile of it. */
  smallK?: boolean;
  /** Rows of the result. */
  m?: SizeRange;
  /** Columns of the result. */
  n?: SizeRange;
  /** Length of the sums. */
  k?: SizeRange;
}

/** What a problem needs of a variant. */
export interface Needs {
  layout: string;
  m: number;
  n: number;
  k: number;
  batch: number;
  bias: boolean;
  accumulate: boolean;
}

/**
 * Why a variant does not take a problem, by what it declares; undefined where it does.
 *
 * @param supports Its flags.
 * @param tileK Depth of its tile of K, if it has one.
 * @param needs The problem.
 */
export function whyNot(
  supports: Supports,
  tileK: number | undefined,
  needs: Needs,
): string | undefined {
  if (!supports.layouts.includes(needs.layout)) {
    return `layout ${needs.layout} is not among ${supports.layouts.join(", ")}`;
  }
  if (needs.bias && !supports.bias) return "it adds no bias";
  if (needs.accumulate && !supports.accumulate) return "it does not accumulate (beta)";
  if (needs.batch > 1 && !supports.batch) return `it takes one matrix, not ${needs.batch}`;
  if (tileK !== undefined && needs.k < tileK && !supports.smallK) {
    return `k ${needs.k} is smaller than its tile of ${tileK}`;
  }
  for (const size of ["m", "n", "k"] as const) {
    const { least = 0, most = Infinity, multiple = 1 } = supports[size] ?? {};
    const value = needs[size];
    if (value < least) return `${size} ${value} is below ${least}`;
    if (value > most) return `${size} ${value} is above ${most}`;
    if (value % multiple !== 0) return `${size} ${value} is not a multiple of ${multiple}`;
  }
  return undefined;
}
