/**
 * Files in memory.
 *
 * @module
 */

import { NativeHandle } from "../../../ffi/handle.ts";
import { library } from "../../../ffi/library.ts";
import type { FileMap } from "../backend.ts";

/** {@linkcode FileMap} of the cpu backend. */
export class CpuFileMap implements FileMap {
  readonly bytes: number;
  /** Device that the file is on. */
  readonly device: number;
  /** Its number there. */
  readonly inode: number;
  readonly #handle: NativeHandle;

  constructor(path: string) {
    const facts = new Float64Array(3);
    const text = new TextEncoder().encode(`${path}\0`);
    this.#handle = new NativeHandle("file map", (out, call) => {
      return library().symbols.mf_map_open(text, facts, out, call);
    });
    [this.bytes, this.device, this.inode] = facts as unknown as [number, number, number];
  }

  /** The handle, of a map that is one of this backend. */
  static objectOf(file: FileMap): number {
    if (file instanceof CpuFileMap) return file.#handle.object;
    throw new TypeError("Cannot map: the file was mapped by another backend");
  }

  [Symbol.dispose](): void {
    this.#handle.dispose();
  }
}
