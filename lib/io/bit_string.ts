/** Writes whole numbers of a few bits, one after the other, from the lowest bit of each byte on. */
export class BitWriter {
  /** What was written. */
  readonly bytes: Uint8Array;
  #at = 0;

  /** Room for so many bits. */
  constructor(bits: number) {
    this.bytes = new Uint8Array(Math.ceil(bits / 8));
  }

  /** Writes the lowest `count` bits of a number below 2^32. */
  write(value: number, count: number): void {
    let left = value;
    for (let written = 0; written < count;) {
      const shift = this.#at % 8;
      const n = Math.min(8 - shift, count - written);
      this.bytes[Math.floor(this.#at / 8)]! |= (left % 2 ** n) << shift;
      left = Math.floor(left / 2 ** n);
      written += n;
      this.#at += n;
    }
  }

  /** Writes the lowest `count` of 64 bits. */
  writeKey(low: number, high: number, count: number): void {
    this.write(low, Math.min(count, 32));
    if (count > 32) this.write(high, count - 32);
  }
}

/** Reads what a {@linkcode BitWriter} wrote. */
export class BitReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  /** A reader from the first bit on. */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Passes over bits. */
  skip(count: number): void {
    this.#at += count;
  }

  /** A number of `count` bits, at most 53. */
  read(count: number): number {
    let value = 0;
    for (let read = 0; read < count;) {
      const shift = this.#at % 8;
      const n = Math.min(8 - shift, count - read);
      const byte = this.#bytes[Math.floor(this.#at / 8)]! >> shift;
      value += (byte & (1 << n) - 1) * 2 ** read;
      read += n;
      this.#at += n;
    }
    return value;
  }
}
