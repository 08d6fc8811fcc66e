/**
 * Codes of vectors together with the lists that they are in.
 *
 * @module
 */

/** Bytes that hold any list's number. */
export function listBytes(nlist: number): number {
  let bytes = 0;
  for (let most = nlist - 1; most > 0; most = Math.floor(most / 256)) bytes++;
  return bytes;
}

/** Each code after the number of its list. */
export function joinLists(codes: Uint8Array, lists: BigInt64Array, nlist: number): Uint8Array {
  const prefix = listBytes(nlist);
  const codeSize = lists.length === 0 ? 0 : codes.length / lists.length;
  const out = new Uint8Array(codes.length + lists.length * prefix);
  lists.forEach((list, i) => {
    const at = i * (prefix + codeSize);
    for (let byte = 0; byte < prefix; byte++) {
      out[at + byte] = Number((list >> BigInt(8 * byte)) & 0xffn);
    }
    out.set(codes.subarray(i * codeSize, (i + 1) * codeSize), at + prefix);
  });
  return out;
}

/**
 * What {@linkcode joinLists} put together.
 *
 * @throws {RangeError} If a code is of no list.
 * @throws {TypeError} If there are no whole codes.
 */
export function splitLists(
  name: string,
  joined: Uint8Array,
  codeSize: number,
  nlist: number,
): { codes: Uint8Array; lists: BigInt64Array } {
  const prefix = listBytes(nlist);
  const size = prefix + codeSize;
  const n = joined.length / size;
  if (!Number.isInteger(n)) {
    throw new TypeError(`Cannot ${name}: ${joined.length} bytes are no codes of ${size}`);
  }
  const codes = new Uint8Array(n * codeSize);
  const lists = new BigInt64Array(n);
  for (let i = 0; i < n; i++) {
    let list = 0n;
    for (let byte = prefix; byte-- > 0;) list = list << 8n | BigInt(joined[i * size + byte]!);
    if (list >= BigInt(nlist)) {
      throw new RangeError(`Cannot ${name}: code ${i} is of list ${list} of ${nlist}`);
    }
    lists[i] = list;
    codes.set(joined.subarray(i * size + prefix, (i + 1) * size), i * codeSize);
  }
  return { codes, lists };
}
