/**
 * Where progress is shown: an output of a notebook that changes in place, or a line of a terminal.
 *
 * @module
 */

import { escapeHtml, oneLine, textWidth } from "../display_cells.ts";
import type { MimeBundle } from "../display.ts";
import { type Kernel, kernel, settle } from "./notebook.ts";

/** How far a piece of work is. */
export interface ProgressState {
  /** What is done. */
  label: string;
  /** What it is at; may be empty. */
  note: string;
  /** From 0 to 1; undefined where it is not known how much there is to do. */
  share: number | undefined;
  /** Seconds since its begin. */
  seconds: number;
  /** Whether nothing more comes. */
  ended: boolean;
}

/** Something that shows progress, again and again in the same place. Neither may throw. */
export interface ProgressScreen {
  /** Shows a state in the place of the one before. */
  show(state: ProgressState): void;
  /** Takes away what disturbs other output. */
  clear(): void;
  /** Waits until all that was shown has been sent. */
  flush(): Promise<void>;
}

const WIDTH = 24;

function bar(share = 0): string {
  const full = Math.round(share * WIDTH);
  return "█".repeat(full) + "░".repeat(WIDTH - full);
}

function percent({ share }: ProgressState): string {
  return share === undefined ? "" : `${Math.floor(share * 100)} %`;
}

function titleOf({ label, note }: ProgressState): string {
  return note === "" ? label : `${label}: ${note}`;
}

/** A time of work: `420 ms`, `12.3 s`, `3 min 5 s`. */
export function formatSeconds(seconds: number): string {
  if (seconds < 0.9995) return `${Math.round(seconds * 1e3)} ms`;
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

function ending(state: ProgressState): string {
  const how = (state.share ?? 1) >= 1 ? "done in" : `ended at ${percent(state)} after`;
  return `${state.label}: ${how} ${formatSeconds(state.seconds)}`;
}

/** A state as a notebook shows it; `<progress>` has the colours of the theme. */
export function progressBundle(state: ProgressState): MimeBundle {
  if (state.ended) {
    return { "text/html": `<div>${escapeHtml(ending(state))}</div>`, "text/plain": ending(state) };
  }
  const after = `${percent(state)} ${titleOf(state)} ${state.seconds.toFixed(0)} s`.trimStart();
  return {
    "text/html":
      `<div><progress ${
        state.share === undefined ? "" : `value="${state.share.toFixed(4)}" max="1" `
      }` +
      `aria-label="${escapeHtml(state.label)}"></progress> ${escapeHtml(after)}</div>`,
    "text/plain": `${bar(state.share)} ${after}`,
  };
}

/** One output of a notebook's cell. States that come while one is being sent replace each other. */
export class NotebookScreen implements ProgressScreen {
  readonly #kernel: Kernel;
  readonly #id = crypto.randomUUID();
  #waiting: ProgressState | undefined;
  #sending: Promise<void> | undefined;
  #isThere = false;
  #sent = 0;

  /** Shows nothing yet. */
  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  show(state: ProgressState): void {
    this.#waiting = state;
    if (this.#sending === undefined) this.#sending = this.#send();
  }

  clear(): void {
    // It has an output of its own.
  }

  async flush(): Promise<void> {
    await this.#sending;
    await settle(this.#sent);
  }

  async #send(): Promise<void> {
    while (this.#waiting !== undefined) {
      const bundle = progressBundle(this.#waiting);
      this.#waiting = undefined;
      this.#sent = JSON.stringify(bundle).length;
      try {
        const options = { raw: true, display_id: this.#id, update: this.#isThere } as const;
        this.#isThere = true;
        await this.#kernel.display(bundle, options);
      } catch {
        // A kernel that shows nothing is no reason to stop the work.
      }
    }
    this.#sending = undefined;
  }
}

/** The last line of a terminal. */
export class TerminalScreen implements ProgressScreen {
  readonly #write: (text: string) => void;
  readonly #columns: () => number;

  /** Shows nothing yet. */
  constructor(write: (text: string) => void = writeError, columns: () => number = terminalColumns) {
    this.#write = write;
    this.#columns = columns;
  }

  show(state: ProgressState): void {
    if (state.ended) return this.clear();
    const line = `${bar(state.share)} ${percent(state).padStart(5)}  ` +
      `${oneLine(titleOf(state))}  ${state.seconds.toFixed(0)} s`;
    this.#write(`\r\x1b[2K${clip(line, this.#columns() - 1)}`);
  }

  clear(): void {
    this.#write("\r\x1b[2K");
  }

  async flush(): Promise<void> {}
}

/** A line that wraps could not be cleared. */
function clip(line: string, columns: number): string {
  if (textWidth(line) <= columns) return line;
  let out = "";
  for (const character of line) {
    if (textWidth(out + character) >= columns) break;
    out += character;
  }
  return `${out}…`;
}

function terminalColumns(): number {
  try {
    return Deno.consoleSize().columns || 80;
  } catch {
    return 80;
  }
}

function writeError(text: string): void {
  const bytes = new TextEncoder().encode(text);
  try {
    for (let at = 0; at < bytes.length;) at += Deno.stderr.writeSync(bytes.subarray(at));
  } catch {
    // A terminal that is gone is no reason to stop the work.
  }
}

/** The notebook's output, else the terminal, else nothing. */
export function findScreen(): ProgressScreen | false {
  const found = kernel();
  if (found) return new NotebookScreen(found);
  return Deno.stderr.isTerminal() && new TerminalScreen();
}
