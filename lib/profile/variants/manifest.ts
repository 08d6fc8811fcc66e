/**
 * Manifests of kernel variants: what there is, how it is launched, what it declares that it can do.
 *
 * @module
 */

import gemmManifest from "../../../data/variants/gemm.json" with { type: "json" };
import gemvManifest from "../../../data/variants/gemv.json" with { type: "json" };
import type { SizeRange, Supports } from "../../backend/gpu/linalg/supports.ts";
import type { Element } from "../../backend/linalg.ts";

/** Operations that the harness can measure. */
export type OperationName = "gemv" | "gemm";

/** What runs a variant: a kernel of ours, the vendor's library on the GPU, or the cpu backend. */
export type VariantKind = "gpu" | "vendor" | "cpu";

/** Sizes that a kernel is made for. The grid comes from these alone; names only mirror them. */
export interface Geometry {
  /** Rows of the result a threadgroup; 1 by default. */
  bm?: number;
  /** Columns of the result a threadgroup. */
  bn: number;
  /** Depth of a tile of K. */
  bk?: number;
  /** Threads a threadgroup. */
  tg: number;
  /** Lanes that share a row of W, or lie beside each other. */
  lanes?: number;
  /** Rows a lane works on. */
  rows?: number;
  /** Simdgroups that share a row. */
  split?: number;
  /** Loads of a lane under way at once. */
  loads?: number;
}

/** One way to compute an operation. */
export interface Variant {
  /** Unique in its manifest. */
  name: string;
  /** What runs it. */
  kind: VariantKind;
  /** What it belongs to, as `v2 col`. */
  family?: string;
  /** File in `shaders/`; of kind `gpu`. */
  file?: string;
  /** Kernel in that file; of kind `gpu`. */
  kernel?: string;
  /** Type of the matrix. */
  dtype: Element;
  /** Type of the other operands and the result; by default `dtype`. */
  io?: Element;
  /** Of kind `gpu`. */
  geometry?: Geometry;
  /** `separate`: alpha, beta and bias in a dispatch of their own. */
  epilogue?: "fused" | "separate";
  /** What it can do. */
  supports: Supports;
  /** Anything worth knowing. */
  note?: string;
}

/** Variants of one operation. */
export interface Manifest {
  /** What its variants compute. */
  operation: OperationName;
  /** All ways to compute it. */
  variants: Variant[];
}

/** Threads that a threadgroup has at most on any device. */
const MOST_THREADS = 1024;

const kinds: readonly VariantKind[] = ["gpu", "vendor", "cpu"];
const dtypes: readonly Element[] = ["float32", "float16", "bfloat16"];
const geometryFields = ["bm", "bn", "bk", "tg", "lanes", "rows", "split", "loads"];
const flags = ["bias", "accumulate", "batch", "smallK"];
const ranges = ["m", "n", "k"];
const variantFields = ["name", "kind", "family", "file", "kernel", "dtype", "io"]
  .concat(["geometry", "epilogue", "supports", "note"]);

/**
 * Checks a manifest, as it comes from `JSON.parse`.
 *
 * @param value The manifest.
 * @returns The same, typed.
 * @throws {TypeError} If a field or flag is unknown, missing or of another type; it names the variant.
 * @throws {RangeError} If a name comes twice, a size cannot be, or a tile has too many threads.
 *
 * @example
 * ```ts
 * import { parseManifest } from "@metalfaiss/metalfaiss/profile";
 * import assert from "node:assert/strict";
 *
 * const supports = { layouts: ["nt"], bias: true, fast: true };
 * const variants = [{ name: "cpu", kind: "cpu", dtype: "float32", supports }];
 * assert.throws(() => parseManifest({ operation: "gemv", variants }), /unknown flag "supports.fast"/);
 * ```
 */
export function parseManifest(value: unknown): Manifest {
  const { operation, variants, ...rest } = record(value, "the manifest");
  const other = Object.keys(rest)[0];
  if (other !== undefined) fail(TypeError, "the manifest", `unknown field "${other}"`);
  if (operation !== "gemv" && operation !== "gemm") {
    fail(RangeError, "the manifest", `operation must be gemv or gemm, got ${show(operation)}`);
  }
  if (!Array.isArray(variants)) fail(TypeError, "the manifest", "variants must be an array");
  const names = new Set<string>();
  for (const [i, variant] of (variants as unknown[]).entries()) {
    const name = checkVariant(variant, i);
    if (names.has(name)) fail(RangeError, `variant "${name}"`, "its name comes twice");
    names.add(name);
  }
  return value as Manifest;
}

/**
 * A manifest that comes with the library.
 *
 * @param operation Which.
 */
export function builtInManifest(operation: OperationName): Manifest {
  return parseManifest(operation === "gemv" ? gemvManifest : gemmManifest);
}

function checkVariant(value: unknown, index: number): string {
  const variant = record(value, `variant ${index}`);
  const { name, kind, dtype, io, epilogue, supports } = variant;
  if (typeof name !== "string" || name === "") {
    fail(TypeError, `variant ${index}`, "it has no name");
  }
  const what = `variant "${name}"`;
  for (const field of Object.keys(variant)) {
    if (!variantFields.includes(field)) fail(TypeError, what, `unknown field "${field}"`);
  }
  for (const field of ["family", "file", "kernel", "note"]) {
    if (variant[field] !== undefined && typeof variant[field] !== "string") {
      fail(TypeError, what, `${field} must be a string`);
    }
  }
  oneOf(kind, kinds, what, "kind");
  oneOf(dtype, dtypes, what, "dtype");
  if (io !== undefined) oneOf(io, dtypes, what, "io");
  if (epilogue !== undefined) oneOf(epilogue, ["fused", "separate"], what, "epilogue");
  if (kind === "gpu") {
    for (const field of ["file", "kernel", "geometry"]) {
      if (variant[field] === undefined) fail(TypeError, what, `it has no ${field}`);
    }
    checkGeometry(variant.geometry, what);
  }
  checkSupports(supports, what);
  return name as string;
}

function checkGeometry(value: unknown, what: string): void {
  const geometry = record(value, `${what}: geometry`);
  for (const [field, size] of Object.entries(geometry)) {
    if (!geometryFields.includes(field)) fail(TypeError, what, `unknown field "geometry.${field}"`);
    if (!Number.isInteger(size) || (size as number) < 1) {
      fail(RangeError, what, `geometry.${field} must be a positive integer, got ${show(size)}`);
    }
  }
  for (const field of ["bn", "tg"]) {
    if (geometry[field] === undefined) fail(TypeError, what, `it has no geometry.${field}`);
  }
  if (geometry.tg as number > MOST_THREADS) {
    fail(RangeError, what, `geometry.tg ${geometry.tg} is above ${MOST_THREADS} threads`);
  }
}

function checkSupports(value: unknown, what: string): void {
  const { layouts, ...rest } = record(value, `${what}: supports`);
  if (!Array.isArray(layouts) || layouts.length === 0) {
    fail(TypeError, what, "supports.layouts must name layouts");
  }
  for (const layout of layouts as unknown[]) {
    oneOf(layout, ["nn", "nt", "tn", "tt"], what, "supports.layouts");
  }
  for (const [flag, declared] of Object.entries(rest)) {
    if (flags.includes(flag)) {
      if (typeof declared !== "boolean") {
        fail(TypeError, what, `supports.${flag} must be true or false, got ${show(declared)}`);
      }
    } else if (ranges.includes(flag)) {
      checkRange(record(declared, `${what}: supports.${flag}`), `${what}: supports.${flag}`);
    } else {
      fail(TypeError, what, `unknown flag "supports.${flag}"`);
    }
  }
}

function checkRange(range: Record<string, unknown>, what: string): void {
  for (const [field, value] of Object.entries(range)) {
    if (!["least", "most", "multiple"].includes(field)) {
      fail(TypeError, what, `unknown field "${field}"`);
    }
    if (!Number.isInteger(value) || (value as number) < (field === "multiple" ? 1 : 0)) {
      fail(RangeError, what, `${field} cannot be ${show(value)}`);
    }
  }
  const { least = 0, most = Infinity } = range as SizeRange;
  if (least > most) fail(RangeError, what, `least ${least} is above most ${most}`);
}

function oneOf(value: unknown, choices: readonly string[], what: string, field: string): void {
  if (choices.includes(value as string)) return;
  fail(TypeError, what, `${field} must be one of ${choices.join(", ")}, got ${show(value)}`);
}

function record(value: unknown, what: string): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  return fail(TypeError, what, "it must be an object");
}

function show(value: unknown): string {
  return JSON.stringify(value) ?? String(value);
}

function fail(type: ErrorConstructor, what: string, why: string): never {
  throw new type(`Cannot read ${what}: ${why}`);
}
