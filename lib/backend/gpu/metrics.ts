import { Metric } from "../../metric.ts";

/** Metrics as names of kernels have them. */
const kernelNames = {
  [Metric.InnerProduct]: "ip",
  [Metric.L2]: "l2",
  [Metric.L1]: "l1",
  [Metric.Linf]: "linf",
  [Metric.Lp]: "lp",
  [Metric.Canberra]: "canberra",
  [Metric.BrayCurtis]: "bray_curtis",
  [Metric.JensenShannon]: "jensen_shannon",
  [Metric.Jaccard]: "jaccard",
  [Metric.NaNEuclidean]: "nan_euclidean",
  [Metric.Cosine]: "cosine",
} as const satisfies Record<Metric, string>;

/** The metric in a kernel's name. */
export function kernelMetric(metric: Metric): string {
  return kernelNames[metric];
}

/** A metric whose keys come from dot products. */
export type FastMetric = "l2" | "ip" | "cosine";

/** The metric, if its keys come from dot products. */
export function fastMetric(metric: Metric): FastMetric | undefined {
  switch (metric) {
    case Metric.L2:
      return "l2";
    case Metric.InnerProduct:
      return "ip";
    case Metric.Cosine:
      return "cosine";
    default:
      return undefined;
  }
}
