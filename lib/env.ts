/**
 * The `METALFAISS_*` environment variables: every one is read here.
 *
 * @module
 */

/** Name of an environment variable that metalfaiss reads. */
export type VariableName =
  | "METALFAISS_LIBRARY"
  | "METALFAISS_BACKEND"
  | "METALFAISS_THREADS"
  | "METALFAISS_ISA"
  | "METALFAISS_GPU"
  | "METALFAISS_EMULATOR_CHECKS"
  | "METALFAISS_TUNING"
  | "METALFAISS_GEMM_TILE_AV"
  | "METALFAISS_GEMM_TILE_ATB"
  | "METALFAISS_GEMM_TILE_SQ"
  | "METALFAISS_GEMM_DB"
  | "METALFAISS_GEMM_V4"
  | "METALFAISS_GEMM_PAD_ATB"
  | "METALFAISS_USE_GEMM_KERNEL"
  | "METALFAISS_QR_DOT"
  | "METALFAISS_FORCE_QR"
  | "METALFAISS_FORCE_SVD"
  | "METALFAISS_SVD_BAND"
  | "METALFAISS_SVD_STREAMS"
  | "METALFAISS_USE_COMPILE"
  | "METALFAISS_USE_IVF_TOPK"
  | "METALFAISS_IVF_TPB"
  | "METALFAISS_BENCH_ITERS"
  | "METALFAISS_BENCH_WARMUP"
  | "METALFAISS_BENCH_BACKENDS"
  | "METALFAISS_JOURNAL";

/** What each variable does, as `deno task doctor` prints it. */
export const variables: Readonly<Record<VariableName, string>> = {
  METALFAISS_LIBRARY: "Absolute path of the native library; no other place is searched.",
  METALFAISS_BACKEND: "Backend of new indexes: auto (default), gpu, cpu or reference.",
  METALFAISS_THREADS: "Threads of the native library, from 1; all cores by default.",
  METALFAISS_ISA: "Instruction set of its kernels, e.g. scalar or avx2; the best one by default.",
  METALFAISS_GPU:
    "GPU to use: metal, cuda or emulator, with a number where there are more, as cuda:1; " +
    "the system's default by default. If set, auto means gpu.",
  METALFAISS_EMULATOR_CHECKS:
    "Whether the emulator looks for faults of kernels: on (default), or off for speed.",
  METALFAISS_TUNING:
    "Folder of tuning tables to use in place of the shipped ones, as deno task tune --out wrote.",
  METALFAISS_GEMM_TILE_AV:
    "Tile of gemmAV, rows x columns, as 32x8; by the tuning table by default.",
  METALFAISS_GEMM_TILE_ATB: "Tile of gemmAtB, as 8x32; by the tuning table by default.",
  METALFAISS_GEMM_TILE_SQ: "Side of a square tile for both, where neither is set.",
  METALFAISS_GEMM_DB: "1: tiles of gemmAV and gemmAtB in two buffers, 0 (default): in one.",
  METALFAISS_GEMM_V4: "1: loads of four numbers, 0 (default): of one.",
  METALFAISS_GEMM_PAD_ATB:
    "1: lines of gemmAtB's tiles padded against bank conflicts, 0 (default): not.",
  METALFAISS_USE_GEMM_KERNEL:
    "Products of the SVD on a GPU: 1 our kernels, 0 the vendor's; by the tuning table and the " +
    "shape by default, else 1.",
  METALFAISS_QR_DOT:
    "Projections of the QR on a GPU: simple, simd, or auto (default): simd from as many rows as " +
    "the tuning table says, else 512.",
  METALFAISS_FORCE_QR: "Method of the QR whatever the shape: mgs, blocked or householder.",
  METALFAISS_FORCE_SVD: "Z-step of the SVD: mono (no bands), banded or naive (untiled kernel).",
  METALFAISS_SVD_BAND:
    "Columns a band of the SVD's Z-step on a GPU, 0: one band; by the tuning table by default, " +
    "else 0.",
  METALFAISS_SVD_STREAMS:
    "Streams of a GPU that the SVD's bands run on; by the tuning table by default, else 1.",
  METALFAISS_USE_COMPILE: "SVD iterations on a GPU: 1 (default) encoded once and replayed, 0 anew.",
  METALFAISS_USE_IVF_TOPK:
    "Search of inverted lists on a GPU: 1 scan and selection fused, 0 all keys, then selection; " +
    "by the tuning table by default, else 1.",
  METALFAISS_IVF_TPB:
    "Threads a threadgroup of the scan of few queries' lists, a multiple of 32 up to 1024; " +
    "by the tuning table by default, else 256.",
  METALFAISS_BENCH_ITERS: "Samples of each variant in the harness, from 1; 20 by default.",
  METALFAISS_BENCH_WARMUP: "Samples before them that do not count; 3 by default.",
  METALFAISS_BENCH_BACKENDS: "What the harness measures: some of gpu,vendor,cpu; all by default.",
  METALFAISS_JOURNAL:
    "Shapes of the journal's experiments: quick (small), or full; by default quick on the emulator and " +
    "without the native library, else full.",
};

/** Reads any variable; one that may not be read counts as unset, and so does an empty one. */
export function readEnv(name: string): string | undefined {
  try {
    return Deno.env.get(name) || undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) return undefined;
    throw error;
  }
}

/** Reads one of metalfaiss's variables. */
export function readVariable(name: VariableName): string | undefined {
  return readEnv(name);
}

/** Reads `METALFAISS_THREADS`. */
export function threadsVariable(): number | undefined {
  const text = readVariable("METALFAISS_THREADS");
  if (text === undefined) return undefined;
  const threads = Number(text);
  if (!Number.isInteger(threads) || threads < 1 || threads > 65_536) {
    throw new RangeError(
      `Cannot use METALFAISS_THREADS: expected an integer from 1, got "${text}"`,
    );
  }
  return threads;
}

/** Reads a variable that is an integer, or undefined where it is not set. */
export function integerVariable(name: VariableName, least = 0): number | undefined {
  const text = readVariable(name);
  if (text === undefined) return undefined;
  const value = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value >= least) return value;
  throw new RangeError(`Cannot use ${name}: expected an integer from ${least}, got "${text}"`);
}

/** Reads a variable that is 0 or 1, or undefined where it is not set. */
export function switchVariable(name: VariableName): boolean | undefined {
  const text = readVariable(name);
  if (text === undefined || text === "0" || text === "1") {
    return text === undefined ? undefined : text === "1";
  }
  throw new RangeError(`Cannot use ${name}: expected 0 or 1, got "${text}"`);
}

/** Reads a variable that is one of some words, or undefined where it is not set. */
export function choiceVariable<const T extends string>(
  name: VariableName,
  choices: readonly T[],
): T | undefined {
  const text = readVariable(name);
  const found = choices.find((choice) => choice === text);
  if (text === undefined || found !== undefined) return found;
  throw new RangeError(`Cannot use ${name}: expected ${choices.join(", ")}, got "${text}"`);
}

/** Reads a variable that is a tile, as `32x8`, or undefined where it is not set. */
export function tileVariable(name: VariableName): readonly [number, number] | undefined {
  const text = readVariable(name);
  if (text === undefined) return undefined;
  const sides = /^([1-9]\d{0,3})x([1-9]\d{0,3})$/.exec(text);
  if (sides) return [Number(sides[1]), Number(sides[2])];
  throw new RangeError(`Cannot use ${name}: expected two sides, as 32x8, got "${text}"`);
}

/** Reads `METALFAISS_BACKEND`. */
export function backendVariable(): "auto" | "gpu" | "cpu" | "reference" {
  const text = readVariable("METALFAISS_BACKEND") ?? "auto";
  if (text === "auto" || text === "gpu" || text === "cpu" || text === "reference") return text;
  throw new RangeError(
    `Cannot use METALFAISS_BACKEND: expected auto, gpu, cpu or reference, got "${text}"`,
  );
}

/** Reads `METALFAISS_GPU`. */
export function gpuVariable(): string | undefined {
  const text = readVariable("METALFAISS_GPU");
  if (text === undefined || /^(metal|cuda|emulator)(:\d+)?$/.test(text)) return text;
  throw new RangeError(
    `Cannot use METALFAISS_GPU: expected metal, cuda or emulator, got "${text}"`,
  );
}

/** Whether `METALFAISS_EMULATOR_CHECKS` leaves the emulator's checks on. */
export function emulatorChecks(): boolean {
  const text = readVariable("METALFAISS_EMULATOR_CHECKS") ?? "on";
  if (text === "on" || text === "off") return text === "on";
  throw new RangeError(
    `Cannot use METALFAISS_EMULATOR_CHECKS: expected on or off, got "${text}"`,
  );
}
