/**
 * Metrics, with FAISS's numbers.
 *
 * @module
 */

/**
 * How two vectors are compared. For a distance smaller is better; for a similarity
 * ({@linkcode isSimilarity}) larger is. Where FAISS's formula is 0/0, takes the logarithm
 * of a negative number or overflows a float32, the pair has no distance: a search never
 * returns it, as in FAISS.
 */
export const Metric = {
  /** ⟨x, y⟩, a similarity. */
  InnerProduct: 0,
  /** Σ (x − y)², squared Euclidean: no root. */
  L2: 1,
  /** Σ |x − y|. */
  L1: 2,
  /** max |x − y|. */
  Linf: 3,
  /** Σ |x − y|ᵖ with `metricArg` = p: no root. */
  Lp: 4,
  /** Σ |x − y| / (|x| + |y|). Undefined where both vectors hold a zero in the same place. */
  Canberra: 20,
  /** Σ |x − y| / Σ |x + y|. Undefined between two zero vectors. */
  BrayCurtis: 21,
  /** Jensen–Shannon divergence of distributions, in nats. Undefined unless all x, y > 0. */
  JensenShannon: 22,
  /** Σ min(x, y) / Σ max(x, y), a similarity. Undefined between two zero vectors. */
  Jaccard: 23,
  /** Squared Euclidean over the places present (not NaN) in both, times d / their number. */
  NaNEuclidean: 24,
  /** ⟨x, y⟩ / (‖x‖ ‖y‖), a similarity; 0 for a zero vector. Not in FAISS. */
  Cosine: 100,
} as const;

/** One of {@linkcode Metric}'s numbers. */
export type Metric = (typeof Metric)[keyof typeof Metric];

const names = new Map<number, keyof typeof Metric>(
  Object.entries(Metric).map(([name, value]) => [value, name as keyof typeof Metric]),
);

/**
 * Whether larger is better.
 *
 * @param metric The metric.
 * @returns True for inner product, Jaccard and cosine.
 */
export function isSimilarity(metric: Metric): boolean {
  return metric === Metric.InnerProduct || metric === Metric.Jaccard || metric === Metric.Cosine;
}

/**
 * The name of a metric.
 *
 * @param metric The metric.
 * @returns The key in {@linkcode Metric}, e.g. `"L2"`.
 * @throws {RangeError} If there is no such metric.
 */
export function metricName(metric: Metric): keyof typeof Metric {
  const name = names.get(metric);
  if (name === undefined) throw new RangeError(`Cannot use metric ${metric}: there is none`);
  return name;
}

/**
 * The distance reported for a missing result.
 *
 * @param metric The metric.
 * @returns ±FLT_MAX: negative for similarities.
 */
export function missingDistance(metric: Metric): number {
  const largest = 3.4028234663852886e38;
  return isSimilarity(metric) ? -largest : largest;
}

/**
 * Checks a metric and its argument.
 *
 * @param metric The metric.
 * @param metricArg `p` of {@linkcode Metric.Lp}, which must be above 0.
 * @throws {RangeError} If there is no such metric, or no such p.
 */
export function checkMetric(metric: Metric, metricArg: number): void {
  metricName(metric);
  if (metric === Metric.Lp && !(metricArg > 0 && metricArg < Infinity)) {
    throw new RangeError(`Cannot use metric Lp: metricArg ${metricArg} is not above 0`);
  }
}
