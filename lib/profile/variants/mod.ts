/**
 * The variant harness: manifests of kernels, what they declare, and how they do against each other.
 *
 * @module
 */

export { builtInManifest, parseManifest } from "./manifest.ts";
export type { Geometry, Manifest, OperationName, Variant, VariantKind } from "./manifest.ts";
export { fullProblem, selectVariants } from "./select.ts";
export type { Choice, FullProblem, Problem, Skipped } from "./select.ts";
export { runVariants } from "./run.ts";
export type { VariantOptions, VariantReport, VariantResult } from "./run.ts";
export { formatVariants, variantsCsv } from "./report.ts";
export { probeProblems } from "./problems.ts";
export type { Element } from "../../backend/linalg.ts";
export type { SizeRange, Supports } from "../../backend/gpu/linalg/supports.ts";
