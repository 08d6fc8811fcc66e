/**
 * Sizes of calls: what is checked before C reads an array, and what is short enough to
 * run on this thread.
 *
 * @module
 */

/** Multiply-adds that take about as long as a hop to another thread is worth. */
const SHORT_WORK = 2_000_000;
/** Short calls in a row that keep the event loop waiting; then one goes elsewhere. */
const SHORT_RUN = 8 * SHORT_WORK;
/** Bytes that are copied on this thread. */
const SHORT_COPY = 256 * 1024;

let spent = 0;

/**
 * Whether work of so many multiply-adds should run on this thread. Now and then it says no
 * to short work too, so that a loop of it lets timers and aborts through.
 */
export function isShort(multiplyAdds: number): boolean {
  if (multiplyAdds >= SHORT_WORK) return false;
  spent += multiplyAdds;
  if (spent < SHORT_RUN) return true;
  spent = 0;
  return false;
}

/** Whether so many bytes should be copied on this thread. */
export function isShortCopy(bytes: number): boolean {
  return bytes <= SHORT_COPY;
}

/** Rows in an array; C is only told numbers that the memory behind them has. */
export function countRows(x: { readonly length: number }, width: number, what: string): number {
  const rows = x.length / width;
  if (Number.isInteger(rows)) return rows;
  throw new TypeError(`Cannot read ${what}: length ${x.length} is not a multiple of ${width}`);
}

/** Checks that an array has a length. */
export function checkLength(x: { readonly length: number }, length: number, what: string): void {
  if (x.length === length) return;
  throw new TypeError(`Cannot read ${what}: length is ${x.length}, expected ${length}`);
}
