import type { CodeStore } from "../../backend/backend.ts";
import type { BinaryStore } from "../../backend/binary.ts";

/** Bytes that a copy moves at once. */
const COPIED = 2 ** 28;

/** Throws unless all ids are positions of `count` vectors. */
export function checkPositions(ids: BigInt64Array, count: number): void {
  for (const id of ids) {
    if (id >= BigInt(count)) {
      throw new RangeError(`Cannot reconstruct: id ${id} of ${count} vectors`);
    }
  }
}

/** Copies of codes at positions: of those that follow each other in one piece. */
export function codesAt({ codes }: BinaryStore, ids: BigInt64Array): Uint8Array {
  const out = new Uint8Array(ids.length * codes.codeSize);
  for (let from = 0; from < ids.length;) {
    let to = from + 1;
    while (to < ids.length && ids[to] === ids[to - 1]! + 1n) to++;
    out.set(codes.codes(Number(ids[from]), to - from), from * codes.codeSize);
    from = to;
  }
  return out;
}

/** Copies of all codes, many at a time. */
export function* copyCodes(codes: CodeStore, bytes = COPIED): Generator<Uint8Array> {
  const step = Math.max(1, Math.floor(bytes / codes.codeSize));
  for (let row = 0; row < codes.count; row += step) {
    yield codes.codes(row, Math.min(step, codes.count - row));
  }
}
