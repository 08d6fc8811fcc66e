/**
 * Progress that is shown in place: in a notebook an output, on a terminal a line of stderr, and nothing
 * where stderr is no terminal.
 *
 * @module
 */

import { findScreen, type ProgressScreen } from "./progress_screen.ts";

const INTERVAL_MS = 100;

/**
 * Shows how far a piece of work is. On a terminal it is gone when it is disposed of; in a notebook it
 * then says how long the work took. `await using` waits until that was sent, `using` does not. It never
 * throws because something could not be shown.
 *
 * @example
 * ```ts
 * import { Progress } from "@metalfaiss/metalfaiss/notebook";
 *
 * {
 *   await using progress = new Progress("adding", 3);
 *   for (let i = 0; i < 3; i++) progress.update(i + 1, `part ${i}`);
 * }
 * ```
 */
export class Progress implements Disposable, AsyncDisposable {
  readonly #label: string;
  readonly #total: number | undefined;
  readonly #screen: ProgressScreen | false;
  readonly #start = performance.now();
  #share = 0;
  #note = "";
  #drawn = -Infinity;
  #later: ReturnType<typeof setTimeout> | undefined;
  #ended = false;

  /**
   * Shows the empty bar.
   *
   * @param label What is done.
   * @param total Steps until it is done; undefined where nobody knows.
   * @param screen Where it is shown; by default in the notebook, else on the terminal. `false`: nowhere.
   */
  constructor(
    label: string,
    total: number | undefined,
    screen: ProgressScreen | false = findScreen(),
  ) {
    this.#label = label;
    this.#total = total === undefined ? undefined : Math.max(1, total) || 1;
    this.#screen = screen;
    this.#show();
  }

  /**
   * Shows that `done` steps are done; at most ten times a second, and what comes between a little later.
   *
   * @param done Steps.
   * @param note What the work is at; by default what it was.
   */
  update(done: number, note: string = this.#note): void {
    if (!this.#screen || this.#ended) return;
    this.#share = Math.min(1, Math.max(0, done / (this.#total ?? Infinity) || 0));
    this.#note = note;
    const wait = this.#drawn + INTERVAL_MS - performance.now();
    if (wait <= 0) return this.#show();
    if (this.#later !== undefined) return;
    this.#later = setTimeout(() => this.#show(), wait);
    // Work that ends must not wait for its bar.
    Deno.unrefTimer(this.#later);
  }

  /** Clears the line of a terminal, so that something else can be printed; the next update shows it again. */
  clear(): void {
    this.#cancel();
    this.#drawn = -Infinity;
    if (this.#screen && !this.#ended) this.#screen.clear();
  }

  /** Clears the line of a terminal; in a notebook, says how long it took. */
  [Symbol.dispose](): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#show();
  }

  /** The same, and waits until it was sent. */
  async [Symbol.asyncDispose](): Promise<void> {
    this[Symbol.dispose]();
    if (this.#screen) await this.#screen.flush();
  }

  #show(): void {
    this.#cancel();
    if (!this.#screen) return;
    this.#drawn = performance.now();
    this.#screen.show({
      label: this.#label,
      note: this.#note,
      share: this.#total === undefined ? undefined : this.#share,
      seconds: (this.#drawn - this.#start) / 1e3,
      ended: this.#ended,
    });
  }

  #cancel(): void {
    if (this.#later !== undefined) clearTimeout(this.#later);
    this.#later = undefined;
  }
}
