import type { Backend } from "../backend/backend.ts";
import type { Codec } from "../codec/codec.ts";
import type { ProductQuantizer } from "../codec/product_quantizer.ts";
import type { ScalarQuantizer } from "../codec/scalar_quantizer.ts";
import { UnsupportedError } from "../errors.ts";
import { Metric, metricName } from "../metric.ts";

/** The metric that a store of codes searches by: vectors of length 1 need no cosine. */
export function codeMetric(metric: Metric): Metric {
  return metric === Metric.Cosine ? Metric.InnerProduct : metric;
}

/** Throws unless an index can keep codes on a backend and compare them. */
export function checkCodes(name: string, metric: Metric, backend: Backend): void {
  const known = codeMetric(metric);
  if (known !== Metric.L2 && known !== Metric.InnerProduct) {
    throw new RangeError(
      `Cannot make an index: ${name} compares by L2, inner product or cosine, ` +
        `not by ${metricName(metric)}`,
    );
  }
  if (backend.name === "gpu") {
    throw new UnsupportedError(
      `Cannot make an index: ${name} runs on the cpu and reference backends, not on the gpu`,
    );
  }
}

/** Throws unless codes of one codec mean the same to another. */
export function checkSameCodec(ours: Codec, theirs: Codec): void {
  // How codes are found changes nothing of what they mean.
  const [a, b] = [ours, theirs].map(({ spec }) => new Map(Object.entries(spec)));
  a!.delete("encoding");
  const same = a!.size === Array.from(b!.keys()).filter((name) => name !== "encoding").length &&
    a!.entries().every(([name, value]) => isSame(value, b!.get(name)));
  if (!same) throw new TypeError("Cannot mergeFrom: the codecs of the two indexes differ");
}

function isSame(a: unknown, b: unknown): boolean {
  const [x, y] = [a, b].map((value) => {
    return value instanceof Float32Array || value instanceof Uint8Array ? value : undefined;
  });
  if (x === undefined || y === undefined) return Object.is(a, b);
  return x.length === y.length && x.every((value, i) => value === y[i]);
}

/** Gives a quantizer the training of another of its shape, and how it is done. */
export function copyProduct(from: ProductQuantizer, to: ProductQuantizer): void {
  Object.assign(to.cp, from.cp);
  if (from.isTrained) to.restore(from.centroids);
}

/** Gives a quantizer the training of another of its shape. */
export function copyScalar(from: ScalarQuantizer, to: ScalarQuantizer): void {
  if (from.isTrained) to.restore(from.trained);
}
