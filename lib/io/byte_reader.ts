import type { FileMap } from "../backend/backend.ts";
import { FormatError } from "../errors.ts";

const WINDOW = 64 * 1024;
const decoder = new TextDecoder();

/** Reads little-endian values front to back, never past the end. Every failure names the byte. */
export class ByteReader implements Disposable {
  /** Bytes in the whole file. */
  readonly size: number;
  /** Where the next read starts. */
  offset = 0;
  /** The file in memory, where rows are to stay in it. */
  map: FileMap | undefined;
  /** Opens another file that this one names. */
  openOther: ((name: string) => Promise<ByteReader>) | undefined;
  readonly #path: string | undefined;
  readonly #file: Deno.FsFile | undefined;
  readonly #buffer: Uint8Array;
  #window: Uint8Array;
  #windowStart = 0;
  #position = 0;

  private constructor(size: number, buffer: Uint8Array, path?: string, file?: Deno.FsFile) {
    this.size = size;
    this.#buffer = buffer;
    this.#window = path === undefined ? buffer : new Uint8Array();
    this.#path = path;
    this.#file = file;
  }

  /** A reader of bytes in memory. */
  static of(bytes: Uint8Array): ByteReader {
    return new ByteReader(bytes.length, bytes);
  }

  /** A reader of a regular file. */
  static async open(path: string | URL): Promise<ByteReader> {
    const file = await Deno.open(path);
    try {
      const { isFile, size } = await file.stat();
      const reader = new ByteReader(size, new Uint8Array(WINDOW), String(path), file);
      if (!isFile) reader.fail("it is not a regular file");
      return reader;
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /** Whether the file that was opened is the one of this size, device and number. */
  async isFile(file: { bytes: number; device: number; inode: number }): Promise<boolean> {
    if (this.#file === undefined) return false;
    const { size, dev, ino } = await this.#file.stat();
    return size === file.bytes && size === this.size && (dev ?? file.device) === file.device &&
      (ino ?? file.inode) === file.inode;
  }

  /** Reads with `read` what is not to stay in the file, although it is mapped. */
  async copying<T>(read: () => Promise<T>): Promise<T> {
    const { map } = this;
    this.map = undefined;
    try {
      return await read();
    } finally {
      this.map = map;
    }
  }

  /** Bytes not read yet. */
  get remaining(): number {
    return this.size - this.offset;
  }

  /** Throws a {@linkcode FormatError} naming the file and the byte. */
  fail(reason: string, at = this.offset): never {
    const name = this.#path === undefined ? "the bytes" : JSON.stringify(this.#path);
    const path = this.#path === undefined ? {} : { path: this.#path };
    throw new FormatError(`Cannot read ${name}: at byte ${at}: ${reason}`, path);
  }

  /** Throws unless `bytes` more are there: called before anything is allocated for them. */
  need(bytes: number | bigint, what: string): void {
    if (BigInt(bytes) > BigInt(this.remaining)) {
      this.fail(`${what} needs ${bytes} bytes and ${this.remaining} remain`);
    }
  }

  /** Throws unless the end was reached. */
  end(): void {
    if (this.remaining > 0) this.fail(`${this.remaining} bytes follow the end of the data`);
  }

  /** One unsigned byte. */
  async u8(what: string): Promise<number> {
    return (await this.#scalar(1, what)).getUint8(0);
  }

  /** One byte that must be 0 or 1. */
  async bool(what: string): Promise<boolean> {
    const value = await this.u8(what);
    if (value > 1) this.fail(`${what} is ${value}, not 0 or 1`, this.offset - 1);
    return value === 1;
  }

  /** A 16-bit unsigned integer. */
  async u16(what: string): Promise<number> {
    return (await this.#scalar(2, what)).getUint16(0, true);
  }

  /** A 32-bit unsigned integer. */
  async u32(what: string): Promise<number> {
    return (await this.#scalar(4, what)).getUint32(0, true);
  }

  /** A 32-bit integer. */
  async i32(what: string): Promise<number> {
    return (await this.#scalar(4, what)).getInt32(0, true);
  }

  /** A single-precision number. */
  async f32(what: string): Promise<number> {
    return (await this.#scalar(4, what)).getFloat32(0, true);
  }

  /** A 64-bit integer. */
  async i64(what: string): Promise<bigint> {
    return (await this.#scalar(8, what)).getBigInt64(0, true);
  }

  /** A 64-bit unsigned integer. */
  async u64(what: string): Promise<bigint> {
    return (await this.#scalar(8, what)).getBigUint64(0, true);
  }

  /** `n` bytes of UTF-8. */
  async text(n: number, what: string): Promise<string> {
    this.need(n, what);
    const bytes = new Uint8Array(n);
    await this.fill(bytes, what);
    return decoder.decode(bytes);
  }

  /** A 64-bit count of items, all of which are known to follow. */
  async count(what: string, itemBytes: number): Promise<number> {
    const count = await this.u64(`the length of ${what}`);
    if (count * BigInt(itemBytes) > BigInt(this.remaining)) {
      this.fail(
        `${what} has ${count} items of ${itemBytes} bytes and ${this.remaining} bytes remain`,
        this.offset - 8,
      );
    }
    return Number(count);
  }

  /** Fills an array with the next bytes. */
  async fill(into: ArrayBufferView, what: string): Promise<void> {
    await this.fillAt(this.offset, into, what);
    this.offset += into.byteLength;
  }

  /** Fills an array with the bytes at `at`, without moving {@linkcode offset}. */
  async fillAt(at: number, into: ArrayBufferView, what: string): Promise<void> {
    const bytes = new Uint8Array(into.buffer, into.byteOffset, into.byteLength);
    if (at + bytes.length > this.size) {
      this.fail(`${what} needs ${bytes.length} bytes and ${this.size - at} remain`, at);
    }
    if (this.#file !== undefined && bytes.length >= WINDOW) {
      await this.#read(this.#file, at, bytes);
      return;
    }
    const start = await this.#show(at, bytes.length);
    bytes.set(this.#window.subarray(start, start + bytes.length));
  }

  /** Closes the file. */
  [Symbol.dispose](): void {
    this.map?.[Symbol.dispose]();
    this.#file?.close();
  }

  async #scalar(bytes: number, what: string): Promise<DataView> {
    this.need(bytes, what);
    const start = await this.#show(this.offset, bytes);
    this.offset += bytes;
    return new DataView(this.#window.buffer, this.#window.byteOffset + start, bytes);
  }

  /** Brings bytes that exist into the window; returns where they are in it. */
  async #show(at: number, bytes: number): Promise<number> {
    const within = at >= this.#windowStart &&
      at + bytes <= this.#windowStart + this.#window.length;
    if (!within && this.#file !== undefined) {
      this.#window = this.#buffer.subarray(0, Math.min(WINDOW, this.size - at));
      this.#windowStart = at;
      await this.#read(this.#file, at, this.#window);
    }
    return at - this.#windowStart;
  }

  async #read(file: Deno.FsFile, at: number, into: Uint8Array): Promise<void> {
    if (this.#position !== at) await file.seek(at, Deno.SeekMode.Start);
    this.#position = at;
    for (let done = 0; done < into.length;) {
      const read = await file.read(into.subarray(done));
      if (read === null) this.fail("the file became shorter while it was read", at + done);
      done += read;
      this.#position += read;
    }
  }
}
