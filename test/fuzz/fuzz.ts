/**
 * Runs cases in a process of their own, so that one that crashes or hangs is told by its number.
 *
 * @module
 */

/** How long the fuzzer runs, and from which case on. */
export interface FuzzOptions {
  /** Seconds of cases. */
  seconds: number;
  /** The first case: each is made from its number alone. */
  seed: number;
  /** Cases at least, however long they take. */
  least?: number;
  /** Cases at most. */
  cases?: number;
  /** Whether to say how far it is. */
  verbose?: boolean;
}

/** What the cases came to. */
export interface FuzzReport {
  /** How many ran. */
  cases: number;
  /** Kinds of files that they were made of. */
  kinds: number;
  /** How many ended in which way. */
  counts: Record<string, number>;
}

/** Seconds that one case may take before it counts as hanging. */
const SILENCE = 60;

interface Failure {
  failed: number;
  kind: string;
  steps: string[];
  backend: string;
  error: string;
  file: string;
}

/** Runs cases; throws at the first that is no typed error, with how to run it again. */
export async function fuzz(
  { seconds, seed, least = 0, cases, verbose }: FuzzOptions,
): Promise<FuzzReport> {
  const worker = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--allow-all", "--quiet", new URL("worker.ts", import.meta.url).pathname],
      ...[seed, seconds, least, ...cases === undefined ? [] : [cases]].map(String),
    ],
    env: { METALFAISS_THREADS: "2" },
    stdin: "null",
    stdout: "piped",
  }).spawn();
  const report: FuzzReport = { cases: 0, kinds: 0, counts: {} };
  let current: number | undefined;
  let failure: Failure | undefined;
  let hangs = false;
  let alive = performance.now();
  const watch = setInterval(() => {
    if (performance.now() - alive < SILENCE * 1000) return;
    hangs = true;
    worker.kill("SIGKILL");
  }, 1000);
  try {
    let rest = "";
    let told = alive;
    for await (const text of worker.stdout.pipeThrough(new TextDecoderStream())) {
      alive = performance.now();
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      for (const line of lines) {
        const value = JSON.parse(line);
        if (typeof value === "number") current = value;
        else if ("failed" in value) failure = value;
        else if ("kinds" in value) report.kinds = value.kinds;
        else [report.cases, report.counts] = [value.done, value.counts];
      }
      if (verbose && alive - told > 10_000) {
        told = alive;
        console.log(`case ${current}`);
      }
    }
  } finally {
    clearInterval(watch);
  }
  const { success, code, signal } = await worker.status;
  if (success) return report;
  const again = `deno task fuzz --seed ${failure?.failed ?? current} --cases 1`;
  if (failure === undefined) {
    const how = hangs ? `hung for ${SILENCE} s` : `ended with ${signal ?? code}`;
    throw new Error(`Case ${current} ${how}. Again: ${again}`);
  }
  const { failed, kind, steps, backend, error, file } = failure;
  throw new Error(
    `Case ${failed} (${kind}, ${backend}): ${error}\nDone to it: ${steps.join("; ")}\n` +
      `Again: ${again}\nThe file, in base64: ${file}`,
  );
}
