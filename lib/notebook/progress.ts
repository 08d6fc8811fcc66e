/**
 * A progress bar on a terminal's stderr; nothing where stderr is no terminal.
 *
 * @module
 */

const WIDTH = 24;
const INTERVAL_MS = 100;

/** One line that shows how far a piece of work is; gone when it is disposed of. */
export class Progress implements Disposable {
  readonly #label: string;
  readonly #total: number;
  readonly #visible: boolean;
  readonly #start = performance.now();
  #drawn = -Infinity;

  /**
   * Draws the empty bar.
   *
   * @param label What is done.
   * @param total Steps until it is done.
   * @param visible Whether to draw; by default if stderr is a terminal.
   */
  constructor(label: string, total: number, visible: boolean = Deno.stderr.isTerminal()) {
    this.#label = label;
    this.#total = total;
    this.#visible = visible;
    this.update(0);
  }

  /** Shows that `done` steps are done; draws at most ten times a second. */
  update(done: number): void {
    const now = performance.now();
    if (!this.#visible || now - this.#drawn < INTERVAL_MS) return;
    this.#drawn = now;
    const share = Math.min(1, done / Math.max(1, this.#total));
    const full = Math.round(share * WIDTH);
    const bar = "█".repeat(full) + "░".repeat(WIDTH - full);
    const seconds = ((now - this.#start) / 1000).toFixed(0);
    write(
      `\r\x1b[2K${bar} ${(share * 100).toFixed(0).padStart(3)} %  ${this.#label}  ${seconds} s`,
    );
  }

  /** Clears the line. */
  [Symbol.dispose](): void {
    if (this.#visible) write("\r\x1b[2K");
  }
}

function write(text: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(text));
}
