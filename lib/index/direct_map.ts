/**
 * How indexes with inverted lists find vectors by their ids.
 *
 * @module
 */

/** How an index with inverted lists finds vectors by their ids; values are those of FAISS. */
export const DirectMapType = {
  /** A map that is made when it is needed, and forgotten when vectors are added. */
  NoMap: 0,
  /** An array, kept through changes, of ids that are `0 … ntotal − 1`. */
  Array: 1,
  /** A hash table, kept through changes, of any ids. */
  Hashtable: 2,
} as const;

/** One of {@linkcode DirectMapType}. */
export type DirectMapType = (typeof DirectMapType)[keyof typeof DirectMapType];

/** Whether ids are `first … first + n − 1`, each once, in any order. */
export function isSequence(ids: BigInt64Array, first = 0): boolean {
  const seen = new Uint8Array(ids.length);
  // In halves: reading numbers of 64 bits would make an object of each.
  const words = new Uint32Array(ids.buffer, ids.byteOffset, 2 * ids.length);
  for (let i = 0; i < words.length; i += 2) {
    const at = words[i]! + words[i + 1]! * 2 ** 32 - first;
    if (!(at >= 0 && at < seen.length) || seen[at] === 1) return false;
    seen[at] = 1;
  }
  return true;
}

/** Throws unless vectors of ids can be replaced: each is held, once, and given once. */
export function checkUpdatable(ids: BigInt64Array, held: BigInt64Array): void {
  const fail = (reason: string) => new RangeError(`Cannot update: ${reason}`);
  const there = new Set(held);
  if (there.size < held.length) throw fail("ids repeat in the lists");
  const wanted = new Set<bigint>();
  for (const id of ids) {
    if (!there.has(id)) throw fail(`id ${id} is not in the index`);
    if (wanted.has(id)) throw fail(`id ${id} is given twice`);
    wanted.add(id);
  }
}
