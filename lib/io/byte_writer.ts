const CAPACITY = 64 * 1024;

/** Where a {@linkcode ByteWriter} puts its bytes; they may be overwritten once it resolves. */
export type Sink = (bytes: Uint8Array) => Promise<void>;

/** Writes little-endian values front to back through a small buffer. */
export class ByteWriter {
  readonly #sink: Sink;
  readonly #buffer = new Uint8Array(CAPACITY);
  readonly #view = new DataView(this.#buffer.buffer);
  #used = 0;

  #listsFile: string | undefined;
  /** The file that lists were written to. */
  listsWritten: string | undefined;

  /**
   * A writer into `sink`. Call {@linkcode flush} at the end.
   *
   * @param listsFile Another file, where inverted lists go.
   */
  constructor(sink: Sink, listsFile?: string) {
    this.#sink = sink;
    this.#listsFile = listsFile;
  }

  /** Writes with `write` what keeps its inverted lists, wherever others go. */
  async keeping(write: () => Promise<void>): Promise<void> {
    const name = this.takeListsFile();
    await write();
    this.#listsFile = name;
  }

  /** Where inverted lists go, for those who write them: the first has it, no other. */
  takeListsFile(): string | undefined {
    const name = this.#listsFile;
    this.#listsFile = undefined;
    return name;
  }

  /** One unsigned byte. */
  async u8(value: number): Promise<void> {
    this.#view.setUint8(await this.#reserve(1), value);
  }

  /** One byte, 0 or 1. */
  async bool(value: boolean): Promise<void> {
    await this.u8(value ? 1 : 0);
  }

  /** A 32-bit integer. */
  async i32(value: number): Promise<void> {
    this.#view.setInt32(await this.#reserve(4), value, true);
  }

  /** A single-precision number. */
  async f32(value: number): Promise<void> {
    this.#view.setFloat32(await this.#reserve(4), value, true);
  }

  /** A 64-bit count. */
  async u64(value: number): Promise<void> {
    this.#view.setBigUint64(await this.#reserve(8), BigInt(value), true);
  }

  /** UTF-8. */
  async text(value: string): Promise<void> {
    await this.bytes(new TextEncoder().encode(value));
  }

  /** The bytes of an array. */
  async bytes(value: ArrayBufferView): Promise<void> {
    const bytes = new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
    if (bytes.length < CAPACITY) {
      this.#buffer.set(bytes, await this.#reserve(bytes.length));
      return;
    }
    await this.flush();
    await this.#sink(bytes);
  }

  /** Hands what is buffered to the sink. */
  async flush(): Promise<void> {
    if (this.#used > 0) await this.#sink(this.#buffer.subarray(0, this.#used));
    this.#used = 0;
  }

  async #reserve(bytes: number): Promise<number> {
    if (this.#used + bytes > CAPACITY) await this.flush();
    const at = this.#used;
    this.#used += bytes;
    return at;
  }
}

/** A sink that writes every byte to a file. */
export function fileSink(file: Deno.FsFile): Sink {
  return async (bytes) => {
    for (let done = 0; done < bytes.length;) done += await file.write(bytes.subarray(done));
  };
}
