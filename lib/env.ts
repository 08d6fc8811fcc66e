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
  | "METALFAISS_EMULATOR_CHECKS";

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
