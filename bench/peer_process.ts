/** A Python process that runs other libraries on our arrays. @module */

import type { Contender } from "../lib/profile/mod.ts";

const DTYPES = new Map<string, string>([["Float32Array", "<f4"], ["Uint8Array", "u1"], [
  "Uint32Array",
  "<u4",
]]);

/** The process. It sleeps on its input while it has nothing to do. */
export class PeerProcess implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #lines: ReadableStreamDefaultReader<string>;
  readonly #folder: string;
  #rest = "";
  #turn = 0;

  /** Starts Python with this environment on top of, or (undefined) taken from, ours. */
  constructor(
    python: string,
    script: string,
    folder: string,
    variables: Record<string, string | undefined> = {},
  ) {
    this.#folder = folder;
    const env = { ...Deno.env.toObject(), PYTHONDONTWRITEBYTECODE: "1" } as Record<string, string>;
    for (const [name, value] of Object.entries(variables)) {
      if (value === undefined) delete env[name];
      else env[name] = value;
    }
    this.#child = new Deno.Command(python, {
      args: [new URL(`./${script}`, import.meta.url).pathname],
      stdin: "piped",
      stdout: "piped",
      clearEnv: true,
      env,
    }).spawn();
    this.#input = this.#child.stdin.getWriter();
    this.#lines = this.#child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  /** Asks for one operation of the script. */
  async ask<T>(op: string, request: object = {}): Promise<T> {
    const line = JSON.stringify({ op, ...request }) + "\n";
    // If the process ended, reading says so.
    await this.#input.write(new TextEncoder().encode(line)).catch(() => {});
    while (!this.#rest.includes("\n")) {
      const { value, done } = await this.#lines.read();
      if (done) throw new Error(`Cannot run "${op}": the peer process ended`);
      this.#rest += value;
    }
    const end = this.#rest.indexOf("\n");
    const answer = JSON.parse(this.#rest.slice(0, end));
    this.#rest = this.#rest.slice(end + 1);
    if (answer.error) throw new Error(`Cannot run "${op}" in the peer: ${answer.error}`);
    return answer.ok;
  }

  /** Gives an array to the peer, `n × d`, through a file that is gone once it is mapped. */
  async share(
    name: string,
    data: Float32Array | Uint8Array | Uint32Array,
    d?: number,
  ): Promise<void> {
    const path = `${this.#folder}/${name}.raw`;
    const bytes = new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
    await Deno.writeFile(path, bytes);
    const shape = d === undefined ? [data.length] : [data.length / d, d];
    await this.ask("array", { name, path, shape, dtype: DTYPES.get(data.constructor.name) });
    await Deno.remove(path);
  }

  /** A contender that the script times; each sample goes through other queries. */
  timed(name: string, request: object, group?: string): Contender {
    return {
      name,
      ...(group === undefined ? {} : { group }),
      run: async (count) => {
        const at = this.#turn;
        this.#turn += count;
        return await this.ask<number[]>("timed", { ...request, at, count });
      },
    };
  }

  /** Path of a file that both sides can reach. */
  path(name: string): string {
    return `${this.#folder}/${name}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // A process that ended already takes no input.
    await this.#input.close().catch(() => {});
    await this.#lines.cancel();
    await this.#child.status;
    await Deno.remove(this.#folder, { recursive: true });
  }
}
