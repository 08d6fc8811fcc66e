/** The place of a row that is in no list. */
export const NO_ROW = 2 ** 32 - 1;

/** Where rows of lists lie, list after list, and their ids. */
export class ListLayout {
  /** `nlist + 1` first rows. */
  readonly offsets: Uint32Array<ArrayBuffer>;
  /** The id of each row. */
  readonly ids: BigInt64Array<ArrayBuffer>;

  private constructor(offsets: Uint32Array<ArrayBuffer>, ids: BigInt64Array<ArrayBuffer>) {
    this.offsets = offsets;
    this.ids = ids;
  }

  /** Lists without rows. */
  static empty(nlist: number): ListLayout {
    return new ListLayout(new Uint32Array(nlist + 1), new BigInt64Array(0));
  }

  /** Rows in all lists. */
  get count(): number {
    return this.ids.length;
  }

  /** Number of lists. */
  get nlist(): number {
    return this.offsets.length - 1;
  }

  /** Rows in the longest list. */
  get longest(): number {
    let most = 0;
    for (let list = 0; list < this.nlist; list++) {
      most = Math.max(most, this.offsets[list + 1]! - this.offsets[list]!);
    }
    return most;
  }

  /** First row of a list, and the one past its last. */
  range(list: number): [start: number, end: number] {
    const start = this.offsets[list];
    const end = this.offsets[list + 1];
    if (start === undefined || end === undefined) {
      throw new RangeError(`Cannot read list ${list}: there are ${this.nlist}`);
    }
    return [start, end];
  }

  /** The list of each row. */
  lists(): BigInt64Array {
    const lists = new BigInt64Array(this.count);
    for (let list = 0; list < this.nlist; list++) {
      lists.fill(BigInt(list), this.offsets[list]!, this.offsets[list + 1]!);
    }
    return lists;
  }

  /**
   * The layout with rows at the ends of lists; those of list −1 are left out.
   *
   * @returns It, the new place of each row here, and that of each row that came.
   */
  with(
    lists: BigInt64Array,
    ids: BigInt64Array,
  ): { layout: ListLayout; moved: Uint32Array; placed: Uint32Array } {
    const { nlist } = this;
    const own = new Uint32Array(lists.length);
    const offsets = new Uint32Array(nlist + 1);
    lists.forEach((list, row) => {
      if (list < -1n || list >= BigInt(nlist)) {
        throw new RangeError(`Cannot add: row ${row} is of list ${list} of ${nlist}`);
      }
      own[row] = list < 0n ? NO_ROW : Number(list);
      if (list >= 0n) offsets[own[row]! + 1]!++;
    });
    for (let list = 0; list < nlist; list++) {
      offsets[list + 1]! += offsets[list]! + this.offsets[list + 1]! - this.offsets[list]!;
    }
    const all = new BigInt64Array(offsets[nlist]!);
    const moved = new Uint32Array(this.count);
    const next = new Uint32Array(nlist);
    for (let list = 0; list < nlist; list++) {
      const [start, end] = this.range(list);
      all.set(this.ids.subarray(start, end), offsets[list]!);
      for (let row = start; row < end; row++) moved[row] = offsets[list]! + row - start;
      next[list] = offsets[list]! + end - start;
    }
    const placed = own.map((list, row) => {
      if (list === NO_ROW) return NO_ROW;
      const place = next[list]!++;
      all[place] = ids[row]!;
      return place;
    });
    return { layout: new ListLayout(offsets, all), moved, placed };
  }

  /** The layout of the rows whose bit is set. */
  only(bitmap: Uint8Array): ListLayout {
    const isKept = (row: number) => (bitmap[row >> 3]! >> (row & 7) & 1) === 1;
    const offsets = new Uint32Array(this.nlist + 1);
    for (let list = 0; list < this.nlist; list++) {
      let kept = 0;
      const [start, end] = this.range(list);
      for (let row = start; row < end; row++) kept += Number(isKept(row));
      offsets[list + 1] = offsets[list]! + kept;
    }
    return new ListLayout(offsets, this.ids.filter((_, row) => isKept(row)));
  }

  /** Where ids are, as `(list << 32) | offset`; −1 where there is none. */
  locate(ids: BigInt64Array): BigInt64Array {
    const wanted = new Set(ids);
    const rows = new Map<bigint, number>();
    this.ids.forEach((id, row) => {
      if (wanted.has(id) && !rows.has(id)) rows.set(id, row);
    });
    return ids.map((id) => {
      const row = rows.get(id);
      if (row === undefined) return -1n;
      const list = this.#listOf(row);
      return (BigInt(list) << 32n) | BigInt(row - this.offsets[list]!);
    });
  }

  /** The list that a row is in. */
  #listOf(row: number): number {
    let [low, high] = [0, this.nlist];
    // The last list that starts at the row or before: empty ones start where the next does.
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (this.offsets[middle]! <= row) low = middle;
      else high = middle;
    }
    return low;
  }
}
