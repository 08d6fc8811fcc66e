import { Metric } from "../../metric.ts";

/** Compares row `i` of `x` with row `j` of `y` in double precision. */
export type Distance = (x: Float32Array, i: number, y: Float32Array, j: number) => number;

/** Two sums over the coordinates of a pair, put together at the end. */
function sums(
  d: number,
  term: (a: number, b: number) => [number, number],
  result: (p: number, q: number) => number,
): Distance {
  return (x, i, y, j) => {
    let [p, q] = [0, 0];
    for (let c = 0; c < d; c++) {
      const [u, v] = term(x[i * d + c]!, y[j * d + c]!);
      p += u;
      q += v;
    }
    return result(p, q);
  };
}

/** One sum over the coordinates of a pair. */
function sum(d: number, term: (a: number, b: number) => number): Distance {
  return (x, i, y, j) => {
    let total = 0;
    for (let c = 0; c < d; c++) total += term(x[i * d + c]!, y[j * d + c]!);
    return total;
  };
}

// Written out: these two carry the indexes where there is no native library, and the loop
// that all metrics share takes ten times as long.

function inner(d: number): Distance {
  return (x, i, y, j) => {
    let total = 0;
    for (let c = 0; c < d; c++) total += x[i * d + c]! * y[j * d + c]!;
    return total;
  };
}

function squaredL2(d: number): Distance {
  return (x, i, y, j) => {
    let total = 0;
    for (let c = 0; c < d; c++) {
      const difference = x[i * d + c]! - y[j * d + c]!;
      total += difference * difference;
    }
    return total;
  };
}

/**
 * The distance of a metric. NaN where FAISS's formula has no value.
 *
 * @param metric The metric.
 * @param metricArg `p` of Lp.
 * @param d Numbers a row.
 */
export function distanceOf(metric: Metric, metricArg: number, d: number): Distance {
  switch (metric) {
    case Metric.InnerProduct:
      return inner(d);
    case Metric.L2:
      return squaredL2(d);
    case Metric.L1:
      return sum(d, (a, b) => Math.abs(a - b));
    case Metric.Linf:
      return (x, i, y, j) => {
        let most = 0;
        for (let c = 0; c < d; c++) most = Math.max(most, Math.abs(x[i * d + c]! - y[j * d + c]!));
        return most;
      };
    case Metric.Lp:
      return sum(d, (a, b) => Math.abs(a - b) ** metricArg);
    case Metric.Canberra:
      return sum(d, (a, b) => Math.abs(a - b) / (Math.abs(a) + Math.abs(b)));
    case Metric.BrayCurtis:
      return sums(d, (a, b) => [Math.abs(a - b), Math.abs(a + b)], (p, q) => p / q);
    case Metric.JensenShannon:
      return sum(d, (a, b) => {
        const mean = (a + b) / 2;
        return (a * Math.log(a / mean) + b * Math.log(b / mean)) / 2;
      });
    case Metric.Jaccard:
      return sums(d, (a, b) => [Math.min(a, b), Math.max(a, b)], (p, q) => p / q);
    case Metric.NaNEuclidean:
      return sums(
        d,
        (a, b) => Number.isNaN(a) || Number.isNaN(b) ? [0, 0] : [(a - b) * (a - b), 1],
        (total, present) => present === 0 ? NaN : (d / present) * total,
      );
    case Metric.Cosine: {
      const product = inner(d);
      return (x, i, y, j) => {
        const norms = Math.sqrt(product(x, i, x, i)) * Math.sqrt(product(y, j, y, j));
        return norms === 0 ? 0 : product(x, i, y, j) / norms;
      };
    }
  }
}
