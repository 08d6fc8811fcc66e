/** What every symbol table is written with. @module */

/** The same C function, run on a thread of Deno's pool. */
export function nonblocking<const F extends Deno.ForeignFunction>(
  name: string,
  symbol: F,
): F & { name: string; nonblocking: true } {
  return { ...symbol, name, nonblocking: true };
}
