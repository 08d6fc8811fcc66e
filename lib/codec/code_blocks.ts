/**
 * Codes of 4-bit parts in blocks, as FAISS's fast scan lays them out.
 *
 * @module
 */

/** Codes that are looked at together. */
const GROUP = 32;

/** The largest number of codes of a block that is taken. */
export const MAX_BBS = 2 ** 16;

/** Whether blocks can have so many codes. */
export function isBlockSize(bbs: number): boolean {
  return Number.isInteger(bbs) && bbs > 0 && bbs % GROUP === 0 && bbs <= MAX_BBS;
}

/**
 * How codes of `parts` 4-bit numbers lie in blocks of `bbs` codes. Two parts after the other a
 * block has 32 bytes for every 32 codes: 16 for the one part, 16 for the other, of which the low
 * halves are of the first 16 codes (0, 8, 1, 9 …) and the high ones of the other 16. What else codes
 * have follows the parts of a block's codes, one code after the other.
 */
export class CodeBlocks {
  /** Codes of a block. */
  readonly bbs: number;
  /** Bytes of a code by itself. */
  readonly codeSize: number;
  readonly #pairs: number;
  readonly #extra: number;

  /**
   * The layout of codes of `parts` numbers, and `extra` bytes after these, in blocks of `bbs`, a
   * multiple of 32.
   */
  constructor(parts: number, bbs: number, extra = 0) {
    this.bbs = bbs;
    this.#pairs = Math.ceil(parts / 2);
    this.#extra = extra;
    this.codeSize = this.#pairs + extra;
  }

  /** Bytes of a block. */
  get blockBytes(): number {
    return this.bbs * this.codeSize;
  }

  /** Bytes of the blocks that hold so many codes. */
  bytesOf(n: number): number {
    return Math.ceil(n / this.bbs) * this.blockBytes;
  }

  /** Blocks of codes; what is past the last one is 0. */
  pack(codes: Uint8Array): Uint8Array<ArrayBuffer> {
    const n = codes.length / this.codeSize;
    const blocks = new Uint8Array(this.bytesOf(n));
    this.#each(n, (at, shift, code) => {
      blocks[at]! |= (codes[code]! & 15) << shift;
      blocks[at + 16]! |= codes[code]! >> 4 << shift;
    });
    this.#eachExtra(n, (at, code) => {
      blocks.set(codes.subarray(code, code + this.#extra), at);
    });
    return blocks;
  }

  /** The first `n` codes of blocks. */
  unpack(blocks: Uint8Array, n: number): Uint8Array<ArrayBuffer> {
    const codes = new Uint8Array(n * this.codeSize);
    this.#each(n, (at, shift, code) => {
      codes[code] = (blocks[at]! >> shift & 15) | (blocks[at + 16]! >> shift & 15) << 4;
    });
    this.#eachExtra(n, (at, code) => codes.set(blocks.subarray(at, at + this.#extra), code));
    return codes;
  }

  /** Tells of each pair of parts of each code its byte in the blocks, the half, and its byte in codes. */
  #each(n: number, visit: (at: number, shift: number, code: number) => void): void {
    const { bbs, codeSize, blockBytes } = this;
    for (let row = 0; row < n; row++) {
      const place = row % bbs;
      const lane = place & 15;
      const start = (row - place) / bbs * blockBytes + (place >> 5) * GROUP +
        ((lane & 7) << 1 | lane >> 3);
      const shift = place & 16 ? 4 : 0;
      for (let pair = 0; pair < this.#pairs; pair++) {
        visit(start + pair * bbs, shift, row * codeSize + pair);
      }
    }
  }

  /** Tells of each code where in the blocks and in codes its other bytes are, if it has any. */
  #eachExtra(n: number, visit: (at: number, code: number) => void): void {
    const { bbs, codeSize, blockBytes } = this;
    if (this.#extra === 0) return;
    for (let row = 0; row < n; row++) {
      const place = row % bbs;
      const block = (row - place) / bbs * blockBytes;
      const at = block + bbs * this.#pairs + place * this.#extra;
      visit(at, row * codeSize + this.#pairs);
    }
  }
}
