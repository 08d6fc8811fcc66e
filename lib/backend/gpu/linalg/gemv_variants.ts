/**
 * Kernels of matrix-vector products: `data/variants/gemv.json` lists them.
 *
 * @module
 */

import manifest from "../../../../data/variants/gemv.json" with { type: "json" };
import type { Element } from "../../linalg.ts";
import { shortName } from "./operands.ts";
import { type Supports, whyNot } from "./supports.ts";

/** A kernel, and how it is to be launched. */
export interface GemvVariant {
  name: string;
  /** File in `shaders/`. */
  file: string;
  /** Its name there. */
  kernel: string;
  /** Type of W. */
  dtype: Element;
  /** Type of x, y and bias. */
  io: Element;
  /** `bn`: columns of the result a threadgroup; `tg`: its threads. */
  geometry: { bn: number; bk?: number; tg: number };
  /** `separate`: alpha, beta and bias in a second dispatch. */
  epilogue?: "fused" | "separate";
  supports: Supports;
}

/** A product of `batch` rows with a matrix each. */
export interface GemvCase {
  layout: "nt" | "nn";
  n: number;
  k: number;
  batch: number;
  bias: boolean;
  accumulate: boolean;
  /** Type of W. */
  dtype: Element;
  /** Type of x, y and bias. */
  io: Element;
}

const variants = new Map<string, GemvVariant>();
for (const variant of manifest.variants) {
  if (variant.kind === "gpu") variants.set(variant.name, variant as GemvVariant);
}

/** Whether there are kernels for these types. */
export function hasGemvKernels(dtype: Element, io: Element): boolean {
  return io === dtype || (io === "float32" && dtype !== "float32");
}

/**
 * A variant by name, if it takes the product.
 *
 * @throws {RangeError} If there is none of this name, or it does not take such products.
 */
export function gemvVariant(name: string, how: GemvCase): GemvVariant {
  const variant = variants.get(name);
  if (variant === undefined) {
    throw new RangeError(
      `Cannot multiply: the gpu backend has no variant "${name}"; data/variants/gemv.json has all`,
    );
  }
  const types = `${how.dtype} by ${how.io}`;
  const why = variant.dtype === how.dtype && variant.io === how.io
    ? whyNot(variant.supports, variant.geometry.bk, { ...how, m: 1 })
    : `it multiplies ${variant.dtype} by ${variant.io}, not ${types}`;
  if (why !== undefined) throw new RangeError(`Cannot multiply: variant "${name}": ${why}`);
  return variant;
}

/**
 * The fastest on an H200 in `data/results` at the shapes of the probes. From 4,096 rows on, 16 lanes a row
 * keep every multiprocessor busy; fewer rows need more threads each, and long ones five simdgroups.
 */
const choices: { layout: "nt" | "nn"; n: number; k: number; kernel: string }[] = [
  { layout: "nt", n: 4096, k: 0, kernel: "bn8_tg128_l16_u7" },
  { layout: "nt", n: 0, k: 2048, kernel: "bn1_tg160_l32_s5_u4" },
  { layout: "nt", n: 0, k: 256, kernel: "bn4_tg256_l32_s2_u2" },
  { layout: "nt", n: 0, k: 0, kernel: "bn16_tg128_l8_u7" },
  { layout: "nn", n: 8192, k: 0, kernel: "bn64_tg256" },
  { layout: "nn", n: 0, k: 256, kernel: "bn32_tg512" },
  { layout: "nn", n: 0, k: 0, kernel: "bn64_tg256" },
];

/** What runs where no variant is asked for. */
export function chooseGemv(how: GemvCase): GemvVariant {
  const { layout, n, k, batch, dtype, io } = how;
  const { kernel } = choices.find((choice) =>
    choice.layout === layout && n * batch >= choice.n && k >= choice.k
  )!;
  const types = dtype === io ? shortName(dtype) : `${shortName(dtype)}_${shortName(io)}`;
  // The lanes of NN kernels go by the type.
  const wanted = new RegExp(`^gemv_${layout}_${types}_${kernel}(_l\\d+_u\\d+)?$`);
  for (const [name, variant] of variants) if (wanted.test(name)) return variant;
  throw new TypeError(`Cannot multiply: there is no product of ${dtype} by ${io}`);
}
