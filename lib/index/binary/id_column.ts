import { toBitmap } from "../../selector.ts";
import type { IDSelector, IDSelectorBitmap } from "../../selector.ts";

/** The ids of vectors that lie by position; they may repeat. */
export class IdColumn {
  // May be longer than the count; replaced, never changed, when ids go.
  #ids: BigInt64Array;
  #count: number;
  // Made when first needed: it takes several times the memory of the ids.
  #positions: Map<bigint, bigint> | undefined;

  /** Takes over ids. */
  constructor(ids: BigInt64Array = new BigInt64Array(0)) {
    this.#ids = ids;
    this.#count = ids.length;
  }

  /** The ids, in order of position. */
  get all(): BigInt64Array {
    return this.#ids.subarray(0, this.#count);
  }

  /** Appends ids. */
  push(ids: BigInt64Array): void {
    const wanted = this.#count + ids.length;
    if (wanted > this.#ids.length) {
      const larger = new BigInt64Array(Math.max(wanted, Math.ceil(this.#count * 1.25)));
      larger.set(this.all);
      this.#ids = larger;
    }
    this.#ids.set(ids, this.#count);
    this.#count = wanted;
    this.#positions = undefined;
  }

  /** Forgets all ids. */
  clear(): void {
    this.#ids = new BigInt64Array(0);
    this.#count = 0;
    this.#positions = undefined;
  }

  /** The ids at positions, −1 where there is none. */
  at(positions: BigInt64Array): BigInt64Array {
    const ids = this.all;
    return positions.map((position) => position < 0n ? -1n : ids[Number(position)]!);
  }

  /** The positions whose id is selected. */
  select(selector: IDSelector): IDSelectorBitmap {
    return toBitmap(selector, this.all);
  }

  /** The ids that are left, and the new position of each that was there, −1 if it goes. */
  without(gone: IDSelectorBitmap): { kept: BigInt64Array; moved: BigInt64Array } {
    const before = this.all;
    let next = 0n;
    const moved = before.map((_, i) => gone.isMember(BigInt(i)) ? -1n : next++);
    return { kept: before.filter((_, i) => moved[i]! >= 0n), moved };
  }

  /** The positions of ids, of a repeated one the last. */
  find(ids: BigInt64Array): BigInt64Array {
    this.#positions ??= new Map(Array.from(this.all, (id, i) => [id, BigInt(i)]));
    const positions = this.#positions;
    return ids.map((id) => {
      const position = positions.get(id);
      if (position === undefined) {
        throw new RangeError(`Cannot reconstruct: id ${id} is not in the index`);
      }
      return position;
    });
  }
}
