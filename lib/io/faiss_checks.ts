import { Metric, metricName } from "../metric.ts";
import type { ByteReader } from "./byte_reader.ts";

/** Refuses an infinity, and a NaN unless allowed, naming its row. */
export function checkFinite(
  reader: ByteReader,
  x: Float32Array,
  d: number,
  allowNaN: boolean,
  at: number,
  rowName: (row: number) => string,
): void {
  for (let i = 0; i < x.length; i++) {
    const value = x[i]!;
    if (Number.isFinite(value) || allowNaN && Number.isNaN(value)) continue;
    reader.fail(`${rowName(Math.floor(i / d))} holds ${value}`, at + 4 * i);
  }
}

/** Refuses a metric that codes cannot be compared by; the header starts at `at`. */
export function checkCodeMetric(reader: ByteReader, metric: Metric, at: number): void {
  if (metric === Metric.L2 || metric === Metric.InnerProduct || metric === Metric.Cosine) return;
  reader.fail(`codes are compared by ${metricName(metric)}, which is not available`, at);
}
