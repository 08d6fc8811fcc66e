/**
 * Executing notebooks: a Python process for each drives a kernel of its own.
 *
 * @module
 */

import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { explain, withAdvice } from "./explain.ts";
import { plainText } from "./html.ts";
import { joined, type Notebook, type Output } from "./ipynb.ts";
import { writeKernelSpec } from "./kernel_spec.ts";

const SCRIPT = fileURLToPath(new URL("execute.py", import.meta.url));
/** Milliseconds for a kernel to stop by itself. */
const GRACE = 8000;
/** Characters kept of what the processes wrote on their own. */
const LOG = 4000;

/** How a notebook is executed. */
export interface ExecuteOptions {
  /** Python that has nbclient. */
  python: string;
  /** Seconds for each cell. */
  timeout: number;
  /** More variables for the kernel. */
  env?: Readonly<Record<string, string>>;
  /** Stops it. */
  signal?: AbortSignal;
}

/** Why a notebook failed. */
export interface Failure {
  /** Index of the cell; undefined where it is none's fault. */
  cell?: number;
  text: string;
}

/** What came of an execution. */
export interface Execution {
  /** The notebook with its new outputs, as far as it got. */
  notebook: Notebook;
  seconds: number;
  failure?: Failure;
}

/** The last message of the script. */
interface Finished {
  cells: ({ outputs: Output[]; execution_count: number | null } | null)[];
  failure: {
    kind: "error" | "silent" | "timeout" | "dead" | "stopped" | "other";
    cell?: number | null;
    text: string;
  } | null;
}

type Message = Finished | { kernel: number } | { cell: number };

/**
 * Runs all cells of a notebook, in order, until one fails.
 *
 * @param notebook What to run; it is not changed.
 * @param path Where it is: cells run in its folder.
 * @param options How.
 */
export async function execute(
  notebook: Notebook,
  path: string,
  options: ExecuteOptions,
): Promise<Execution> {
  const start = performance.now();
  // Of its own, so that neither other kernel specs nor other runs are met.
  const home = await Deno.makeTempDir({ prefix: "metalfaiss-jupyter-" });
  try {
    await writeKernelSpec(home);
    const { finished, log } = await drive(notebook, resolve(dirname(path)), home, options);
    const seconds = (performance.now() - start) / 1000;
    const executed = withOutputs(notebook, finished);
    options.signal?.throwIfAborted();
    if (finished && !finished.failure) return { notebook: executed, seconds };
    return {
      notebook: executed,
      seconds,
      failure: await failureOf(executed, finished, log, options),
    };
  } finally {
    await Deno.remove(home, { recursive: true });
  }
}

/** Runs the script, and kills what is left of it and of the kernel. */
async function drive(
  notebook: Notebook,
  folder: string,
  home: string,
  { python, timeout, env = {}, signal }: ExecuteOptions,
): Promise<{ finished: Finished | undefined; log: string }> {
  signal?.throwIfAborted();
  const child = spawn(python, {
    NO_COLOR: "1",
    ...env,
    JUPYTER_PATH: home,
    JUPYTER_RUNTIME_DIR: join(home, "runtime"),
  });
  let kernel: number | undefined;
  // The kernel leads a group, with the compilers that it started.
  const killKernel = () => kernel !== undefined && killQuietly(-kernel);
  // It would hold the streams open, if the script was killed.
  const ended = child.status.then(killKernel);
  const stdin = child.stdin.getWriter();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const stop = () => {
    stdin.close().catch(() => {});
    timer = setTimeout(() => killQuietly(child.pid), GRACE);
  };
  signal?.addEventListener("abort", stop, { once: true });
  try {
    const log = tail(child.stderr);
    const request = `${JSON.stringify({ notebook: unexecuted(notebook), folder, timeout })}\n`;
    // A script that ended at once reads nothing.
    stdin.write(new TextEncoder().encode(request)).catch(() => {});
    let finished: Finished | undefined;
    for await (const message of messages(child.stdout)) {
      if ("kernel" in message) kernel = message.kernel;
      if ("cells" in message) finished = message;
    }
    await ended;
    return { finished, log: await log };
  } finally {
    signal?.removeEventListener("abort", stop);
    clearTimeout(timer);
    await stdin.close().catch(() => {});
  }
}

function spawn(python: string, env: Record<string, string>): Deno.ChildProcess {
  const options = { stdin: "piped", stdout: "piped", stderr: "piped" } as const;
  try {
    return new Deno.Command(python, { args: [SCRIPT], env, ...options }).spawn();
  } catch (cause) {
    const reason = (cause as Error).message;
    throw new Error(`Cannot run notebooks with the Python "${python}": ${reason}`, { cause });
  }
}

async function* messages(stdout: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<Message> {
  let rest = "";
  for await (const text of stdout.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    for (const line of lines) yield JSON.parse(line);
  }
}

/** The last of what a stream carries. */
async function tail(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<string> {
  let text = "";
  for await (const part of stream.pipeThrough(new TextDecoderStream())) {
    text = (text + part).slice(-LOG);
  }
  return plainText(text).replace(/^Warning "deno jupyter" is unstable.*\n/m, "").trim();
}

function killQuietly(process: number): void {
  try {
    Deno.kill(process, "SIGKILL");
  } catch {
    // it ended before
  }
}

/** A notebook for nbclient: sources whole, no outputs. */
function unexecuted(notebook: Notebook): Notebook {
  const cells = notebook.cells.map((cell) => ({
    ...cell,
    source: joined(cell.source),
    ...cell.cell_type === "code" ? { execution_count: null, outputs: [] } : {},
  }));
  return { ...notebook, cells };
}

function withOutputs(notebook: Notebook, finished: Finished | undefined): Notebook {
  const cells = notebook.cells.map((cell, i) => {
    const result = finished?.cells[i];
    if (cell.cell_type !== "code") return cell;
    return {
      ...cell,
      execution_count: result?.execution_count ?? null,
      outputs: result?.outputs.map(withoutColours) ?? [],
    };
  });
  return { ...notebook, cells };
}

function withoutColours(output: Output): Output {
  switch (output.output_type) {
    case "stream":
      return { ...output, text: plainText(joined(output.text)) };
    case "error":
      return {
        ...output,
        evalue: plainText(output.evalue),
        traceback: output.traceback.map(plainText),
      };
    default: {
      const text = output.data["text/plain"];
      if (typeof text !== "string") return output;
      return { ...output, data: { ...output.data, "text/plain": plainText(text) } };
    }
  }
}

async function failureOf(
  notebook: Notebook,
  finished: Finished | undefined,
  log: string,
  { timeout }: ExecuteOptions,
): Promise<Failure> {
  if (!finished?.failure) return { text: `Python ended early\n${log}`.trim() };
  const { kind, text, cell } = finished.failure;
  const place = typeof cell === "number" ? { cell } : {};
  switch (kind) {
    case "error":
      return { ...place, text: withAdvice(plainText(text)) };
    case "silent":
      return { ...place, text: await explain(joined(notebook.cells[cell!]!.source), text) };
    case "timeout":
      return { ...place, text: `It was stopped: it took longer than ${timeout} s` };
    case "dead":
      return { ...place, text: `The kernel died\n${log}`.trim() };
    default:
      return { ...place, text: `Cannot run it: ${text}\n${log}`.trim() };
  }
}
