/**
 * The fuzzer's cases, one after the other: `worker.ts FIRST SECONDS LEAST [MOST]`. Says on stdout which
 * case comes next, and how it went.
 *
 * @module
 */

import { createCpuBackend } from "../../lib/backend/cpu/mod.ts";
import { createReferenceBackend } from "../../lib/backend/reference/mod.ts";
import { Random } from "../../lib/random.ts";
import { corpus } from "./corpus.ts";
import { mutate } from "./mutate.ts";
import { type Outcome, runCase } from "./run_case.ts";

/** What a case may take: files are small, whatever they say they hold. */
const MOST_BYTES = 384 * 2 ** 20;
const MOST_SECONDS = 10;

const [first = 0, seconds = 10, least = 0, most = Infinity] = Deno.args.map(Number);
const native = createCpuBackend();
const reference = createReferenceBackend();
const directory = await Deno.makeTempDir();
const encoder = new TextEncoder();
const say = (line: unknown) => Deno.stdout.writeSync(encoder.encode(`${JSON.stringify(line)}\n`));

/** The most memory that this process has had since it was last asked, where that can be known. */
function peak(): number {
  if (Deno.build.os !== "linux") return 0;
  const status = Deno.readTextFileSync("/proc/self/status");
  const kibibytes = Number(/VmHWM:\s*(\d+)/.exec(status)?.[1] ?? 0);
  // Deno.writeTextFileSync would make the file anew.
  using file = Deno.openSync("/proc/self/clear_refs", { write: true });
  file.writeSync(encoder.encode("5"));
  return kibibytes * 1024;
}

try {
  const samples = await corpus(native, directory);
  const kinds = samples.length;
  say({ kinds });
  const counts: Record<Outcome, number> = { refused: 0, read: 0, mapped: 0, "cut off": 0 };
  const end = performance.now() + seconds * 1000;
  peak();
  let seed = first;
  const isOver = () => performance.now() >= end && seed >= first + least;
  for (; seed < first + most && !isOver(); seed++) {
    say(seed);
    const random = new Random(seed);
    const file = mutate(samples, random);
    const backend = random.integer(8) === 0 ? reference : native;
    const before = Deno.memoryUsage().rss;
    const start = performance.now();
    try {
      const outcome = await runCase(file, { backend, path: `${directory}/case` }, random);
      counts[outcome]++;
      const [took, grown] = [(performance.now() - start) / 1000, peak() - before];
      if (took > MOST_SECONDS) throw new Error(`it took ${took.toFixed(1)} s`);
      if (grown > MOST_BYTES) throw new Error(`it took ${Math.round(grown / 2 ** 20)} MiB`);
    } catch (error) {
      const { kind, steps, bytes } = file;
      await Deno.writeFile(`${directory}/failed`, bytes);
      const text = error instanceof Error ? error.stack : String(error);
      say({
        failed: seed,
        kind,
        steps,
        backend: backend.name,
        error: text,
        file: bytes.toBase64(),
      });
      Deno.exit(1);
    }
  }
  say({ done: seed - first, counts });
} finally {
  await Deno.remove(directory, { recursive: true });
}
